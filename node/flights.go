package node

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// triesAtOnce bounds the tries that run together for one recipient, so that a long queue to one neither
// floods him nor holds up the others (SPEC 3.9: 64 frames outstanding); triesInAll bounds them together, but for
// one for each recipient, who waits for nobody else's.
const (
	triesAtOnce = 64
	triesInAll  = 1024
)

// offersKept bounds the first tries that wait in memory, with the text of their messages.
const offersKept = 256

// mailState is what the outbox knows without asking the disk: when each unsettled message is due.
type mailState struct {
	mu      sync.Mutex
	flights map[wire.MID]*flight // unsettled
	byTo    map[identity.Address]map[wire.MID]*flight
	settled map[wire.MID]*flight // kept until the keys of their acks are forgotten
	forget  identity.Time        // the first wake of settled, or before
	looked  identity.Time        // when due last did
	running map[identity.Address]int
	inAll   int // running
	offers  int
	hints   map[identity.Address][]place // of cards of people off the roster
}

// flight is one message under way.
type flight struct {
	to   identity.Address
	wake identity.Time
	busy bool          // a try runs
	why  prompt        // what brings the next try forward
	lost bool          // a connection to him has ended since the try began
	over chan struct{} // closed when it is settled
	try  *offer        // the first try, if it waits
	held int           // by how many it is kept from being tried
	rest chan struct{} // closed when the try that runs has ended; nil if nobody asked
}

// A prompt is what has a message tried before its time.
type prompt uint8

const (
	isOpen    prompt = iota + 1 // the recipient's presence became open
	connected                   // a connection to him stands
)

// offer is a first try that was saved together with its message: nothing but the network is asked.
type offer struct {
	l  *letter
	to []target
}

// track notes when a message is due next; 0 is never.
func (m *mailState) track(id wire.MID, to identity.Address, wake identity.Time, final bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.flights[id]
	if final || wake == 0 || m.settled[id] != nil {
		m.end(id, f)
		m.settle(id, to, wake)
		return
	}
	if f == nil {
		f = &flight{to: to, over: make(chan struct{})}
		m.flights[id] = f
		if m.byTo[to] == nil {
			m.byTo[to] = map[wire.MID]*flight{}
		}
		m.byTo[to][id] = f
	}
	f.wake = wake
}

func (m *mailState) end(id wire.MID, f *flight) {
	if f == nil {
		return
	}
	m.withdraw(f)
	delete(m.flights, id)
	if delete(m.byTo[f.to], id); len(m.byTo[f.to]) == 0 {
		delete(m.byTo, f.to)
		delete(m.hints, f.to)
	}
	close(f.over)
	f.wakeUp()
}

func (m *mailState) settle(id wire.MID, to identity.Address, wake identity.Time) {
	if wake == 0 {
		delete(m.settled, id)
		return
	}
	m.settled[id] = &flight{to: to, wake: wake}
	m.forget = min(m.forget, wake)
}

// mayOffer reports whether there is room for one more first try; those that come together may exceed it
// by their number.
func (m *mailState) mayOffer() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.offers < offersKept
}

// launch takes a message that is tracked, and its first try if there is one, to be tried at once. If there is no
// room for that now the first try waits, and due takes it.
func (m *mailState) launch(id wire.MID, o *offer) (j job, begun bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.flights[id]
	if f == nil || o == nil {
		return job{}, false
	}
	if f.ready() && m.enter(f.to) {
		return f.begin(id, o), true
	}
	f.try = o
	m.offers++
	return job{}, false
}

// ready reports whether f may be tried now, if there is room.
func (f *flight) ready() bool { return !f.busy && f.held == 0 }

func (f *flight) begin(id wire.MID, o *offer) job {
	f.busy, f.lost = true, false
	return job{id, f.to, o}
}

// withdraw takes the first try of f, if it waits.
func (m *mailState) withdraw(f *flight) *offer {
	o := f.try
	if o != nil {
		f.try = nil
		m.offers--
	}
	return o
}

