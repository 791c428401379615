package node

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
)

// What one says is his own affair: a beacon has nobody else looked at, a change of what all hang on everybody.
func TestOnlyTheDueAreLookedAt(t *testing.T) {
	const people = 100
	s := presenceState{known: map[identity.Address]*known{}}
	at := func(d time.Duration) identity.Now {
		return identity.Now{Wall: identity.Time(1e12).Add(d), Mono: time.Hour + d}
	}
	for i := range people {
		a := identity.Address{byte(i)}
		s.known[a] = newKnown(at(0), a)
	}
	hints := map[identity.Address]time.Duration{}
	hint := func(a identity.Address, _ identity.Now) time.Duration {
		if d, ok := hints[a]; ok {
			return d
		}
		return look
	}
	one, two := identity.Address{1}, identity.Address{2}
	steps := []struct {
		name  string
		at    time.Duration
		do    func()
		c     conditions
		due   int
		pause time.Duration
	}{
		{"at first everybody", 0, func() {}, conditions{}, people, look},
		{"nothing has happened", time.Second, func() {}, conditions{}, 0, look - time.Second},
		{"a beacon of one", 2 * time.Second, func() { s.look(one) }, conditions{}, 1, look - 2*time.Second},
		{"of nobody who is known", 2 * time.Second, func() { s.look(identity.Address{255}) }, conditions{}, 0, look - 2*time.Second},
		{"a connection of one broke", 3 * time.Second, func() { hints[two] = 4 * time.Second; s.look(two) }, conditions{}, 1, 4 * time.Second},
		{"the hint of it is due", 7 * time.Second, func() { delete(hints, two) }, conditions{}, 1, look - 7*time.Second},
		{"nobody is connected any more", 8 * time.Second, func() {}, conditions{alone: true}, people, look},
		{"my clock may be wrong", 9 * time.Second, func() {}, conditions{alone: true, suspect: true}, people, look},
		{"an address has two successors", 10 * time.Second, s.lookAll, conditions{alone: true, suspect: true}, people, look},
		{"a minute later", 70 * time.Second, func() {}, conditions{alone: true, suspect: true}, people, look},
	}
	for _, step := range steps {
		step.do()
		due, _, pause := s.dueNow(at(step.at), step.c, hint)
		if len(due) != step.due || pause != step.pause {
			t.Errorf("%s: %d are looked at, the next in %v; want %d, %v", step.name, len(due), pause, step.due, step.pause)
		}
	}
}
