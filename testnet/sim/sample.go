package sim

import (
	"context"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/virtual"
)

// A sampler gathers what is measured now and then.
type sampler struct {
	bands   []measure.Band
	blocked []block
	begun   gauge // when measuring began
	last    gauge
	was     measure.Glance

	mesh, connections, held means
	all                     []measure.Sample
}

type block struct {
	by, whom int
	polite   bool
}

// means is a mean of what was sampled.
type means struct {
	sum float64
	n   int
}

func (m *means) add(x float64) { m.sum, m.n = m.sum+x, m.n+1 }

func (s *sampler) band(now time.Duration, a plan.Action) {
	s.bands = append(s.bands, measure.Band{From: now.Seconds(), Until: (now + a.By).Seconds(), Label: a.Label})
}

var serviceNames = [4]string{"topics", "streams", "messages", "upkeep"}

// A gauge is what can be read off the nodes of one process at one time. Those of several processes are added up.
type gauge struct {
	T           time.Duration
	Sent        [4]uint64 // bytes, by all honest nodes, by service
	Net, Served uint64    // bytes that left the machines of honest nodes, and of communities
	Delivered   int       // gossip
	Copies      int
	UpTime      time.Duration // of honest nodes
	Up          int           // of them
	Topics      int           // meshes of honest nodes
	Places      int           // in them
	Held        int           // of those, by adversaries
	Peers       int           // that honest nodes are connected to
	Goroutines  int
	RSS         int64
	CPU         time.Duration // of the process
}

func (g *gauge) add(o gauge) {
	g.T = o.T
	for i := range g.Sent {
		g.Sent[i] += o.Sent[i]
	}
	g.Net, g.Served = g.Net+o.Net, g.Served+o.Served
	g.Delivered, g.Copies = g.Delivered+o.Delivered, g.Copies+o.Copies
	g.UpTime, g.Up = g.UpTime+o.UpTime, g.Up+o.Up
	g.Topics, g.Places, g.Held, g.Peers = g.Topics+o.Topics, g.Places+o.Places, g.Held+o.Held, g.Peers+o.Peers
	g.Goroutines, g.RSS, g.CPU = g.Goroutines+o.Goroutines, g.RSS+o.RSS, g.CPU+o.CPU
}

// gauge reads everything off.
func (w *World) gauge() gauge {
	g := gauge{T: w.Now(), Net: w.network(), Served: w.served(), UpTime: w.upTime(), Goroutines: runtime.NumGoroutine(), CPU: cpuTime()}
	g.Sent, g.Up = w.traffic()
	g.Delivered, g.Copies = w.copies()
	g.RSS, _ = resident()
	w.gaugeMesh(&g)
	return g
}

// look takes a sample. A shard keeps it, to hand it in.
func (w *World) look() {
	g := w.gauge()
	if w.opts.Shard != nil {
		w.gauges = append(w.gauges, g)
		return
	}
	w.sampled(g)
}

// sampled works out what a sample says.
func (w *World) sampled(x gauge) {
	now, s := x.T, &w.samples
	g := w.Book.Glance(now)
	put := func(metric string, v float64) {
		x := measure.Sample{T: now.Seconds(), Metric: metric, Value: v}
		s.all = append(s.all, x)
		w.out.sample(x)
	}
	if s.last.T == 0 {
		s.begun = x
	} else if hours := (now - s.last.T).Hours() * float64(max(x.Up, 1)); hours > 0 {
		total := 0.0
		for i, name := range serviceNames {
			rate := float64(x.Sent[i]-s.last.Sent[i]) / hours
			total += rate
			put("bytes_"+name+"_hour", rate)
		}
		put("bytes_per_node_hour", total)
	}
	if n := g.Changes - s.was.Changes; n > 0 {
		put("delivery_ratio", float64(g.Seen-s.was.Seen)/float64(n))
	}
	put("up", float64(g.Up))
	if g.Pairs > 0 {
		put("stale", float64(g.Wrong)/float64(g.Pairs))
	}
	if x.Topics > 0 {
		put("mesh_degree", float64(x.Places)/float64(x.Topics))
		s.mesh.add(float64(x.Places) / float64(x.Topics))
		s.held.add(float64(x.Held) / float64(x.Places))
	}
	if x.Up > 0 {
		put("connections", float64(x.Peers)/float64(x.Up))
		s.connections.add(float64(x.Peers) / float64(x.Up))
	}
	put("goroutines_per_node", float64(x.Goroutines)/float64(max(1, g.Up)))
	if x.RSS > 0 {
		put("memory_per_node", float64(x.RSS)/float64(len(w.Plan.Nodes)))
	}
	s.last, s.was = x, g
	w.out.flush(measure.Summary{Verdict: "partial", Values: []measure.Value{
		{Metric: "changes", Value: float64(g.Changes), N: g.Changes}, {Metric: "stale", Value: float64(g.Wrong) / float64(max(1, g.Pairs)), N: g.Pairs}},
		Faults: s.bands})
}

