package node

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A slot holds the newest word on one subscription, sealed to the device that asked, at my anchors and homes: the
// keys of the next epochs, or my yes, are found there while I am away (SPEC 7.2).

const (
	slotLife   = 30 * 24 * time.Hour // of which half goes by before it is put again
	slotsAgain = 10 * time.Minute    // between two looks at what nothing has told of
)

// awaySecret is the V of SPEC 7.2, which all my publishers share; what a contact leaves messages by comes from it too.
var awaySecret = store.Meta("away-secret")

// drawSecret returns V, which is drawn the first time.
func (n *Node) drawSecret(t *txn) (v [32]byte, err error) {
	v, ok, err := find[[32]byte](t, awaySecret)
	if ok || err != nil {
		return v, err
	}
	if _, err := io.ReadFull(n.cfg.Rand, v[:]); err != nil {
		return v, err
	}
	return v, n.setSecret(t, v)
}

func (n *Node) setSecret(t *txn, v [32]byte) error {
	if err := n.heardSecret(t, v); err != nil {
		return err
	}
	return n.share(t, wire.SyncMailbox, []byte(secretKey))
}

// heardSecret keeps V, and the one before.
func (n *Node) heardSecret(t *txn, v [32]byte) error {
	t.after(func() { n.joined.setSecret(v) })
	return errors.Join(n.keepSecretBefore(t, v), put(t, awaySecret, v))
}

func (j *joinedState) setSecret(v [32]byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.secret = v
}

// capOf is what a may leave messages by, in every mailbox of mine. Who does not know V cannot tell whose it is.
func (j *joinedState) capOf(a identity.Address) wire.Cap {
	j.mu.Lock()
	defer j.mu.Unlock()
	return identity.KDF(j.secret[:], "cap", a[:])
}

// has reports whether a community of mine does one of these jobs.
func (j *joinedState) has(r wire.CommunityRoles) bool {
	for _, m := range j.all() {
		if m.does(r) {
			return true
		}
	}
	return false
}

// slotOf names the slot of a subscription in what its watcher is told; zero if nobody keeps it.
func (n *Node) slotOf(t *txn, w presence.Watcher) (slot wire.PublicKey, err error) {
	if !n.joined.has(wire.RoleAnchor | wire.RoleHome) {
		return slot, nil
	}
	v, err := n.drawSecret(t)
	return wire.SlotKey(v, w.Who, w.Sub).Public(), err
}

// A slotPut is what lies in one slot at one node.
type slotPut struct {
	id wire.MID
	at identity.Time
}

// keepSlots has an anchor or home keep the newest word on every subscription to me.
func (n *Node) keepSlots(ctx context.Context, m membership) {
	if !m.does(wire.RoleAnchor|wire.RoleHome) || n.self.Services&identity.Presentity == 0 {
		return
	}
	had := map[string]slotPut{}
	for ctx.Err() == nil {
		changed := n.joined.changes()
		if err := n.putSlots(ctx, m, had); err != nil {
			n.log.Debug("slots were not put; they are put again", "err", err)
			sleep(ctx, attendPause)
			continue
		}
		timer := time.NewTimer(slotsAgain)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (n *Node) putSlots(ctx context.Context, m membership, had map[string]slotPut) error {
	var due []presence.Watcher
	now := n.now().Wall
	if err := n.view(func(t *txn) error {
		return rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			old := had[string(watcherKey(w.Who, w.Sub))]
			if w.Raw != nil && (old.id != w.ID || now.Sub(old.at) > slotLife/2) {
				due = append(due, w)
			}
			return true, nil
		})
	}); err != nil {
		return err
	}
	for _, w := range due {
		if err := n.putSlot(ctx, m, w); err != nil {
			return err
		}
		had[string(watcherKey(w.Who, w.Sub))] = slotPut{w.ID, now}
	}
	return nil
}

// putSlot puts the word on one subscription. One whose device has no keys that are known is left out.
func (n *Node) putSlot(ctx context.Context, m membership, w presence.Watcher) error {
	s, err := wire.ParseSigned(w.Raw)
	pin := n.pins.get(w.Who)
	if err != nil || pin == nil {
		return nil
	}
	to := targetsOf(pin, n.now(), anyDevice, w.Device, identity.DeviceRecordGrace)
	if len(to) != 1 {
		return nil
	}
	l := &letter{to: w.Who, role: anyDevice, device: w.Device, signed: s, all: true}
	if err := n.seal(l); err != nil {
		return err
	}
	parcel, err := n.parcelFor(l, to)
	if err != nil {
		return err
	}
	var at identity.Stamp
	var secrets [][32]byte
	if err := n.update(func(t *txn) error {
		v, err := n.drawSecret(t)
		secrets = [][32]byte{v}
		if err == nil && w.Unacked { // he may know no other slot than the one of before
			before, failed := n.secretsBefore(t)
			for _, x := range before {
				secrets = append(secrets, x.V)
			}
			err = failed
		}
		if err == nil {
			at, err = stamp(t, "slot")
		}
		return err
	}); err != nil {
		return err
	}
	for _, v := range secrets {
		if err := n.putIn(ctx, m, wire.SlotKey(v, w.Who, w.Sub), at, parcel); err != nil {
			return err
		}
	}
	return nil
}

