package p2p

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// counters count bytes for the swarm, and refusals by cause for us.
type counters struct {
	in, out atomic.Uint64
	relay   relayCounters
	spent   [services]struct{ in, out atomic.Uint64 }

	mu      sync.Mutex
	refused map[string]uint64
}

// refuse counts one refusal; cause is one of a fixed set, never text from a peer.
func (c *counters) refuse(cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[string]uint64{}
	}
	c.refused[cause]++
}

// fault counts a Rec that is turned away, and names it to whoever may follow e.
func (n *Net) fault(from PeerID, e PublicKey, cause string) {
	n.stats.refuse(cause)
	if h, ok := n.up(); ok {
		h.HandleFault(from, e, cause)
	}
}

func (c *counters) refusals() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.refused)
}

var _ metrics.Reporter = (*counters)(nil)

func (c *counters) LogSentMessage(n int64) { c.out.Add(uint64(n)) }
func (c *counters) LogRecvMessage(n int64) { c.in.Add(uint64(n)) }
func (c *counters) LogSentMessageStream(n int64, p protocol.ID, _ peer.ID) {
	c.spent[serviceOf(p)].out.Add(uint64(n))
}
func (c *counters) LogRecvMessageStream(n int64, p protocol.ID, _ peer.ID) {
	c.spent[serviceOf(p)].in.Add(uint64(n))
}
func (c *counters) GetBandwidthForPeer(peer.ID) metrics.Stats             { return metrics.Stats{} }
func (c *counters) GetBandwidthForProtocol(protocol.ID) metrics.Stats     { return metrics.Stats{} }
func (c *counters) GetBandwidthByPeer() map[peer.ID]metrics.Stats         { return nil }
func (c *counters) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats { return nil }
func (c *counters) Reset()                                                {}
func (c *counters) TrimIdle(time.Time)                                    {}
func (c *counters) GetBandwidthTotals() metrics.Stats {
	return metrics.Stats{TotalIn: int64(c.in.Load()), TotalOut: int64(c.out.Load())}
}

// A Service is what bytes were spent on.
type Service uint8

const (
	Upkeep  Service = iota // what every connection costs: identify, the choice of a protocol
	Topics                 // gossip: presence on topics
	Watches                // presence streams: WATCH, GET
	Parcels                // messages, requests and their answers, records
	services
)

func (s Service) String() string {
	return [...]string{"upkeep", "topics", "streams", "messages"}[s]
}

func serviceOf(p protocol.ID) Service {
	switch {
	case strings.HasPrefix(string(p), "/meshsub/"):
		return Topics
	case p == protoPresence:
		return Watches
	case p == protoParcel, p == protoMbox:
		return Parcels
	}
	return Upkeep
}

// Traffic counts the bytes in the streams of a service; what the transports add is in none.
type Traffic struct{ In, Out uint64 }

func (c *counters) traffic() map[Service]Traffic {
	out := map[Service]Traffic{}
	for s := range services {
		out[s] = Traffic{In: c.spent[s].in.Load(), Out: c.spent[s].out.Load()}
	}
	return out
}
