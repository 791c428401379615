package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/store/crash"
)

// loadMail finds what was under way when the node last ended: forget nothing that was promised.
func (n *Node) loadMail(t *txn) error {
	n.mail.flights, n.mail.byTo = map[wire.MID]*flight{}, map[identity.Address]map[wire.MID]*flight{}
	n.mail.running, n.mail.hints = map[identity.Address]int{}, map[identity.Address][]place{}
	n.mail.settled, n.mail.forget = map[wire.MID]*flight{}, never
	n.onces.held, n.onces.unknown = map[wire.MID]bool{}, map[p2p.PeerID]bool{}
	return rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
		if !e.Copied {
			n.mail.track(e.ID, tryOf(e), e.Wake(t.now), e.State.Final())
			n.hint(e)
			n.onces.note(e)
		}
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
		n.startTry(j)
	}
	return pause, nil
}

// startTry begins a try that is counted already.
func (n *Node) startTry(j job) {
	n.spawn(func(ctx context.Context) {
		if err := n.try(ctx, j); err != nil {
			n.log.Warn("a message could not be tried", "id", j.id.String(), "err", err)
			n.mail.track(j.id, j.to, n.now().Wall.Add(retryAfter), false)
		}
		n.mail.done(j.id, j.to)
		n.outbox.nudge()
	})
}

// try is one attempt to hand a message over (SPEC 5.5).
func (n *Node) try(ctx context.Context, j job) error {
	id := j.id
	if j.offer != nil {
		trying, end := n.untilExpiry(ctx, j.l.hint(n.now()))
		defer end()
		r := n.deliverOrLeave(trying, id, j.l, j.offer.to)
		return n.tried(ctx, id, r)
	}
	e, due, err := n.begin(id)
	if err != nil || !due {
		return err
	}
	crash.Point("try: noted, nothing sent")
	trying, end := n.untilExpiry(ctx, e.Expires)
	defer end()
	if e.Anonymous {
		return n.tryHidden(trying, e)
	}
	if e.FetchRecords {
		if _, err := n.askRecords(trying, e.To, n.places(e.To)); err == nil {
			if err := n.editEntry(id, func(_ *txn, e *message.Entry) (bool, error) { return e.GotRecords(), nil }); err != nil {
				return err
			}
		}
	}
	before, _ := n.ways.of(e.To)
	to, err := n.targets(trying, e.To, identity.RoleInbox, identity.DeviceID{})
	if err != nil {
		return n.noTarget(id, err)
	}
	if s, ok := n.ways.of(e.To); ok && s.ok && s.at != before.at {
		if err := n.editEntry(id, func(t *txn, e *message.Entry) (bool, error) {
			t.trace(id, "found", n.name(e.To), s.String(), "his record, which his address has signed")
			return false, nil
		}); err != nil {
			return err
		}
	}
	if r := n.takesClear(e.To, e.Clear, e.Unsigned); r != wire.ReasonNone {
		return n.editEntry(id, func(t *txn, e *message.Entry) (changed bool, _ error) {
			if changed = e.NotTaken(t.now, r); changed {
				n.emitSent(t, *e)
			}
			return changed, nil
		})
	}
	l, err := n.entryLetter(id, to)
	if err != nil || l == nil {
		return err
	}
	r := n.deliverOrLeave(trying, id, l, to)
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
		if err := put(t, store.Outbox(id), e); err != nil {
			return err
		}
		return n.shareEntry(t, e)
	})
}

