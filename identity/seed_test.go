package identity

import (
	"errors"
	"strings"
	"testing"
)

func TestSeedVectors(t *testing.T) {
	n := 0
	for _, v := range loadVectors(t) {
		if !strings.HasPrefix(v.Name, "keys-") {
			continue
		}
		n++
		s := Seed(v.in(t, "S"))
		k, r, c := s.AddressKey(0), s.RecoveryKey(0).Public(), s.Commitment(0)
		a, seed := k.Public(), k.Seed()
		same(t, "A", a[:], v.want(t, "A"))
		same(t, "A_seed", seed[:], v.want(t, "A_seed"))
		same(t, "R", r[:], v.want(t, "R"))
		same(t, "recovery", c[:], v.want(t, "recovery"))
		if got := Address(a).String(); got != v.Outputs["address"] {
			t.Errorf("address %s, want %s", got, v.Outputs["address"])
		}
		if s.AddressKey(1).Public() == a {
			t.Error("the second address is the first")
		}
	}
	if n != 2 {
		t.Errorf("%d vectors, want 2", n)
	}
}

// zeroWords is the vector of BIP 39 for 32 zero bytes.
var zeroWords = strings.Repeat("abandon ", 23) + "art"

func TestParseSeed(t *testing.T) {
	one := Seed{31: 1}
	tests := []struct {
		name, text string
		want       Seed
		ok         bool
	}{
		{"words of the standard", zeroWords, Seed{}, true},
		{"shouted over two lines", " " + strings.ToUpper(strings.Replace(zeroWords, " ", "\r\n\t", 1)), Seed{}, true},
		{"text", one.Text(), one, true},
		{"text in capitals", strings.ToUpper(one.Text()) + "\n", one, true},
		{"words", strings.Join(one.Words(), " "), one, true},
		{"nothing", "", Seed{}, false},
		{"23 words", strings.TrimPrefix(zeroWords, "abandon "), Seed{}, false},
		{"12 good words", strings.Repeat("abandon ", 11) + "about", Seed{}, false},
		{"wrong last word", strings.Repeat("abandon ", 24), Seed{}, false},
		{"no such word", strings.Replace(zeroWords, "abandon", "humhum", 1), Seed{}, false},
		{"an address", bobText, Seed{}, false},
		{"mixed case text", "H" + one.Text()[1:], Seed{}, false},
	}
	for _, tt := range tests {
		got, err := ParseSeed(tt.text)
		if got != tt.want || (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrSeed) {
			t.Errorf("%s: error %v, want success: %v; right seed: %v", tt.name, err, tt.ok, got == tt.want)
		}
	}
}

func TestNewSeed(t *testing.T) {
	a, errA := NewSeed(source(1))
	b, errB := NewSeed(source(2))
	if errA != nil || errB != nil || a == b || a == (Seed{}) {
		t.Errorf("two seeds: equal %v, zero %v, %v, %v", a == b, a == Seed{}, errA, errB)
	}
	if _, err := NewSeed(strings.NewReader("too short")); err == nil {
		t.Error("a seed from nothing")
	}
}

func TestSeedErrorsTellNothing(t *testing.T) {
	for _, text := range []string{strings.Replace(zeroWords, "art", "secretword", 1), "humsec1secretword"} {
		if _, err := ParseSeed(text); err == nil || strings.Contains(err.Error(), "secretword") {
			t.Errorf("error %v", err)
		}
	}
}

func FuzzParseSeed(f *testing.F) {
	f.Add(zeroWords)
	f.Add(Seed{1}.Text())
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSeed(text)
		if err != nil {
			return
		}
		for _, printed := range []string{s.Text(), strings.Join(s.Words(), " ")} {
			if back, err := ParseSeed(printed); err != nil || back != s {
				t.Errorf("another seed after printing: %v", err)
			}
		}
	})
}
