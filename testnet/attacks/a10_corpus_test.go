package attacks

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"filippo.io/edwards25519"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A field is one of a message, as the reference reads it: from the words of SPEC 3.2, not by our codec.
type field struct {
	number, kind, value uint64 // of a varint
	bytes               []byte // of a length-delimited one
}

// fields is the strict reading: minimal varints, rising numbers, nothing left over. A lax reader, the
// planted fault, is what a usual protobuf library does.
func fields(b []byte, lax bool) (out []field, ok bool) {
	last := uint64(0)
	for len(b) > 0 {
		key, n := varint(b, lax)
		if n == 0 {
			return nil, false
		}
		b = b[n:]
		f := field{number: key >> 3, kind: key & 7}
		if f.number <= last && !lax || f.number == 0 {
			return nil, false
		}
		last = f.number
		switch v, n := varint(b, lax); {
		case n == 0:
			return nil, false
		case f.kind == 0:
			f.value, b = v, b[n:]
		case f.kind == 2 && v <= uint64(len(b)-n):
			f.bytes, b = b[n:n+int(v)], b[n+int(v):]
		default:
			return nil, false
		}
		out = append(out, f)
	}
	return out, true
}

func varint(b []byte, lax bool) (uint64, int) {
	v, n := binary.Uvarint(b)
	if n <= 0 || !lax && len(binary.AppendUvarint(nil, v)) != n {
		return 0, 0
	}
	return v, n
}

// strictRec is what SPEC 4.4 and 4.5 say of a Rec on a topic, signature included.
func strictRec(e identity.PublicKey, b []byte, lax bool) bool {
	outer, ok := fields(b, lax)
	if !ok || len(b) > wire.MaxRec || !lax && len(outer) != 2 {
		return false
	}
	var body, sig []byte
	for _, f := range outer {
		switch {
		case f.number == 1 && f.kind == 2:
			body = f.bytes
		case f.number == 2 && f.kind == 2 && len(f.bytes) == 64:
			sig = f.bytes
		case !lax:
			return false
		}
	}
	inner, ok := fields(body, lax)
	if !ok || sig == nil {
		return false
	}
	var tag, ct []byte
	var t, base uint64
	for _, f := range inner {
		switch {
		case f.number == 1 && f.kind == 2:
			tag = f.bytes
		case f.number == 2 && f.kind == 0:
			t = f.value
		case f.number == 3 && f.kind == 0 && (f.value != 0 || lax):
			base = f.value
		case f.number == 4 && f.kind == 2 && (len(f.bytes) > 0 || lax):
			ct = f.bytes
		case !lax:
			return false
		}
	}
	if !lax && (len(tag) != 8 || t == 0 || (base == 0) == (ct == nil) || ct == nil && base >= t || ct != nil && !padded(len(ct)-28)) {
		return false
	}
	msg := append(append(append(identity.DS("rec"), 1), e[:]...), body...)
	return reference(e, msg, identity.Signature(sig))
}

// padded reports whether a length is one that padding makes (SPEC 3.5).
func padded(n int) bool { return n > 0 && identity.PadLen(n) == n }

// recOf joins a body and a signature of it by hand, as no printer of ours would.
func recOf(e identity.SigningKey, body []byte) []byte {
	key := e.Public()
	sig := e.Sign("rec", append(append([]byte{1}, key[:]...), body...))
	b := append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(body)))...)
	b = append(append(b, body...), 2<<3|2, 64)
	return append(b, sig[:]...)
}

