package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/shard"
	"github.com/hum-presence/hum/testnet/virtual"
)

// A run may be spread over several processes, its shards. Each has the whole plan and does of it what concerns its own nodes;
// what is true of all, such as a partition, each does. A shard's book works nothing out: it is recorded, and one book is told
// at the end what all of them were told.

// Lookahead is the least time in which anything can cross between shards, and an error if a plan cannot be spread.
func Lookahead(p *plan.Plan, shards int) (time.Duration, error) {
	if shards > len(p.Nodes) {
		return 0, fmt.Errorf("%d nodes cannot be spread over %d processes", len(p.Nodes), shards)
	}
	least := cardDelay
	regions := make([]map[int]bool, shards)
	for i := range regions {
		regions[i] = map[int]bool{}
	}
	for _, n := range p.Nodes {
		if n.Adversary {
			if !spreads(n.Class.Behaviour, n.N) {
				return 0, fmt.Errorf("%s: the %s of class %s does not say how it acts where nodes are in other processes (sim.Conductor): run it without --shards", p.Scenario.File, n.Class.Behaviour, n.Class.Class)
			}
			least = min(least, unknownDelay) // his places are in no region
		}
		regions[shardOf(p, n.N, shards)][n.Region] = true
	}
	for k, t := range p.Towns {
		regions[townShardOf(p, k, shards)][t.Region] = true
	}
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

// A part is what a shard hands in.
type part struct {
	Entries []measure.Entry
	Frames  []string // of each of its nodes, in an exact program
	Errors  []string
	Gauges  []gauge // its samples
	Closing closing
	Found   []measure.Value // by adversaries
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
	out := part{Entries: w.tape.entries, CPU: cpuTime(), Gauges: w.gauges, Found: w.findings(), Closing: w.closing()}
	_, out.RSS = resident()
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
	if w.out, err = makeFolder(o.Dir, m, o.Scenario); err != nil {
		return r, err
	}
	start := time.Unix(virtual.Start, 0)
	var last shard.Step
	c := shard.Coordinator{Shards: shards, Run: run, Window: window - time.Nanosecond, Stop: o.Stop, Refused: o.Refused, Step: func(s shard.Step) {
		last = s
		if o.Progress != nil && s.Windows%100 == 0 {
			o.Progress(Progress{Now: s.Now.Sub(start), End: p.End(), Wall: wallTime().Sub(began), Nodes: len(p.Nodes)})
		}
	}}
	parts, failed := c.Serve(l)
	w.Book = measure.NewBook(measure.BookConfig{Nodes: len(p.Nodes), Begin: p.Scenario.Warmup.D(), Deadline: p.Scenario.Measure.Deadline.D(), Event: w.out.event})
	var entries []measure.Entry
	frames := make(map[string]bool)
	var gauges []gauge
	var all closing
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
		for i, g := range x.Gauges {
			if i == len(gauges) {
				gauges = append(gauges, gauge{})
			}
			gauges[i].add(g)
		}
		all.add(x.Closing)
		r.Summary.Values = append(r.Summary.Values, x.Found...)
		m.CPU += x.CPU.Seconds()
		m.PeakRSS += x.RSS
	}
	measure.Sort(entries)
	w.replay(entries, gauges)
	m.Complete, m.Virtual, m.Wall = failed == nil, p.End().Seconds(), wallTime().Sub(began).Seconds()
	if failed != nil {
		m.Virtual = last.Now.Sub(start).Seconds()
		w.Fail("%v", failed)
	}
	if len(frames) > 0 {
		m.TraceSHA256 = sumOf(frames)
	}
	r.Manifest, r.Samples = m, w.samples.all
	w.summarize(&r, all, p.End(), m.Complete)
	return r, errors.Join(failed, w.out.close(&r))
}

// replay tells the book everything, and takes samples where the shards took theirs.
func (w *World) replay(entries []measure.Entry, gauges []gauge) {
	for _, e := range entries {
		for ; len(gauges) > 0 && gauges[0].T <= e.T; gauges = gauges[1:] {
			w.sampled(gauges[0])
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
	for _, g := range gauges {
		w.sampled(g)
	}
}
