package node

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// What rows say alike is kept once, found again whole, and goes with the last of them: an ack with the last
// message that it names, all of it with the last message of somebody and the last answer to one.
func TestKeptOnce(t *testing.T) {
	t.Parallel()
	alice := start(t, "alice")
	his := identity.Address{7}
	record := []byte(strings.Repeat("an address record ", 20))
	ids := []wire.MID{{1}, {2}, {3}}
	ack := wire.Ack{From: alice.who.Address, To: his, Device: alice.who.Device, MIDs: ids, Disposition: wire.Delivered, At: alice.now().Wall}
	raw := wire.Sign(alice.keys.Device(), wire.TypeAck, ack.Append(nil)).Append(nil)
	until := alice.now().Wall.Add(wire.IMMaxLife)
	pass := func(do func(*txn) error) {
		t.Helper()
		if err := alice.update(do); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int) {
		pass(func(t *txn) error { n = t.Count(store.KeptOf(his)); return nil })
		return n
	}
	for _, id := range ids { // each in a pass of its own
		pass(func(tx *txn) error {
			a, err := tx.keepAck(his, ack, raw)
			r, err2 := tx.keep(his, record)
			again, err3 := tx.keep(his, r)
			if string(again) != string(r) || len(r) != len(digest{}) || len(a) != len(digest{}) {
				t.Errorf("stands for it: %x, %x, %x", a, r, again)
			}
			return errors.Join(err, err2, err3, remember(tx, his, id, nil, message.Seen{Ack: a, Until: until}))
		})
	}
	if n := count(); n != 2 {
		t.Fatalf("%d rows kept, want the ack and the record", n)
	}
	for i, id := range ids {
		pass(func(tx *txn) error {
			seen, err := alice.seen(tx, his, id)
			if err != nil {
				return err
			}
			if whole, err := tx.whole(his, seen.Ack); err != nil || string(whole) != string(raw) {
				t.Errorf("message %d keeps %x, %v", i, whole, err)
			}
			return errors.Join(tx.leaveAck(his, seen.Ack, id), tx.Delete(store.Seen(his, id)), tx.Delete(store.SeenUntil(until, his, id)))
		})
		if err := alice.purgeKept(); err != nil {
			t.Fatal(err)
		}
		if want := []int{2, 2, 0}[i]; count() != want {
			t.Errorf("after %d messages were forgotten %d rows are kept, want %d", i+1, count(), want)
		}
	}
}

// A message of a pass that fails keeps nothing, and one that names only itself shares nothing.
func TestKeptNotShared(t *testing.T) {
	t.Parallel()
	alice := start(t, "alice")
	his, lost := identity.Address{7}, errors.New("lost")
	record := slices.Repeat([]byte("r"), 100)
	for _, want := range []error{lost, nil} {
		if err := alice.update(func(tx *txn) error {
			one, err := tx.keepAck(his, wire.Ack{MIDs: make([]wire.MID, 1)}, record)
			if string(one) != string(record) {
				t.Errorf("an ack of one message became %x", one)
			}
			_, err2 := tx.keep(his, record)
			return errors.Join(err, err2, want)
		}); !errors.Is(err, want) {
			t.Fatal(err)
		}
		if err := alice.view(func(tx *txn) error {
			if n := tx.Count(store.KeptOf(his)); (n == 0) != (want != nil) {
				t.Errorf("%d rows after %v", n, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