// spoilt are bodies in ways that a sloppy reader takes; E signs each, so that the reading alone decides.
func spoilt() map[string][]byte {
	v := binary.AppendUvarint
	octets := func(n byte, b []byte) []byte { return append(v([]byte{n<<3 | 2}, uint64(len(b))), b...) }
	num := func(n byte, x uint64) []byte { return v([]byte{n << 3}, x) }
	long := func(n byte, x uint64) []byte { // one octet more than needed
		b := num(n, x)
		b[len(b)-1] |= 0x80
		return append(b, 0)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tag, t, base, ct := octets(1, make([]byte, 8)), num(2, 946684860000), num(3, 946684800000), octets(4, make([]byte, 256+28))
	return map[string][]byte{
		"a beacon as it is": join(tag, t, base), "an update as it is": join(tag, t, ct),
		"order": join(t, tag, base), "order of the end": join(tag, base, t), "tag twice": join(tag, tag, t, base), "base twice": join(tag, t, base, base),
		"no tag": join(t, base), "no t": join(tag, base), "t zero": join(tag, num(2, 0), base), "base zero": join(tag, t, num(3, 0)),
		"base zero beside ct": join(tag, t, num(3, 0), ct), "both": join(tag, t, base, ct), "neither": join(tag, t), "ct empty": join(tag, t, octets(4, nil)),
		"ct of no class": join(tag, t, octets(4, make([]byte, 255+28))), "ct too short": join(tag, t, octets(4, make([]byte, 28))),
		"tag of seven": join(octets(1, make([]byte, 7)), t, base), "tag of nine": join(octets(1, make([]byte, 9)), t, base),
		"long t": join(tag, long(2, 946684860000), base), "long base": join(tag, t, long(3, 946684800000)),
		"long key": join([]byte{0x8a, 0, 8}, make([]byte, 8), t, base), "long length": join([]byte{0x0a, 0x88, 0}, make([]byte, 8), t, base),
		"t as octets": join(tag, octets(2, []byte{1}), base), "t fixed": join(tag, []byte{2<<3 | 1}, make([]byte, 8), base),
		"field 5": join(tag, t, base, num(5, 1)), "field 0": join([]byte{0, 1}, tag, t, base), "group": join(tag, t, base, []byte{5<<3 | 3, 5<<3 | 4}),
		"one octet more": join(tag, t, base, []byte{0}), "cut": join(tag, t, base[:3]), "base is t": join(tag, t, num(3, 946684860000)), "base after t": join(tag, t, num(3, 946684860001)),
		"overflow": join(tag, append([]byte{2 << 3}, bytes.Repeat([]byte{0xff}, 10)...), base), "nothing": {},
	}
}

// TestAttack_10_StrictCorpus: on every way to write a Rec that is not the one way, our door, and a
// reference that was written from the words of the specification, say the same; a lax reader is found.
func TestAttack_10_StrictCorpus(t *testing.T) {
	e := newPerson("publisher").a
	ours := func(key identity.PublicKey, b []byte) bool {
		r, err := wire.ParseRec(b)
		return err == nil && r.Verify(key)
	}
	lax := 0
	judge := func(name string, key identity.PublicKey, b []byte, accepted bool) {
		if got, want := ours(key, b), strictRec(key, b, false); got != want || got != accepted {
			t.Errorf("%s: accepted %v, by the reference %v", name, got, want)
		}
		if strictRec(key, b, true) != accepted {
			lax++
		}
	}
	for name, body := range spoilt() {
		judge(name, e.Public(), recOf(e, body), strings.HasSuffix(name, "as it is"))
	}
	corpus := 0
	for _, v := range vectors(t) {
		switch name := v.Name; {
		case strings.HasPrefix(name, "strict-"):
			judge(name, identity.PublicKey(v.hex(t, "E")), v.hex(t, "rec"), false)
		case name == "ed25519-mixed-key":
			key := identity.PublicKey(v.hex(t, "pub"))
			if a, err := new(edwards25519.Point).SetBytes(key[:]); err != nil || torsionFree(a) || identity.ValidKey(key) {
				t.Errorf("%s: valid %v, torsion %v", name, identity.ValidKey(key), err)
			}
		case strings.HasPrefix(name, "ed25519-"):
			key, sig := identity.PublicKey(v.hex(t, "pub")), identity.Signature(v.hex(t, "sig"))
			if got, want := identity.VerifyRaw(key, v.hex(t, "msg"), sig), reference(key, v.hex(t, "msg"), sig); got || want {
				t.Errorf("%s: accepted %v, by the reference %v", name, got, want)
			}
		default:
			continue
		}
		corpus++
	}
	if corpus < 17 {
		t.Errorf("the corpus has %d entries", corpus)
	}
	if lax < 8 {
		t.Errorf("the planted fault, a lax reader, is found by %d alone", lax)
	}
}

// A vector is an entry of the corpus that every implementation is held against.
type vector struct {
	Name   string
	Inputs map[string]any
}

func vectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("../../p2p/wire/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Vectors []vector }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all.Vectors
}

func (v vector) hex(t *testing.T, input string) []byte {
	t.Helper()
	s, _ := v.Inputs[input].(string)
	b, err := hex.DecodeString(s)
	if err != nil || s == "" {
		t.Fatalf("%s has no %s", v.Name, input)
	}
	return b
}

// TestAttack_10_MixedKeys: E, which signed, and others that look like it: a verdict holds for one key alone.
func TestAttack_10_MixedKeys(t *testing.T) {
	e := newPerson("publisher").a
	rec := wire.NewBeacon(e, wire.Tag{1}, 946684860000, 946684800000)
	point, err := new(edwards25519.Point).SetBytes(pub(e))
	if err != nil {
		t.Fatal(err)
	}
	order2, _ := hex.DecodeString("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
	torsion, err := new(edwards25519.Point).SetBytes(order2)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string][]byte{
		"with torsion": new(edwards25519.Point).Add(point, torsion).Bytes(), "negated": new(edwards25519.Point).Negate(point).Bytes(),
		"doubled": new(edwards25519.Point).Add(point, point).Bytes(), "of somebody else": pub(newPerson("other").a), "of no one": make([]byte, 32),
	} {
		key := identity.PublicKey(k)
		if got, want := rec.Verify(key), strictRec(key, rec.Raw, false); got || want {
			t.Errorf("under the key %s: accepted %v, by the reference %v", name, got, want)
		}
	}
	if !rec.Verify(e.Public()) || !strictRec(e.Public(), rec.Raw, false) {
		t.Error("under its own key it is refused")
	}
}

func pub(k identity.SigningKey) []byte { p := k.Public(); return p[:] }
