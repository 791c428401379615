package node

import (
	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/replica"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Messages are shared too (SPEC 4.11, 5.6, 5.7): what one device sent and what became of it is in the outbox
// of all, what one received is in the inbox of all, once, and what was read on one is read on all.

// sharedSent is a message as the device that sent it keeps it.
type sharedSent struct {
	Signed  []byte
	ShowAck bool
}

// sharedResult is what became of one.
type sharedResult struct {
	State                 message.State
	Reason                wire.Reason
	Settled               identity.Time
	AckedBy               identity.DeviceID
	AckedAt, DisplayedAt  identity.Time
	Handed, WantDisplayed bool

	Ack, AckRecord, Record        []byte // what proves it
	DisplayedAck, DisplayedRecord []byte `cbor:",omitempty"`
}

// sharedReceived is a message as it came in.
type sharedReceived struct {
	Signed       []byte
	Received     identity.Time
	FirstContact bool
	Record       []byte // that vouched for it
	Clear        bool
}

func midKey(k store.Key) []byte { m := k.MID(); return m[:] }

func midOf(key []byte) (m wire.MID, err error) {
	if len(key) != len(m) {
		return m, errBadValue
	}
	return wire.MID(key), nil
}

func (n *Node) entryOf(t *txn, key []byte) (e message.Entry, ok bool, err error) {
	id, err := midOf(key)
	if err != nil {
		return e, false, err
	}
	return find[message.Entry](t, store.Outbox(id))
}

func (n *Node) sentValue(t *txn, key []byte) ([]byte, bool, error) {
	e, ok, err := n.entryOf(t, key)
	if !ok {
		return nil, false, err
	}
	return encoded(sharedSent{e.Signed, e.ShowAck})
}

// applySent keeps a copy of what another device sends: this one neither sends it nor settles it.
func (n *Node) applySent(t *txn, key, value []byte) error {
	old, known, err := n.entryOf(t, key)
	if err == nil && known && value == nil && (old.Copied || old.State.Final()) {
		return n.deleteEntry(t, old)
	}
	if err != nil || known || value == nil {
		return err
	}
	v, err := decoded[sharedSent](value)
	if err != nil {
		return err
	}
	s, im, err := imOf(v.Signed, key)
	if err != nil { // it may be from an address that was left before this device was there
		return err
	}
	if horizon, _, err := find[identity.Time](t, outboxHorizon); err != nil || im.Sent <= horizon {
		return err
	}
	e := message.Copy(t.now, s.ID(), im, v.Signed)
	e.ShowAck = v.ShowAck
	return putEntry(t, e)
}

// imOf reads a message that is kept signed, and holds it to its id.
func imOf(raw, key []byte) (s wire.Signed, im wire.IM, err error) {
	if s, err = wire.ParseSigned(raw); err != nil || s.Type != wire.TypeIM || s.Verify() != nil {
		return s, im, errBadValue
	}
	id := s.ID()
	if im, err = wire.ParseIM(s.Body); err != nil || string(id[:]) != string(key) {
		return s, im, errBadValue
	}
	return s, im, nil
}

func (n *Node) resultValue(t *txn, key []byte) ([]byte, bool, error) {
	e, ok, err := n.entryOf(t, key)
	if !ok || e.State == message.Queued {
		return nil, false, err
	}
	if err := t.proof(&e); err != nil {
		return nil, false, err
	}
	return encoded(sharedResult{e.State, e.Reason, e.Settled, e.AckedBy, e.AckedAt, e.DisplayedAt, e.Handed, e.WantDisplayed, e.AckRaw, e.AckRecord, e.Record,
		e.DisplayedRaw, e.DisplayedRecord})
}

func (n *Node) applyResult(t *txn, key, value []byte) error {
	e, known, err := n.entryOf(t, key)
	if err != nil || !known || !e.Copied || value == nil {
		return err // only the device that sent it can tell
	}
	v, err := decoded[sharedResult](value)
	if err != nil {
		return err
	}
	before := e
	e.State, e.Reason, e.Settled, e.AckedBy, e.AckedAt = v.State, v.Reason, v.Settled, v.AckedBy, v.AckedAt
	e.DisplayedAt, e.Handed, e.WantDisplayed = v.DisplayedAt, v.Handed, v.WantDisplayed
	e.AckRaw, e.AckRecord, e.Record = v.Ack, v.AckRecord, v.Record
	if s, ack, ok := t.ackIn(e.To, v.DisplayedAck); ok && len(e.DisplayedRaw) == 0 {
		t.trace(e.ID, "acked", n.name(e.To), outcomeOf(ack), ackWord(s, ack))
	}
	e.DisplayedRaw, e.DisplayedRecord = v.DisplayedAck, v.DisplayedRecord
	if err := t.keepWord(&e); err != nil {
		return err
	}
	if e.Tells(before) {
		n.emitSent(t, e)
	}
	return put(t, store.Outbox(e.ID), e)
}

// shareEntry tells my other devices of a message of mine.
func (n *Node) shareEntry(t *txn, e message.Entry) error {
	if e.Copied {
		return nil
	}
	if err := n.share(t, wire.SyncSent, e.ID[:]); err != nil {
		return err
	}
	return n.share(t, wire.SyncResult, e.ID[:])
}

func (n *Node) inboxRow(t *txn, key []byte) (row message.Row, ok bool, err error) {
	id, err := midOf(key)
	if err != nil {
		return row, false, err
	}
	at, ok, err := find[[]byte](t, store.InboxAt(id))
	if !ok {
		return row, false, err
	}
	k, err := store.ParseKey(at)
	if err != nil {
		return row, false, err
	}
	return find[message.Row](t, k)
}

func (n *Node) receivedValue(t *txn, key []byte) ([]byte, bool, error) {
	row, ok, err := n.inboxRow(t, key)
	if !ok {
		return nil, false, err
	}
	if row.Record, err = t.whole(row.From, row.Record); err != nil {
		return nil, false, err
	}
	return encoded(sharedReceived{row.Signed, row.Received, row.FirstContact, row.Record, row.Clear})
}

// applyReceived puts a message that another device received into this inbox, unless it came here itself: the
// row and what is remembered of it in one pass. No ack leaves; should the message come here later, it is
// answered as one that was delivered before (SPEC 5.4).
func (n *Node) applyReceived(t *txn, key, value []byte) error {
	old, known, err := n.inboxRow(t, key)
	if err == nil && known && value == nil {
		return n.deleteRow(t, old)
	}
	if err != nil || known || value == nil {
		return err
	}
	if wasDeleted(t, wire.MID(key)) { // by the user, of which the device that took it has not heard
		t.again = append(t.again, syncItem{kind: wire.SyncReceived, key: key})
		return nil
	}
	v, err := decoded[sharedReceived](value)
	if err != nil {
		return err
	}
	s, im, err := imOf(v.Signed, key)
	if err != nil { // it may be to an address that was left before this device was there
		return err
	}
	seen, err := n.seen(t, im.From, s.ID())
	if err != nil || seen != nil && !seen.Refused {
		return err // it was here, and the user deleted it
	}
	if first, err := n.seen(t, im.From, im.ResendOf); err != nil || first != nil && !first.Refused {
		return err // the first sending of it was here: neither is shown twice
	}
	facts := message.Arrival{ID: s.ID(), IM: im, Signed: true, Known: true, Listed: true, Mine: true, Service: true, TypeOK: true,
		Contact: true, Admission: message.Accept, Clear: v.Clear}
	if v.FirstContact {
		facts.Admission = message.FirstContact
	}
	verdict := message.Elsewhere(facts)
	ack := n.signAck(im.From, verdict.MIDs, wire.Delivered, wire.ReasonNone, 0)
	for _, id := range verdict.Remember {
		old := seen
		if id == im.ResendOf {
			if old, err = n.seen(t, im.From, id); err != nil {
				return err
			}
		}
		if err := remember(t, im.From, id, old, verdict.Seen(ack.Append(nil))); err != nil {
			return err
		}
	}
	t.trace(s.ID(), copied, "", "received by another of my devices, which answered it", "its own copy")
	row := message.NewRow(t.now, facts, v.Signed, [32]byte{})
	row.Received = v.Received
	if row.Record, err = t.keep(row.From, v.Record); err != nil {
		return err
	}
	return n.keepRow(t, row)
}

func (n *Node) readKeys(t *txn) (out [][]byte, err error) {
	err = rows(t, store.AllInbox(), store.ScanOptions{}, func(k store.Key, r message.Row) (bool, error) {
		if r.Displayed != 0 {
			out = append(out, midKey(k))
		}
		return true, nil
	})
	return out, err
}

func (n *Node) readValue(t *txn, key []byte) ([]byte, bool, error) {
	row, ok, err := n.inboxRow(t, key)
	if !ok || row.Displayed == 0 {
		return nil, false, err
	}
	return encoded(row.Displayed)
}

// applyRead marks a message as read; whoever opened it has told its sender, if he asked. If it was opened on two
// devices, the newer word says when.
func (n *Node) applyRead(t *txn, key, value []byte) error {
	row, ok, err := n.inboxRow(t, key)
	if err != nil || !ok || value == nil {
		return err // it is not here yet: see wasRead
	}
	at, err := decoded[identity.Time](value)
	if err != nil {
		return err
	}
	if row.Displayed != 0 {
		row.Displayed = at
		return put(t, store.Inbox(row.Sent, row.ID), row)
	}
	if err := leaveFirstContact(t, row); err != nil {
		return err
	}
	row.Opened(at)
	t.emit(Event{Kind: "message", Address: row.From, Name: n.nameOf(row), ID: row.ID.String(), State: "displayed"})
	return put(t, store.Inbox(row.Sent, row.ID), row)
}

// wasRead is when a message that only now comes here was read on another device, 0 if it was not.
func (n *Node) wasRead(t *txn, id wire.MID) (identity.Time, error) {
	if !n.hasOthers() {
		return 0, nil
	}
	r, ok, err := find[sharedRow](t, store.Shared(uint32(wire.SyncRead), id[:]))
	if !ok || r.Word == (replica.Word{}) || r.Deleted {
		return 0, err
	}
	return r.T, nil
}
