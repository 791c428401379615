package sim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/shard"
	"github.com/hum-presence/hum/testnet/virtual"
)

// A run may be spread over several processes, its shards. Each has the whole plan and does of it what concerns its own nodes;
// what is true of all, such as a partition, each does. A shard's book works nothing out: it is recorded, and one book is told
// at the end what all of them were told.

// cardDelay is how long it takes until others have the card of somebody who started. It is as long in one process.
const cardDelay = 100 * time.Millisecond

// shardOf is the shard that a node runs in: those who watch each other are mostly neighbours in the plan.
func shardOf(p *plan.Plan, n, shards int) int { return n * shards / len(p.Nodes) }

// mine reports whether a node runs in this process.
func (w *World) mine(n int) bool {
	return w.opts.Shard == nil || shardOf(w.Plan, n, w.opts.Shard.Shards) == w.opts.Shard.Shard
}

// Lookahead is the least time in which anything can cross between shards, and an error if a plan cannot be spread.
func Lookahead(p *plan.Plan, shards int) (time.Duration, error) {
	if p.Scenario.Fidelity != "stream" {
		return 0, fmt.Errorf("%s: only stream links can cross between processes, and not %s: run it without --shards, or with --set fidelity=stream", p.Scenario.File, p.Scenario.Fidelity)
	}
	if len(p.Towns) > 0 {
		return 0, fmt.Errorf("%s: community %s serves the whole world, which must be in one process: run it without --shards", p.Scenario.File, p.Towns[0].Name)
	}
	if shards > len(p.Nodes) {
		return 0, fmt.Errorf("%d nodes cannot be spread over %d processes", len(p.Nodes), shards)
	}
	regions := make([]map[int]bool, shards)
	for _, n := range p.Nodes {
		if n.Adversary {
			return 0, fmt.Errorf("%s: adversaries of class %s act on the whole world, which must be in one process: run it without --shards", p.Scenario.File, n.Class.Class)
		}
		s := shardOf(p, n.N, shards)
		if regions[s] == nil {
			regions[s] = map[int]bool{}
		}
		regions[s][n.Region] = true
	}
	least := cardDelay
	for a := range regions {
		for b := range regions {
			for x := range regions[a] {
				for y := range regions[b] {
					if a != b {
						least = min(least, p.Delays[x][y])
					}
				}
			}
		}
	}
	if least < time.Millisecond {
		return 0, fmt.Errorf("%s: nodes of different processes would be only %v apart; shards need 1ms", p.Scenario.File, least)
	}
	return least, nil
}

// tape is what a shard records.
type tape struct {
	entries []measure.Entry
	err     error // why the shard could not go on
}

func (w *World) record() func(measure.Entry) {
	if w.opts.Shard == nil {
		return nil
	}
	return func(e measure.Entry) { w.tape.entries = append(w.tape.entries, e) }
}

// copy is the record of a run in one process that is exact: at its end one book is told all of it as if it had been spread over
// several, so that the order in which nodes took their turns at one instant shows nowhere.
func (w *World) copy() func(measure.Entry) {
	if w.opts.Shard != nil || !virtual.Exact {
		return nil
	}
	return func(e measure.Entry) { w.tape.entries = append(w.tape.entries, e) }
}

func (w *World) retell() {
	w.Book = measure.NewBook(measure.BookConfig{Nodes: len(w.Plan.Nodes), Begin: w.Plan.Scenario.Warmup.D(), Deadline: w.Plan.Scenario.Measure.Deadline.D(), Event: w.out.event})
	measure.Sort(w.tape.entries)
	for _, e := range w.tape.entries {
		w.Book.Play(e)
	}
	w.tape.entries = nil
}

// What crosses: a letter of the network, or a card.
const (
	crossFrame = iota
	crossCard
)

