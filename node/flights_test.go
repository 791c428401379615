package node

import (
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A flock is a mailState with many messages to many people.
func flock(people, each int) (m *mailState, now identity.Now) {
	m = &mailState{flights: map[wire.MID]*flight{}, byTo: map[identity.Address]map[wire.MID]*flight{}, running: map[identity.Address]int{},
		hints: map[identity.Address][]place{}, settled: map[wire.MID]*flight{}, forget: never}
	now = identity.Now{Wall: 1_000_000}
	for p := range people {
		for i := range each {
			m.track(wire.MID{byte(p), byte(p >> 8), byte(i), byte(i >> 8)}, identity.Address{byte(p), byte(p >> 8)}, now.Wall, false)
		}
	}
	return m, now
}

// Whoever cannot be reached keeps his tries running for long. However many such people there are, and however much is
// for them, a message to somebody else is tried at once; and what is tried at once is bounded.
func TestTriesAreFair(t *testing.T) {
	const dark, each = 40, 100
	m, now := flock(dark, each)
	jobs, _ := m.due(now)
	of := map[identity.Address]int{}
	for _, j := range jobs {
		of[j.to]++
	}
	if len(jobs) < triesInAll || len(jobs) > triesInAll+dark || len(of) != dark {
		t.Errorf("%d tries of %d people run at once", len(jobs), len(of))
	}
	for to, n := range of {
		if n > triesAtOnce {
			t.Errorf("%d tries for %v", n, to)
		}
	}
	if more, _ := m.due(now); len(more) > 0 {
		t.Errorf("%d more while all of them run", len(more))
	}
	dora := identity.Address{1, 2, 3}
	for i := range 3 {
		m.track(wire.MID{9, 9, byte(i)}, dora, now.Wall, false)
	}
	jobs, _ = m.due(now)
	if len(jobs) != 1 || jobs[0].to != dora {
		t.Fatalf("for dora %d tries run", len(jobs))
	}
	m.track(jobs[0].id, dora, 0, true)
	m.done(jobs[0].id, dora)
	if jobs, _ = m.due(now); len(jobs) != 1 || jobs[0].to != dora {
		t.Errorf("then %d", len(jobs))
	}
}

// First tries keep what they send in memory; there are only so many of them, and what has no place is read from the disk
// when its turn comes.
func TestOffersAreBounded(t *testing.T) {
	m, now := flock(1, 2*offersKept)
	var jobs []job
	for id := range m.flights {
		if m.mayOffer() {
			if j, begun := m.launch(id, &offer{}); begun {
				jobs = append(jobs, j)
			}
		}
	}
	if len(jobs) != triesAtOnce || m.offers != offersKept {
		t.Errorf("%d are begun at once, and %d kept in memory, not %d and %d", len(jobs), m.offers, triesAtOnce, offersKept)
	}
	for range 2 * offersKept / triesAtOnce {
		if len(jobs) != triesAtOnce {
			t.Fatalf("%d tries at once", len(jobs))
		}
		for _, j := range jobs {
			m.track(j.id, j.to, 0, true)
			m.done(j.id, j.to)
		}
		jobs, _ = m.due(now)
	}
	if m.offers != 0 || m.open() != 0 || m.inAll != 0 || len(m.running) != 0 {
		t.Errorf("left over: %d in memory, %d under way, %d run", m.offers, m.open(), m.inAll)
	}
}

// A message is tried by the way that is open: at once, or by due once what stands in its way is over; never by both.
func TestLaunch(t *testing.T) {
	m, now := flock(1, 3)
	var ids []wire.MID
	for id := range m.flights {
		ids = append(ids, id)
	}
	if j, begun := m.launch(ids[0], &offer{}); !begun || j.id != ids[0] || j.offer == nil || m.offers != 0 {
		t.Errorf("launched: %+v, %v; %d wait", j, begun, m.offers)
	}
	_, release := m.hold(ids[1])
	if _, begun := m.launch(ids[1], &offer{}); begun {
		t.Error("what is held was launched")
	}
	if _, begun := m.launch(ids[2], nil); begun {
		t.Error("what has no first try was launched")
	}
	if _, begun := m.launch(wire.MID{9}, &offer{}); begun || m.offers != 1 {
		t.Errorf("what is not under way was launched: %v; %d wait", begun, m.offers)
	}
	if jobs, _ := m.due(now); len(jobs) != 1 || jobs[0].id != ids[2] {
		t.Errorf("due are %+v", jobs)
	}
	release()
	if jobs, _ := m.due(now); len(jobs) != 1 || jobs[0].id != ids[1] || jobs[0].offer == nil || m.offers != 0 {
		t.Errorf("then %+v; %d wait", jobs, m.offers)
	}
}
