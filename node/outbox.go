package node

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// triesAtOnce bounds the tries that run together for one recipient, so that a long queue to one neither
// floods him nor holds up the others (SPEC 3.9: 64 frames outstanding); triesInAll bounds them together.
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
	over chan struct{} // closed when it is settled
	try  *offer        // the first try, if it waits
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

// offer has a message that is tracked tried at once.
func (m *mailState) offer(id wire.MID, o *offer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[id]; f != nil {
		f.try = o
		m.offers++
	}
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
		case f.busy:
		case f.try == nil && f.why == 0 && f.wake > now.Wall:
			pause = min(pause, f.wake.Sub(now.Wall))
		case m.enter(f.to):
			f.busy = true
			jobs = append(jobs, job{id, f.to, m.withdraw(f)})
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
	if m.running[to] >= triesAtOnce || m.inAll >= triesInAll {
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

// loadMail finds what was under way when the node last ended: forget nothing that was promised.
func (n *Node) loadMail(t *txn) error {
	n.mail.flights, n.mail.byTo = map[wire.MID]*flight{}, map[identity.Address]map[wire.MID]*flight{}
	n.mail.running, n.mail.hints = map[identity.Address]int{}, map[identity.Address][]place{}
	n.mail.settled, n.mail.forget = map[wire.MID]*flight{}, never
	return rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
		n.mail.track(e.ID, e.To, e.Wake(t.now), e.State.Final())
		n.hint(e)
		return true, nil
	})
}

// hint keeps the places of the card that a message was addressed by while it is under way.
func (n *Node) hint(e message.Entry) {
	for _, d := range e.Dial {
		if p, ok := placeOf(d); ok {
			n.mail.hint(e.To, p)
		}
	}
}

// workOutbox starts a try for every message that is due.
func (n *Node) workOutbox(context.Context) (time.Duration, error) {
	jobs, pause := n.mail.due(n.now())
	for _, j := range jobs {
		n.spawn(func(ctx context.Context) {
			if err := n.try(ctx, j); err != nil {
				n.log.Warn("a message could not be tried", "id", j.id.String(), "err", err)
				n.mail.track(j.id, j.to, n.now().Wall.Add(retryAfter), false)
			}
			n.mail.done(j.id, j.to)
			n.outbox.nudge()
		})
	}
	return pause, nil
}

// try is one attempt to hand a message over (SPEC 5.5).
func (n *Node) try(ctx context.Context, j job) error {
	id := j.id
	if j.offer != nil {
		trying, end := n.untilExpiry(ctx, j.l.hint(n.now()))
		defer end()
		r := n.deliver(trying, j.l, j.offer.to)
		if r.taken {
			n.mail.prompted(id) // as below
		}
		return n.tried(ctx, id, r)
	}
	e, due, err := n.begin(id)
	if err != nil || !due {
		return err
	}
	trying, end := n.untilExpiry(ctx, e.Expires)
	defer end()
	if e.FetchRecords {
		if _, err := n.askRecords(trying, e.To, n.places(e.To)); err == nil {
			if err := n.editEntry(id, func(_ *txn, e *message.Entry) (bool, error) { return e.GotRecords(), nil }); err != nil {
				return err
			}
		}
	}
	to, err := n.targets(trying, e.To, identity.RoleInbox, identity.DeviceID{})
	if err != nil {
		return n.noTarget(id, err)
	}
	l, err := n.entryLetter(id, to)
	if err != nil || l == nil {
		return err
	}
	r := n.deliver(trying, l, to)
	if r.taken {
		n.mail.prompted(id) // the connection that prompted was used
	}
	return n.tried(ctx, id, r)
}

// lastWord is how long after its expiry a try may still hear that its message was taken.
const lastWord = 2 * time.Second

// untilExpiry bounds a try by the end of its message: nobody may take it any more, and its sender is owed
// an outcome (SPEC 5.5), which is not to wait for a place that does not answer.
func (n *Node) untilExpiry(ctx context.Context, expires identity.Time) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(0, expires.Sub(n.now().Wall))+lastWord)
}

