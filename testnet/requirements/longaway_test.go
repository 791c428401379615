package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
)

// Bob has been away for three weeks, longer than his device's own record lasts, and the nodes of all communities were off
// and come back at once, before one another. Carol, who knows his address and nothing else, finds him within minutes all
// the same, and what she seals for him by the old key waits for him, and he can read it.
func TestReq_3_2_1_AwayForWeeks(t *testing.T) {
	inWorld(t, func(w *world) {
		d3 := w.operator("d3")
		d1, d2 := w.operator("d1", meets(d3)), w.operator("d2", meets(d3))
		bob, carol := w.person("bob"), w.person("carol")
		bob.enters(d1.invite(1))
		carol.enters(d2.invite(1))
		time.Sleep(2 * time.Minute)
		for _, p := range []*person{bob, carol} {
			p.down()
		}
		for _, d := range []*operator{d1, d2, d3} {
			d.down()
		}
		time.Sleep(20 * 24 * time.Hour)
		for _, d := range []*operator{d1, d2, d3} { // d1, his home, is there first, and finds nobody
			d.up()
			time.Sleep(15 * time.Second)
		}
		carol.up()
		w.within(2*time.Minute, "carol finds bob", func() bool {
			r, err := carol.Resolve(ctx(), addressOf(bob))
			return err == nil && r.Known
		})
		m := carol.draft(node.Draft{To: addressOf(bob), Content: []byte("after three weeks"), Expires: 24 * time.Hour})
		carol.comesTo(m, "stored", 10*time.Minute)
		bob.up()
		w.within(20*time.Minute, "bob reads it", func() bool { return bob.has("after three weeks") == 1 })
		carol.comesTo(m, "delivered", 20*time.Minute)
	})
}
