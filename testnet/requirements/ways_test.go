package requirements

import (
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
)

// finding is what p's doctor says of something.
func (p *person) finding(check string) (out node.Check) {
	p.w.Helper()
	for _, c := range p.Doctor(ctx()) {
		if c.Check == check {
			return c
		}
	}
	p.w.Fatalf("the doctor says nothing of %q", check)
	return out
}

// Whoever is looked for, it is said by which ways, which of them led to him and why the others did not: when he is
// resolved, on the way of a message to him, and by the doctor, who says what to do where none leads on.
func TestWaysAreTold(t *testing.T) {
	inWorld(t, func(w *world) {
		d2 := w.operator("d2", of("d2.test"))
		d1 := w.operator("d1", meets(d2))
		alice, bob, lonely := w.person("alice"), w.person("bob"), w.person("lonely")
		alice.enters(d1.invite(1))
		bob.enters(d2.invite(1))
		bob.calls("bob@d2.test")
		time.Sleep(10 * time.Minute) // the homes are told, and tell the DHT

		m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("by address alone")})
		alice.comesTo(m, "delivered", 10*time.Minute)
		steps, err := alice.Trace(ctx(), m.ID.String())
		w.must(err)
		found := ""
		for _, s := range steps {
			if s.Step == "found" {
				found = s.Detail
			}
		}
		for _, way := range []string{"his devices: no place", "his homes: he is not known to have any", "the DHT: asked", "it names 1 home", "the homes that the DHT names: one of them has his records"} {
			if !strings.Contains(found, way) {
				t.Errorf("the trace says %q, and nothing of %q", found, way)
			}
		}
		dave := w.person("dave")
		dave.enters(d1.invite(1))
		r, err := dave.Resolve(ctx(), addressOf(bob))
		if err != nil || len(r.Ways) != 4 || r.Ways[1].OK || !r.Ways[2].OK || !r.Ways[3].OK {
			t.Errorf("resolved: %+v, %v", r, err)
		}
		if _, err := dave.Resolve(ctx(), addressOf(lonely)); err == nil || !strings.Contains(err.Error(), "the DHT knows nothing") || !strings.Contains(err.Error(), "his homes: ") {
			t.Errorf("whom nobody knows: %v", err)
		}

		if c := dave.finding("dht"); !c.OK || !strings.Contains(c.Detail, "it was asked for ") {
			t.Errorf("the DHT: %+v", c)
		}
		if c := lonely.finding("dht"); c.OK || !strings.Contains(c.Advice, "hum join") {
			t.Errorf("no DHT: %+v", c)
		}
		lonely.add(alice)
		lonely.watch(alice)
		w.within(time.Minute, "who has somebody lacks no DHT", func() bool { return lonely.finding("dht").OK })
		if c := bob.finding("handle bob@d2.test"); !c.OK {
			t.Errorf("a name that is vouched for: %+v", c)
		}
		if c := dave.finding("community d1"); !c.OK || !strings.Contains(c.Detail, "anchor") {
			t.Errorf("a community that is there: %+v", c)
		}
		d1.down()
		d2.down()
		time.Sleep(2 * time.Minute)
		if c := dave.finding("community d1"); c.OK || c.Advice == "" {
			t.Errorf("a community that is lost: %+v", c)
		}
		if c := bob.finding("handle bob@d2.test"); c.OK || !strings.Contains(c.Advice, "d2.test") {
			t.Errorf("a name whose domain is silent: %+v", c)
		}
	})
}
