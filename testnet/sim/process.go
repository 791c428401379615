package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
)

// RunProcesses runs a plan with real processes of the program hum on loopback, in real time: the same scenario, the
// same book and the same figures as [Run], of the real thing. What loopback cannot do, it refuses before anything runs.
func RunProcesses(ctx context.Context, p *plan.Plan, o Options, hum string) (r measure.Result, err error) {
	if err := forLoopback(p); err != nil {
		return r, err
	}
	if o.Homes == "" {
		if o.Homes, err = os.MkdirTemp("", "hum-testnet-"); err != nil {
			return r, err
		}
		defer os.RemoveAll(o.Homes)
	}
	w := &World{Plan: p, opts: o, begin: time.Now()}
	e := &processes{World: w, hum: hum, ids: map[string]bool{}, early: map[string][]func(){}, byAddress: map[string]int{}}
	m := w.manifest(w.begin)
	m.Engine, m.Fidelity, m.Mode = "process", "loopback", "statistical"
	m.NotModelled = append([]string{"the network: all processes are on one machine, and what they say arrives at once",
		"a machine for each: all processes share the processors of this one"}, notOnLoopback(p)...)
	if w.out, err = makeFolder(o.Dir, m, o.Scenario); err != nil {
		return r, err
	}
	w.Book = measure.NewBook(measure.BookConfig{Nodes: len(p.Nodes), Begin: p.Scenario.Warmup.D(), Deadline: p.Scenario.Measure.Deadline.D(), Event: w.out.event})
	complete := e.live(ctx)
	r = e.result(m, complete)
	return r, errors.Join(e.end(), w.out.close(&r))
}

// forLoopback says what of a plan real processes on one machine cannot do.
func forLoopback(p *plan.Plan) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s: the engine process runs real processes on loopback, and cannot %s; run it with --engine sim",
			p.Scenario.File, fmt.Sprintf(format, args...))
	}
	if len(p.Towns) > 0 {
		return refuse("run community %s", p.Towns[0].Name)
	}
	for _, n := range p.Nodes {
		c := n.Class
		switch {
		case c.Commit.Set():
			return refuse("slow the disks of class %s down", c.Class)
		case n.Adversary:
			return refuse("run the adversary of class %s", c.Class)
		case n.NAT:
			return refuse("put class %s behind NAT", c.Class)
		case n.Skew != 0 || n.Drift != 0:
			return refuse("set the clocks of class %s", c.Class)
		}
	}
	for _, a := range p.Actions {
		switch a.Kind {
		case plan.Blackout, plan.Part, plan.Heal, plan.Weather, plan.Step:
			return refuse("do what a fault or churn asks for at %v: %s", a.At, a.Kind)
		}
	}
	return nil
}

// notOnLoopback is what of a plan is left out, as it is about lines alone: the manifest and the report say so.
func notOnLoopback(p *plan.Plan) (out []string) {
	for _, c := range p.Scenario.Nodes {
		if c.Up > 0 || c.Down > 0 || c.Loss.F() > 0 || c.Jitter.Set() {
			out = append(out, "the lines of class "+c.Class+": neither rates nor losses nor delays of their own")
		}
	}
	if l := p.Scenario.Links; l.Loss.F() > 0 || l.Jitter.Set() {
		out = append(out, "losses and delays between the nodes")
	}
	for _, a := range p.Actions {
		if a.Kind == plan.Sleep {
			return append(out, "the silence of a machine that sleeps: its process is stopped, and the system still takes what others send it")
		}
	}
	return out
}

// processes is a plan that runs as real processes.
type processes struct {
	*World
	hum   string
	nodes []*proc

	mu        sync.Mutex
	ids       map[string]bool     // messages that the book knows
	early     map[string][]func() // what came of others
	over      bool                // nobody does anything any more
	byAddress map[string]int
}

// live does what is planned, at its time. It reports false if it was told to stop.
func (e *processes) live(ctx context.Context) bool {
	for _, n := range e.Plan.Nodes {
		p := &proc{Node: n, e: e, home: filepath.Join(e.opts.Homes, fmt.Sprint("n", n.N))}
		p.woken = sync.NewCond(&p.one)
		e.nodes = append(e.nodes, p)
	}
	w := e.World
	type step struct {
		at time.Duration
		do func()
	}
	var steps []step
	for _, p := range e.nodes {
		if p.Start >= 0 {
			steps = append(steps, step{p.Start, func() { e.on(p, "start", p.start) }})
		}
	}
	for _, x := range e.Plan.Watches {
		a, b := e.nodes[x.Watcher], e.nodes[x.Presentity]
		steps = append(steps, step{x.At, func() { e.ask(a, b) }})
	}
	for _, a := range e.Plan.Actions {
		steps = append(steps, step{a.At, func() { e.act(a) }})
	}
	every := e.Plan.Scenario.Measure.Every.D()
	for t := e.Plan.Scenario.Warmup.D(); t <= e.Plan.End(); t += every {
		steps = append(steps, step{t, e.sample})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	for _, s := range append(steps, step{e.Plan.End(), func() {}}) {
		for s.at > w.Now() {
			select {
			case <-ctx.Done():
				return false
			case <-time.After(min(s.at-w.Now(), time.Second)):
			}
			w.report(w.begin)
		}
		s.do()
	}
	return true
}

// on has a user do something, after what he is doing, and once his machine is awake.
func (e *processes) on(p *proc, what string, f func() error) {
	e.strike(p, what, func() error {
		for p.asleep {
			p.woken.Wait()
		}
		if e.ended() {
			return nil
		}
		return f()
	})
}

// strike has something happen to a node, after what its user is doing.
func (e *processes) strike(p *proc, what string, f func() error) {
	e.acting.Go(func() {
		p.one.Lock()
		defer p.one.Unlock()
		if err := f(); err != nil {
			e.Fail("%s: %s: %v", p.Name, what, err)
		}
	})
}

func (e *processes) ended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over
}

