package presence

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// start is when every test begins.
const start Time = 1_800_000_000_000

var (
	alice = Address{1}
	bob   = Address{2}
	carol = Address{3}
	phone = DeviceID{1}
	desk  = DeviceID{2}
)

// at returns the clocks d after start; somebody was heard at that very moment.
func at(d time.Duration) Now {
	t := start.Add(d)
	return Now{Wall: t, Heard: t, Mono: 1000*time.Hour + d}
}

// unheard is at, but nobody has been heard since the start.
func unheard(d time.Duration) Now {
	n := at(d)
	n.Heard = start
	return n
}

// stepped is n with the system clock moved by d.
func stepped(n Now, d time.Duration) Now {
	n.Wall = n.Wall.Add(d)
	return n
}

func fresh(n byte) (b [64]byte) {
	for i := range b {
		b[i] = n
	}
	return b
}

func grantOf(n byte, from Time) *wire.Grant {
	f := fresh(n)
	e := Epoch{E: identity.NewSigningKey([32]byte(f[:32])).Public(), K: [32]byte(f[32:]), NotBefore: from, NotAfter: from.Add(wire.GrantLife)}
	return e.Grant(150)
}

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