// noTarget notes that there is nobody to seal to, or nowhere to go. Whether an address takes messages is
// read from its record, never probed (SPEC 2.3).
func (n *Node) noTarget(id wire.MID, err error) error {
	return n.editEntry(id, func(t *txn, e *message.Entry) (changed bool, _ error) {
		t.trace(id, "not reached", n.name(e.To), plain(err), noRoute)
		tried := e.Tried(false)
		switch {
		case errors.Is(err, errMoved):
			if changed = e.Moved(t.now); changed {
				n.emitSent(t, *e)
			}
			return changed || tried, nil
		case !errors.Is(err, errNoKeys) && !errors.Is(err, errNoSuite):
			return tried, nil
		case n.takesNoMail(e.To):
			if changed = e.NotTaken(t.now, wire.ReasonNoIMService); changed {
				n.emitSent(t, *e)
			}
			return changed || tried, nil
		}
		return e.NoUsableKey(errors.Is(err, errNoSuite)) || tried, nil
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
		if e.Anonymous {
			attached, gave = nil, told{}
		}
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
		l, err = letterOf(*e, sealed.gave)
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
	return &letter{to: e.To, role: identity.RoleInbox, signed: s, until: e.Expires, cek: e.CEKs[0].Key, tag: e.CEKs[0].Tag, ct: e.CT, gave: gave, fresh: !e.Handed, clear: e.Clear}, nil
}

// takenPause is how long the ack of a message that was just taken may take before "handed" is worth a
// commit of its own.
const takenPause = 100 * time.Millisecond

// tried notes what became of a try.
func (n *Node) tried(ctx context.Context, id wire.MID, r result) error {
	n.log.Debug("message tried", "id", id.String(), "taken", r.taken, "err", r.err)
	crash.Point("try: sent, the answer not noted")
	if r.taken && n.settlesWithin(ctx, id, takenPause) {
		return nil // the ack says more
	}
	return n.editEntry(id, func(t *txn, e *message.Entry) (changed bool, err error) {
		before := e.State
		changed = e.Tried(r.sent && !r.taken)
		switch {
		case r.taken:
			if changed = e.Reply(t.now, wire.OK, 0) || changed; e.State.Final() {
				return changed, nil // the ack was faster, and says more
			}
			t.trace(id, "taken", n.name(e.To), "in the memory of the other node", r.evidence())
		case r.status != 0:
			changed = e.Reply(t.now, r.status, r.after) || changed
			t.trace(id, "not taken", n.name(e.To), r.err.Error(), r.evidence())
		default:
			t.trace(id, "not reached", n.name(e.To), plain(r.err), r.evidence())
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

// mailLetter finds the key of an ack that answers a message of the outbox. Which of my records came with it is
// forgotten: they come once more.
func (n *Node) mailLetter(tag [16]byte) (l sentLetter, ok bool) {
	err := n.view(func(t *txn) error {
		id, found, err := find[wire.MID](t, store.CEK(tag))
		if err != nil || !found {
			return err
		}
		e, _, err := find[message.Entry](t, store.Outbox(id))
		for _, c := range e.CEKs {
			if c.Tag == tag {
				l, ok = sentLetter{to: e.To, cek: c.Key, id: id, kind: wire.TypeIM, hidden: e.Anonymous}, true
			}
		}
		return err
	})
	return l, ok && err == nil
}

// settleMail takes the recipient's signed word on messages of mine; nothing else settles them.
// by is the address record that vouches for it, via the way that it came.
func (n *Node) settleMail(t *txn, ack wire.Ack, s wire.Signed, by []byte, via string) error {
	raw := s.Append(nil)
	for _, id := range ack.MIDs {
		e, ok, err := find[message.Entry](t, store.Outbox(id))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		before := e
		changed, err := e.Ack(t.now, ack, raw, true)
		if err != nil {
			n.count("bad-ack")
			continue
		}
		if !changed {
			continue
		}
		n.log.Debug("message acked", "id", id.String(), "by", n.name(e.To), "outcome", outcomeOf(ack))
		n.traceAck(t, before, e, s, ack)
		if e.Tells(before) {
			n.emitSent(t, e)
		}
		switch {
		case !bytes.Equal(e.AckRaw, before.AckRaw):
			e.Record, e.AckRecord, e.Via = n.own.Load().Address, by, via
		case !bytes.Equal(e.DisplayedRaw, before.DisplayedRaw):
			e.DisplayedRecord = by
		}
		if err := t.keepProof(&e, ack); err != nil {
			return err
		}
		if err := n.saveEntry(t, e); err != nil {
			return err
		}
	}
	t.after(n.outbox.nudge)
	return nil
}

// traceAck adds the step of an ack that the entry does not tell: one that settled nothing, or that came after
// another; and the step of one that the entry tells no more.
func (n *Node) traceAck(t *txn, before, after message.Entry, s wire.Signed, ack wire.Ack) {
	if before.State.Final() && !bytes.Equal(before.AckRaw, after.AckRaw) {
		for _, s := range n.ends(t, before) {
			t.addStep(before.ID, s)
		}
	} else if len(before.AckRaw) > 0 || !after.State.Final() {
		t.trace(after.ID, "acked", n.name(after.To), outcomeOf(ack), ackWord(s, ack))
	}
}

// emitSent tells what a message of mine has come to.
func (n *Node) emitSent(t *txn, e message.Entry) {
	if !e.ShowAck {
		t.after(n.feed.stir)
		return
	}
	event := Event{Kind: "ack", Address: e.To, Name: n.name(e.To), ID: e.ID.String(), State: e.State.String()}
	if e.State == message.Failed || e.Indeterminate() {
		event.Reason = e.Reason
	}
	t.emit(event)
}

// mailConnected has everything for an address tried at once: a route stands, or he is open.
func (n *Node) mailConnected(a identity.Address, up bool) {
	why := isOpen
	if up {
		why = connected
		n.spawn(func(ctx context.Context) { n.payDisplayed(ctx, a) })
	}
	n.mail.prompt(a, why)
	n.outbox.nudge()
}

func sortSent(s []Sent) {
	slices.SortFunc(s, func(a, b Sent) int {
		return cmp.Or(a.Sent.Compare(b.Sent), cmp.Compare(a.ID.String(), b.ID.String()))
	})
}
