package node

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// moves is what is known in memory of addresses that have successors.
type moves struct {
	mu   sync.RWMutex
	to   map[identity.Address]identity.Address // an address, and what counts in its place
	torn map[identity.Address]identity.Address // what counts, and of whom there is a second
}

// current is the address that counts in place of a: a itself, unless it has a successor.
func (m *moves) current(a identity.Address) identity.Address {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for range wire.MaxSuccessors { // whoever holds all keys of a ring could make one
		next, ok := m.to[a]
		if !ok {
			break
		}
		a = next
	}
	return a
}

// before is a with all addresses that it counts in place of.
func (m *moves) before(a identity.Address) []identity.Address {
	m.mu.RLock()
	var olds []identity.Address
	for old := range m.to {
		olds = append(olds, old)
	}
	m.mu.RUnlock()
	out := []identity.Address{a}
	for _, old := range olds {
		if old != a && m.current(old) == a {
			out = append(out, old)
		}
	}
	return out
}

// frozen reports whether a is one of two successors between whom the user must decide, and whose.
func (m *moves) frozen(a identity.Address) (old identity.Address, yes bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	old, yes = m.torn[a]
	return old, yes
}

// note takes the successors of a pinned address as they now stand.
func (m *moves) note(p *identity.Pin) {
	old := p.Record.Address
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.to == nil {
		m.to, m.torn = map[identity.Address]identity.Address{}, map[identity.Address]identity.Address{}
	}
	for a, of := range m.torn {
		if of == old {
			delete(m.torn, a)
		}
	}
	if len(p.Moved) == 0 {
		delete(m.to, old)
		return
	}
	m.to[old] = p.Moved[0].Record.New
	if len(p.Moved) > 1 {
		m.torn[m.to[old]] = old
	}
}

// errMoved says that an address has a successor, so that nothing is sent to it any more.
var errMoved = &Error{Kind: KindFailed, Code: wire.ReasonNoSuchInbox.String(), Message: "that address has a successor; nothing goes to the old one any more", Advice: "see hum contacts"}

// succeeded takes a Successor that came in a Parcel (SPEC 2.6). Its ack names nobody: the sender may be a
// later successor still.
func (n *Node) succeeded(ctx context.Context, a arrival) {
	s, err := wire.ParseSuccessor(a.signed.Body)
	if err != nil {
		n.refuse(ctx, a, identity.Address{}, unparsed(err))
		return
	}
	var reason wire.Reason
	err = n.update(func(t *txn) error {
		reason, err = n.takeSuccessor(t, s, a.signed, readRecords(s.New, a.attached))
		return err
	})
	switch {
	case err != nil:
		n.log.Warn("a successor was not saved; it comes again", "err", err)
	case reason != wire.ReasonNone:
		n.refuse(ctx, a, identity.Address{}, reason)
	default:
		n.acknowledge(ctx, a, n.signAck(identity.Address{}, []wire.MID{a.id}, wire.Delivered, wire.ReasonNone, 0))
	}
}