// begin ends a message whose time is over, or notes that it is tried now.
func (n *Node) begin(id wire.MID) (e message.Entry, due bool, err error) {
	why := n.mail.prompted(id)
	err = n.editEntry(id, func(t *txn, entry *message.Entry) (changed bool, err error) {
		before := entry.State
		for _, k := range entry.Forget(t.now) {
			if err := t.Delete(store.CEK(k.Tag)); err != nil {
				return false, err
			}
			changed = true
		}
		changed = entry.Tick(t.now) || changed
		switch why {
		case connected:
			changed = entry.Connected(t.now) || changed
		case isOpen:
			changed = entry.PeerOpen(t.now) || changed
		}
		if due = entry.Due(t.now); due {
			entry.Attempted(t.now, n.jitter())
			changed = true
		}
		if entry.State != before {
			n.emitSent(t, *entry)
		}
		e = *entry
		return changed, nil
	})
	return e, due, err
}

// editEntry leads one entry through a change; it also brings its due time up to date.
func (n *Node) editEntry(id wire.MID, edit func(*txn, *message.Entry) (bool, error)) error {
	return n.update(func(t *txn) error {
		e, ok, err := find[message.Entry](t, store.Outbox(id))
		if err != nil {
			return err
		}
		if !ok {
			t.after(func() { n.mail.track(id, identity.Address{}, 0, true) })
			return nil
		}
		changed, err := edit(t, &e)
		if err != nil {
			return err
		}
		n.trackEntry(t, e)
		if !changed {
			return nil
		}
		return put(t, store.Outbox(id), e)
	})
}

// noTarget notes that there is nobody to seal to, or nowhere to go. Whether an address takes messages is
// read from its record, never probed (SPEC 2.3).
func (n *Node) noTarget(id wire.MID, err error) error {
	return n.editEntry(id, func(t *txn, e *message.Entry) (changed bool, _ error) {
		t.trace(id, "not reached", n.name(e.To), plain(err))
		switch {
		case !errors.Is(err, errNoKeys):
			return false, nil
		case n.takesNoMail(e.To):
			if changed = e.NoService(t.now); changed {
				n.emitSent(t, *e)
			}
			return changed, nil
		}
		return e.NoUsableKey(), nil
	})
}

// takesNoMail reports whether the current record of an address says that it has no instant inbox.
func (n *Node) takesNoMail(a identity.Address) bool {
	pin := n.pins.get(a)
	return pin != nil && !pin.Expired(n.now()) && pin.Record.Services&identity.Inbox == 0
}

// entryLetter seals a message for its targets, if it is not yet, and saves the key before it leaves.
func (n *Node) entryLetter(id wire.MID, to []target) (l *letter, err error) {
	err = n.peekEntry(id, func(e message.Entry) error {
		attached, gave := n.own.Load().attachments(n.pins.told(e.To))
		if !e.Attach && e.SealedAs(sealedFor(to, gave, len(attached))) {
			l, err = letterOf(e, gave)
		}
		return err
	})
	if l != nil || err != nil {
		return l, err
	}
	err = n.editEntry(id, func(t *txn, e *message.Entry) (bool, error) {
		if e.State.Final() {
			return false, nil
		}
		sealed, err := n.sealEntry(e, to)
		if err != nil {
			return false, err
		}
		if err := sealed.save(t); err != nil {
			return false, err
		}
		e.Attach = false
		l, err = letterOf(*e, sealed.key.Gave)
		return true, err
	})
	return l, err
}

func (n *Node) peekEntry(id wire.MID, look func(message.Entry) error) error {
	return n.view(func(t *txn) error {
		e, ok, err := find[message.Entry](t, store.Outbox(id))
		if err != nil || !ok {
			return err
		}
		return look(e)
	})
}

