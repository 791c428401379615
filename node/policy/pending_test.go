package policy

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/hum-presence/hum/identity"
	"pgregory.net/rapid"
)

// asks returns the i-th request of a stranger with a peer id of his own.
func asks(i int) Pending {
	return Pending{
		Who: identity.Address{1, byte(i >> 8), byte(i)}, Device: identity.DeviceID{1},
		Peer: fmt.Sprint("peer", i), At: identity.Time(1000 + i),
	}
}

func many(n int, change func(i int, p *Pending)) (held []Pending) {
	for i := range n {
		p := asks(i)
		change(i, &p)
		held = append(held, p)
	}
	return held
}

func TestSeat(t *testing.T) {
	seat := func(replace ...int) Place { return Place{true, replace} }
	none := func(int, *Pending) {}
	reserved := func(_ int, p *Pending) { p.Reserved = true }
	in := asks(9000)
	with := func(change func(p *Pending)) Pending { p := in; change(&p); return p }

	tests := []struct {
		name string
		held []Pending
		in   Pending
		want Place
	}{
		{"the first", nil, in, seat()},
		{"the last common place", many(199, none), in, seat()},
		{"the same device asks again", many(3, none), asks(1), seat(1)},
		{"a stranger who asks again has become a contact", many(3, none), with(func(p *Pending) { p.Who = asks(1).Who; p.Reserved = true }), seat(1)},
		{"the same, where contacts are many", append(many(100, reserved), in), with(func(p *Pending) { p.Reserved = true }), seat(100, 0)},
		{"the same device asks again from a crowded peer", many(6, func(i int, p *Pending) {
			if i > 0 {
				p.Peer = in.Peer
			}
		}), with(func(p *Pending) { p.Who = asks(0).Who }), Place{}},
		{"another device of the same address", many(1, none), with(func(p *Pending) { p.Who = asks(0).Who; p.Device[0] = 2 }), seat()},
		{"fifth of a peer", many(4, func(_ int, p *Pending) { p.Peer = in.Peer }), in, seat()},
		{"sixth of a peer", many(5, func(_ int, p *Pending) { p.Peer = in.Peer }), in, Place{}},
		{"sixth of a prefix", many(5, func(_ int, p *Pending) { p.Prefix = "192.0.2.0/24" }), with(func(p *Pending) { p.Prefix = "192.0.2.0/24" }), Place{}},
		{"sixth on a LAN", many(5, func(_ int, p *Pending) { p.Prefix = "" }), in, seat()},
		{"full: the oldest gives way", many(200, none), in, seat(0)},
		{"full: the oldest of the greediest", many(200, func(i int, p *Pending) {
			if i == 7 || i == 70 || i == 170 {
				p.Peer = "greedy"
			}
		}), in, seat(7)},
		{"full: greedy by prefix", many(200, func(i int, p *Pending) {
			if i >= 100 && i < 104 {
				p.Prefix = "192.0.2.0/24"
			}
		}), in, seat(100)},
		{"full of strangers, a contact asks", many(200, none), with(func(p *Pending) { p.Reserved = true }), seat()},
		{"a contact behind the peer of five strangers", many(5, func(_ int, p *Pending) { p.Peer = in.Peer }), with(func(p *Pending) { p.Reserved = true }), seat()},
		{"full of contacts, a contact asks", many(100, reserved), with(func(p *Pending) { p.Reserved = true }), seat(0)},
		{"full of contacts, a stranger asks", many(100, reserved), in, seat()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Seat(test.held, test.in); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// Whoever asks in whatever order, no bound is ever exceeded, and a contact is never refused.
func TestSeatBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var held []Pending
		for i := range rapid.IntRange(0, 400).Draw(t, "requests") {
			in := Pending{
				Who: identity.Address{byte(rapid.IntRange(0, 90).Draw(t, "who"))}, Device: identity.DeviceID{byte(i % 2)},
				Peer:     fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "peer")),
				Prefix:   rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "prefix"),
				Reserved: rapid.Bool().Draw(t, "contact"), At: identity.Time(i),
			}
			switch p := Seat(held, in); {
			case !p.OK && in.Reserved:
				t.Fatal("a contact was refused")
			case p.OK:
				held = append(without(held, p.Replace), in)
			}
			check(t, held)
		}
	})
}

func without(held []Pending, gone []int) (rest []Pending) {
	for i, p := range held {
		if !slices.Contains(gone, i) {
			rest = append(rest, p)
		}
	}
	return rest
}

func check(t *rapid.T, held []Pending) {
	devices, peers, prefixes, rooms := map[string]int{}, map[string]int{}, map[string]int{}, map[bool]int{}
	for _, p := range held {
		rooms[p.Reserved]++
		devices[fmt.Sprint(p.Who[0], p.Device[0])]++
		if !p.Reserved {
			peers[p.Peer]++
			prefixes[p.Prefix]++
		}
		if devices[fmt.Sprint(p.Who[0], p.Device[0])] > 1 || peers[p.Peer] > MaxPerSource ||
			p.Prefix != "" && prefixes[p.Prefix] > MaxPerSource {
			t.Fatalf("a bound is exceeded by %+v", p)
		}
	}
	if rooms[false] > MaxPending || rooms[true] > MaxReserved {
		t.Fatalf("places are exceeded: %v", rooms)
	}
}
