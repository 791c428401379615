package identity

import "testing"

// A process that remembers signatures decides as one that does not: what was good stays good for its own key and message alone, and
// what is bad is bad each time.
func TestRememberSignatures(t *testing.T) {
	RememberSignatures(2)
	defer goodSigs.Store(nil)
	a, b := NewSigningKey([32]byte{1}), NewSigningKey([32]byte{2})
	msg := []byte("a message")
	sig := a.Sign("rec", msg)
	bad := sig
	bad[40] ^= 1
	for range 3 {
		if !Verify(a.Public(), "rec", msg, sig) {
			t.Error("a good signature is refused")
		}
		if Verify(b.Public(), "rec", msg, sig) || Verify(a.Public(), "im", msg, sig) || Verify(a.Public(), "rec", msg[1:], sig) || Verify(a.Public(), "rec", msg, bad) {
			t.Error("a bad signature is taken")
		}
	}
	seen := goodSigs.Load()
	if n := len(seen.young) + len(seen.old); n != 1 {
		t.Errorf("%d are remembered, want the good one", n)
	}
	for i := range byte(20) {
		if m := []byte{i}; !Verify(a.Public(), "rec", m, a.Sign("rec", m)) {
			t.Error("a good signature is refused")
		}
	}
	if n := len(seen.young) + len(seen.old); n > 4 {
		t.Errorf("%d are remembered, want 4 at most", n)
	}
}
