package requirements

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
)

// behind puts a person behind a NAT: others reach him through a relay alone.
func (p *person) behind(shut bool) { p.w.net.Shut(p.ip, shut) }

// slotted waits until others reach a member through a relay.
func (p *person) slotted() {
	p.w.Helper()
	p.w.within(time.Minute, p.name+" has a slot at a relay", func() bool {
		card, err := p.Card()
		p.w.must(err)
		return strings.Contains(card, "p2p-circuit")
	})
}

// Two members of a community who can both be dialled by nobody (requirements 2.4.1–2.4.3, 3.4.1, 4.1.3, 4.3.1,
// 5.4.4): a subscription, notices and messages both ways, an answer to a message whose sender nobody can dial, as
// fast as a direct way but for the detour.
func TestReq_2_4_3_ThroughARelay(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		invite := d.invite(2)
		for _, p := range []*person{bob, alice} {
			p.behind(true)
			p.enters(invite)
			p.slotted()
		}
		alice.watch(bob)
		for i := range 5 {
			note := fmt.Sprint("note ", i)
			bob.note(note)
			w.within(500*time.Millisecond, "alice reads it", func() bool { return alice.sees(bob).Note == note })
			time.Sleep(3 * time.Second)
		}
		for i := range 5 {
			text := fmt.Sprint("text ", i)
			m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte(text)})
			alice.comesTo(m, "delivered", 500*time.Millisecond)
			r, err := bob.Reply(ctx(), bob.one(text).ID.String(), node.Draft{Content: []byte("yes, " + text)})
			w.must(err)
			bob.comesTo(r, "delivered", 500*time.Millisecond)
		}
		for _, ends := range [][2]*person{{alice, bob}, {bob, alice}} {
			if got := w.net.Traffic(ends[0].ip, ends[1].ip); got.Frames != 0 {
				t.Errorf("%+v went from %s to %s directly", got, ends[0].name, ends[1].name)
			}
		}
		if st, err := d.Status(); err != nil || st.Items != 0 {
			t.Errorf("the mailbox was used: %+v, %v", st, err)
		}
	})
}