// putIn puts a Parcel into a slot at the node of m.
func (n *Node) putIn(ctx context.Context, m membership, k identity.SigningKey, at identity.Stamp, parcel []byte) error {
	if err := n.net.AskHost(ctx, m.peer(), wire.HostRequest{Key: k.Public(), Until: n.now().Wall.Add(slotLife), Token: m.Token}); err != nil {
		return err
	}
	r := wire.NewKept(wire.ContextSlot, k, at, parcel)
	err := n.net.Put(ctx, m.peer(), wire.PutRequest{Ctx: wire.ContextSlot, Key: k.Public(), Rec: r.Raw})
	if errors.Is(err, p2p.ErrStale) { // another device of mine was faster
		err = nil
	}
	return err
}

// parcelFor wraps a sealed letter for each target, as it is left somewhere.
func (n *Node) parcelFor(l *letter, to []target) ([]byte, error) {
	var every []wire.Recipient
	for _, t := range to {
		every = append(every, t.to)
	}
	wraps, err := wire.WrapFor(identity.Suite1, l.cek, l.ct, every)
	if err != nil {
		return nil, err
	}
	n.expectAck(l)
	return wire.Parcel{Suite: identity.Suite1, Wraps: wraps, CT: l.ct, ExpiresS: wire.ParcelExpiry(l.hint(n.now()))}.Append(nil), nil
}

// readSlot looks for the newest word on a subscription of mine where the presentity leaves it; the anchors of all
// operators are asked, so that one that rolls back is found out.
func (n *Node) readSlot(ctx context.Context, w presence.Watching) {
	if w.Slot == (wire.PublicKey{}) {
		return
	}
	for _, e := range w.Anchors {
		n.spawn(func(context.Context) {
			ctx, done := context.WithTimeout(ctx, handTimeout)
			defer done()
			via, up := n.through(e, wire.RoleAnchor)
			r, err := n.getKept(ctx, via, w.Slot, up)
			if err != nil {
				if !errors.Is(err, p2p.ErrNotFound) {
					n.joined.miss()
				}
				n.log.Debug("a slot was not read", "err", err)
				return
			}
			parcel, err := wire.ParseParcel(r.CT)
			if err != nil {
				n.count("bad-slot")
				return
			}
			if a, ok := n.openStored(parcel); ok {
				n.dispatch(ctx, a)
			}
		})
	}
}

// pollSlot asks the slot, unless the presentity is in reach.
func (n *Node) pollSlot(ctx context.Context, w presence.Watching) {
	if w.Slot != (wire.PublicKey{}) && !n.anyConnected(peersAt(n.places(w.Of))) {
		n.readSlot(ctx, w)
	}
}

// The slots of those who are out of reach are read at the start and again and again: nobody else tells me of a yes,
// or of the next keys, meanwhile. What an anchor did not answer is asked again sooner, less and less so.
const (
	slotsRead  = 15 * time.Minute
	slotsSoon  = time.Minute
	slotsApart = 1200 * time.Millisecond // two GETs: an anchor answers 60 a minute
)

// miss notes that an anchor did not answer for a slot.
func (j *joinedState) miss() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.missed = true
}

// readDue reports whether slots are to be read now, and then notes that they are.
func (j *joinedState) readDue(now identity.Now) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	since := now.Mono - j.read
	switch {
	case j.read == 0:
		j.pause = slotsSoon
	case j.missed && since >= j.pause:
		j.pause = min(2*j.pause, slotsRead)
	case since > slotsRead:
		j.pause = slotsSoon
	default:
		return false
	}
	j.read, j.missed = now.Mono+1, false
	return true
}

// readSlots reads them, if it is time.
func (n *Node) readSlots() {
	if !n.joined.readDue(n.now()) {
		return
	}
	n.spawn(func(ctx context.Context) {
		for _, w := range n.presence.allWatching() {
			if w.Slot == (wire.PublicKey{}) || !live(w.State) || n.anyConnected(peersAt(n.places(w.Of))) {
				continue
			}
			n.readSlot(ctx, w)
			if sleep(ctx, slotsApart); ctx.Err() != nil {
				return
			}
		}
	})
}

// changes is closed when what is kept at community nodes may have changed.
func (j *joinedState) changes() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return j.changed
}

func (j *joinedState) stir() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}
