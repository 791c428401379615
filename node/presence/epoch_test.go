package presence

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hum-presence/hum/identity"
)

// turn does what the view asks for, and returns it.
func turn(v *View, now Now, p *Publisher) Turn {
	t := v.Due(now, p)
	switch t {
	case TurnNext:
		v.Renew(now, fresh(byte(v.Count+1)))
	case TurnChange:
		v.Change(now, fresh(byte(v.Count+1)))
	case TurnRetire:
		v.Retire(now)
	}
	return t
}

func begun() (View, *Publisher) {
	v, p := NewView(DefaultView, 150), &Publisher{}
	turn(&v, at(0), p)
	return v, p
}

func TestRoutineChange(t *testing.T) {
	v, p := begun()
	steps := []struct {
		d          time.Duration
		turn       Turn
		publishing int
		next       bool
	}{
		{0, TurnNone, 1, false},
		{5 * day, TurnNone, 1, false},
		{5*day + 12*hour, TurnNext, 1, true}, // 36 h ahead
		{7*day - 1e6, TurnNone, 1, true},
		{7 * day, TurnNone, 2, false}, // both, for a day
		{8 * day, TurnNone, 2, false},
		{8*day + 1e6, TurnNone, 1, false},
		{8*day + identity.Skew + 1e6, TurnRetire, 1, false},
		{8*day + hour, TurnNone, 1, false},
	}
	for _, s := range steps {
		now := at(s.d)
		check(t, s.d.String(), turn(&v, now, p), s.turn)
		check(t, s.d.String()+" publishing", len(v.Publishing(now)), s.publishing)
		_, next := v.Grants(now)
		check(t, s.d.String()+" next", next != nil, s.next)
	}
	check(t, "epochs", len(v.Epochs), 1)
}

func TestSleptThroughTheChange(t *testing.T) {
	for _, d := range []time.Duration{6*day + hour, 7*day + 12*hour} {
		v, p := begun()
		old := v.Epochs[0].E
		check(t, "turn", turn(&v, at(d), p), TurnNext)
		g, next := v.Grants(at(d))
		if g.E == old || next != nil || len(v.Publishing(at(d))) != 2 {
			t.Errorf("%v: %d epochs published, next %v", d, len(v.Publishing(at(d))), next)
		}
	}
	v, p := begun()
	check(t, "after the end", turn(&v, at(9*day), p), TurnChange)
	check(t, "publishing", len(v.Publishing(at(9*day))), 1)
}

func TestChangeOnLeaving(t *testing.T) {
	v, p := begun()
	turn(&v, at(6*day-12*hour), p) // the next one is told already
	told := v.Serving(at(6 * day))
	v.Leave(CauseUser)
	check(t, "publishing until then", len(v.Publishing(at(6*day))), 0)
	check(t, "turn", turn(&v, at(6*day), p), TurnChange)
	pub := v.Publishing(at(6 * day))
	if len(pub) != 1 || pub[0].E == told[0] || pub[0].E == told[1] {
		t.Errorf("publishing %+v", pub)
	}
	check(t, "still served", len(v.Serving(at(6*day))), 3)
	check(t, "not for ever", len(v.Serving(at(8*day+identity.Skew+1e6))), 2)
}

func TestUnsubsCannotDriveEpochs(t *testing.T) {
	v, p := begun()
	changes := 0
	for s := time.Duration(0); s < hour; s += 10 * time.Second {
		v.Leave(CauseUnsub)
		if turn(&v, at(s), p) == TurnChange {
			changes++
		}
	}
	check(t, "changes in an hour", changes, unsubBurst+5)
	back := stepped(at(hour), -300*day)
	v.Epochs[0].Made = start // what counts here is the bucket
	check(t, "clock back", v.tokens(back), unsubBurst)
}

func TestExpiriesAreGathered(t *testing.T) {
	v, p := begun()
	changes := 0
	for h := time.Duration(0); h < 2*day; h += hour {
		v.Leave(CauseExpiry)
		if turn(&v, at(h), p) == TurnChange {
			changes++
		}
	}
	check(t, "changes in two days", changes, 2)
}

func TestClockThatRanAhead(t *testing.T) {
	v, p := begun()
	home := v.Epochs[0].E
	ahead := at(14 * 365 * day)
	ahead.Heard = start
	check(t, "then", turn(&v, ahead, p), TurnChange)
	check(t, "nothing is lost then", len(v.Epochs), 2)
	check(t, "set right", turn(&v, at(hour), p), TurnChange)
	g, _ := v.Grants(at(hour))
	if len(v.Epochs) != 2 || g == nil || g.E == home || g.NotBefore != start.Add(hour) {
		t.Errorf("%d epochs, grant %+v", len(v.Epochs), g)
	}
	check(t, "settled", v.Due(at(hour), p), TurnNone)

	v, p = begun()
	p.Tracks = []Track{{E: v.Epochs[0].E, Beat: start.Add(day)}}
	check(t, "last t ahead", turn(&v, at(0), p), TurnChange)
	check(t, "settled", v.Due(at(0), p), TurnNone)
}

// Whatever happens in whatever order, there is always one or two epochs to publish in, none of them
// known to anybody who left for good, and every grant is one that a watcher accepts (I7, I8).
func TestEpochsProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v, p, now := NewView(DefaultView, 150), &Publisher{}, time.Duration(0)
		left := map[PublicKey]bool{}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				v.Leave(CauseUser)
				for _, e := range v.Epochs {
					left[e.E] = true
				}
			case 1:
				v.Leave(CauseUnsub)
			default:
				now += time.Duration(rapid.IntRange(0, 3*24*3600).Draw(rt, "s")) * time.Second
			}
			for range 5 {
				turn(&v, at(now), p)
			}
			pub := v.Publishing(at(now))
			if len(pub) < 1 || len(pub) > 2 || v.Due(at(now), p) != TurnNone {
				rt.Fatalf("%d epochs published, due %v", len(pub), v.Due(at(now), p))
			}
			for _, e := range pub {
				if left[e.E] {
					rt.Fatalf("published for one who left")
				}
			}
			g, next := v.Grants(at(now))
			if g == nil || !plausible(at(now), g) || !plausible(at(now), next) {
				rt.Fatalf("grants %+v, %+v", g, next)
			}
			if d := v.Wake(at(now), p); d <= 0 || d > MaxSleep {
				rt.Fatalf("wakes after %v", d)
			}
		}
	})
}
