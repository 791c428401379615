package measure

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Book is told what is true of a simulated network and what each node shows its user, and works the measures out.
// It knows nothing of how they come about. All times are since the run began. Its methods may be called from any
// goroutine, in the order of time.
type Book struct {
	mu sync.Mutex
	BookConfig
	pairs  []pair
	of     [][]int // indices of pairs, by presentity
	by     [][]int // by watcher
	index  map[[2]int]int
	nodes  []nodeTruth
	now    time.Duration
	blind  map[int]time.Duration // planted: of whom nothing is seen until then
	twice  map[int]bool          // planted
	waits  []waiting             // for convergence
	counts counts
	dists  map[string]*dist

	eligible, wrong int // pairs, now
	letters         map[string]*letter

	recordings int
}

// BookConfig says what is measured.
type BookConfig struct {
	Nodes    int
	Watches  [][2]int      // watcher, presentity
	Begin    time.Duration // measures count from here
	Deadline time.Duration // what is not seen by then is lost
	Event    func(Event)   // is handed what happens; may be nil
	Record   func(Entry)   // is handed what the book is told, which is then not worked out here; may be nil
	Tape     func(Entry)   // is handed what the book is told, which is worked out here too; may be nil
}

type counts struct {
	pairTime, wrongTime     float64 // seconds of pairs
	upTime, falseOff        float64
	downTime, falseOn       float64
	changes, seen, lost     int
	leaks, forged, replayed int
	blocked, strange        int
	starts, joins           int
	named, misnamed         int
}

// A nodeTruth is what is true of one node.
type nodeTruth struct {
	up      bool
	side    int
	asleep  bool
	version int
	started time.Duration
	joining bool // has not yet seen all his contacts aright since he started
}

// A pair is somebody who watches somebody.
type pair struct {
	w, p          int
	asked         bool
	hidden        bool // blocked
	open          bool // what is shown
	version       int
	said          bool
	since         time.Duration // of the flags below
	eligible, bad bool
	waiting       []change
}

// subscribing is what somebody waits for who has asked to watch somebody, also in the warm-up.
const subscribing = "subscribe_time"

// A change waits to be seen.
type change struct {
	at      time.Duration
	kind    string // a name of a distribution
	version int    // 0: absence
}

// waiting is a fault that has ended.
type waiting struct {
	label string
	at    time.Duration
}

type letter struct {
	from, to int
	at       time.Duration
	inbox    int // rows
	state    string
	counted  bool
}

// NewBook begins one in which all are down and nobody watches anybody yet.
func NewBook(c BookConfig) *Book {
	b := &Book{BookConfig: c, of: make([][]int, c.Nodes), by: make([][]int, c.Nodes), index: map[[2]int]int{}, nodes: make([]nodeTruth, c.Nodes),
		blind: map[int]time.Duration{}, twice: map[int]bool{}, letters: map[string]*letter{}, dists: map[string]*dist{}}
	for _, w := range c.Watches {
		b.addPair(w[0], w[1])
	}
	return b
}

func (b *Book) addPair(w, p int) int {
	if i, ok := b.index[[2]int{w, p}]; ok {
		return i
	}
	i := len(b.pairs)
	b.pairs = append(b.pairs, pair{w: w, p: p, since: b.now})
	b.index[[2]int{w, p}] = i
	b.of[p] = append(b.of[p], i)
	b.by[w] = append(b.by[w], i)
	return i
}

func (b *Book) event(e Event) {
	if b.Event != nil {
		e.T = b.now.Seconds()
		b.Event(e)
	}
}

// advance brings all sums to t.
func (b *Book) advance(t time.Duration) {
	if t <= b.now {
		return
	}
	if from := max(b.now, b.Begin); t > from {
		d := (t - from).Seconds()
		b.counts.pairTime += d * float64(b.eligible)
		b.counts.wrongTime += d * float64(b.wrong)
	}
	b.now = t
}

func (b *Book) apart(x, y int) bool {
	a, c := &b.nodes[x], &b.nodes[y]
	return a.side != c.side || a.asleep || c.asleep
}

// settle closes the time of a pair so far, and says anew how it stands.
func (b *Book) settle(i int) {
	q := &b.pairs[i]
	w, p := &b.nodes[q.w], &b.nodes[q.p]
	if from := max(q.since, b.Begin); b.now > from && q.eligible {
		d := (b.now - from).Seconds()
		if p.up {
			b.counts.upTime += d
			if !q.open {
				b.counts.falseOff += d
			}
		} else {
			b.counts.downTime += d
			if q.open {
				b.counts.falseOn += d
			}
		}
	}
	wasEligible, wasBad := q.eligible, q.bad
	q.since = b.now
	q.eligible = q.asked && w.up && !q.hidden && !b.apart(q.w, q.p)
	right := q.open == p.up && (!p.up || q.version >= p.version)
	q.bad = q.eligible && !right
	b.eligible += count(q.eligible) - count(wasEligible)
	b.wrong += count(q.bad) - count(wasBad)
	b.converged()
	b.joined(q.w)
}

