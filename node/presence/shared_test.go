package presence

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestAdopt has one device adopt what another made: the same epochs, ended where the other ended them.
func TestAdopt(t *testing.T) {
	now := Now{Wall: 1_750_000_000_000}
	one := NewView(DefaultView, 150)
	one.Change(now, fresh(1))
	two := NewView(DefaultView, 150)
	for _, e := range one.Epochs {
		if !two.Adopt(e) || two.Adopt(e) {
			t.Error("an epoch is news once")
		}
	}
	now.Wall += 1000
	two.Leave(CauseUser, Address{1})
	one.Leave(CauseUser, Address{1})
	if len(two.Publishing(now)) > 0 {
		t.Error("something is said while somebody who left holds the key")
	}
	one.Change(now, fresh(2))
	for _, e := range one.Epochs {
		two.Adopt(e)
	}
	if two.Owed[CauseUser] || len(two.Publishing(now)) != 1 || two.Publishing(now)[0].E != one.Publishing(now)[0].E {
		t.Errorf("after the change: %+v", two)
	}
	left := Watcher{Who: Address{1}, Since: now.Wall, Told: []PublicKey{one.Epochs[0].E}}
	later, other, again := left, Watcher{Who: Address{2}}, left
	later.Since++
	again.Told = append(again.Told, one.Epochs[1].E)
	if !two.Excludes(now, left) || two.Excludes(now, other) || two.Excludes(now, later) || two.Excludes(now, again) {
		t.Error("who was left out is not known")
	}
	back := one.Epochs[0]
	back.EndedAt = 0
	if two.Adopt(back); two.Epochs[0].EndedAt == 0 {
		t.Error("an epoch that ended goes on")
	}
}

// TestAdoptWithoutHim keeps a change owed if the epoch that another made lets one in who left here.
func TestAdoptWithoutHim(t *testing.T) {
	now := Now{Wall: 1_750_000_000_000}
	one, two := NewView(DefaultView, 150), NewView(DefaultView, 150)
	one.Change(now, fresh(1))
	two.Adopt(one.Epochs[0])
	two.Leave(CauseUser, Address{1})
	two.Leave(CauseUser, Address{2})
	one.Leave(CauseUser, Address{2})
	one.Change(now, fresh(2))
	for _, e := range one.Epochs {
		two.Adopt(e)
	}
	if !two.Owed[CauseUser] || !slices.Equal(two.Leavers, []Address{{1}}) {
		t.Errorf("owed %v for %v", two.Owed, two.Leavers)
	}
}

// TestForked: two epochs made without knowing of each other are followed by one, and nothing is said before.
func TestForked(t *testing.T) {
	now := Now{Wall: 1_750_000_000_000}
	one := NewView(DefaultView, 150)
	one.Change(now, fresh(1))
	two := one
	two.Epochs = slices.Clone(one.Epochs)
	one.Leave(CauseUser, Address{1})
	one.Change(now, fresh(2))
	two.Leave(CauseUser, Address{2})
	two.Change(now, fresh(3))
	for _, e := range two.Epochs {
		one.Adopt(e)
	}
	if !one.Forked(now) || len(one.Publishing(now)) > 0 || one.Due(now, &Publisher{}) != TurnChange {
		t.Fatalf("two branches are not noticed: %+v", one.Epochs)
	}
	one.Change(now, fresh(4))
	if one.Forked(now) || len(one.Publishing(now)) != 1 {
		t.Errorf("after the change: %+v", one.Epochs)
	}
	routine := NewView(DefaultView, 150)
	routine.Change(now, fresh(5))
	routine.Renew(now, fresh(6))
	if routine.Forked(now) {
		t.Error("a routine change is taken for a fork")
	}
}

