package node

import (
	"time"

	"github.com/hum-presence/hum/p2p"
)

// A Cost is what one service has cost since the start, in bytes within streams, and what it costs in an
// hour, by the last one.
type Cost struct {
	Service               string // topics, streams, messages, upkeep; presence is the first two
	In, Out               uint64
	InPerHour, OutPerHour uint64
}

// costs remembers what was spent by when, for an hour.
type costs struct{ samples []sample }

type sample struct {
	at    time.Duration
	spent map[p2p.Service]p2p.Traffic
}

const (
	costEvery = time.Minute
	costSpan  = time.Hour
)

// note takes a sample, once a minute, and forgets what is older than an hour but the last before it.
func (c *costs) note(now time.Duration, spent map[p2p.Service]p2p.Traffic) {
	if n := len(c.samples); n > 0 && now-c.samples[n-1].at < costEvery {
		return
	}
	c.samples = append(c.samples, sample{now, spent})
	for len(c.samples) > 1 && now-c.samples[1].at >= costSpan {
		c.samples = c.samples[1:]
	}
}

// rates returns the cost of each service; the hourly ones are 0 in the first minute.
func (c *costs) rates(now time.Duration, spent map[p2p.Service]p2p.Traffic) (out []Cost) {
	var from sample
	if len(c.samples) > 0 {
		from = c.samples[0]
	}
	hours := (now - from.at).Hours()
	rate := func(now, then uint64) uint64 {
		if hours*float64(time.Hour) < float64(costEvery) || now < then {
			return 0
		}
		return uint64(float64(now-then) / hours)
	}
	for _, s := range []p2p.Service{p2p.Topics, p2p.Watches, p2p.Parcels, p2p.Upkeep} {
		x, was := spent[s], from.spent[s]
		out = append(out, Cost{Service: s.String(), In: x.In, Out: x.Out, InPerHour: rate(x.In, was.In), OutPerHour: rate(x.Out, was.Out)})
	}
	return out
}

// Counted is what the network has counted since the start: bytes by service, and what was turned away. Unlike Status
// it asks no store.
func (n *Node) Counted() p2p.Stats {
	s := n.net.Stats()
	n.mu.RLock()
	defer n.mu.RUnlock()
	if s.Refused == nil {
		s.Refused = map[string]uint64{}
	}
	for cause, count := range n.refused {
		s.Refused[cause] += count
	}
	return s
}