// takeSuccessor applies a Successor, r being records of the new address; the reason says why it is refused.
// Of an address that is not pinned nothing is known, and whoever asks is not told so.
func (n *Node) takeSuccessor(t *txn, s identity.Successor, signed wire.Signed, r records) (wire.Reason, error) {
	if signed.Verify() != nil {
		return wire.ReasonBadSignature, nil
	}
	p, ok, err := find[pinned](t, store.Pin(s.Old))
	if err != nil || !ok || s.New == n.self.Address {
		return wire.ReasonNone, err
	}
	if s.Old == n.self.Address {
		return n.leftBehind(t, p, s, signed)
	}
	if _, frozen := n.moves.frozen(s.Old); frozen { // whether he counts is not decided yet
		return wire.ReasonStaleRecord, nil
	}
	before := len(p.Pin.Moved)
	err = p.Pin.AcceptSuccessor(t.now, s, signed.Key, signed.Append(nil))
	switch {
	case errors.Is(err, identity.ErrAhead):
		return wire.ReasonTime, nil
	case errors.Is(err, identity.ErrSecondSuccessor) && len(p.Pin.Moved) > before:
		return wire.ReasonNone, n.freeze(t, p)
	case errors.Is(err, identity.ErrSecondSuccessor):
		return wire.ReasonNone, nil
	case err != nil:
		n.count("bad-successor")
		return wire.ReasonBadSignature, nil
	case len(p.Pin.Moved) == before:
		return wire.ReasonNone, nil
	}
	if err := n.saveMoved(t, p); err != nil {
		return 0, err
	}
	if err := n.pinSuccessor(t, s.New, r); err != nil {
		return 0, err
	}
	return wire.ReasonNone, n.moveContact(t, s.Old, s.New, renumbered{Since: t.now.Wall, Old: s.Old, Reason: s.Reason})
}

// follow takes the Successors of a Bundle that answers for a, and reports whether a has one now. The place
// that has his records is where he may be found.
func (n *Node) follow(a identity.Address, b wire.Bundle, at place) (moved bool, err error) {
	if len(b.Successors) == 0 {
		return false, nil
	}
	err = n.update(func(t *txn) error {
		for _, signed := range b.Successors {
			s, err := wire.ParseSuccessor(signed.Body)
			if err != nil {
				return nil
			}
			r := readRecords(s.New, append([]wire.Signed{b.Address}, b.Devices...))
			if _, err := n.takeSuccessor(t, s, signed, r); err != nil {
				return err
			}
		}
		return nil
	})
	now := n.moves.current(a)
	if err != nil || now == a {
		return false, err
	}
	return true, n.update(func(t *txn) error {
		c, ok, err := find[contact](t, store.Contact(now))
		if err != nil || !ok || at.peer == "" {
			return err
		}
		c.Dial = at.dial()
		return n.saveContact(t, c)
	})
}

// dial is p as a card says it.
func (p place) dial() (out []string) {
	for _, addr := range p.addrs {
		out = append(out, p2p.DialText(p.peer, addr))
	}
	if len(out) == 0 {
		out = []string{p2p.DialText(p.peer, nil)}
	}
	return out
}

// saveMoved writes the pin of an address whose successors have changed.
func (n *Node) saveMoved(t *txn, p pinned) error {
	t.after(func() {
		n.moves.note(&p.Pin)
		n.presence.lookAll()
		n.reading.nudge()
	})
	return n.savePin(t, p.Pin.Record.Address, p)
}

func (n *Node) pinSuccessor(t *txn, a identity.Address, r records) error {
	p, changed, err := n.accept(t, a, r)
	if err != nil && !isVerdict(err) {
		return err
	}
	if !changed {
		return nil
	}
	return n.savePin(t, a, p)
}

// freeze holds somebody of whom two different successors are known: nothing that either signs is acted
// upon, and nothing is sent, until the user decides.
func (n *Node) freeze(t *txn, p pinned) error {
	old, first := p.Pin.Record.Address, p.Pin.Moved[0].Record.New
	if err := n.saveMoved(t, p); err != nil {
		return err
	}
	if err := n.hold(t, first, true); err != nil {
		return err
	}
	t.emit(Event{Kind: "node", Address: first, Name: n.name(first), State: "frozen",
		Text: "two different successors of " + short(old) + ": somebody else holds his recovery words. Nothing of either counts until you decide: hum safety " + n.name(first)})
	return nil
}

// hold has what an address signs count for nothing, or count again.
func (n *Node) hold(t *txn, a identity.Address, held bool) error {
	p, ok, err := find[pinned](t, store.Pin(a))
	if err != nil || !ok || p.Pin.Held == held {
		return err
	}
	p.Pin.Held = held
	return n.savePin(t, a, p)
}