func letterOf(e message.Entry, gave told) (*letter, error) {
	s, err := wire.ParseSigned(e.Signed)
	if err != nil {
		return nil, err
	}
	return &letter{to: e.To, role: identity.RoleInbox, signed: s, until: e.Expires, cek: e.CEKs[0].Key, ct: e.CT, gave: gave}, nil
}

// takenPause is how long the ack of a message that was just taken may take before "handed" is worth a
// commit of its own.
const takenPause = 100 * time.Millisecond

// tried notes what became of a try.
func (n *Node) tried(ctx context.Context, id wire.MID, r result) error {
	if r.taken && n.settlesWithin(ctx, id, takenPause) {
		return nil // the ack says more
	}
	return n.editEntry(id, func(t *txn, e *message.Entry) (changed bool, err error) {
		before := e.State
		switch {
		case r.taken:
			if changed = e.Reply(t.now, wire.OK, 0); e.State.Final() {
				return changed, nil // the ack was faster, and says more
			}
			t.trace(id, "taken", n.name(e.To), "in the memory of the other node")
		case r.status != 0:
			changed = e.Reply(t.now, r.status, r.after)
			t.trace(id, "not taken", n.name(e.To), r.err.Error())
		default:
			t.trace(id, "not reached", n.name(e.To), plain(r.err))
		}
		if changed && e.State != before {
			n.emitSent(t, *e)
		}
		return changed, nil
	})
}

// settlesWithin waits until a message is settled, d has passed or ctx ends.
func (n *Node) settlesWithin(ctx context.Context, id wire.MID, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-n.mail.over(id):
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// mailLetter finds the key of an ack that answers a message of the outbox.
func (n *Node) mailLetter(tag [16]byte) (l sentLetter, ok bool) {
	err := n.view(func(t *txn) error {
		k, found, err := find[ackKey](t, store.CEK(tag))
		l, ok = sentLetter{to: k.To, cek: k.Key, id: k.ID, kind: wire.TypeIM, gave: k.Gave}, found
		return err
	})
	return l, ok && err == nil
}

// settleMail takes the recipient's signed word on messages of mine; nothing else settles them.
func (n *Node) settleMail(t *txn, ack wire.Ack, s wire.Signed) error {
	raw := s.Append(nil)
	for _, id := range ack.MIDs {
		e, ok, err := find[message.Entry](t, store.Outbox(id))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		before := e.State
		changed, err := e.Ack(t.now, ack, raw, true)
		if err != nil {
			n.count("bad-ack")
			continue
		}
		if !changed {
			continue
		}
		t.trace(id, "acked", n.name(e.To), ack.Disposition.String()+reasonText(ack.Reason))
		if e.State != before {
			n.emitSent(t, e)
		}
		if err := n.saveEntry(t, e); err != nil {
			return err
		}
	}
	t.after(n.outbox.nudge)
	return nil
}

func reasonText(r wire.Reason) string {
	if r == wire.ReasonNone {
		return ""
	}
	return " (" + r.String() + ")"
}

// emitSent tells what a message of mine has come to.
func (n *Node) emitSent(t *txn, e message.Entry) {
	if !e.ShowAck {
		t.after(n.feed.stir)
		return
	}
	event := Event{Kind: "ack", Address: e.To, Name: n.name(e.To), ID: e.ID.String(), State: e.State.String()}
	if e.State == message.Failed {
		event.Reason = e.Reason
	}
	t.emit(event)
}

// mailConnected has everything for an address tried at once: a route stands, or he is open.
func (n *Node) mailConnected(a identity.Address, up bool) {
	why := isOpen
	if up {
		why = connected
	}
	n.mail.prompt(a, why)
	n.outbox.nudge()
}

func sortSent(s []Sent) {
	slices.SortFunc(s, func(a, b Sent) int {
		return cmp.Or(a.Sent.Compare(b.Sent), cmp.Compare(a.ID.String(), b.ID.String()))
	})
}
