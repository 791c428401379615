package node

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A clock that is set back puts no message off: what was to be tried in a quarter of an hour is looked at
// once, and its entry says when again.
func TestClockBackPutsNoMessageOff(t *testing.T) {
	to, id := identity.Address{1}, wire.MID{1}
	m := mailState{flights: map[wire.MID]*flight{}, byTo: map[identity.Address]map[wire.MID]*flight{},
		running: map[identity.Address]int{}, forget: never}
	now := identity.Now{Wall: 1_800_000_000_000}
	m.track(id, to, now.Wall.Add(15*time.Minute), false)
	if jobs, _ := m.due(now); len(jobs) != 0 {
		t.Fatalf("tried at once: %v", jobs)
	}
	now.Wall = now.Wall.Add(-24 * time.Hour)
	if jobs, _ := m.due(now); len(jobs) != 1 || jobs[0].id != id {
		t.Fatalf("after the clock was set back: %v", jobs)
	}
	m.track(id, to, now.Wall.Add(15*time.Minute), false)
	m.done(id, to)
	if jobs, pause := m.due(now); len(jobs) != 0 || pause != look {
		t.Errorf("again without a pause: %v, %v", jobs, pause)
	}
}

// What a node says of itself while its clock is days behind follows nothing that it said before, so that nobody
// takes it. Once the clock is right all of it is said anew: the record of the address, of the device, and where
// it is.
func TestSaidWhileTheClockWasBehind(t *testing.T) {
	t.Parallel()
	alice := start(t, "alice")
	first := *alice.own.Load()
	alice.stop()
	alice.clock.move(-3*24*time.Hour, 0)
	alice.listen = "/ip4/127.0.0.1/tcp/0" // another place, which has to be told
	alice.up()
	word := "refusals"
	must(alice.SetPolicy(t.Context(), PolicyEdit{Acks: &word}))(t) // the record of the address says that
	if err := alice.keys.RotatePreKey(alice.now().Wall, alice.cfg.Rand); err != nil {
		t.Fatal(err)
	}
	behind := renewed(t, alice)
	if behind.AddressSeq >= first.AddressSeq || behind.DeviceSeq >= first.DeviceSeq || behind.ReachSeq >= first.ReachSeq {
		t.Fatalf("it says with %d %d %d what follows %d %d %d: this tests nothing", behind.AddressSeq, behind.DeviceSeq, behind.ReachSeq,
			first.AddressSeq, first.DeviceSeq, first.ReachSeq)
	}
	again := renewed(t, alice)
	if again.AddressSeq != behind.AddressSeq || again.DeviceSeq != behind.DeviceSeq || again.ReachSeq != behind.ReachSeq {
		t.Errorf("while it is behind it signs again and again")
	}
	alice.clock.move(3*24*time.Hour, 0)
	right := renewed(t, alice)
	if right.AddressSeq <= first.AddressSeq || right.DeviceSeq <= first.DeviceSeq || right.ReachSeq <= first.ReachSeq {
		t.Errorf("with the clock right it says %d %d %d, which does not follow %d %d %d", right.AddressSeq, right.DeviceSeq, right.ReachSeq,
			first.AddressSeq, first.DeviceSeq, first.ReachSeq)
	}
	if last := renewed(t, alice); last.AddressSeq != right.AddressSeq || last.DeviceSeq != right.DeviceSeq || last.ReachSeq != right.ReachSeq {
		t.Errorf("with the clock right it signs again and again")
	}
}

// renewed is what a node says of itself once it has looked at it.
func renewed(t *testing.T, a *actor) own {
	t.Helper()
	if _, err := a.renew(); err != nil {
		t.Fatal(err)
	}
	return *a.own.Load()
}
