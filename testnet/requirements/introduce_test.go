package requirements

import (
	"strings"
	"testing"

	"github.com/hum-presence/hum/node"
)

// An introduction by a common contact (SPEC 8): Bob is shown whom Carol names, on a card by which he reaches her, and
// nothing happens until he wants it. What Carol calls her is not told, and an introduction by a stranger is words alone.
func TestIntroduction(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, carol := w.person("alice"), w.person("bob"), w.person("carol")
		_, err := carol.Add(ctx(), alice.card(), "that bore")
		w.must(err)
		carol.add(bob)
		bob.add(carol)
		draft := func(from *person, whom string) node.Sent {
			s, err := from.Send(ctx(), node.Draft{To: bob.address(), Introduces: whom})
			w.must(err)
			from.comesTo(s, "delivered", soon)
			return s
		}
		draft(carol, "that bore")
		m := bob.newest()
		if !strings.Contains(m.Introduces, alice.address()) || !strings.Contains(string(m.Content), m.Introduces) {
			t.Fatalf("bob is shown %+v", m)
		}
		w.must(clean("what bob obtained", bob.got.all(""), "that bore"))
		if c := must(bob.Contacts(ctx())); len(c) != 1 {
			t.Errorf("his roster holds %+v", c)
		}
		_, err = bob.Add(ctx(), m.Introduces, "alice")
		w.must(err)
		bob.delivers(alice, "carol told me of you")

		if _, err := carol.Send(ctx(), node.Draft{To: bob.address(), Introduces: bob.address()}); err == nil {
			t.Error("bob is introduced to himself")
		}
		if _, err := carol.Send(ctx(), node.Draft{To: bob.address(), Introduces: bob.address(), Anonymous: true}); err == nil {
			t.Error("nobody introduces somebody")
		}
		mallory := w.person("mallory")
		mallory.add(alice)
		_, err = mallory.Add(ctx(), bob.card(), "bob")
		w.must(err)
		draft(mallory, "alice")
		shown := func() error {
			if m := bob.newest(); m.Introduces == "" {
				return fail("it introduces nobody: %+v", m)
			}
			return nil
		}
		w.finds("a stranger, who introduces nobody", shown())
		bob.add(mallory)
		w.must(shown())
	})
}