// far is the network's view of the other shards.
func (w *World) far() *testnet.Far {
	m := w.opts.Shard
	if m == nil {
		return nil
	}
	m.Deliver = w.arrived
	return &testnet.Far{Me: m.Shard,
		Where: func(ip string) int {
			if n := w.at(ip); n >= 0 {
				return shardOf(w.Plan, n, m.Shards)
			}
			return m.Shard // nobody lives there, here as elsewhere
		},
		Send: func(to int, at time.Time, lane uint64, data []byte) {
			m.Send(to, at, lane, append([]byte{crossFrame}, data...))
		}}
}

// arrived enters what came from another shard.
func (w *World) arrived(p shard.Parcel) {
	at := time.Unix(0, p.At)
	switch {
	case len(p.Data) == 0:
	case p.Data[0] == crossFrame:
		if err := w.Net.Take(at, p.Lane, p.Data[1:]); err != nil {
			w.Fail("shard %d: %v", p.From, err)
		}
	case p.Data[0] == crossCard && len(p.Data) > 9:
		n := int(binary.BigEndian.Uint64(p.Data[1:]))
		if c, err := identity.ParseCard(string(p.Data[9:])); err == nil && n < len(w.Peers) {
			w.keepAt(at, n, c)
		}
	}
}

// publish hands the card of a node that has started to all others.
func (w *World) publish(p *Peer, n *node.Node) {
	text, err := n.Card()
	if err != nil {
		return
	}
	c, err := identity.ParseCard(text)
	if err != nil {
		return
	}
	w.keepAt(time.Now().Add(cardDelay), p.N, c)
	m := w.opts.Shard
	if m == nil {
		return
	}
	data := append(binary.BigEndian.AppendUint64([]byte{crossCard}, uint64(p.N)), text...)
	for to := range m.Shards {
		if to != m.Shard {
			m.Send(to, time.Now().Add(cardDelay), 0, data)
		}
	}
}

func (w *World) keepAt(at time.Time, n int, c identity.Card) {
	virtual.Once(uint64(at.UnixNano()), func() {
		time.AfterFunc(time.Until(at), func() { w.keep(n, c) })
	})
}

func (w *World) keep(n int, c identity.Card) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cards[n] = c
}

// A part is what a shard hands in.
type part struct {
	Entries []measure.Entry
	Frames  []string // of each of its nodes, in an exact program
	Errors  []string
	Sent    uint64  // bytes, by all its nodes
	Hours   float64 // that its nodes were up
	CPU     time.Duration
	RSS     int64
}

// passShard does the whole plan, and hands in what came of it.
func (w *World) passShard() error {
	m := w.opts.Shard
	var frames trace
	if virtual.Exact {
		frames = w.follow()
	}
	if !w.pass(wallTime()) {
		err := w.tape.err
		if err == nil {
			err = errors.New("it was told to stop")
		}
		m.Fail(err)
		return err
	}
	out := part{Entries: w.tape.entries, CPU: cpuTime(), Hours: w.upTime().Hours()}
	_, out.RSS = resident()
	sent, _ := w.traffic()
	for _, n := range sent {
		out.Sent += n
	}
	for i, h := range frames {
		if w.mine(i) {
			out.Frames = append(out.Frames, fmt.Sprintf("%d %x", i, h.Sum(nil)))
		}
	}
	w.mu.Lock()
	out.Errors = w.errs
	w.mu.Unlock()
	if err := m.End(); err != nil {
		return err
	}
	b, err := json.Marshal(out)
	if err == nil {
		err = m.Hand(b)
	}
	return err
}

