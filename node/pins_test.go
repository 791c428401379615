package node

import (
	"testing"
)

// TestPinIsHeldOnce: what a pass reads of somebody who is known is what is held of him, without another copy.
func TestPinIsHeldOnce(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	bob.befriend(alice)
	alice.deliver(bob, "one")
	same := func() {
		t.Helper()
		var p pinned
		held := bob.pins.get(alice.who.Address)
		err := bob.view(func(tx *txn) (err error) {
			p, _, err = bob.pinRow(tx, alice.who.Address)
			return err
		})
		if err != nil || held == nil || len(p.Pin.Raw) == 0 || len(held.Raw) == 0 {
			t.Fatalf("%v, %+v, %+v", err, p, held)
		}
		if &p.Pin.Raw[0] != &held.Raw[0] {
			t.Error("a pass decoded what is held")
		}
	}
	same()
	bob.stop()
	bob.up()
	same()
}
