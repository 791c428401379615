package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
)

// An address is found across the end of a week, when the clocks of who looks and of who is looked for differ about which
// week it is (requirement 2.2.1): Bob begins when his clock has passed it, so that the DHT and his home know of him in the
// new week alone; Alice's clock has not.
func TestReq_2_2_1_EitherWeek(t *testing.T) {
	inWorld(t, func(w *world) {
		week := identity.BlindPeriod
		now := time.Now()
		end := identity.Time((identity.PeriodOf(identity.TimeOf(now)) + 1) * uint64(week.Milliseconds())).Go()
		time.Sleep(end.Sub(now) - 20*time.Minute)
		d3 := w.operator("d3")
		d1, d2 := w.operator("d1", meets(d3)), w.operator("d2", meets(d3))
		time.Sleep(20*time.Minute + time.Second) // they meet
		bob, alice := w.person("bob"), w.person("alice", func(p *person) { p.clock.Step(-100 * time.Second) })
		alice.enters(d1.invite(1))
		bob.enters(d2.invite(1))
		w.within(80*time.Second, "alice finds bob", func() bool {
			r, err := alice.Resolve(ctx(), addressOf(bob))
			return err == nil && r.Known && r.Asked > 0
		})
		if hers, his := identity.PeriodOf(alice.clock.Now().Wall), identity.PeriodOf(bob.clock.Now().Wall); hers != his-1 {
			t.Errorf("she looked in week %d, he is in week %d: the test shows nothing", hers, his)
		}
	})
}
