package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// epochKeys are the epochs of all views, with their keys, as this device holds them.
func (a *actor) epochKeys() (out []presence.Epoch) {
	a.t.Helper()
	if err := a.view(func(t *txn) error {
		names, err := a.viewNames(t)
		for _, name := range names {
			v, _, err := a.loadView(t, name)
			if err != nil {
				return err
			}
			out = append(out, v.Epochs...)
		}
		return err
	}); err != nil {
		a.t.Fatal(err)
	}
	return out
}

// TestAttack_15_RemovedDevice removes a device at moments of a rotation: before the next epoch is made, when it is
// known, and when it has begun. The device keeps every key that it had, and not one document of later opens with any;
// the watcher misses nothing.
func TestAttack_15_RemovedDevice(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, at := range []time.Duration{0, 5*day + 18*time.Hour, 7*day + time.Minute} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			bob, alice := start(t, "bob"), start(t, "alice")
			alice.subscribe(bob)
			two := bob.join("two", NewDevice{})
			bob.linked(two)
			for _, x := range []*actor{bob, two, alice} {
				x.pass(at)
			}
			eventually(t, "the second device has the epochs", func() bool { return bob.epochs() != "" && bob.epochs() == two.epochs() })
			eventually(t, "alice hears both", func() bool {
				two.says("two")
				bob.says("bob")
				return len(alice.presenceOf(bob.who.Address).Tuples) == 2
			})
			stolen := two.epochKeys()
			opened := func(after wire.Stamp) (n int) {
				for _, e := range bob.epochKeys() {
					for _, r := range bob.net.Held(e.E) {
						for _, k := range stolen {
							if _, err := wire.OpenDoc(k.K, e.E, r.Tag, r.T, r.CT); !r.IsBeacon() && r.T > after && err == nil {
								n++
							}
						}
					}
				}
				return n
			}
			if opened(0) == 0 {
				t.Fatal("the keys open nothing beforehand: nothing is tried")
			}
			must(bob.RevokeDevice(t.Context(), two.who.Device.String()))(t)
			gone := wire.Stamp(bob.now().Wall)
			for i := range 3 {
				note := fmt.Sprint("word ", i)
				bob.says(note)
				alice.sees(bob, "open "+note+" said")
				if n := opened(gone); n > 0 {
					t.Errorf("%d documents of afterwards open with a key that the removed device had", n)
				}
			}
			eventually(t, "alice is shown the other device alone", func() bool { return len(alice.presenceOf(bob.who.Address).Tuples) == 1 })
		})
	}
}
