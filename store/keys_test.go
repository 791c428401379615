package store

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
)

func TestKeyParts(t *testing.T) {
	a, mid, sub, dev := identity.Address{1, 2}, [32]byte{3}, [16]byte{4}, identity.DeviceID{5}
	tests := []struct {
		name string
		ok   bool
	}{
		{"name", Meta("x").Name() == "x" && Stamp("y z").Name() == "y z" && Meta("").Name() == ""},
		{"view", Epoch("fri", 7).Name() == "fri" && Epoch("fri", 7).Num() == 7},
		{"address", Pin(a).Address() == a && Contact(a).Address() == a && Rule(a).Address() == a},
		{"sub", Watching(a, sub).Sub() == sub && Watcher(a, sub).Sub() == sub},
		{"address before sub", Watching(a, sub).Address() == a},
		{"fetches", Fetcher(a).Address() == a && Fetched(a).Address() == a},
		{"device", Presence(a, dev).Device() == dev && Presence(a, dev).Address() == a},
		{"mid", Outbox(mid).MID() == mid && Inbox(9, mid).MID() == mid && InboxAt(mid).MID() == mid},
		{"seen until", SeenUntil(9, a, mid).Time() == 9 && SeenUntil(9, a, mid).Address() == a && SeenUntil(9, a, mid).MID() == mid},
		{"time", Inbox(9, mid).Time() == 9},
		{"heard", Heard(mid, [8]byte{6}).Topic() == mid && Heard(mid, [8]byte{6}).HeardTag() == [8]byte{6}},
		{"cek", CEK(sub).AckTag() == sub},
		{"kept", Kept(a, sub).Address() == a},
		{"num", Event(1<<40).Num() == 1<<40 && Trace(mid, 1<<31).Num() == 1<<31 && Trace(mid, 1).MID() == mid},
		{"parts that are not there", Event(1).Address().IsZero() && Meta("x").Num() == 0 && Key{}.Name() == ""},
		{"zero", Key{}.IsZero() && !Meta("").IsZero()},
	}
	for _, tt := range tests {
		if !tt.ok {
			t.Error(tt.name)
		}
	}
}

func TestTablesApart(t *testing.T) {
	keys := oneOfEach()
	if len(keys) != len(tables) {
		t.Fatalf("%d keys, %d tables", len(keys), len(tables))
	}
	found := map[byte]Key{}
	for _, k := range keys {
		for tab := range tables {
			if !k.In(prefix(tab)) {
				continue
			}
			if other, twice := found[tab]; twice {
				t.Errorf("%v and %v are in one table", other, k)
			}
			found[tab] = k
		}
		if back, err := ParseKey(k.Bytes()); err != nil || back != k {
			t.Errorf("%v: parsed %v, %v", k, back, err)
		}
	}
	if len(found) != len(tables) {
		t.Errorf("keys in %d tables of %d", len(found), len(tables))
	}
}

func TestOwnersApart(t *testing.T) {
	a, b, sub, mid := identity.Address{1}, identity.Address{1, 1}, [16]byte{}, [32]byte{2}
	tests := []struct {
		name string
		k    Key
		p    Prefix
		in   bool
	}{
		{"watching", Watching(a, sub), WatchingOf(a), true},
		{"watching another", Watching(b, sub), WatchingOf(a), false},
		{"watcher", Watcher(a, sub), WatchersOf(a), true},
		{"presence", Presence(a, identity.DeviceID{}), PresenceOf(a), true},
		{"notice", Notice(a, identity.DeviceID{}), NoticesOf(a), true},
		{"talk", Talk(a, 5, mid), TalkOf(a), true},
		{"talk of another", Talk(b, 5, mid), TalkOf(a), false},
		{"heard", Heard(mid, [8]byte{}), HeardOf(mid), true},
		{"trace", Trace(mid, 3), TraceOf(mid), true},
		{"shared", Shared(4, mid[:]), AllShared(), true},
		{"owed", Owed(identity.DeviceID{5}, 4, mid[:]), OwedTo(identity.DeviceID{5}), true},
		{"held", Held(a, mid), HeldOf(a), true},
	}
	for _, tt := range tests {
		if got := tt.k.In(tt.p); got != tt.in {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.in)
		}
	}
}

// TestOrder: keys sort as what they name does.
func TestOrder(t *testing.T) {
	a, mid := identity.Address{9}, [32]byte{9}
	for _, keys := range [][]Key{
		{Inbox(1, mid), Inbox(255, mid), Inbox(256, [32]byte{}), Inbox(256, mid), Inbox(1<<63, [32]byte{})},
		{SeenUntil(255, a, mid), SeenUntil(256, identity.Address{}, mid)},
		{Event(0), Event(255), Event(256), Event(1 << 40)},
		{Trace(mid, 2), Trace(mid, 256)},
		{Epoch("b", 255), Epoch("b", 256)},
	} {
		if !slices.IsSortedFunc(keys, func(a, b Key) int { return strings.Compare(a.s, b.s) }) {
			t.Errorf("out of order: %v", keys)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, k := range oneOfEach() {
		f.Add(k.Bytes())
		f.Add(append(k.Bytes(), 1))
		f.Add(k.Bytes()[:len(k.s)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey(b)
		if err == nil && (k.IsZero() || !bytes.Equal(k.Bytes(), b)) {
			t.Errorf("%x parsed as %v", b, k)
		}
		if err == nil { // every reader of its parts stays within it
			_, _, _, _, _, _ = k.Name(), k.Address(), k.Time(), k.Num(), k.MID(), k.String()
		}
	})
}