// A job is a message that is to be tried, or whose keys are to be forgotten.
type job struct {
	id wire.MID
	to identity.Address
	*offer
}

// due takes what may be tried now, and says when to look again.
func (m *mailState) due(now identity.Now) (jobs []job, pause time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	pause = look
	back := now.Ahead(m.looked) // the clock was set back, and each time set before may lie far off
	m.looked = now.Wall
	for id, f := range m.flights {
		if back {
			f.wake = now.Wall
		}
		switch {
		case !f.ready():
		case f.try == nil && f.why == 0 && f.wake > now.Wall:
			pause = min(pause, f.wake.Sub(now.Wall))
		case m.enter(f.to):
			jobs = append(jobs, f.begin(id, m.withdraw(f)))
		}
	}
	if m.forget <= now.Wall {
		jobs = append(jobs, m.forgotten(now)...)
	}
	return jobs, pause
}

// forgotten takes the settled messages whose keys have had their time.
func (m *mailState) forgotten(now identity.Now) (jobs []job) {
	m.forget = never
	for id, f := range m.settled {
		if f.wake <= now.Wall && m.enter(f.to) {
			jobs = append(jobs, job{id, f.to, nil})
			f.wake = now.Wall.Add(look) // unless it is told otherwise
		}
		m.forget = min(m.forget, f.wake)
	}
	return jobs
}

const never = identity.Time(math.MaxUint64)

// enter counts one more try for to, if that is within the bounds.
func (m *mailState) enter(to identity.Address) bool {
	if m.running[to] >= triesAtOnce || m.inAll >= triesInAll && m.running[to] > 0 {
		return false
	}
	m.running[to]++
	m.inAll++
	return true
}

func (m *mailState) done(id wire.MID, to identity.Address) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inAll--
	if m.running[to]--; m.running[to] <= 0 {
		delete(m.running, to)
	}
	if f := m.flights[id]; f != nil {
		f.busy = false
		f.wakeUp()
	}
}

// hold keeps a message from being tried until release is called. Resting is closed once no try of it runs.
func (m *mailState) hold(id wire.MID) (resting <-chan struct{}, release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.flights[id]
	if f == nil {
		return closed, func() {}
	}
	f.held++
	release = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		f.held--
	}
	if !f.busy {
		return closed, release
	}
	if f.rest == nil {
		f.rest = make(chan struct{})
	}
	return f.rest, release
}

// wakeUp tells those who wait for the end of a try.
func (f *flight) wakeUp() {
	if f.rest != nil {
		close(f.rest)
		f.rest = nil
	}
}

// over is closed once a message is settled.
func (m *mailState) over(id wire.MID) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[id]; f != nil {
		return f.over
	}
	return closed
}

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// owed reports whether anything is under way to an address.
func (m *mailState) owed(a identity.Address) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.byTo[a]) > 0
}

// prompt has everything under way to an address tried at once; what runs is tried again after it.
func (m *mailState) prompt(a identity.Address, why prompt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.byTo[a] {
		f.why = max(f.why, why)
	}
}

// prompted takes what has brought a message forward, if anything has.
func (m *mailState) prompted(id wire.MID) (why prompt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[id]; f != nil {
		why, f.why = f.why, 0
	}
	return why
}

// interrupted notes that a connection to an address has ended: what was handed over on it may be lost, so
// that what is prompted from now on is not spent by a try that had it taken.
func (m *mailState) interrupted(a identity.Address) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.byTo[a] {
		f.lost = true
	}
}

// taken notes that a try has succeeded: the connection that prompted was used.
func (m *mailState) taken(id wire.MID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[id]; f != nil && !f.lost {
		f.why = 0
	}
}

func (m *mailState) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.flights)
}

func (m *mailState) hint(a identity.Address, p place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.byTo[a]) > 0 {
		m.hints[a] = join(m.hints[a], p)
	}
}

func (m *mailState) hinted(a identity.Address) []place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.hints[a])
}
