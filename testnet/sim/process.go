package sim

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

// A proc is one home and, while it is up, its process.
type proc struct {
	plan.Node
	e       *processes
	home    string
	listen  string
	address string
	card    string
	version int

	one    sync.Mutex // what its user does, he does in turn
	woken  *sync.Cond // of one: the machine wakes, or the run is over
	asleep bool
	cmd    *exec.Cmd
	ran    chan struct{} // closed when the process has ended
	see    *exec.Cmd     // follows its events
	n      uint64        // the last of them
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

func (p *proc) up() bool { return p.cmd != nil }

// call runs one command of the home and decodes the first line that it prints.
func (p *proc) call(v any, args ...string) error {
	cmd := exec.Command(p.e.hum, append([]string{"--home", p.home, "--json"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("hum %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	if v == nil {
		return nil
	}
	return json.NewDecoder(&out).Decode(v)
}

// start runs the node, and returns once it serves.
func (p *proc) start() error {
	if p.up() {
		return nil
	}
	if p.listen == "" {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		p.listen = fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)
		l.Close()
	}
	cmd := exec.Command(p.e.hum, "--home", p.home, "--json", "up", "--no-mdns", "--listen", p.listen)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var ready struct{ Event, Address string }
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && ready.Event != "ready" {
		_ = json.Unmarshal(lines.Bytes(), &ready)
		if ready.Event == "ready" {
			break
		}
	}
	if ready.Event != "ready" {
		_ = cmd.Wait()
		return fmt.Errorf("it ended before it was ready: %s", strings.TrimSpace(said.String()))
	}
	p.ran = make(chan struct{})
	go func() {
		for lines.Scan() {
		}
		_ = cmd.Wait()
		close(p.ran)
	}()
	first := p.address == ""
	p.cmd, p.address = cmd, ready.Address
	p.e.mu.Lock()
	p.e.byAddress[p.address] = p.N
	p.e.mu.Unlock()
	if first && p.e.Plan.Scenario.Node.Policy != "confirm" {
		if err := p.call(nil, "policy", "set", "known", "--watch", "allow"); err != nil {
			return err
		}
	}
	var shown struct{ Card string }
	if err := p.call(&shown, "card"); err != nil {
		return err
	}
	p.card = shown.Card
	if err := p.follow(); err != nil {
		return err
	}
	p.e.Book.Up(p.e.Now(), p.N)
	if err := p.look(); err != nil || !first {
		return err
	}
	return p.say()
}

// look tells the book what the user's screen shows.
func (p *proc) look() error {
	cmd := exec.Command(p.e.hum, "--home", p.home, "--json", "who")
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var o struct{ Address, Basic, Note, Evidence string }
		if err := dec.Decode(&o); err != nil {
			return err
		}
		if of, ok := p.e.number(o.Address); ok {
			p.e.Book.See(p.e.Now(), p.N, of, o.Basic == "open", versionOf(o.Note), o.Evidence == "said")
		}
	}
	return nil
}

func (e *processes) number(address string) (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := e.byAddress[address]
	return n, ok
}

// follow hands the book what happens at the node.
func (p *proc) follow() error {
	cmd := exec.Command(p.e.hum, "--home", p.home, "--json", "events", "--follow", "--since", fmt.Sprint(p.n))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.see = cmd
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var ev struct {
				N                              uint64
				Kind, Address, State, Text, ID string
			}
			if json.Unmarshal(lines.Bytes(), &ev) != nil {
				continue
			}
			p.n = max(p.n, ev.N)
			of, known := p.e.number(ev.Address)
			switch {
			case !known || of == p.N:
			case ev.Kind == "presence":
				state, lapsed := strings.CutSuffix(ev.State, " (lapsed)")
				p.e.Book.See(p.e.Now(), p.N, of, strings.HasPrefix(state, "open"), versionOf(ev.Text), !lapsed)
			case ev.Kind == "message" && ev.State == "received":
				p.e.of(ev.ID, func() { p.e.Book.Inbox(p.e.Now(), p.N, ev.ID) })
			case ev.Kind == "ack" || ev.Kind == "message":
				p.e.of(ev.ID, func() { p.e.Book.Settled(p.e.Now(), p.N, ev.ID, ev.State) })
			}
		}
		_ = cmd.Wait()
	}()
	return nil
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

// stop ends the process: with a sign-off, or as a crash does.
func (p *proc) stop(said bool) error {
	if !p.up() {
		return nil
	}
	p.e.Book.Down(p.e.Now(), p.N, said)
	signal := syscall.SIGKILL
	if said {
		signal = syscall.SIGTERM
	}
	err := p.cmd.Process.Signal(signal)
	select {
	case <-p.ran:
	case <-time.After(time.Minute):
		err = errors.Join(err, p.cmd.Process.Kill())
		<-p.ran
	}
	_ = p.see.Process.Kill()
	p.cmd, p.see = nil, nil
	return err
}

// sleep stops the machine of a node as closing its lid does: the process stays, and does nothing.
func (p *proc) sleep() error {
	if p.asleep || p.e.ended() {
		return nil
	}
	p.asleep = true
	p.e.Book.Sleep(p.e.Now(), p.N, true)
	if !p.up() {
		return nil
	}
	return halt(p.cmd.Process)
}

// wake goes on with it.
func (p *proc) wake() error {
	if !p.asleep {
		return nil
	}
	var err error
	if p.up() {
		err = resume(p.cmd.Process)
	}
	p.asleep = false
	if !p.e.ended() {
		p.e.Book.Sleep(p.e.Now(), p.N, false)
	}
	p.woken.Broadcast()
	return err
}

func (p *proc) say() error {
	if !p.up() {
		return nil
	}
	p.version++
	p.e.Book.Say(p.e.Now(), p.N, p.version)
	return p.call(nil, "set", "open", "--note", noteOf(p.version))
}

func (p *proc) send(to *proc, size int) error {
	if !p.up() || to.address == "" {
		return nil
	}
	at := p.e.Now()
	var sent struct{ ID string }
	if err := p.call(&sent, "send", to.address, strings.Repeat("x", max(1, size))); err != nil {
		return err
	}
	p.e.Book.Sent(at, p.N, to.N, sent.ID)
	p.e.mu.Lock()
	defer p.e.mu.Unlock()
	p.e.ids[sent.ID] = true
	for _, do := range p.e.early[sent.ID] {
		do()
	}
	delete(p.e.early, sent.ID)
	return nil
}

func (p *proc) block(o *proc, polite bool) error {
	if !p.up() || o.address == "" {
		return nil
	}
	p.e.Book.Hide(p.e.Now(), p.N, o.N)
	args := []string{"block", o.address}
	if polite {
		args = append(args, "--polite")
	}
	return p.call(nil, args...)
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

// residentOf is what the system says that a process holds.
func residentOf(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kb float64
			fmt.Sscan(v, &kb)
			return kb * 1024
		}
	}
	return 0
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
