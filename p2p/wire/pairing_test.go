package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func pairCodeOf() PairCode {
	return PairCode{Device: PublicKey{1}, Peer: []byte("peer of T"), Addrs: [][]byte{{4, 1}, {4, 2}}, PreKey: PairPreKey([]byte("key")), Secret: [32]byte{9}}
}

func TestPairCode(t *testing.T) {
	x := pairCodeOf()
	text := x.String()
	for _, s := range []string{text, " " + text + "\n", "HUMDEV:" + strings.TrimPrefix(text, "humdev:")} {
		if got, err := ParsePairCode(s); err != nil || !reflect.DeepEqual(got, x) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "humdev:", "humdev:AAAA", "hum:" + text, text[:len(text)-1], text[:20] + "B" + text[21:], text + "A", text[:30] + "\n" + text[30:]} {
		if _, err := ParsePairCode(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if !x.Matches([]byte("key")) || x.Matches([]byte("kez")) {
		t.Error("the prekey is not told from another")
	}
}

// TestPairCheck has the digits differ as soon as anything in the code does.
func TestPairCheck(t *testing.T) {
	x := pairCodeOf()
	if len(x.Check()) != 17 {
		t.Errorf("check %q", x.Check())
	}
	y := x
	y.Secret[31]++
	z := x
	z.Device[31]++
	if x.Check() == y.Check() || x.Check() == z.Check() {
		t.Error("two codes show one check")
	}
}

// TestPairProof binds what was seen to the address and to both ends.
func TestPairProof(t *testing.T) {
	x := pairCodeOf()
	proof := x.Proof(Address{1}, []byte("asker"))
	other := x
	other.Secret[0]++
	moved := x
	moved.Peer = []byte("elsewhere")
	if proof == x.Proof(Address{2}, []byte("asker")) || proof == x.Proof(Address{1}, []byte("other")) ||
		proof == other.Proof(Address{1}, []byte("asker")) || proof == moved.Proof(Address{1}, []byte("asker")) {
		t.Error("a proof holds for something else")
	}
}

func FuzzPairCode(f *testing.F) {
	f.Add(pairCodeOf().String())
	f.Add("humdev:AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParsePairCode(s)
		if err != nil {
			return
		}
		if again, err := ParsePairCode(x.String()); err != nil || !reflect.DeepEqual(again, x) {
			t.Errorf("%q is read back as %+v, %v", x.String(), again, err)
		}
	})
}
