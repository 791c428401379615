package node

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/node/replica"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// syncState is what is under way to my other devices.
type syncState struct {
	mu      sync.Mutex
	flights map[identity.DeviceID]*syncFlight
	removed []identity.DeviceID                 // that are to be told so
	waits   map[string]time.Duration            // by Mono: since when the epoch of a view is left to another device
	apart   map[identity.DeviceID]time.Duration // whose clock differs by more than S, and by how much
	copied  time.Duration                       // when chores last began a copyOwn, by Mono
	copying bool                                // a copyOwn waits to begin
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
	if n.revoked() || len(n.hearing()) == 0 {
		return look, nil
	}
	if err := n.seedDevices(); err != nil {
		return retryAfter, err
	}
	pause := look
	for _, d := range n.hearing() {
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
	s, items, err := n.nextBatch(d)
	if err != nil || len(items) == 0 {
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
	role := anyDevice
	if _, is := n.isDelegate(d); is {
		role |= identity.RoleDelegate
	}
	n.spawn(func(ctx context.Context) {
		r := n.sendControl(ctx, &letter{to: n.self.Address, role: role, device: d, signed: signed})
		if !r.taken {
			n.log.Debug("another device was not reached", "device", d.String(), "err", r.err)
		}
	})
	return wait, nil
}

// nextBatch is what one device is told next. What was said by a clock that ran ahead and has been set right is said
// anew: no correct device would take it before that time has come.
func (n *Node) nextBatch(d identity.DeviceID) (s wire.Sync, items []syncItem, err error) {
	var early []syncItem
	read := func(t *txn) (err error) {
		s, items, early, err = n.batch(t, d)
		return err
	}
	if err := n.view(read); err != nil || len(early) == 0 {
		return s, items, err
	}
	if err := n.update(func(t *txn) error {
		for _, x := range early {
			if err := n.sayAnew(t, x); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return s, nil, err
	}
	return s, items, n.view(read)
}

// sayAnew has this device say of a row what it says already, now.
func (n *Node) sayAnew(t *txn, x syncItem) error {
	row, ok, err := find[sharedRow](t, store.Shared(uint32(x.kind), x.key))
	if err != nil || !ok || row.Word != x.word {
		return err
	}
	last, _, err := find[identity.Stamp](t, store.Stamp(syncSeries))
	if err != nil {
		return err
	}
	row.Row = row.Write(t.now, n.self.Device, last, row.Deleted)
	if err := put(t, store.Stamp(syncSeries), row.T); err != nil {
		return err
	}
	return n.saveShared(t, x.kind, x.key, row)
}

// batch is what one device is told next: in the order of kinds, so that what a row needs comes before it; early are
// rows of an impossible time.
func (n *Node) batch(t *txn, d identity.DeviceID) (s wire.Sync, items, early []syncItem, err error) {
	s = wire.Sync{Address: n.self.Address, Device: n.self.Device}
	size := 0
	scope, delegate := n.isDelegate(d)
	for k := range owedTo(t, d) {
		kind, key := wire.SyncKind(k.Num()), []byte(k.Name())
		row, ok, err := find[sharedRow](t, store.Shared(uint32(kind), key))
		if err != nil {
			return s, nil, nil, err
		}
		if !ok {
			continue
		}
		if t.now.Stored(row.T) != row.T {
			if early = append(early, syncItem{kind, key, row.Word}); len(early) == syncItems {
				break
			}
			continue
		}
		x := wire.Item{Kind: kind, Key: key, T: row.T, Deleted: row.Deleted}
		if row.Author != n.self.Device {
			x.Author = row.Author
		}
		if !row.Deleted {
			value, ok, err := n.sharings()[kind].value(t, key)
			if err != nil {
				return s, nil, nil, err
			}
			if !ok { // it went without a word, as what is old does
				continue
			}
			if delegate {
				if value, err = n.forDelegate(t, scope, kind, value); err != nil {
					return s, nil, nil, err
				}
			}
			x.Value = value
		}
		if size += len(x.Value) + len(key) + 64; len(items) > 0 && (size > syncBatch || len(items) == syncItems) {
			break
		}
		s.Items, items = append(s.Items, x), append(items, syncItem{kind, key, row.Word})
	}
	return s, items, early, nil
}

// syncOrder is the order in which kinds are told: a rule before whom it is about, a message before what
// became of it.
var syncOrder = []wire.SyncKind{wire.SyncName, wire.SyncRule, wire.SyncContact, wire.SyncView, wire.SyncEpoch, wire.SyncWatcher,
	wire.SyncMailbox,
	wire.SyncSent, wire.SyncResult, wire.SyncReceived, wire.SyncRead}

// owedTo yields what a device has not heard, in that order.
func owedTo(t *txn, d identity.DeviceID) iter.Seq[store.Key] {
	return func(yield func(store.Key) bool) {
		for _, kind := range syncOrder {
			for k := range t.Scan(store.OwedTo(d), store.ScanOptions{KeysOnly: true, From: store.Owed(d, uint32(kind), nil)}) {
				if wire.SyncKind(k.Num()) != kind {
					break
				}
				if !yield(k) {
					return
				}
			}
		}
	}
}

// syncAcked notes that a device has heard a batch.
func (n *Node) syncAcked(t *txn, by identity.DeviceID, ids []wire.MID, ack wire.Ack) error {
	n.sync.mu.Lock()
	f := n.sync.flights[by]
	n.sync.mu.Unlock()
	if f != nil && slices.Contains(ids, f.id) {
		t.after(func() { n.deviceClock(by, ack.At) })
	}
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
	if a != n.self.Address || !n.hasOthers() && len(n.hearing()) == 0 && !n.revoked() {
		return
	}
	n.syncAll()
	n.spawn(n.sayAgain)
	n.spawn(n.copyOwn)
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

// copyOwn has this device, which serves the records of all, hold what my other devices show: what they said before
// it was on the topic of an epoch did not come by it.
func (n *Node) copyOwn(ctx context.Context) {
	n.sync.mu.Lock()
	soon := n.sync.copying
	n.sync.copying = true
	n.sync.mu.Unlock()
	if soon {
		return
	}
	sleep(ctx, againAfter)
	n.sync.mu.Lock()
	n.sync.copying = false
	n.sync.mu.Unlock()
	if ctx.Err() != nil || !n.hasOthers() || n.revoked() {
		return
	}
	ctx, done := context.WithTimeout(ctx, fetchTimeout)
	defer done()
	var live []wire.PublicKey
	err := n.eachView(n.view, func(t *txn, view presence.View, _ presence.Publisher) error {
		for _, e := range view.Publishing(t.now) {
			live = append(live, e.E)
		}
		return nil
	})
	for _, p := range n.places(n.self.Address) {
		if up, _ := n.net.Connected(p.peer); !up {
			continue
		}
		for _, e := range live {
			if failed := n.net.Copy(ctx, p.peer, e); failed != nil && !errors.Is(failed, p2p.ErrNotFound) {
				n.log.Debug("not all is known of what another device shows", "err", failed)
				break
			}
		}
	}
	if err != nil {
		n.log.Warn("what other devices show was not looked up", "err", err)
	}
}

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

// nothingNew is a Sync that changes nothing: that a message which does not exist was not read.
func (n *Node) nothingNew() wire.Sync {
	none := wire.Item{Kind: wire.SyncRead, Key: make([]byte, len(wire.MID{})), T: 1, Deleted: true}
	return wire.Sync{Address: n.self.Address, Device: n.self.Device, Items: []wire.Item{none}}
}

// tellRemoved tells a device that was removed that it was: it gets the record that does not list it, in a
// Sync of nothing.
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
	l := &letter{to: n.self.Address, signed: wire.Sign(n.keys.Device(), wire.TypeSync, n.nothingNew().Append(nil))}
	if n.seal(l) == nil {
		n.hand(ctx, l, placeOfReach(r.reaches[0].rec), []wire.Recipient{to})
	}
}
