package presence

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestBases takes apart what somebody is shown from: which record, by which path, and for how long yet.
func TestBases(t *testing.T) {
	b, p := newTeller(phone), &Presence{Of: bob}
	p.PathUp(at(0))
	if len(p.Bases(at(0))) != 0 || p.HeardSince(0) {
		t.Fatal("something is known of nobody")
	}
	b.tell(at(0))[0].to(t, p, at(0), ByFetch)
	first := p.Bases(at(10 * time.Second))[0]
	check(t, "by", first.Path, ByFetch)
	check(t, "ago", first.Ago, 10*time.Second)
	check(t, "left", first.Left, 140*time.Second)
	check(t, "version", first.Ver, 1)
	check(t, "open", first.Open, true)

	b.tell(at(minute))[0].to(t, p, at(minute), ByTopic) // a beacon
	beaten := p.Bases(at(minute))[0]
	check(t, "by a beacon", beaten.Path, ByTopic)
	check(t, "last", beaten.Last, at(minute).Wall)
	check(t, "said", beaten.Said, first.Said)
	check(t, "left", beaten.Left, 150*time.Second)
	check(t, "heard since", p.HeardSince(at(minute).Mono-1), true)
	check(t, "not heard since", p.HeardSince(at(minute).Mono), false)

	for i, note := range []string{"lost", "lost too", "came"} { // two of three versions come by no path
		now := at(2*minute + time.Duration(i)*time.Second)
		b.choose(t, now, Choice{Basic: wire.Open, Note: note})
		if told := b.tell(now)[0]; note == "came" {
			check(t, "skipped by this one", told.to(t, p, now, ByStream).Skipped, 2)
		}
	}
	last := p.Bases(at(3 * minute))[0]
	check(t, "skipped", last.Skipped, 2)
	check(t, "by a stream", last.Path, ByStream)

	p.Restart(at(3 * minute))
	old := p.Bases(at(3 * minute))[0]
	check(t, "heard since the start", old.Heard, false)
	check(t, "left", old.Left, 0)
	check(t, "remembered", old.Ver, 4)
}

// TestBasesOfTwoDevices puts the newest word first.
func TestBasesOfTwoDevices(t *testing.T) {
	old, young, p := newTeller(phone), newTeller(desk), &Presence{Of: bob}
	old.tell(at(0))[0].to(t, p, at(0), ByStream)
	young.tell(at(minute))[0].to(t, p, at(minute), ByStream)
	got := p.Bases(at(minute))
	if len(got) != 2 || got[0].Device != desk || got[1].Device != phone {
		t.Errorf("got %+v", got)
	}
}
