package identity

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

type vector struct {
	Name    string
	Inputs  map[string]any
	Outputs map[string]any
}

func (v vector) in(t *testing.T, name string) []byte { return fromHex(t, v.Inputs[name]) }

func (v vector) want(t *testing.T, name string) []byte { return fromHex(t, v.Outputs[name]) }

func fromHex(t *testing.T, x any) []byte {
	t.Helper()
	s, ok := x.(string)
	b, err := hex.DecodeString(s)
	if !ok || err != nil {
		t.Fatalf("not hex: %v", x)
	}
	return b
}

func loadVectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

func TestVectors(t *testing.T) {
	kinds := []struct {
		prefix string
		check  func(*testing.T, vector)
		count  int
	}{
		{"address-bad-", checkBadAddress, 4},
		{"device-", checkDevice, 2},
		{"prekey-", checkPreKey, 2},
		{"ed25519-", checkVerdict, 4},
	}
	vectors := loadVectors(t)
	for _, k := range kinds {
		n := 0
		for _, v := range vectors {
			if strings.HasPrefix(v.Name, k.prefix) {
				n++
				t.Run(v.Name, func(t *testing.T) { k.check(t, v) })
			}
		}
		if n != k.count {
			t.Errorf("%s: %d vectors, want %d", k.prefix, n, k.count)
		}
	}
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s\n got %x\nwant %x", what, got, want)
	}
}

func checkBadAddress(t *testing.T, v vector) {
	text := v.Inputs["text"].(string)
	if a, err := ParseAddress(text); err == nil {
		t.Errorf("%s was read as %v", text, a)
	}
}

func checkDevice(t *testing.T, v vector) {
	d := NewSigningKey([32]byte(v.in(t, "D_seed"))).Public()
	same(t, "D", d[:], v.want(t, "D"))
	id := DeviceIDOf(d)
	same(t, "device", id[:], v.want(t, "device"))
}

func checkPreKey(t *testing.T, v vector) {
	p, err := NewPreKeySecret([32]byte(v.in(t, "seed")))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "pub", p.Public(), v.want(t, "pub"))
	id := p.ID()
	same(t, "kid", id[:], v.want(t, "kid"))
}

func checkVerdict(t *testing.T, v vector) {
	pub := PublicKey(v.in(t, "pub"))
	if _, ok := v.Inputs["sig"]; !ok {
		if ValidKey(pub) {
			t.Errorf("key %x accepted", pub)
		}
		return
	}
	want := v.Outputs["accept"].(bool)
	if got := VerifyRaw(pub, v.in(t, "msg"), Signature(v.in(t, "sig"))); got != want {
		t.Errorf("accepted: %v, want %v", got, want)
	}
}
