package identity

import (
	"errors"
	"strings"
	"testing"
)

func TestFingerprintIsHalfASafetyNumber(t *testing.T) {
	for _, v := range loadVectors(t) {
		if v.Name != "safety-number" {
			continue
		}
		for _, who := range []string{"A", "B"} {
			f := Address(v.in(t, who)).Fingerprint()
			if got, want := strings.ReplaceAll(f, " ", ""), v.Outputs["half_"+who]; got != want {
				t.Errorf("%s: got %s, want %s", who, got, want)
			}
			if len(strings.Fields(f)) != 6 {
				t.Errorf("%s: not six groups: %q", who, f)
			}
		}
		return
	}
	t.Fatal("no vector")
}

func TestParseAddressRefuses(t *testing.T) {
	a := bob(t)
	tests := []struct{ name, text string }{
		{"nothing", ""},
		{"space around it", " " + bobText},
		{"a newline behind it", bobText + "\n"},
		{"a URI", a.IM()},
		{"a seed", Seed(a).Text()},
		{"the older checksum", "hum1qmrv62gvrdpvsusht3fwwycnqc99vwt2p8xvqgrsd0az73dqqup2qy4xjez"},
		{"version 1", "hum1pmrv62gvrdpvsusht3fwwycnqc99vwt2p8xvqgrsd0az73dqqup2qwzxmp7"},
		{"a bit left over", "hum1qmrv62gvrdpvsusht3fwwycnqc99vwt2p8xvqgrsd0az73dqqup2pvlztpj"},
	}
	for _, tt := range tests {
		if got, err := ParseAddress(tt.text); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: got %v, %v", tt.name, got, err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add(bobText)
	f.Add(strings.ToUpper(bobText))
	f.Add("hum1")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err == nil && a.String() != strings.ToLower(s) {
			t.Errorf("a second text of %v: %q", a, s)
		}
	})
}

func FuzzAddressBack(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, key []byte) {
		var a, back Address
		copy(a[:], key)
		text, _ := a.MarshalText()
		if len(text) != 63 {
			t.Errorf("%s has %d characters", text, len(text))
		}
		if err := back.UnmarshalText(text); err != nil || back != a {
			t.Errorf("%s is %v, %v", text, back, err)
		}
	})
}
