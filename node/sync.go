package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
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
	if t.applying || !n.hasOthers() {
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
	others := n.others()
	lacking := row.Lacks(others)
	for _, d := range others {
		k := store.Owed(d, uint32(kind), key)
		if !slices.Contains(lacking, d) {
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
		n.refuse(ctx, a, identity.Address{}, wire.ReasonMalformed)
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

// syncState is what is under way to my other devices.
type syncState struct {
	mu      sync.Mutex
	flights map[identity.DeviceID]*syncFlight
	removed []identity.DeviceID      // that are to be told so
	waits   map[string]time.Duration // by Mono: since when the epoch of a view is left to another device
}

// syncFlight is the newest batch to one device, and when it is sent again.
type syncFlight struct {
	id    wire.MID
	items []syncItem
	again time.Duration // by Mono
	fails int
}

type syncItem struct {
	kind wire.SyncKind
	key  []byte
	word replica.Word
}

const (
	syncBatch = 48 << 10         // bytes of values in one Sync; one that is larger goes alone
	syncItems = 512              // of one Sync
	syncPause = 30 * time.Second // until a batch that was not acked is sent again; doubled up to syncMost
	syncMost  = 15 * time.Minute
)

func (s *syncState) tell(d identity.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = append(s.removed, d)
}

// workSync sends to each of my devices what it has not heard.
func (n *Node) workSync(context.Context) (time.Duration, error) {
	n.sync.mu.Lock()
	gone := n.sync.removed
	n.sync.removed = nil
	n.sync.mu.Unlock()
	for _, d := range gone {
		n.spawn(func(ctx context.Context) { n.tellRemoved(ctx, d) })
	}
	if n.revoked() || !n.hasOthers() {
		return look, nil
	}
	if err := n.seedDevices(); err != nil {
		return retryAfter, err
	}
	pause := look
	for _, d := range n.others() {
		wait, err := n.syncTo(d)
		if err != nil {
			return retryAfter, err
		}
		pause = min(pause, wait)
	}
	return pause, nil
}

// syncTo sends the next batch to one device, unless one is under way.
func (n *Node) syncTo(d identity.DeviceID) (time.Duration, error) {
	now := n.now()
	n.sync.mu.Lock()
	f := n.sync.flights[d]
	if f != nil && f.again > now.Mono {
		n.sync.mu.Unlock()
		return f.again - now.Mono, nil
	}
	n.sync.mu.Unlock()
	var s wire.Sync
	var items []syncItem
	if err := n.view(func(t *txn) (err error) {
		s, items, err = n.batch(t, d)
		return err
	}); err != nil || len(items) == 0 {
		return look, err
	}
	signed := wire.Sign(n.keys.Device(), wire.TypeSync, s.Append(nil))
	next := &syncFlight{id: signed.ID(), items: items}
	if f != nil {
		next.fails = f.fails + 1
	}
	wait := min(syncMost, syncPause<<min(next.fails, 6))
	next.again = now.Mono + wait
	n.sync.mu.Lock()
	n.sync.flights[d] = next
	n.sync.mu.Unlock()
	n.spawn(func(ctx context.Context) {
		r := n.sendControl(ctx, &letter{to: n.self.Address, role: anyDevice, device: d, signed: signed})
		if !r.taken {
			n.log.Debug("another device was not reached", "device", d.String(), "err", r.err)
		}
	})
	return wait, nil
}

// batch is what one device is told next: in the order of kinds, so that what a row needs comes before it.
func (n *Node) batch(t *txn, d identity.DeviceID) (s wire.Sync, items []syncItem, err error) {
	s = wire.Sync{Address: n.self.Address, Device: n.self.Device}
	size := 0
	for _, k := range owedTo(t, d) {
		kind, key := wire.SyncKind(k.Num()), []byte(k.Name())
		row, ok, err := find[sharedRow](t, store.Shared(uint32(kind), key))
		if err != nil {
			return s, nil, err
		}
		if !ok {
			continue
		}
		x := wire.Item{Kind: kind, Key: key, T: row.T, Deleted: row.Deleted}
		if row.Author != n.self.Device {
			x.Author = row.Author
		}
		if !row.Deleted {
			value, ok, err := n.sharings()[kind].value(t, key)
			if err != nil {
				return s, nil, err
			}
			if !ok { // it went without a word, as what is old does
				continue
			}
			x.Value = value
		}
		if size += len(x.Value) + len(key) + 64; len(items) > 0 && (size > syncBatch || len(items) == syncItems) {
			break
		}
		s.Items, items = append(s.Items, x), append(items, syncItem{kind, key, row.Word})
	}
	return s, items, nil
}

// syncOrder is the order in which kinds are told: a rule before whom it is about, a message before what
// became of it.
var syncOrder = []wire.SyncKind{wire.SyncName, wire.SyncRule, wire.SyncContact, wire.SyncView, wire.SyncEpoch, wire.SyncWatcher,
	wire.SyncSent, wire.SyncResult, wire.SyncReceived, wire.SyncRead}

// owedTo lists what a device has not heard, in that order, as far as one Sync can hold it.
func owedTo(t *txn, d identity.DeviceID) (out []store.Key) {
	for _, kind := range syncOrder {
		for k := range t.Scan(store.OwedTo(d), store.ScanOptions{KeysOnly: true, From: store.Owed(d, uint32(kind), nil)}) {
			if wire.SyncKind(k.Num()) != kind || len(out) > syncItems {
				break
			}
			out = append(out, k)
		}
	}
	return out
}

// syncAcked notes that a device has heard a batch.
func (n *Node) syncAcked(t *txn, by identity.DeviceID, ids []wire.MID, ack wire.Ack) error {
	n.sync.mu.Lock()
	f := n.sync.flights[by]
	n.sync.mu.Unlock()
	if f == nil || !slices.Contains(ids, f.id) || ack.Disposition != wire.Delivered {
		return nil
	}
	for _, x := range f.items {
		row, ok, err := find[sharedRow](t, store.Shared(uint32(x.kind), x.key))
		if err != nil {
			return err
		}
		if !ok || row.Word != x.word || !row.Told(by) {
			continue
		}
		if err := n.saveShared(t, x.kind, x.key, row); err != nil {
			return err
		}
	}
	t.after(func() {
		n.sync.mu.Lock()
		if n.sync.flights[by] == f {
			delete(n.sync.flights, by)
		}
		n.sync.mu.Unlock()
		n.syncing.nudge()
	})
	return nil
}

// syncAll has everything that is owed sent at once.
func (n *Node) syncAll() {
	n.sync.mu.Lock()
	clear(n.sync.flights)
	n.sync.mu.Unlock()
	n.syncing.nudge()
}

// syncConnected sends what is owed to my devices, one of which has just come into reach, and asks it for
// the newest record of the address: this device may have been removed meanwhile.
func (n *Node) syncConnected(a identity.Address) {
	if a != n.self.Address || !n.hasOthers() && !n.revoked() {
		return
	}
	n.syncAll()
	n.spawn(n.sayAgain)
	if n.fetches.take(a, n.now()) {
		n.spawn(func(ctx context.Context) {
			ctx, done := context.WithTimeout(ctx, handTimeout)
			defer done()
			_, _ = n.askRecords(ctx, a, n.places(a))
		})
	}
}

// againAfter is how long a connection to another device stands before it is on the topics of both.
const againAfter = 2 * time.Second

// sayAgain has my other devices, which serve the records of all, hold what this one shows.
func (n *Node) sayAgain(ctx context.Context) {
	if sleep(ctx, againAfter); ctx.Err() != nil {
		return
	}
	if err := n.eachView(n.update, func(t *txn, view presence.View, pub presence.Publisher) error {
		pub.Again()
		return n.publishDue(t, view, &pub)
	}); err != nil {
		n.log.Warn("nothing was said again", "err", err)
	}
	n.publish.nudge()
}

// seedDevices owes everything to devices that are new: every row that is shared, and every row from the
// time when this device was the only one.
func (n *Node) seedDevices() error {
	seeded := store.Stamp("synced")
	var had []identity.DeviceID
	err := n.view(func(t *txn) (err error) {
		had, _, err = find[[]identity.DeviceID](t, seeded)
		return err
	})
	others := n.others()
	fresh := slices.DeleteFunc(slices.Clone(others), func(d identity.DeviceID) bool { return slices.Contains(had, d) })
	if err != nil || len(fresh) == 0 && len(had) == len(others) {
		return err
	}
	return n.update(func(t *txn) error {
		if len(fresh) > 0 {
			if err := n.shareAll(t); err != nil {
				return err
			}
		}
		for _, d := range had {
			if !slices.Contains(others, d) {
				if err := deleteAll(t, store.OwedTo(d)); err != nil {
					return err
				}
			}
		}
		return put(t, seeded, others)
	})
}

// shareAll owes every row of every kind to all who have not heard it.
func (n *Node) shareAll(t *txn) error {
	for kind, s := range n.sharings() {
		keys, err := s.list(t)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := n.share(t, kind, key); err != nil {
				return err
			}
		}
	}
	for k, b := range t.Scan(store.AllShared(), store.ScanOptions{}) {
		row, err := decode[sharedRow](k, b)
		if err != nil {
			return err
		}
		if err := n.saveShared(t, wire.SyncKind(k.Num()), []byte(k.Name()), row); err != nil {
			return err
		}
	}
	return nil
}

func deleteAll(t *txn, p store.Prefix) error {
	var keys []store.Key
	for k := range t.Scan(p, store.ScanOptions{KeysOnly: true}) {
		keys = append(keys, k)
	}
	for _, k := range keys {
		if err := t.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// purgeShared forgets deletions that are 90 days old by both clocks (SPEC 4.11).
func (n *Node) purgeShared() error {
	var old []store.Key
	err := n.view(func(t *txn) error {
		return rows(t, store.AllShared(), store.ScanOptions{}, func(k store.Key, r sharedRow) (bool, error) {
			kind, known := n.sharings()[wire.SyncKind(k.Num())]
			if !known || r.Deleted {
				if r.Forgettable(t.now) {
					old = append(old, k)
				}
				return true, nil
			}
			_, there, err := kind.value(t, []byte(k.Name()))
			if !there && err == nil { // it went by age, on every device
				old = append(old, k)
			}
			return true, err
		})
	})
	return n.inBatches(err, old, func(t *txn, k store.Key) error {
		for _, d := range n.others() { // else what is gone would take the places of what a device still lacks
			if err := t.Delete(store.Owed(d, uint32(k.Num()), []byte(k.Name()))); err != nil {
				return err
			}
		}
		return t.Delete(k)
	})
}

// tellRemoved tells a device that was removed that it was: it gets the record that does not list it, in a
// Sync of one item that it knows.
func (n *Node) tellRemoved(ctx context.Context, d identity.DeviceID) {
	var row deviceRow
	if err := n.view(func(t *txn) (err error) {
		row, err = get[deviceRow](t, deviceKey(d))
		return err
	}); err != nil {
		return
	}
	r := readRecords(n.self.Address, parseAll([][]byte{row.Record, row.Reach}))
	if len(r.devices) == 0 || len(r.reaches) == 0 {
		return
	}
	to := wire.Recipient{Address: n.self.Address, Device: d, Key: r.devices[0].rec.PreKeys[0].Public}
	to.Kid = identity.KeyIDOf(to.Key)
	s := wire.Sync{Address: n.self.Address, Device: n.self.Device, Items: []wire.Item{{Kind: wire.SyncName, Key: []byte("name"), T: 1}}}
	l := &letter{to: n.self.Address, signed: wire.Sign(n.keys.Device(), wire.TypeSync, s.Append(nil))}
	if n.seal(l) == nil {
		n.hand(ctx, l, placeOfReach(r.reaches[0].rec), []wire.Recipient{to})
	}
}