// moveContact has everything that the user said of one address hold for another, and ends what stood with
// the first (SPEC 2.6).
func (n *Node) moveContact(t *txn, from, to identity.Address, why renumbered) error {
	name := n.name(from)
	if err := errors.Join(moveWish(t, from, to), n.moveRoster(t, from, to, why), n.moveRule(t, from, to),
		n.applyRules(t, to), // who it is was not known when it asked, nor that it is on the roster
		n.moveWatching(t, from, to), n.dropWatchers(t, from), n.endMail(t, from)); err != nil {
		return err
	}
	if len(n.left) > 0 {
		if err := n.tell(t, to); err != nil {
			return err
		}
	}
	t.emit(Event{Kind: "node", Address: to, Name: name, State: "successor",
		Text: why.words(name) + ". The safety number is another one; compare it before you trust it: hum safety " + name})
	return nil
}

func (n *Node) moveRoster(t *txn, from, to identity.Address, why renumbered) error {
	old, ok, err := find[contact](t, store.Contact(from))
	if err != nil || !ok {
		return err
	}
	c, known, err := find[contact](t, store.Contact(to))
	if err != nil {
		return err
	}
	if !known {
		c = contact{Address: to, Added: old.Added, Dial: old.Dial} // he may be where he was
	}
	c.Petname, c.Claimed = cmp.Or(old.Petname, c.Petname), cmp.Or(c.Claimed, old.Claimed)
	why.Compared = old.Verified || old.Changed != nil && old.Changed.Compared
	c.Changed, c.Verified, c.Compared = &why, false, 0
	return errors.Join(n.deleteContact(t, from), n.saveContact(t, c))
}

// moveRule has what the user decided about somebody hold on, unless he has decided about the new address.
func (n *Node) moveRule(t *txn, from, to identity.Address) error {
	r, err := n.rule(t, from)
	if err != nil || r.IsZero() {
		return err
	}
	set, err := n.rule(t, to)
	if err == nil && set.IsZero() {
		err = n.setRule(t, to, r)
	}
	if err != nil {
		return err
	}
	return n.setRule(t, from, policy.Rule{})
}

// moveWatching erases what the old address granted, and asks the new one.
func (n *Node) moveWatching(t *txn, from, to identity.Address) error {
	w, ok, err := n.watchingOf(t, from)
	if err != nil || !ok {
		return err
	}
	for _, g := range w.Grants() {
		t.after(func() { n.net.Unfollow(g.E, t.now.Wall) })
	}
	if err := n.dropWatching(t, w); err != nil || !live(w.State) || w.State == presence.Ending {
		return err
	}
	if _, ok, err := n.watchingOf(t, to); ok || err != nil {
		return err
	}
	sub, err := n.newSub()
	if err != nil {
		return err
	}
	t.after(n.watching.nudge)
	return n.saveWatching(t, presence.Subscribe(t.now, n.self.Address, to, sub, w.Want, w.Text, w.Name, w.LifetimeS), true)
}

// dropWatchers takes the keys of my presence from whoever holds the old address; the new one asks for
// itself, and the same rule answers.
func (n *Node) dropWatchers(t *txn, from identity.Address) error {
	of, err := all[presence.Watcher](t, store.WatchersOf(from))
	if err != nil || len(of) == 0 {
		return err
	}
	t.after(func() { n.noteWatcher(from) })
	for _, w := range of {
		err = errors.Join(err, n.deleteWatcher(t, w))
		if w.State == wire.SubActive && w.Want != wire.WantIM {
			err = errors.Join(err, n.leave(t, cmp.Or(w.View, presence.DefaultView), presence.CauseUser, w.Who))
		}
	}
	return err
}

// endMail ends what is under way to the old address: nobody who counts reads there any more.
func (n *Node) endMail(t *txn, from identity.Address) error {
	return n.endEach(t, "the address has a successor", func(e *message.Entry, now identity.Now) { e.Moved(now) },
		func(e message.Entry) bool { return e.To == from })
}
