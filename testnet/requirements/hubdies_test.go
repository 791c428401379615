package requirements

import (
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet"
)

// Bob's changes reach Alice, Dave and Carol by the nodes of two communities alone, which are hubs and relays at once. Carol
// is politely blocked. Halfway through twenty changes the node that they hear him by loses its power, for good: Alice and
// Dave come to the last, and of each before it they are shown what it said or told that it was superseded; to Carol none of
// the twenty comes (requirement 3.2.3).
func TestReq_3_2_3_WhileAHubDies(t *testing.T) {
	for _, light := range []bool{false, true} {
		inWorld(t, func(w *world) {
			d, e, bob := w.operator("d"), w.operator("e"), w.person("bob")
			watchers := []*person{}
			for _, name := range []string{"alice", "dave", "carol"} {
				p := w.person(name, func(p *person) { p.light = light })
				watchers = append(watchers, p)
			}
			for _, p := range append(watchers, bob) {
				p.enters(d.invite(1))
				p.enters(e.invite(1))
			}
			for _, p := range watchers {
				p.watch(bob)
			}
			carol := watchers[2]
			time.Sleep(time.Minute)
			bob.behind(true)
			for _, p := range watchers {
				p.behind(true)
				w.net.Cut(p.ip, bob.ip)
				for _, q := range watchers {
					if p != q {
						w.net.Cut(p.ip, q.ip)
					}
				}
			}
			bob.politely(addressOf(carol))
			time.Sleep(5 * time.Minute)
			var told [2]gaps
			for i := range told {
				told[i].begin(watchers[i], bob)
			}
			for i := range 20 {
				if i == 10 {
					w.net.Kill(d.ip, testnet.Blackout)
				}
				bob.note(fmt.Sprint(marker, " change ", i))
				time.Sleep(3 * time.Second)
			}
			last := fmt.Sprint(marker, " change ", 19)
			for i, p := range watchers[:2] {
				w.within(20*time.Minute, p.name+" comes to the last change", func() bool { return p.sees(bob).Note == last })
				w.must(told[i].explained(20))
				w.finds("a change that never came and is not told", told[i].explained(21))
			}
			if p := carol.sees(bob); p.Note != "" || p.Basic != "closed" || p.Evidence != "said" {
				t.Errorf("carol sees %+v", p)
			}
			w.must(clean("the disk of carol", func() []byte { carol.down(); return carol.opened() }(), marker))
			alice := watchers[0]
			alice.down()
			w.finds("the disk of alice", clean("the disk of alice", alice.opened(), marker))
		})
	}
}
