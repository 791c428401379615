package sim

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/testnet"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
)

// A cost is what nodes on the simulated network take, each.
type cost struct {
	memory, goroutines float64 // live heap and stacks, in bytes
	boot, delivery     time.Duration
	deliveries         int
}

// held is the live heap and the stacks, and how many goroutines there are.
func held() (bytes, goroutines float64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse), float64(runtime.NumGoroutine())
}

const talking = `version: 1
name: talking
warmup: 1m
duration: 4m
nodes: [{class: a, count: 50}]
rosters: {model: random, mean: 5}
workload: [{presence: 30s}]
`

// bareHosts run the plan with hosts of libp2p that know nothing but gossip: who is watched says a word on a topic of his own, and his
// watchers have joined it. They connect along the same edges, over the same links.
func bareHosts(b testing.TB, p *plan.Plan) (c cost) {
	empty, few := held()
	n := testnet.New(testnet.Config{Seed: p.Seed, ByPair: true, Quantum: time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var hosts []host.Host
	var gossips []*pubsub.PubSub
	began := cpuTime()
	for _, node := range p.Nodes {
		h, err := libp2p.New(append(n.Host(node.IP), libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.ResourceManager(&network.NullResourceManager{}))...)
		if err != nil {
			b.Fatal(err)
		}
		ps, err := pubsub.NewGossipSub(ctx, h)
		if err != nil {
			b.Fatal(err)
		}
		hosts, gossips = append(hosts, h), append(gossips, ps)
	}
	c.boot = (cpuTime() - began) / time.Duration(len(hosts))
	var heard atomic.Int64
	topics := map[[2]int]*pubsub.Topic{}
	join := func(who, of int) *pubsub.Topic {
		if t := topics[[2]int{who, of}]; t != nil {
			return t
		}
		t, err := gossips[who].Join(fmt.Sprint("presence of ", of))
		if err != nil {
			b.Fatal(err)
		}
		topics[[2]int{who, of}] = t
		if who == of {
			return t
		}
		sub, err := t.Subscribe()
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			for {
				if _, err := sub.Next(ctx); err != nil {
					return
				}
				heard.Add(1)
			}
		}()
		return t
	}
	for _, w := range p.Watches {
		if err := hosts[w.Watcher].Connect(ctx, peer.AddrInfo{ID: hosts[w.Presentity].ID(), Addrs: hosts[w.Presentity].Addrs()}); err != nil {
			b.Fatal(err)
		}
		join(w.Watcher, w.Presentity)
		join(w.Presentity, w.Presentity)
	}
	time.Sleep(p.Scenario.Warmup.D())
	start, from := cpuTime(), heard.Load()
	for range 8 {
		for i := range hosts {
			if t := topics[[2]int{i, i}]; t != nil {
				_ = t.Publish(ctx, make([]byte, 300))
			}
		}
		time.Sleep(30 * time.Second)
	}
	c.deliveries = int(heard.Load() - from)
	c.delivery = (cpuTime() - start) / time.Duration(max(c.deliveries, 1))
	bytes, all := held()
	c.memory, c.goroutines = (bytes-empty)/float64(len(hosts)), (all-few)/float64(len(hosts))
	for _, h := range hosts {
		h.Close()
	}
	stop()
	time.Sleep(2 * time.Minute)
	return c
}

// realNodes run the plan as it is.
func realNodes(b testing.TB, p *plan.Plan, dir string) (c cost) {
	empty, few := held()
	began := cpuTime()
	var start time.Duration
	var at int
	r, err := Run(p, Options{Homes: dir, Progress: func(g Progress) {
		switch {
		case start == 0: // the first sample, at the end of the warm-up
			c.boot = (cpuTime() - began) / time.Duration(len(p.Nodes))
			start, at = cpuTime(), g.Seen
		case g.Now > p.End()-15*time.Second && c.memory == 0:
			c.deliveries = g.Seen - at
			c.delivery = (cpuTime() - start) / time.Duration(max(c.deliveries, 1))
			bytes, all := held()
			c.memory, c.goroutines = (bytes-empty)/float64(len(p.Nodes)), (all-few)/float64(len(p.Nodes))
		}
	}})
	if err != nil || len(r.Summary.Errors) > 0 {
		b.Fatal(err, r.Summary.Errors)
	}
	time.Sleep(2 * time.Minute)
	return c
}

// TestNodesBesideBareHosts sets nodes beside bare hosts of libp2p that gossip along the same graph, over the same links, in one process
// and one run: memory, goroutines, what a start takes, and what a delivery takes with everything that goes on beside it. It is run by
// hand, with HUM_NODES=100.
func TestNodesBesideBareHosts(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv("HUM_NODES"))
	if err != nil {
		t.Skip("HUM_NODES says how many")
	}
	s, err := scenario.Read("talking", []byte(talking))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(s, plan.Options{Nodes: count})
	if err != nil {
		t.Fatal(err)
	}
	dir := homes(t)
	var bare, ours cost
	synctest.Test(t, func(t *testing.T) { bare = bareHosts(t, p) })
	synctest.Test(t, func(t *testing.T) { ours = realNodes(t, p, dir) })
	for name, c := range map[string]cost{"bare hosts": bare, "nodes": ours} {
		t.Logf("%s: %.0f KB and %.0f goroutines each, %v to boot, %d deliveries of %v", name, c.memory/1024, c.goroutines, c.boot.Round(10*time.Microsecond), c.deliveries, c.delivery.Round(time.Microsecond))
	}
	if bare.deliveries == 0 || ours.deliveries == 0 || ours.memory <= bare.memory {
		t.Errorf("%+v, %+v", bare, ours)
	}
}