func count(x bool) int {
	if x {
		return 1
	}
	return 0
}

// refresh is settle of all pairs of a node, after what is true of it changed by f.
func (b *Book) refresh(n int, f func(*nodeTruth)) {
	for _, i := range b.of[n] {
		b.settle(i)
	}
	for _, i := range b.by[n] {
		b.settle(i)
	}
	f(&b.nodes[n])
	for _, i := range b.of[n] {
		b.settle(i)
	}
	for _, i := range b.by[n] {
		b.settle(i)
	}
}

// Ask notes that somebody asks to watch somebody: from now on he is to see him.
func (b *Book) Ask(t time.Duration, w, p int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: w, Op: "ask", M: p}) {
		return
	}
	b.advance(t)
	i := b.addPair(w, p)
	q := &b.pairs[i]
	if q.asked {
		return
	}
	b.settle(i)
	q.asked = true
	if b.nodes[p].up {
		q.waiting = append(q.waiting, change{t, subscribing, b.nodes[p].version})
	}
	b.settle(i)
	b.event(Event{Kind: "ask", Node: w, Other: p + 1})
}

// Up notes that a node has started.
func (b *Book) Up(t time.Duration, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: n, Op: "up"}) {
		return
	}
	b.advance(t)
	b.refresh(n, func(x *nodeTruth) { x.up, x.started, x.joining = true, t, true })
	if t >= b.Begin {
		b.counts.starts++
	}
	b.tell(n, "notice_return", b.nodes[n].version)
	b.event(Event{Kind: "up", Node: n})
	b.joined(n)
}

// Down notes that a node has gone: after a sign-off, or without a word.
func (b *Book) Down(t time.Duration, n int, said bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: n, Op: "down", Is: said}) {
		return
	}
	b.advance(t)
	for _, i := range b.by[n] { // he looks no more
		b.pairs[i].waiting = nil
	}
	b.refresh(n, func(x *nodeTruth) { x.up, x.joining = false, false })
	for _, i := range b.by[n] { // his screen is dark
		b.pairs[i].open = false
	}
	kind, state := "notice_crashed", "crashed"
	if said {
		kind, state = "notice_said_off", "said"
	}
	b.tell(n, kind, 0)
	b.event(Event{Kind: "down", Node: n, State: state})
}

// Say notes that somebody changes his presence; version counts his words.
func (b *Book) Say(t time.Duration, n, version int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: n, Op: "say", M: version}) {
		return
	}
	b.advance(t)
	b.refresh(n, func(x *nodeTruth) { x.version = version })
	b.tell(n, "notice_said", version)
	b.event(Event{Kind: "say", Node: n, State: fmt.Sprint(version)})
}

// tell has all who should see a change wait for it.
func (b *Book) tell(p int, kind string, version int) {
	for _, i := range b.of[p] {
		q := &b.pairs[i]
		if !q.eligible || b.now < b.Begin {
			continue
		}
		if version == 0 && !q.open {
			continue // he is shown as away already
		}
		q.waiting = append(q.waiting, change{b.now, kind, version})
	}
}

// See notes what a watcher is shown of a presentity from now on. Forged is a version that was never said.
func (b *Book) See(t time.Duration, w, p int, open bool, version int, said bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: w, Op: "see", M: p, Is: open, K: version, Said: said}) {
		return
	}
	b.advance(t)
	if b.blind[p] > t || b.blind[w] > t {
		return
	}
	i, known := b.index[[2]int{w, p}]
	if !known {
		return
	}
	q := &b.pairs[i]
	if open && version > b.nodes[p].version && said {
		b.counts.forged++
	}
	if open && said && q.version > version && q.said {
		b.counts.replayed++
	}
	if open && q.hidden && said && version == b.nodes[p].version {
		b.counts.leaks++
	}
	b.settle(i)
	q.open, q.said = open, said
	if open {
		q.version = max(version, 0)
	}
	b.settle(i)
	b.noticed(q, t)
	state := "closed"
	if open {
		state = fmt.Sprint(version)
	}
	b.event(Event{Kind: "see", Node: w, Other: p + 1, State: state})
}

// noticed settles what a pair waited for.
func (b *Book) noticed(q *pair, t time.Duration) {
	q.waiting = slices.DeleteFunc(q.waiting, func(c change) bool {
		done := c.version > 0 && (!q.open && !b.nodes[q.p].up || q.open && q.version >= c.version) || c.version == 0 && !q.open
		if c.version == 0 && q.open && b.nodes[q.p].up {
			done = true // he is back: nobody needs to see that he was away
			return done
		}
		if done {
			b.note(c, t-c.at)
		}
		return done
	})
}

