package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// triesAtOnce bounds the tries that run together for one recipient, so that a long queue to one neither
// floods him nor holds up the others (SPEC 3.9: 64 frames outstanding).
const triesAtOnce = 64

// mailState is what the outbox knows without asking the disk: when each unsettled message is due.
type mailState struct {
	mu      sync.Mutex
	flights map[wire.MID]*flight
	running map[identity.Address]int
	hints   map[identity.Address][]place // of cards of people off the roster
}

// flight is one message under way.
type flight struct {
	to    identity.Address
	wake  identity.Time
	final bool // settled: kept only until its keys are forgotten
	busy  bool // a try runs
}

func (m *mailState) track(id wire.MID, to identity.Address, wake identity.Time, final bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if wake == 0 {
		delete(m.flights, id)
		return
	}
	if f := m.flights[id]; f != nil {
		f.wake, f.final = wake, final
		return
	}
	m.flights[id] = &flight{to: to, wake: wake, final: final}
}

// due takes what may be tried now, and says when to look again.
func (m *mailState) due(now identity.Now) (ids []wire.MID, pause time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	pause = look
	for id, f := range m.flights {
		switch {
		case f.busy:
		case f.wake > now.Wall:
			pause = min(pause, f.wake.Sub(now.Wall))
		case m.running[f.to] < triesAtOnce:
			f.busy = true
			m.running[f.to]++
			ids = append(ids, id)
		}
	}
	return ids, pause
}

func (m *mailState) done(id wire.MID, to identity.Address) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running[to]--; m.running[to] <= 0 {
		delete(m.running, to)
	}
	if f := m.flights[id]; f != nil {
		f.busy = false
	}
}

func (m *mailState) of(id wire.MID) (identity.Address, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[id]; f != nil {
		return f.to, true
	}
	return identity.Address{}, false
}

// to lists the unsettled messages for an address.
func (m *mailState) to(a identity.Address) (ids []wire.MID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, f := range m.flights {
		if f.to == a && !f.final {
			ids = append(ids, id)
		}
	}
	return ids
}

func (m *mailState) open() (count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.flights {
		if !f.final {
			count++
		}
	}
	return count
}

func (m *mailState) hint(a identity.Address, p place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hints[a] = join(m.hints[a], p)
}

func (m *mailState) hinted(a identity.Address) []place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.hints[a])
}

// loadMail finds what was under way when the node last ended: forget nothing that was promised.
func (n *Node) loadMail(t *txn) error {
	n.mail.flights, n.mail.running = map[wire.MID]*flight{}, map[identity.Address]int{}
	n.mail.hints = map[identity.Address][]place{}
	return rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
		n.mail.track(e.ID, e.To, e.Wake(t.now), e.State.Final())
		return true, nil
	})
}

// workOutbox starts a try for every message that is due.
func (n *Node) workOutbox(context.Context) (time.Duration, error) {
	ids, pause := n.mail.due(n.now())
	for _, id := range ids {
		to, _ := n.mail.of(id)
		n.spawn(func(ctx context.Context) {
			if err := n.try(ctx, id); err != nil {
				n.log.Warn("a message could not be tried", "id", id.String(), "err", err)
				n.mail.track(id, to, n.now().Wall.Add(retryAfter), false)
			}
			n.mail.done(id, to)
			n.outbox.nudge()
		})
	}
	return pause, nil
}

// try is one attempt to hand a message over (SPEC 5.5).
func (n *Node) try(ctx context.Context, id wire.MID) error {
	e, due, err := n.begin(id)
	if err != nil || !due {
		return err
	}
	if e.FetchRecords {
		if _, err := n.askRecords(ctx, e.To, n.places(e.To)); err == nil {
			if err := n.editEntry(id, func(_ *txn, e *message.Entry) (bool, error) { return e.GotRecords(), nil }); err != nil {
				return err
			}
		}
	}
	to, err := n.targets(ctx, e.To, identity.RoleInbox, identity.DeviceID{})
	if err != nil {
		return n.noTarget(id, err)
	}
	l, err := n.entryLetter(id, to)
	if err != nil || l == nil {
		return err
	}
	r := n.deliver(ctx, l, to)
	return n.tried(ctx, id, r)
}

// begin ends a message whose time is over, or notes that it is tried now.
func (n *Node) begin(id wire.MID) (e message.Entry, due bool, err error) {
	err = n.editEntry(id, func(t *txn, entry *message.Entry) (changed bool, err error) {
		for _, k := range entry.Forget(t.now) {
			if err := t.Delete(store.CEK(k.Tag)); err != nil {
				return false, err
			}
			changed = true
		}
		if entry.Tick(t.now) {
			changed = true
			n.emitSent(t, *entry)
		}
		if due = entry.Due(t.now); due {
			entry.Attempted(t.now, n.jitter())
			changed = true
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
		if !changed {
			wake := e.Wake(t.now)
			t.after(func() { n.mail.track(id, e.To, wake, e.State.Final()) })
			return nil
		}
		return n.saveEntry(t, e)
	})
}

// noTarget notes that there is nobody to seal to, or nowhere to go.
func (n *Node) noTarget(id wire.MID, err error) error {
	return n.editEntry(id, func(t *txn, e *message.Entry) (bool, error) {
		t.trace(id, "not reached", n.name(e.To), err.Error())
		if errors.Is(err, errNoKeys) {
			return e.NoUsableKey(), nil
		}
		return false, nil
	})
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
		if err := n.sealEntry(t, e, to); err != nil {
			return false, err
		}
		_, gave := n.own.Load().attachments(told{})
		e.Attach = false
		l, err = letterOf(*e, gave)
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
	if r.taken {
		sleep(ctx, takenPause)
	}
	return n.editEntry(id, func(t *txn, e *message.Entry) (changed bool, err error) {
		before := e.State
		switch {
		case r.taken:
			if changed = e.Reply(t.now, wire.OK, 0); e.State.Final() {
				return changed, nil // the ack was faster, and says more
			}
			t.trace(id, "taken", n.name(e.To), "in the memory of the other node")
		case r.busy > 0:
			changed = e.Reply(t.now, wire.BUSY, r.busy)
		case r.noKey:
			changed = e.Reply(t.now, wire.NO_KEY, 0)
		default:
			t.trace(id, "not reached", n.name(e.To), r.err.Error())
		}
		if changed && e.State != before {
			n.emitSent(t, *e)
		}
		return changed, nil
	})
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
		return
	}
	event := Event{Kind: "ack", Address: e.To, Name: n.name(e.To), ID: e.ID.String(), State: e.State.String()}
	if e.State == message.Failed {
		event.Reason = e.Reason
	}
	t.emit(event)
}

// mailConnected has everything for an address tried again at once: a route stands, or he is open.
func (n *Node) mailConnected(a identity.Address, connected bool) {
	for _, id := range n.mail.to(a) {
		err := n.editEntry(id, func(t *txn, e *message.Entry) (bool, error) {
			if connected {
				return e.Connected(t.now), nil
			}
			return e.PeerOpen(t.now), nil
		})
		if err != nil {
			n.log.Warn("a message was not brought forward", "id", id.String(), "err", err)
		}
	}
	n.outbox.nudge()
}

func sortSent(s []Sent) {
	slices.SortFunc(s, func(a, b Sent) int {
		return cmp.Or(a.Sent.Compare(b.Sent), cmp.Compare(a.ID.String(), b.ID.String()))
	})
}
