package presence

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

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

// What the store gives back behaves as what it was given: every field that matters is exported.
func TestStatesSurviveTheStore(t *testing.T) {
	b, p := newTeller(phone), &Presence{Of: bob}
	b.tell(at(0))[0].to(t, p, at(0), ByTopic)
	b.v.Leave(CauseUnsub)
	w := watcher(Allow)
	same(t, watching(t, wire.SubActive))
	same(t, w)
	f, _ := Fetch(at(0), nil, fetch(1, 0), phone, may(Allow))
	same(t, f)
	same(t, fetched(t, at(0), wire.FetchOK, docOf(phone, wire.Open)))
	same(t, b.v)
	same(t, b.p)
	same(t, *p)
}

func same[T any](t *testing.T, v T) {
	t.Helper()
	raw, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := cbor.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	again, err := cbor.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, again) || fmt.Sprintf("%+v", v) != fmt.Sprintf("%+v", back) && reflect.TypeFor[T]().Name() != "Watching" {
		t.Errorf("\n%+v\n%+v", v, back)
	}
}
