package wire

import (
	"testing"

	"github.com/hum-presence/hum/identity"
)

// That a record was found signed by one key says nothing of another, nor of a record that was read anew.
func TestRecRemembersItsKey(t *testing.T) {
	e, other := identity.NewSigningKey([32]byte{1}), identity.NewSigningKey([32]byte{2})
	r, err := ParseRec(NewBeacon(e, Tag{1}, 2, 1).Raw)
	if err != nil {
		t.Fatal(err)
	}
	copied := r
	for range 2 {
		if !r.Verify(e.Public()) || r.Verify(other.Public()) || r.Verify(PublicKey{}) {
			t.Fatal("it is signed by its own key alone")
		}
	}
	copied.Sig[0] ^= 1
	if copied.Verify(e.Public()) || copied.Verify(PublicKey{}) {
		t.Error("a bad signature is taken")
	}
	var none Rec
	if none.Verify(PublicKey{}) {
		t.Error("the record that says nothing is signed by the key that is none")
	}
	bad := append([]byte(nil), r.Raw...)
	bad[len(bad)-1] ^= 1
	if again, err := ParseRec(bad); err == nil && again.Verify(e.Public()) {
		t.Error("what was read anew has its own signature")
	}
}
