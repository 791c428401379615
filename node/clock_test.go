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