func (e *processes) act(a plan.Action) {
	p := e.nodes[a.Node]
	switch a.Kind {
	case plan.Up:
		e.on(p, "start", p.start)
	case plan.Down:
		e.on(p, "sign off", func() error { return p.stop(true) })
	case plan.Crash:
		e.strike(p, "kill", func() error { return p.stop(false) })
	case plan.Sleep:
		e.strike(p, "sleep", p.sleep)
	case plan.Wake:
		e.strike(p, "wake", p.wake)
	case plan.Say:
		e.on(p, "say", p.say)
	case plan.Send:
		e.on(p, "send", func() error { return p.send(e.nodes[a.Other], a.Size) })
	case plan.Ask:
		e.ask(p, e.nodes[a.Other])
	case plan.Block, plan.Polite:
		e.on(p, "block", func() error { return p.block(e.nodes[a.Other], a.Kind == plan.Polite) })
	case plan.FaultOn, plan.FaultOff:
		e.Book.Fault(e.Now(), a.Label, a.Kind == plan.FaultOff)
		if a.Kind == plan.FaultOn {
			e.samples.band(e.Now(), a)
		}
	case plan.Lapse, plan.Double:
		e.weather(a)
	}
}

// ask has a watch b. Who is watched knows his watcher, if friends they are to be.
func (e *processes) ask(a, b *proc) {
	e.on(b, "meet", func() error {
		if e.Plan.Scenario.Node.Policy == "confirm" || a.card == "" || !b.up() {
			return nil
		}
		return b.call(nil, "add", a.card)
	})
	e.on(a, "ask to watch", func() error {
		if !a.up() {
			return nil
		}
		if b.card == "" {
			return fmt.Errorf("%s has not started yet", b.Name)
		}
		if err := a.call(nil, "add", b.card); err != nil {
			return err
		}
		e.Book.Ask(e.Now(), a.N, b.N)
		return a.call(nil, "watch", b.address)
	})
}

func (e *processes) number(address string) (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := e.byAddress[address]
	return n, ok
}

// of does what is about a message once the book knows of it: its sender may hear of it after its recipient.
func (e *processes) of(id string, do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ids[id] {
		do()
		return
	}
	e.early[id] = append(e.early[id], do)
}

// sample takes what is measured now and then.
func (e *processes) sample() {
	e.sampleBook(e.Now())
	g := e.samples.was
	e.out.flush(measure.Summary{Verdict: "partial", Values: []measure.Value{{Metric: "changes", Value: float64(g.Changes), N: g.Changes}}, Faults: e.samples.bands})
}

// result is what the run gave.
func (e *processes) result(m measure.Manifest, complete bool) (r measure.Result) {
	now := e.Now()
	m.Complete, m.Virtual, m.Wall = complete, now.Seconds(), now.Seconds()
	var rss, up float64
	for _, p := range e.nodes {
		p.one.Lock()
		if p.up() {
			up++
			rss += residentOf(p.cmd.Process.Pid)
		}
		p.one.Unlock()
	}
	m.PeakRSS = int64(rss)
	r.Manifest, r.Samples = m, e.samples.all
	values, dists := e.Book.Close(now)
	if up > 0 {
		values = append(values, measure.Value{Metric: "memory_per_node", Value: rss / up, N: int(up)})
	}
	r.Summary.Values, r.Summary.Distributions, r.Summary.Faults = values, dists, e.samples.bands
	e.World.mu.Lock()
	r.Summary.Errors = append(r.Summary.Errors, e.errs...)
	e.World.mu.Unlock()
	e.judge(&r.Summary, complete)
	return r
}

// end stops all that still runs. Who sleeps is woken first, and does nothing of what he was to do.
func (e *processes) end() error {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	for _, p := range e.nodes {
		e.strike(p, "wake", p.wake)
	}
	e.acting.Wait()
	var all sync.WaitGroup
	for _, p := range e.nodes {
		all.Go(func() {
			p.one.Lock()
			defer p.one.Unlock()
			if p.up() {
				_ = p.see.Process.Kill()
				_ = p.cmd.Process.Signal(syscall.SIGTERM)
				select {
				case <-p.ran:
				case <-time.After(time.Minute):
					_ = p.cmd.Process.Kill()
					<-p.ran
				}
			}
		})
	}
	all.Wait()
	return nil
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
