package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/shard"
	"github.com/hum-presence/hum/testnet/virtual"
)

// Options say how a plan is run. A zero field takes the default named beside it.
type Options struct {
	Dir      string         // the run's folder, which is made; no folder: nothing is written
	Homes    string         // where homes lie while the run lasts; a folder in memory if the system has one
	Command  string         // that repeats the run, for the manifest
	Scenario []byte         // its text, for the folder
	Progress func(Progress) // called now and then; nil
	Stop     func() bool    // asked now and then whether to end early, with what is known until then; nil
	Shard    *shard.Member  // the part of a run that is spread over several processes, of which this is one; see RunShards
	Refused  func(error)    // of RunShards, if anybody can call where it listens: called with why somebody was not let in; nil
	Before   func(*World)   // called when all is made and nothing runs, by programs that add to a run; nil
}

// Progress is how far a run is.
type Progress struct {
	Now, End time.Duration // virtual
	Wall     time.Duration
	Nodes    int
	measure.Glance
}

// A World is a plan that runs. What a [Behaviour] or a program needs of it is exported.
type World struct {
	Plan  *plan.Plan
	Net   *testnet.Network
	Book  *measure.Book
	Peers []*Peer
	Heard func(*Peer, node.Event) // called with what happens at each node; must not wait; may be nil

	Check func(looks int) // if set, each sample holds what nodes show their users against the book; called with how many looks it took

	opts      Options
	begin     time.Time // virtual
	byAddress map[identity.Address]int
	byPeer    map[peer.ID]int
	rogues    map[peer.ID]bool
	cards     map[int]identity.Card
	out       *folder
	samples   sampler
	gauges    []gauge // of a shard
	towns     []*town
	asking    map[[2]uint64]chan []byte // who waits for a page, by his number and that of his question
	dying     sync.WaitGroup
	acting    sync.WaitGroup
	tape      tape
	live      []alive

	mu     sync.Mutex
	errs   []string
	deaths int
}

type alive struct {
	name string
	b    Behaviour
}

// Now is the time of the run.
func (w *World) Now() time.Duration { return time.Since(w.begin) }

// Fail notes that something went wrong that no figure tells.
func (w *World) Fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text := fmt.Sprintf(format, args...); len(w.errs) < 20 && !slices.Contains(w.errs, text) {
		w.errs = append(w.errs, text)
	}
}

// signatures is how many good ones are remembered at least, since all who watch somebody look at the same record.
const signatures = 1 << 14

// Run runs a plan to its end. It must be called in a bubble of virtual time.
func Run(p *plan.Plan, o Options) (r measure.Result, err error) {
	if p == nil {
		return r, errors.New("sim: no plan")
	}
	if o.Homes == "" {
		// Not os.MkdirTemp: how often it draws depends on what lies there.
		o.Homes = filepath.Join(memoryDir(), fmt.Sprintf("hum-testnet-%08d", os.Getpid()))
		if err := errors.Join(os.RemoveAll(o.Homes), os.Mkdir(o.Homes, 0o700)); err != nil { // left by one that was killed
			return r, err
		}
		defer os.RemoveAll(o.Homes)
	}
	w := &World{Plan: p, opts: o, begin: time.Now(), byAddress: map[identity.Address]int{}, byPeer: map[peer.ID]int{}, rogues: map[peer.ID]bool{}, cards: map[int]identity.Card{}, asking: map[[2]uint64]chan []byte{}}
	identity.RememberSignatures(signatures)
	began, cpu := wallTime(), cpuTime()
	if w.out, err = makeFolder(o.Dir, w.manifest(began), o.Scenario); err != nil {
		return r, err
	}
	w.Net = testnet.New(testnet.Config{Seed: p.Seed, ByPair: true, Links: testnet.Fidelity(p.Scenario.Fidelity), Between: w.between, Quantum: p.Scenario.Links.Quantum.D(),
		Charge: testnet.Charge{Frame: p.Scenario.Node.Compute.Frame.D(), Kilobyte: p.Scenario.Node.Compute.Byte.D()}, Far: w.far()})
	w.Book = measure.NewBook(measure.BookConfig{Nodes: len(p.Nodes), Begin: p.Scenario.Warmup.D(), Deadline: p.Scenario.Measure.Deadline.D(), Event: w.out.event, Record: w.record(), Tape: w.copy()})
	for n, t := range p.Towns {
		w.towns = append(w.towns, &town{Town: t, n: n, known: make(chan struct{})})
	}
	if err := w.people(); err != nil {
		return r, err
	}
	if o.Before != nil {
		o.Before(w)
	}
	var frames trace
	if o.Shard != nil {
		return r, w.passShard()
	}
	if virtual.Exact {
		frames = w.follow()
	}
	complete := w.pass(began)
	var sum string
	if virtual.Exact {
		sum = frames.sum()
		w.out.again()
		w.retell()
	}
	r = w.result(complete, wallTime().Sub(began), cpuTime()-cpu)
	r.Manifest.BootCPU = max(0, (w.samples.begun.CPU - cpu).Seconds())
	held, _ := held()
	r.Manifest.Held = int64(held)
	r.Manifest.TraceSHA256 = sum
	if virtual.Exact {
		w.out.shut() // as in a run of several processes, what happens while all is taken down is no part of it
	}
	err = errors.Join(w.end(), w.out.close(&r))
	return r, err
}