// TestAdoptConverges has views that hear the same epochs, in any order and however often, hold the same.
func TestAdoptConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := Now{Wall: 1_750_000_000_000}
		source := NewView(DefaultView, 150)
		var said []Epoch
		for i := range rapid.IntRange(1, 4).Draw(t, "changes") {
			source.Change(now, fresh(byte(i+1)))
			said = append(said, source.Epochs...)
			now.Wall += 1000
		}
		hear := func(said []Epoch) (v View) {
			for _, e := range said {
				v.Adopt(e)
			}
			return v
		}
		a, b := hear(said), hear(rapid.Permutation(append(slices.Clone(said), said...)).Draw(t, "order"))
		same := func(x, y Epoch) bool { return x.E == y.E && x.EndedAt == y.EndedAt && x.N == y.N }
		if !slices.EqualFunc(a.Epochs, b.Epochs, same) || a.Count != b.Count {
			t.Fatalf("%+v and %+v", a.Epochs, b.Epochs)
		}
	})
}

// TestGoesOnAsItStood: who takes over the epochs of another view goes on in them as it stood there, also while
// the next epoch is told already and nothing was said in it.
func TestGoesOnAsItStood(t *testing.T) {
	now := at(hour)
	view := NewView(DefaultView, 150)
	view.Change(now, [64]byte{1})
	p := NewPublisher(now, bob, phone, "im:bob", 150)
	p.Publish(now, view, 0)
	p.Publish(now, view, 0)
	later := at(hour + 6*day)
	view.Renew(later, [64]byte{2})
	shut := view.Split(later, View{Name: "closed/x"})
	q := p.Adopt(shut)
	if len(shut.Epochs) != 2 || !q.Spoke(shut) {
		t.Errorf("with the next epoch told, it does not go on: %+v", q.Tracks)
	}
	second := NewPublisher(later, bob, desk, "im:bob", 150)
	for _, e := range shut.Epochs {
		second.AdoptOne(e.E, p)
		second.AdoptOne(e.E, p)
	}
	if len(second.Tracks) != 1 || second.last(shut.Epochs[0].E) != p.last(shut.Epochs[0].E) {
		t.Errorf("tracks %+v", second.Tracks)
	}
	if none := NewPublisher(later, bob, phone, "", 150); none.Spoke(shut) {
		t.Error("who said nothing spoke")
	}
}

// TestSplitWhileARemovalIsOwed: epochs that close since somebody was removed are never spoken in again, not in
// the view of one who is politely blocked either; he gets a new one, as all do who stay.
func TestSplitWhileARemovalIsOwed(t *testing.T) {
	now := Now{Wall: 1_750_000_000_000}
	p := NewPublisher(now, Address{9}, DeviceID{9}, "im:x", 150)
	view := NewView(DefaultView, 150)
	view.Change(now, fresh(1))
	shared := view.Epochs[0].E
	view.Leave(CauseUser, Address{1})
	closed := view.Split(now, NewView("closed/2", 150))
	if len(closed.Publishing(now)) > 0 || closed.Due(now, &p) != TurnChange || closed.Held != 0 || closed.Kind != Shut {
		t.Errorf("who was removed holds the key of %+v, %v", closed, closed.Due(now, &p))
	}
	view.Change(now, fresh(2))
	closed.Change(now, fresh(3))
	if view.Epochs[0].E != shared || view.Epochs[0].EndedAt == 0 || !slices.Equal(view.Epochs[1].Without, []Address{{1}}) {
		t.Errorf("the others read in %+v", view.Epochs)
	}
	if got := closed.Publishing(now); len(got) != 1 || got[0].E == shared {
		t.Errorf("he reads in %+v", got)
	}
	// What somebody who went by himself holds changes when it would have.
	view.Leave(CauseUnsub, Address{3})
	view.UnsubTokens, view.UnsubFrom = 0, now.Wall
	closed = view.Split(now, NewView("closed/4", 150))
	if len(closed.Publishing(now)) != 1 || closed.Due(now, &p) != TurnNone {
		t.Errorf("an unsubscription ends the epochs of %+v", closed)
	}
	now.Wall += Time(unsubEvery.Milliseconds())
	closed.Held = 0
	if closed.Due(now, &p) != TurnChange {
		t.Error("who unsubscribed keeps the key")
	}
}