// note counts one change that was seen after d.
func (b *Book) note(c change, d time.Duration) {
	if c.at < b.Begin && c.kind != subscribing {
		return
	}
	if b.dist(c.kind).add(d.Seconds()); c.kind == subscribing {
		return // he did not say anything
	}
	b.counts.changes++
	if d <= b.Deadline {
		b.counts.seen++
	} else {
		b.counts.lost++
	}
}

func (b *Book) dist(metric string) *dist {
	d := b.dists[metric]
	if d == nil {
		d = &dist{}
		b.dists[metric] = d
	}
	return d
}

// Side puts a node on a side of a partition; 0 is the one side when there is none.
func (b *Book) Side(t time.Duration, n, side int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: n, Op: "side", M: side}) {
		return
	}
	b.advance(t)
	b.move(n, func(x *nodeTruth) { x.side = side })
}

// Sleep notes that nothing reaches a node, or that it is awake again.
func (b *Book) Sleep(t time.Duration, n int, asleep bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: n, Op: "sleep", Is: asleep}) {
		return
	}
	b.advance(t)
	b.move(n, func(x *nodeTruth) { x.asleep = asleep })
	kind := "wake"
	if asleep {
		kind = "sleep"
	}
	b.event(Event{Kind: kind, Node: n})
}

// move changes who can hear whom. What was waiting across a new divide waits no more: it cannot come; what is
// different when it ends counts in convergence, and in the time that is shown wrongly.
func (b *Book) move(n int, f func(*nodeTruth)) {
	b.refresh(n, f)
	for _, list := range [][]int{b.of[n], b.by[n]} {
		for _, i := range list {
			if q := &b.pairs[i]; !q.eligible {
				q.waiting = nil
			}
		}
	}
}

// Hide notes that a presentity has blocked a watcher, who must see nothing new of him.
func (b *Book) Hide(t time.Duration, p, w int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: p, Op: "hide", M: w}) {
		return
	}
	b.advance(t)
	if i, ok := b.index[[2]int{w, p}]; ok {
		b.settle(i)
		b.pairs[i].hidden, b.pairs[i].waiting = true, nil
		b.settle(i)
		b.counts.blocked++
	}
	b.event(Event{Kind: "block", Node: p, Other: w + 1})
}

// Blind plants a fault in the observer: until then it sees nothing that is shown of a node.
func (b *Book) Blind(t time.Duration, n int, until time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: n, Op: "blind", K: int(until)}) {
		return
	}
	b.blind[n] = until
}

// Twice plants another: each message of a node is found twice.
func (b *Book) Twice(t time.Duration, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: n, Op: "twice"}) {
		return
	}
	b.twice[n] = true
}

// Named notes what came of a handle that somebody used for the first time, and how long it took: the address of p, somebody
// else's, or none.
func (b *Book) Named(t time.Duration, w, p int, took time.Duration, state string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: w, Op: "named", M: p, K: int(took), State: state}) {
		return
	}
	b.advance(t)
	b.counts.named++
	switch d := b.dist("handle_time"); state {
	case NamedRight:
		d.add(took.Seconds())
	case NamedWrong:
		b.counts.misnamed++
	default:
		d.lost++
	}
	b.event(Event{Kind: "named", Node: w, Other: p + 1, State: state, Took: took.Seconds()})
}

// What came of a handle.
const (
	NamedRight = "right"
	NamedWrong = "wrong" // it led to another address
	NamedNone  = "none"
)

// Fault notes for the record that something breaks, or is mended.
func (b *Book) Fault(t time.Duration, label string, mended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, Op: "fault", Text: label, Is: mended}) {
		return
	}
	b.advance(t)
	kind := "fault"
	if mended {
		kind = "mended"
		b.waits = append(b.waits, waiting{label, t})
		b.converged()
	}
	b.event(Event{Kind: kind, ID: label})
}

// converged settles the faults after which all but one pair in a hundred are right again.
func (b *Book) converged() {
	if len(b.waits) == 0 || b.wrong*100 > b.eligible {
		return
	}
	b.waits = slices.DeleteFunc(b.waits, func(w waiting) bool {
		if b.now <= w.at { // in the instant of the mending nothing has been looked at yet
			return false
		}
		b.dist("converge_time").add((b.now - w.at).Seconds())
		return true
	})
}

// joined notes that somebody who has started sees all aright whom he watches.
func (b *Book) joined(n int) {
	x := &b.nodes[n]
	if !x.joining || b.now <= x.started {
		return
	}
	some := false
	for _, i := range b.by[n] {
		q := &b.pairs[i]
		if q.bad {
			return
		}
		some = some || q.eligible
	}
	if some {
		x.joining = false
		if x.started >= b.Begin {
			b.counts.joins++
			b.dist("join_time").add((b.now - x.started).Seconds())
		}
	}
}