// memoryDir is a folder in memory where the system has such a place: virtual time stands while a disk syncs.
func memoryDir() string {
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// people makes every home.
func (w *World) people() error {
	for _, n := range w.Plan.Nodes {
		p := &Peer{Node: n, w: w, clock: testnet.NewClock(), home: filepath.Join(w.opts.Homes, fmt.Sprint("n", n.N)), saying: make(chan struct{}, 1), upSince: -1}
		for _, t := range w.towns {
			if h := t.Handle(n); h != "" && p.handle == "" {
				p.handle = h
			}
		}
		p.clock.Step(n.Skew)
		if p.Class.Up > 0 || p.Class.Down > 0 {
			w.Net.Limit(n.IP, int(p.Class.Up), int(p.Class.Down))
		}
		w.Net.Shut(n.IP, n.NAT)
		w.Net.Line(n.IP, w.lineOf(p))
		var err error
		virtual.As(uint64(n.N)+1, func() { err = p.make() })
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		w.byAddress[p.address] = n.N
		if !w.mine(n.N) { // only its address was wanted
			p.clear()
		}
		w.Peers = append(w.Peers, p)
	}
	return nil
}

// lineOf is what a node's own line adds, with what faults add to it.
func (w *World) lineOf(p *Peer) testnet.Link {
	l := testnet.Link{Latency: p.slower, Jitter: p.Jitter, Loss: p.Class.Loss.F()}
	for _, loss := range p.losses {
		l.Loss = 1 - (1-l.Loss)*(1-loss)
	}
	return l
}

// weather notes that something strikes the node's line, or is over.
func (p *Peer) weather(a plan.Action) {
	if !a.Ends {
		p.slower, p.losses = p.slower+a.By, append(p.losses, a.Loss)
		return
	}
	p.slower -= a.By
	if i := slices.Index(p.losses, a.Loss); i >= 0 {
		p.losses = slices.Delete(p.losses, i, i+1)
	}
}

// unknownDelay is the latency to places that are in no region.
const unknownDelay = 20 * time.Millisecond

// between is what lies between the regions of two nodes.
func (w *World) between(a, b string) testnet.Link {
	l := w.Plan.Scenario.Links
	link := testnet.Link{Latency: unknownDelay, Loss: l.Loss.F(), Jitter: time.Duration(l.Jitter.Mean() * float64(time.Second))}
	if x, y := w.regionAt(a), w.regionAt(b); x >= 0 && y >= 0 {
		link.Latency = w.Plan.Delays[x][y]
	}
	return link
}

// regionAt is where an address is, or -1.
func (w *World) regionAt(ip string) int {
	if n := w.at(ip); n >= 0 {
		return w.Plan.Nodes[n].Region
	}
	for _, t := range w.Plan.Towns {
		if t.IP == ip {
			return t.Region
		}
	}
	return -1
}

// at is the number of the node at an address of the network.
func (w *World) at(ip string) int {
	var a, b, c int
	if n, _ := fmt.Sscanf(ip, "10.%d.%d.%d", &a, &b, &c); n != 3 {
		return -1
	}
	if n := a*62500 + b*250 + c - 1; n < len(w.Plan.Nodes) {
		return n
	}
	return -1
}

func (w *World) host(p *Peer) []libp2p.Option { return w.Net.Host(p.IP) }

// pass does what is planned, at its time. It reports false if it was told to stop.
func (w *World) pass(began time.Time) bool {
	w.found()
	todo := w.agenda()
	every := w.Plan.Scenario.Measure.Every.D()
	sample := w.Plan.Scenario.Warmup.D()
	for _, a := range append(todo, event{w.Plan.End(), nil}) {
		for sample <= a.at {
			if !w.passUntil(sample) {
				return false
			}
			if w.look(); w.opts.Shard == nil {
				w.check()
			}
			w.report(began)
			sample += every
		}
		if !w.passUntil(a.at) {
			return false
		}
		if a.do != nil {
			a.do()
		}
	}
	return true
}

// glance is how often it is asked whether to stop.
const glance = 5 * time.Second

func (w *World) passUntil(t time.Duration) bool {
	for {
		if w.opts.Stop != nil && w.opts.Stop() || w.out.broken() != nil {
			return false
		}
		d := t - w.Now()
		if d <= 0 {
			return true
		}
		if w.opts.Shard == nil {
			virtual.SleepUntil(time.Now().Add(min(d, glance)))
			if virtual.Exact {
				virtual.Wait() // as in a run of several processes, what is planned comes after all else of its instant
			}
		} else if err := w.opts.Shard.Advance(min(d, glance)); err != nil {
			w.tape.err = err
			return false
		}
	}
}

func (w *World) report(began time.Time) {
	if w.opts.Progress != nil {
		w.opts.Progress(Progress{Now: w.Now(), End: w.Plan.End(), Wall: wallTime().Sub(began), Nodes: len(w.Peers), Glance: w.Book.Glance(w.Now())})
	}
}

// known notes whose peer id it is.
func (w *World) known(p *Peer, n *node.Node) {
	for _, a := range n.Listening() {
		if info, err := peer.AddrInfoFromString(a); err == nil {
			w.mu.Lock()
			w.byPeer[info.ID] = p.N
			w.mu.Unlock()
		}
	}
}

// died notes that a node ended by itself, which none should.
func (w *World) died(p *Peer, err error) {
	w.mu.Lock()
	w.deaths++
	w.mu.Unlock()
	w.Fail("%s ended by itself: %v", p.Class.Class, err)
}

// end closes everything.
func (w *World) end() error {
	for _, a := range w.live {
		a.b.End()
	}
	w.acting.Wait()
	var going sync.WaitGroup
	for _, p := range w.Peers {
		if n := p.Running(); n != nil {
			p.cancel()
			going.Go(func() {
				<-p.ended
				n.Close()
			})
		}
	}
	going.Wait()
	w.dying.Wait()
	var errs []error
	for _, t := range w.towns {
		errs = append(errs, t.end())
	}
	return errors.Join(errs...)
}
