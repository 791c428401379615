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
	bands                []measure.Band
	blocked              []block
	last                 time.Duration
	sent                 [4]uint64 // by all honest nodes, at the last sample
	begun                [4]uint64 // when measuring began
	begunNet, begunTowns uint64
	first                time.Duration // when measuring began
	copies               [2]int        // delivered, copies; when measuring began
	upTime               time.Duration
	was                  measure.Glance

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

// look takes a sample.
func (w *World) look() {
	now, s := w.Now(), &w.samples
	g := w.Book.Glance(now)
	put := func(metric string, v float64) {
		x := measure.Sample{T: now.Seconds(), Metric: metric, Value: v}
		s.all = append(s.all, x)
		w.out.sample(x)
	}
	sent, up := w.traffic()
	if s.last == 0 {
		s.begun, s.begunNet, s.begunTowns, s.first = sent, w.network(), w.served(), now
		s.copies[0], s.copies[1] = w.copies()
		s.upTime = w.upTime()
	} else if hours := (now - s.last).Hours() * float64(max(up, 1)); hours > 0 {
		total := 0.0
		for i, name := range serviceNames {
			rate := float64(sent[i]-s.sent[i]) / hours
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
	w.sampleMesh(put)
	put("goroutines_per_node", float64(runtime.NumGoroutine())/float64(max(1, g.Up)))
	if rss, _ := resident(); rss > 0 {
		put("memory_per_node", float64(rss)/float64(len(w.Peers)))
	}
	s.last, s.sent, s.was = now, sent, g
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
		if !p.Adversary {
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

func (w *World) sampleMesh(put func(string, float64)) {
	adversary := func(id peer.ID) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		n, ok := w.byPeer[id]
		return w.rogues[id] || ok && w.Peers[n].Adversary
	}
	topics, places, held, conns, up := 0, 0, 0, 0, 0
	for _, p := range w.Peers {
		n := p.Running()
		if n == nil || p.Adversary {
			continue
		}
		t, pl, h := p.gossip.mesh(adversary)
		topics, places, held = topics+t, places+pl, held+h
		conns += n.Counted().Peers
		up++
	}
	if topics > 0 {
		put("mesh_degree", float64(places)/float64(topics))
		w.samples.mesh.add(float64(places) / float64(topics))
		w.samples.held.add(float64(held) / float64(places))
	}
	if up > 0 {
		put("connections", float64(conns)/float64(up))
		w.samples.connections.add(float64(conns) / float64(up))
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
