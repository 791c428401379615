package wire

import (
	"errors"
	"testing"

	"github.com/hum-presence/hum/identity"
)

// A Parcel of suite 0 is read without any key, and answered under what everybody can work out who has it.
func TestClearParcel(t *testing.T) {
	d := identity.NewSigningKey([32]byte{1})
	s := Sign(d, TypeIM, IM{From: Address{1}, To: Address{2}, Device: identity.DeviceIDOf(d.Public()), Nonce: [16]byte{3}, Sent: 1, Expires: 2, ContentType: "text/plain"}.Append(nil))
	ct, cek, err := ClearInner(Inner{Signed: s})
	if err != nil {
		t.Fatal(err)
	}
	b := Parcel{CT: ct, ExpiresS: 3600}.Append(nil)
	p, err := ParseParcel(b)
	if err != nil || p.Suite != SuiteClear || string(p.Append(nil)) != string(b) {
		t.Fatalf("%+v, %v", p, err)
	}
	o, err := OpenParcel(p, Address{2}, DeviceID{}, nil)
	if err != nil || o.Inner.Signed.ID() != s.ID() || o.CEK != cek {
		t.Errorf("opened to %+v, %v", o, err)
	}
	p.CT[len(p.CT)-1] ^= 1
	if _, err := OpenParcel(p, Address{2}, DeviceID{}, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("a pad that is not zero: %v", err)
	}
	sealed := Parcel{Wraps: []Wrap{{KeyID{1}, []byte{1}}}, CT: ct}.Append(nil)
	if _, err := ParseParcel(sealed); !errors.Is(err, ErrMalformed) {
		t.Errorf("a key without a suite: %v", err)
	}
	if _, _, err := ClearInner(Inner{Signed: s, Attached: []Signed{{Type: TypeIM, Body: make([]byte, MaxParcel)}}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}
