package sim

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/testnet"
	"github.com/hum-presence/hum/testnet/plan"
)

// A Cost is what nodes on the simulated network take, each.
type Cost struct {
	Memory     float64       `json:"memory"`     // live heap and stacks, in bytes
	Resident   float64       `json:"resident"`   // the process at its highest, in bytes
	Goroutines float64       `json:"goroutines"` // at the end
	Boot       time.Duration `json:"boot"`       // of processor time, to be made
	Idle       time.Duration `json:"idle"`       // of processor time, in a virtual second in which nothing is said
	Delivery   time.Duration `json:"delivery"`   // of processor time, for each word that a watcher hears, with all that goes on beside it
	Deliveries int           `json:"deliveries"` // of all
}

// held is the live heap and the stacks, and how many goroutines there are.
func held() (bytes, goroutines float64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse), float64(runtime.NumGoroutine())
}

// BareHosts are the floor of a run: hosts of libp2p that know nothing but gossip, connected along the edges of the plan and over the
// same kind of links. Who is watched says a word of 300 bytes on a topic of his own every 30 s, eight times, after two minutes
// in which nobody does, and his watchers have joined it. It must be called in a bubble of virtual time.
func BareHosts(p *plan.Plan) (c Cost, err error) {
	empty, few := held()
	n := testnet.New(testnet.Config{Seed: p.Seed, ByPair: true, Quantum: time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	var hosts []host.Host
	defer func() {
		for _, h := range hosts {
			h.Close()
		}
		stop()
		time.Sleep(2 * time.Minute)
	}()
	var gossips []*pubsub.PubSub
	began := cpuTime()
	for _, node := range p.Nodes {
		h, err := libp2p.New(append(n.Host(node.IP), libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.ResourceManager(&network.NullResourceManager{}))...)
		if err != nil {
			return c, err
		}
		hosts = append(hosts, h)
		ps, err := pubsub.NewGossipSub(ctx, h)
		if err != nil {
			return c, err
		}
		gossips = append(gossips, ps)
	}
	var heard atomic.Int64
	topics := map[[2]int]*pubsub.Topic{}
	join := func(who, of int) error {
		if topics[[2]int{who, of}] != nil {
			return nil
		}
		t, err := gossips[who].Join(fmt.Sprint("presence of ", of))
		if err != nil {
			return err
		}
		topics[[2]int{who, of}] = t
		if who == of {
			return nil
		}
		sub, err := t.Subscribe()
		if err != nil {
			return err
		}
		go func() {
			for {
				if _, err := sub.Next(ctx); err != nil {
					return
				}
				heard.Add(1)
			}
		}()
		return nil
	}
	for _, w := range p.Watches {
		if err := hosts[w.Watcher].Connect(ctx, peer.AddrInfo{ID: hosts[w.Presentity].ID(), Addrs: hosts[w.Presentity].Addrs()}); err != nil {
			return c, err
		}
		for _, who := range []int{w.Watcher, w.Presentity} {
			if err := join(who, w.Presentity); err != nil {
				return c, err
			}
		}
	}
	each := time.Duration(len(hosts))
	time.Sleep(p.Scenario.Warmup.D())
	c.Boot = (cpuTime() - began) / each
	const quiet = 2 * time.Minute
	start := cpuTime()
	time.Sleep(quiet)
	c.Idle = (cpuTime() - start) / each / time.Duration(quiet.Seconds())
	start, from := cpuTime(), heard.Load()
	for range 8 {
		for i := range hosts {
			if t := topics[[2]int{i, i}]; t != nil {
				_ = t.Publish(ctx, make([]byte, 300))
			}
		}
		time.Sleep(30 * time.Second)
	}
	c.Deliveries = int(heard.Load() - from)
	c.Delivery = (cpuTime() - start) / time.Duration(max(c.Deliveries, 1))
	bytes, all := held()
	c.Memory, c.Goroutines = (bytes-empty)/float64(len(hosts)), (all-few)/float64(len(hosts))
	_, peak := resident()
	c.Resident = float64(peak) / float64(len(hosts))
	return c, nil
}
