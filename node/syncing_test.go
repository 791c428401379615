package node

import (
	"errors"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/node/replica"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// TestDeletionWaitsForAll: a device that was away for longer than deletions are kept hears of one all the same,
// and does not bring back what was deleted; once all know, it is forgotten.
func TestDeletionWaitsForAll(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	bob.befriend(alice)
	two := bob.join("two", NewDevice{})
	eventually(t, "the second device has the contact", func() bool { return two.petname(alice.who.Address) == "alice" })
	two.stop()
	must(bob.Forget(t.Context(), "alice"))(t)
	k := store.Shared(uint32(wire.SyncContact), alice.who.Address[:])
	age := func(x *actor, d time.Duration) {
		t.Helper()
		if err := x.update(func(t *txn) error {
			row, err := get[sharedRow](t, k)
			row.T = t.now.Wall.Add(-d)
			t.hear(t.now.Wall)
			return errors.Join(err, put(t, k, row))
		}); err != nil {
			t.Fatal(err)
		}
	}
	held := func() (ok bool) {
		_ = bob.view(func(t *txn) (err error) { _, ok, err = find[sharedRow](t, k); return err })
		return ok
	}
	age(bob, replica.DeletionKept+time.Hour)
	if err := bob.purgeShared(); err != nil || !held() {
		t.Fatalf("a deletion that a device has not heard was forgotten: %v", err)
	}
	two.open()
	age(two, replica.DeletionKept+2*time.Hour)
	two.stop()
	two.up()
	eventually(t, "the second device has heard of it", func() bool { return len(must(two.Contacts(t.Context()))(t)) == 0 })
	eventually(t, "the first knows that it has", func() bool {
		_ = bob.purgeShared()
		return !held()
	})
	if len(must(bob.Contacts(t.Context()))(t)) != 0 {
		t.Error("who was forgotten is back")
	}
}

// TestLateSyncOfPurgedRows: what went for its age does not come back from a device that has it still.
func TestLateSyncOfPurgedRows(t *testing.T) {
	t.Parallel()
	bob := settle(t, "bob")
	bob.open()
	bob.heard.raise(bob.now().Wall)
	now := bob.now()
	var items []wire.Item
	add := func(kind wire.SyncKind, key []byte, v any) {
		t.Helper()
		b := must(rowMode.Marshal(v))(t)
		items = append(items, wire.Item{Kind: kind, Key: key, Value: b, T: now.Wall - 1})
	}
	sent := func(at identity.Time) wire.MID {
		t.Helper()
		im := wire.IM{From: bob.who.Address, To: identity.Address{1}, Device: bob.who.Device, Nonce: [16]byte{byte(at), 1}, Sent: at, Expires: at.Add(time.Hour), ContentType: "text/plain"}
		s := wire.Sign(bob.keys.Device(), wire.TypeIM, im.Append(nil))
		id := s.ID()
		if at != now.Wall { // it was here, is settled and old
			e := must(message.New(identity.Now{Wall: at}, id, im, s.Append(nil)))(t)
			e.Orphan(now)
			if err := bob.update(func(t *txn) error { return put(t, store.Outbox(id), e) }); err != nil {
				t.Fatal(err)
			}
		}
		add(wire.SyncSent, id[:], sharedSent{s.Append(nil), true})
		return id
	}
	sent(now.Wall - 3)
	sent(now.Wall - 2)
	if err := bob.purgeOutbox(0); err != nil {
		t.Fatal(err)
	}
	fresh := sent(now.Wall)
	long := now.Wall.Add(-40 * 24 * time.Hour)
	over := sharedWatcher{State: wire.SubTerminated, Since: long, Began: long, Want: wire.WantPresence}
	add(wire.SyncWatcher, watcherKey(identity.Address{2}, wire.SubID{1}), over)
	over.Since, over.Began = now.Wall, now.Wall
	add(wire.SyncWatcher, watcherKey(identity.Address{2}, wire.SubID{2}), over)
	if err := bob.update(func(t *txn) error {
		_, err := bob.takeSync(t, wire.Sync{Address: bob.who.Address, Device: identity.DeviceID{9}, Items: items})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if out := must(bob.Outbox(t.Context(), ""))(t); len(out) != 1 || out[0].ID != fresh {
		t.Errorf("%d messages are back", len(out))
	}
	if err := bob.view(func(t *txn) error {
		of, err := all[presence.Watcher](t, store.AllWatchers())
		if len(of) != 1 || of[0].Sub != (wire.SubID{2}) {
			bob.t.Errorf("subscriptions: %+v", of)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestNothingNew: the Sync that tells a device that it was removed changes nothing there, whatever it has.
func TestNothingNew(t *testing.T) {
	t.Parallel()
	bob := settle(t, "bob")
	bob.open()
	s := must(wire.ParseSync(bob.nothingNew().Append(nil)))(t)
	s.Device = identity.DeviceID{9}
	if err := bob.update(func(t *txn) error { _, err := bob.takeSync(t, s); return err }); err != nil {
		t.Fatal(err)
	}
	if err := bob.view(func(t *txn) error {
		name, _, err := find[string](t, nameRow)
		if name != "bob" {
			bob.t.Errorf("the name is %q", name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
