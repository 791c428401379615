package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/replica"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// What the devices of one address share goes from each to all others as Sync (SPEC 4.11). Whoever writes a
// shared row says so by share in the same pass; workSync tells those who have not heard; takeSync hears.

// sharedRow is what is kept of a shared row beside the row itself.
type sharedRow struct {
	replica.Row
	Digest [32]byte // of what it said when it was last written or heard
}

// A sharing is how the rows of one kind are read and written: Value returns what a row says, and false if
// it is not there; Apply takes what another device wrote, nil for a deletion; List names all rows.
type sharing struct {
	list  func(t *txn) ([][]byte, error)
	value func(t *txn, key []byte) ([]byte, bool, error)
	apply func(t *txn, key, value []byte) error
}

// errBadValue says that another device of mine wrote what this version cannot read.
var errBadValue = errors.New("not a value of its kind")

// synced is the series of stamps of my own words, one for all rows.
const syncSeries = "sync"

// share notes that this device has written or deleted a row, so that the others are told once the pass is
// durable. What says nothing new is no word.
func (n *Node) share(t *txn, kind wire.SyncKind, key []byte) error {
	if t.applying || len(n.hearers(kind)) == 0 {
		return nil
	}
	value, ok, err := n.sharings()[kind].value(t, key)
	if err != nil {
		return err
	}
	k := store.Shared(uint32(kind), key)
	row, known, err := find[sharedRow](t, k)
	digest := sha256.Sum256(value)
	if err != nil || known && digest == row.Digest && row.Deleted == !ok || !known && !ok {
		return err
	}
	last, _, err := find[identity.Stamp](t, store.Stamp(syncSeries))
	if err != nil {
		return err
	}
	row = sharedRow{row.Write(t.now, n.self.Device, last, !ok), digest}
	if err := put(t, store.Stamp(syncSeries), row.T); err != nil {
		return err
	}
	return n.saveShared(t, kind, key, row)
}

// saveShared writes whose word a row is, and owes it to everybody who has not heard it.
func (n *Node) saveShared(t *txn, kind wire.SyncKind, key []byte, row sharedRow) error {
	hearers := n.hearers(kind)
	lacking := row.Lacks(hearers)
	for _, d := range hearers {
		k := store.Owed(d, uint32(kind), key)
		concerns, err := n.concerns(t, d, kind, key)
		if err != nil {
			return err
		}
		if !concerns || !slices.Contains(lacking, d) {
			if err := t.Delete(k); err != nil {
				return err
			}
			continue
		}
		if err := put(t, k, true); err != nil {
			return err
		}
	}
	if len(lacking) > 0 {
		t.after(n.syncing.nudge)
	}
	return put(t, store.Shared(uint32(kind), key), row)
}

// takeSync hears what another device of mine wrote; all of it, or nothing.
func (n *Node) takeSync(t *txn, s wire.Sync) (wire.Reason, error) {
	for _, x := range s.Items {
		if t.now.Ahead(x.T) {
			t.after(func() { n.deviceClock(s.Device, x.T) })
			return wire.ReasonTime, nil
		}
	}
	for _, x := range s.Items {
		if err := n.takeItem(t, s.Device, x); err != nil {
			return 0, err
		}
	}
	if err := n.redecideShared(t, s.Items); err != nil {
		return 0, err
	}
	for _, x := range t.again {
		if err := n.share(t, x.kind, x.key); err != nil {
			return 0, err
		}
	}
	return wire.ReasonNone, nil
}

func (n *Node) takeItem(t *txn, from identity.DeviceID, x wire.Item) error {
	kind, known := n.sharings()[x.Kind]
	if !known || x.Author == n.self.Device && from == n.self.Device {
		n.count("sync-unknown")
		return nil
	}
	if x.Author == (identity.DeviceID{}) {
		x.Author = from
	}
	row, _, err := find[sharedRow](t, store.Shared(uint32(x.Kind), x.Key))
	if err != nil {
		return err
	}
	next, verdict, err := row.Take(t.now, replica.Word{T: x.T, Author: x.Author, Deleted: x.Deleted}, from)
	if err != nil {
		return err
	}
	row.Row = next
	if verdict != replica.Newer {
		return n.saveShared(t, x.Kind, x.Key, row)
	}
	t.hear(x.T)
	value := x.Value
	if x.Deleted {
		value = nil
	} else if value == nil {
		value = []byte{}
	}
	if err := n.applied(t, kind, x.Key, value); errors.Is(err, errBadValue) {
		n.count("sync-malformed")
		return nil
	} else if err != nil {
		return err
	}
	if !slices.ContainsFunc(t.again, func(i syncItem) bool { return i.kind == x.Kind && string(i.key) == string(x.Key) }) {
		value, _, err = kind.value(t, x.Key) // as this device says it, so that nothing new is no news
	}
	if row.Digest = sha256.Sum256(value); err != nil {
		return err
	}
	return n.saveShared(t, x.Kind, x.Key, row)
}

// applied takes a value without saying it as a word of this device.
func (n *Node) applied(t *txn, kind sharing, key, value []byte) error {
	before := t.applying
	t.applying = true
	defer func() { t.applying = before }()
	return kind.apply(t, key, value)
}

// synchronised takes a Sync of another device of mine. It is acked once it is on the disk.
func (n *Node) synchronised(ctx context.Context, a arrival) {
	s, err := wire.ParseSync(a.signed.Body)
	if err != nil {
		n.refuse(ctx, a, identity.Address{}, unparsed(err))
		return
	}
	if a.signed.Verify() != nil {
		n.refuse(ctx, a, s.Address, wire.ReasonBadSignature)
		return
	}
	r := readRecords(s.Address, a.attached)
	var reason wire.Reason
	err = n.update(func(t *txn) error {
		p, changed, why, err := n.vouch(t, a, claim{from: s.Address, to: s.Address, device: s.Device}, r)
		if reason = why; err != nil {
			return err
		}
		if s.Address != n.self.Address {
			reason = wire.ReasonRecipientMismatch
			return nil
		}
		if changed {
			if err := n.savePin(t, s.Address, p); err != nil {
				return err
			}
		}
		if reason != wire.ReasonNone || cutOff(&p.Pin, n.self.Device) {
			return nil
		}
		reason, err = n.takeSync(t, s)
		return err
	})
	switch {
	case err != nil:
		n.log.Warn("what another device wrote was not saved; it comes again", "err", err)
	case reason != wire.ReasonNone:
		n.refuse(ctx, a, s.Address, reason)
	default:
		n.acknowledge(ctx, a, n.signAck(s.Address, []wire.MID{a.id}, wire.Delivered, wire.ReasonNone, 0))
	}
}
