package requirements

import (
	"slices"
	"testing"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestFixture shows that Carol can do what a node can, and that what she sees is seen.
func TestFixture(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, c := w.person("bob"), w.hostile("carol")
		im := c.im(bob, "hello")
		if s := c.post(bob, im, c.records...); s != wire.OK {
			t.Fatalf("her parcel is answered %v", s)
		}
		if v := c.verdict(bob, im); v != "delivered" || bob.has("hello") != 1 {
			t.Fatalf("her message is %s, inbox %q", v, bob.inbox())
		}
		g := c.watch(bob)
		c.join(g.E)
		w.must(c.watchTopic(bob, g.E))
		bob.note("at home")
		w.soonly("she reads as a watcher", func() bool {
			return slices.ContainsFunc(c.reads(g.E, g), func(d wire.Doc) bool {
				return len(d.Notes) > 0 && d.Notes[0].Text == "at home" || len(d.Tuples) > 0 && len(d.Tuples[0].Notes) > 0
			})
		})
		if !slices.Contains(c.got.topics(), g.E) {
			t.Error("the tape does not show the topic that was announced to her")
		}
		if len(c.got.frames(bob.ip)) == 0 || len(bob.got.parcels(c.ip)) == 0 {
			t.Error("the tapes show no frames")
		}
		w.finds("a secret in the records of everybody", clean("tape", c.got.all(""), "/hum/1/p/"))
	})
}