// RunShards keeps the shards of a plan on one clock until its end, and makes one result of what they hand in. They are started
// by the caller, and come to the listener; run is what all of them must agree on. It is called outside of any bubble.
func RunShards(p *plan.Plan, o Options, l net.Listener, shards int, run string) (r measure.Result, err error) {
	window, err := Lookahead(p, shards)
	if err != nil {
		return r, err
	}
	w := &World{Plan: p, opts: o}
	began := wallTime()
	m := w.manifest(began)
	m.Shards = shards
	m.NotModelled = append(m.NotModelled, "meshes, memory of each node and figures by class, which are not gathered over several processes")
	if w.out, err = makeFolder(o.Dir, m, o.Scenario); err != nil {
		return r, err
	}
	start := time.Unix(virtual.Start, 0)
	var last shard.Step
	c := shard.Coordinator{Shards: shards, Run: run, Window: window - time.Nanosecond, Step: func(s shard.Step) {
		last = s
		if o.Progress != nil && s.Windows%100 == 0 {
			o.Progress(Progress{Now: s.Now.Sub(start), End: p.End(), Wall: wallTime().Sub(began), Nodes: len(p.Nodes)})
		}
	}}
	parts, failed := c.Serve(l)
	w.Book = measure.NewBook(measure.BookConfig{Nodes: len(p.Nodes), Begin: p.Scenario.Warmup.D(), Deadline: p.Scenario.Measure.Deadline.D(), Event: w.out.event})
	var entries []measure.Entry
	frames := make(map[string]bool)
	var sent uint64
	var hours float64
	for i, b := range parts {
		var x part
		if err := json.Unmarshal(b, &x); err != nil {
			failed = errors.Join(failed, fmt.Errorf("shard %d handed in what cannot be read: %w", i, err))
			continue
		}
		entries = append(entries, x.Entries...)
		for _, f := range x.Frames {
			frames[f] = true
		}
		for _, e := range x.Errors {
			w.Fail("%s", e)
		}
		sent, hours = sent+x.Sent, hours+x.Hours
		m.CPU += x.CPU.Seconds()
		m.PeakRSS += x.RSS
	}
	measure.Sort(entries)
	w.replay(entries)
	m.Complete, m.Virtual, m.Wall = failed == nil, p.End().Seconds(), wallTime().Sub(began).Seconds()
	if failed != nil {
		m.Virtual = last.Now.Sub(start).Seconds()
		w.Fail("%v", failed)
	}
	if len(frames) > 0 {
		m.TraceSHA256 = sumOf(frames)
	}
	r.Manifest, r.Samples = m, w.samples.all
	values, dists := w.Book.Close(p.End())
	if hours > 0 {
		values = append(values, measure.Value{Metric: "bytes_per_node_hour", Value: float64(sent) / hours, N: len(p.Nodes)})
	}
	values = append(values, measure.Value{Metric: "speed", Value: m.Virtual / m.Wall, N: 1},
		measure.Value{Metric: "memory_per_node", Value: float64(m.PeakRSS) / float64(len(p.Nodes)), N: len(p.Nodes)})
	r.Summary.Values, r.Summary.Distributions, r.Summary.Faults = values, dists, w.samples.bands
	r.Summary.Errors = w.errs
	w.judge(&r.Summary, m.Complete)
	return r, errors.Join(failed, w.out.close(&r))
}

// replay tells the book everything, and takes samples where a run takes them.
func (w *World) replay(entries []measure.Entry) {
	every, next := w.Plan.Scenario.Measure.Every.D(), w.Plan.Scenario.Warmup.D()
	for _, e := range entries {
		for ; next <= e.T; next += every {
			w.sampleBook(next)
		}
		if e.Op == "fault" && !e.Is {
			for _, a := range w.Plan.Actions {
				if a.Kind == plan.FaultOn && a.At == e.T && a.Label == e.Text {
					w.samples.band(e.T, a)
					break
				}
			}
		}
		w.Book.Play(e)
	}
	for ; next <= w.Plan.End(); next += every {
		w.sampleBook(next)
	}
}

// sampleBook takes the samples that the book alone can give.
func (w *World) sampleBook(now time.Duration) {
	g := w.Book.Glance(now)
	put := func(metric string, v float64) {
		x := measure.Sample{T: now.Seconds(), Metric: metric, Value: v}
		w.samples.all = append(w.samples.all, x)
		w.out.sample(x)
	}
	put("up", float64(g.Up))
	if g.Pairs > 0 {
		put("stale", float64(g.Wrong)/float64(g.Pairs))
	}
	if n := g.Changes - w.samples.was.Changes; n > 0 {
		put("delivery_ratio", float64(g.Seen-w.samples.was.Seen)/float64(n))
	}
	w.samples.was = g
}
