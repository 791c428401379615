package identity

import (
	"bytes"
	"errors"
	"testing"
	"testing/iotest"
)

func TestSeal(t *testing.T) {
	key, aad, plain := [32]byte{1}, []byte("parcel"), []byte("hello")
	sealed := Seal(source(1), key, plain, aad)
	if len(sealed) != len(plain)+SealOverhead {
		t.Errorf("%d bytes", len(sealed))
	}
	if got, err := Open(key, sealed, aad); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("got %q, %v", got, err)
	}
	changed := bytes.Clone(sealed)
	changed[12] ^= 1
	tests := []struct {
		name        string
		key         [32]byte
		sealed, aad []byte
	}{
		{"other key", [32]byte{2}, sealed, aad},
		{"other context", key, sealed, []byte("Parcel")},
		{"one bit off", key, changed, aad},
		{"cut", key, sealed[:len(sealed)-1], aad},
		{"only a nonce", key, sealed[:12], aad},
		{"nothing", key, nil, aad},
	}
	for _, tt := range tests {
		if got, err := Open(tt.key, tt.sealed, tt.aad); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func TestSealWithoutRandomnessPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("sealed with a nonce from nowhere")
		}
	}()
	Seal(iotest.ErrReader(errors.New("none")), [32]byte{}, nil, nil)
}

func TestPadLen(t *testing.T) {
	for _, tt := range []struct{ n, want int }{
		{0, 256}, {256, 256}, {257, 512}, {512, 512}, {513, 1024}, {1025, 2048}, {2049, 4096},
		{4096, 4096}, {4097, 8192}, {8192, 8192}, {8193, 12288},
	} {
		if got := PadLen(tt.n); got != tt.want {
			t.Errorf("pad(%d) = %d, want %d", tt.n, got, tt.want)
		}
	}
}

func TestUnpadRefuses(t *testing.T) {
	padded := func(change func([]byte) []byte) []byte { return change(Pad([]byte("hello"))) }
	tests := []struct {
		name string
		x    []byte
	}{
		{"nothing", nil},
		{"three bytes", []byte{0, 0, 0}},
		{"pad not zero", padded(func(b []byte) []byte { b[len(b)-1] = 1; return b })},
		{"one byte short", padded(func(b []byte) []byte { return b[1:] })},
		{"the next class", padded(func(b []byte) []byte { return append(b, make([]byte, 256)...) })},
		{"longer than it is", padded(func(b []byte) []byte { b[2] = 1; return b })},
		{"longer than anything", padded(func(b []byte) []byte { copy(b, "\xff\xff\xff\xff"); return b })},
	}
	for _, tt := range tests {
		if got, err := Unpad(tt.x); !errors.Is(err, ErrPad) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func FuzzUnpad(f *testing.F) {
	f.Add(Pad(nil))
	f.Add(Pad(make([]byte, 252)))
	f.Add(Pad(make([]byte, 253)))
	f.Fuzz(func(t *testing.T, x []byte) {
		if got, err := Unpad(x); err == nil && !bytes.Equal(Pad(got), x) {
			t.Errorf("a second padding of %x: %x", got, x)
		}
		if got, err := Unpad(Pad(x)); err != nil || !bytes.Equal(got, x) {
			t.Errorf("%x came back as %x, %v", x, got, err)
		}
	})
}

func TestPreKeySecret(t *testing.T) {
	p, err := GeneratePreKey(source(1))
	if err != nil {
		t.Fatal(err)
	}
	other, err := GeneratePreKey(source(2))
	if err != nil {
		t.Fatal(err)
	}
	info, cek := []byte("info"), bytes.Repeat([]byte{7}, 32)
	sealed, err := SealTo(p.Public(), info, cek)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Public()) != PreKeySize || len(sealed) != EncapsulationSize+len(cek)+16 {
		t.Errorf("public key of %d bytes, sealed %d", len(p.Public()), len(sealed))
	}
	if got, err := p.Open(info, sealed); err != nil || !bytes.Equal(got, cek) {
		t.Errorf("got %x, %v", got, err)
	}
	if again, err := NewPreKeySecret(p.Seed()); err != nil || again.ID() != p.ID() {
		t.Errorf("another key from the same seed, %v", err)
	}
	tests := []struct {
		name         string
		key          *PreKeySecret
		info, sealed []byte
	}{
		{"other key", other, info, sealed},
		{"other info", p, []byte("Info"), sealed},
		{"cut", p, info, sealed[:len(sealed)-1]},
		{"encapsulation only", p, info, sealed[:EncapsulationSize]},
		{"less", p, info, sealed[:100]},
		{"nothing", p, info, nil},
	}
	for _, tt := range tests {
		if got, err := tt.key.Open(tt.info, tt.sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %x, %v", tt.name, got, err)
		}
	}
	for _, pub := range [][]byte{nil, p.Public()[1:], bytes.Repeat([]byte{255}, PreKeySize)} {
		if _, err := SealTo(pub, info, cek); err == nil {
			t.Errorf("sealed to a key of %d bytes that is none", len(pub))
		}
	}
}