// traffic is what all honest nodes sent so far, by service, and how many are up.
func (w *World) traffic() (sent [4]uint64, up int) {
	for _, p := range w.Peers {
		if p.Adversary {
			continue
		}
		b, _ := p.sent()
		for i := range b {
			sent[i] += b[i]
		}
		if p.Running() != nil {
			up++
		}
	}
	return sent, up
}

// network is what left the machines of all honest nodes so far.
func (w *World) network() (bytes uint64) {
	for _, p := range w.Peers {
		if !p.Adversary && w.mine(p.N) {
			bytes += w.Net.Sent(p.IP)
		}
	}
	return bytes
}

func (w *World) copies() (delivered, copies int) {
	for _, p := range w.Peers {
		d, c := p.gossip.sums()
		delivered, copies = delivered+d, copies+c
	}
	return delivered, copies
}

func (w *World) upTime() (sum time.Duration) {
	for _, p := range w.Peers {
		if p.Adversary {
			continue
		}
		p.mu.Lock()
		sum += p.upTime
		if p.node != nil {
			sum += w.Now() - p.upSince
		}
		p.mu.Unlock()
	}
	return sum
}

func (w *World) gaugeMesh(g *gauge) {
	adversary := func(id peer.ID) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		n, ok := w.byPeer[id]
		return w.rogues[id] || ok && w.Plan.Nodes[n].Adversary
	}
	for _, p := range w.Peers {
		n := p.Running()
		if n == nil || p.Adversary {
			continue
		}
		t, pl, h := p.gossip.mesh(adversary)
		g.Topics, g.Places, g.Held = g.Topics+t, g.Places+pl, g.Held+h
		g.Peers += n.Counted().Peers
	}
}

// probe is how many of those who were blocked can tell it from what their own node shows them, rather than take it
// for somebody who is away: their subscription is not active any more, or a message of theirs was refused.
func (w *World) probe() (polite, told int) {
	w.mu.Lock()
	blocked := w.samples.blocked
	w.mu.Unlock()
	for _, b := range blocked {
		n := w.Peers[b.whom].Running()
		if n == nil || !b.polite {
			continue
		}
		polite++
		subs, err := n.Watching(context.Background())
		if err != nil {
			w.Fail("%s: %v", w.Peers[b.whom].Class.Class, err)
			continue
		}
		for _, s := range subs {
			if s.Address == w.Peers[b.by].address && s.State != "active" {
				told++
				break
			}
		}
	}
	return polite, told
}

// check holds each user's screen against what the book has him shown.
func (w *World) check() {
	if w.Check == nil {
		return
	}
	virtual.Wait()
	looks := 0
	for _, p := range w.Peers {
		n := p.Running()
		if n == nil || p.leaves() {
			continue
		}
		who, err := n.Who(context.Background(), nil)
		if err != nil {
			continue // it is ending
		}
		for _, o := range who {
			of := w.byAddress[o.Address]
			open, version, known := w.Book.Shown(p.N, of)
			if looks++; known && (open != (o.Basic == "open") || open && version != versionOf(o.Note)) {
				w.Fail("at %v %s is shown %s as %s %q, and the book has open %v, word %d", w.Now(), p.Name, w.Peers[of].Name, o.Basic, o.Note, open, version)
			}
		}
	}
	w.Check(looks)
}
