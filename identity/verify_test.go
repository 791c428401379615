package identity

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"testing"

	"filippo.io/edwards25519"
)

func TestVerify(t *testing.T) {
	k := NewSigningKey([32]byte{1})
	other := NewSigningKey([32]byte{2}).Public()
	sig := k.Sign("im", []byte("hello"))
	flip := sig
	flip[0] ^= 1
	tests := []struct {
		name, label, msg string
		key              PublicKey
		sig              Signature
		want             bool
	}{
		{"as signed", "im", "hello", k.Public(), sig, true},
		{"other label", "ack", "hello", k.Public(), sig, false},
		{"other message", "im", "hellO", k.Public(), sig, false},
		{"byte moved from message to label", "imh", "ello", k.Public(), sig, false},
		{"other key", "im", "hello", other, sig, false},
		{"one bit off", "im", "hello", k.Public(), flip, false},
		{"nothing", "im", "hello", k.Public(), Signature{}, false},
		{"key of zeros", "im", "hello", PublicKey{}, sig, false},
	}
	for _, tt := range tests {
		if got := Verify(tt.key, tt.label, []byte(tt.msg), tt.sig); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if !VerifyRaw(k.Public(), []byte("hum/1\x00im\x00hello"), sig) {
		t.Error("the prefix is not that of the specification")
	}
}

func TestGenerateSigningKey(t *testing.T) {
	k, err := GenerateSigningKey(source(1))
	if err != nil || k.IsZero() || !(SigningKey{}).IsZero() {
		t.Fatalf("no key: %v", err)
	}
	if again := NewSigningKey(k.Seed()); again.Public() != k.Public() || !ValidKey(k.Public()) {
		t.Error("the seed is of another key")
	}
	if _, err := GenerateSigningKey(bytes.NewReader(nil)); err == nil {
		t.Error("a key from nothing")
	}
}

// The eight points of small order, and encodings that only lax decoders take for a point.
func TestValidKeyRefuses(t *testing.T) {
	for _, s := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"0100000000000000000000000000000000000000000000000000000000000080", // -0
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p+1
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p
		"0200000000000000000000000000000000000000000000000000000000000000", // no point
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time the cache has its say
			if ValidKey(PublicKey(b)) {
				t.Errorf("%s accepted", s)
			}
		}
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	c := keyCache{limit: 4}
	kept := PublicKey{255}
	c.add(kept)
	for i := range 100 {
		c.add(PublicKey{byte(i)})
		if !c.has(kept) {
			t.Fatalf("a key in use was forgotten after %d others", i+1)
		}
		if n := len(c.young) + len(c.old); n > 8 {
			t.Fatalf("%d keys are held", n)
		}
	}
	if c.has(PublicKey{1}) {
		t.Error("an old key was never forgotten")
	}
}

// referenceVerify follows SPEC 3.4 step by step, with the torsion check done another way.
func referenceVerify(pub PublicKey, msg []byte, sig Signature) bool {
	a, err := new(edwards25519.Point).SetBytes(pub[:])
	if err != nil || !bytes.Equal(a.Bytes(), pub[:]) || a.Equal(edwards25519.NewIdentityPoint()) == 1 {
		return false
	}
	eight, _ := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{8}, make([]byte, 31)...))
	cleared := new(edwards25519.Point).MultByCofactor(a)
	cleared.ScalarMult(eight.Invert(eight), cleared)
	s, err := edwards25519.NewScalar().SetCanonicalBytes(sig[32:])
	if err != nil || cleared.Equal(a) != 1 {
		return false
	}
	h := sha512.New()
	h.Write(sig[:32])
	h.Write(pub[:])
	h.Write(msg)
	k, _ := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	r := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(k.Negate(k), a, s)
	return bytes.Equal(r.Bytes(), sig[:32])
}

// FuzzVerify compares verdicts; what is given is added to a good key and signature, so that the
// interesting neighbourhood is found. order moves the key by a point of small order.
func FuzzVerify(f *testing.F) {
	torsion, _ := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	f.Add([]byte("hello"), []byte{}, []byte{}, byte(0))
	f.Add([]byte("hello"), []byte{}, []byte{}, byte(1))
	f.Add([]byte("hello"), []byte{1}, []byte{}, byte(0))
	f.Add([]byte("hello"), []byte{}, bytes.Repeat([]byte{1}, 64), byte(0))
	f.Fuzz(func(t *testing.T, msg, keyMask, sigMask []byte, order byte) {
		k := NewSigningKey([32]byte{1})
		pub, sig := k.Public(), Signature(k.Sign("", msg))
		a, _ := new(edwards25519.Point).SetBytes(pub[:])
		q, _ := new(edwards25519.Point).SetBytes(torsion)
		for range order % 8 {
			a.Add(a, q)
		}
		pub = PublicKey(a.Bytes())
		for i := range min(len(keyMask), len(pub)) {
			pub[i] ^= keyMask[i]
		}
		for i := range min(len(sigMask), len(sig)) {
			sig[i] ^= sigMask[i]
		}
		if got, want := Verify(pub, "", msg, sig), referenceVerify(pub, labelled("", msg), sig); got != want {
			t.Errorf("key %x, signature %x: %v, want %v", pub, sig, got, want)
		}
	})
}
