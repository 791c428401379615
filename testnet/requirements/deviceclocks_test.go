package requirements

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// Clock skew between two devices of one address: within S nothing is noticed, and the user's last word wins. A
// device that is days or years ahead is heard by nobody, and does nobody harm; the user is told which
// differ and by how much; and once its clock is right, all that was done on it follows, with the stamps of then.
func TestClockSkewBetweenDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, dave := w.person("bob", lease5), w.person("alice"), w.person("dave")
		alice.watch(bob)
		bob.add(alice)
		two := bob.also("two", node.NewDevice{})
		w.within(time.Minute, "alice sees both", func() bool { return len(alice.sees(bob).Tuples) == 2 })
		named := func(p *person, name string) bool {
			return slices.ContainsFunc(must(p.Contacts(ctx())), func(c node.Contact) bool { return c.Petname == name })
		}
		call := func(p *person, name string) { _, err := p.Add(ctx(), dave.card(), name); w.must(err) }
		both := func(name string) func() bool { return func() bool { return named(bob, name) && named(two, name) } }
		two.clock.Step(100 * time.Second)
		call(two, "minutes ahead")
		w.within(time.Minute, "both have it", both("minutes ahead"))
		call(bob, "minutes behind, and later")
		w.within(time.Minute, "the last word wins, though its clock is behind", both("minutes behind, and later"))
		bob.says(wire.Busy, "right")
		time.Sleep(5 * time.Minute) // until no stamp of two's is ahead of anybody

		for _, by := range []time.Duration{3 * 24 * time.Hour, 20 * 365 * 24 * time.Hour} {
			told := func(p *person, where string) func() bool {
				return func() bool {
					return slices.ContainsFunc(p.Doctor(ctx()), func(c node.Check) bool { return c.Check == "clock" && !c.OK && strings.Contains(c.Detail, where) }) &&
						slices.ContainsFunc(p.events(), func(e node.Event) bool { return e.State == "clocks-differ" && strings.Contains(e.Text, where) })
				}
			}
			two.clock.Step(by - two.clock.Offset())
			call(two, "days off "+by.String())
			_, err := bob.Block(ctx(), dave.address(), "im")
			w.must(err)
			_, err = bob.Unblock(ctx(), dave.address())
			w.must(err)
			two.says(wire.Away, "days off "+by.String())
			for range 60 {
				time.Sleep(time.Second)
				if p := alice.sees(bob); p.Basic != "open" || p.IM != "busy" || p.Note != "right" {
					t.Fatalf("%v: alice is shown %s %s %q", by, p.Basic, p.IM, p.Note)
				}
			}
			if named(bob, "days off "+by.String()) {
				t.Errorf("%v: a word of a time that has not come is taken", by)
			}
			w.within(20*time.Minute, by.String()+": the user is told", func() bool { return told(bob, "ahead of")() || told(two, "behind")() })
			two.clock.Step(-two.clock.Offset())
			w.within(20*time.Minute, by.String()+": with the clock right, both have it", both("days off "+by.String()))
			w.within(20*time.Minute, "and both say the same", func() bool { return unlike(bob, two) == nil })
			two.says(wire.Busy, "right")
			w.within(20*time.Minute, "alice sees both again", func() bool { p := alice.sees(bob); return p.Note == "right" && len(p.Tuples) == 2 })
			w.within(20*time.Minute, "and no clock differs", func() bool { return !told(bob, "your device")() && !told(two, "your device")() })
		}
	})
}
