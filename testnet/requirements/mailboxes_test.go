package requirements

import (
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
)

// Two devices read one mailbox, each at its own time (requirements 2.3.6, 4.1.3): what one has fetched and committed waits
// there for the other, which was off and is alone when it comes back; each has every message once, and then the mailbox is
// empty.
func TestReq_2_3_6_TwoDevicesOneMailbox(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		phone := bob.also("bob's phone", node.NewDevice{})
		alice.watch(bob)
		time.Sleep(5 * time.Minute) // the mailbox knows both, and so does alice
		bob.down()
		phone.down()
		var sent []node.Sent
		for i := range 3 {
			sent = append(sent, alice.draft(node.Draft{To: addressOf(bob), Content: []byte(fmt.Sprint("text ", i)), Expires: 24 * time.Hour}))
		}
		for _, s := range sent {
			alice.comesTo(s, "stored", 5*time.Minute)
		}
		alice.down()
		all := func(p *person, n int) func() bool {
			return func() bool {
				for i := range sent {
					if p.has(fmt.Sprint("text ", i)) != n {
						return false
					}
				}
				return true
			}
		}
		bob.up()
		w.within(20*time.Minute, "the first has them", all(bob, 1))
		time.Sleep(10 * time.Minute)
		if st := d.kept(); st.Items < 3 { // with her acks, perhaps
			t.Errorf("one has committed, and %d items are left for the other", st.Items)
		}
		bob.down()
		phone.up()
		w.within(20*time.Minute, "the other has them, from the mailbox alone", all(phone, 1))
		w.within(20*time.Minute, "and it is empty", func() bool { return d.kept().Items == 0 })
		bob.up()
		alice.up()
		for _, s := range sent {
			alice.comesTo(s, "delivered", 20*time.Minute)
		}
		time.Sleep(10 * time.Minute)
		for _, p := range []*person{bob, phone} {
			if !all(p, 1)() || len(p.inbox()) != len(sent) {
				t.Errorf("%s has %q", p.name, p.inbox())
			}
		}
	})
}

// A device that is removed reads nothing more of its owner's mailbox, and takes nothing away there (requirement 2.3.6),
// though it has the key of the mailbox, goes on as before, and has not heard: neither what is left in the new one, nor in
// the old one by Carol, who has not heard either, and who seals to it yet. Those who are left have all of it.
func TestReq_2_3_6_RemovedFromTheMailbox(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice, carol := w.operator("d"), w.person("bob"), w.person("alice"), w.person("carol")
		bob.enters(d.invite(1))
		phone, tablet := bob.also("bob's phone", node.NewDevice{}), bob.also("bob's tablet", node.NewDevice{})
		alice.watch(bob)
		carol.watch(bob)
		time.Sleep(5 * time.Minute)
		tablet.down()
		for _, p := range []*person{bob, alice, carol} {
			w.net.Cut(phone.ip, p.ip)
		}
		carol.down()
		must(bob.RevokeDevice(ctx(), phone.Self().Device.String()))
		time.Sleep(5 * time.Minute) // alice and the mailbox have heard
		bob.down()
		w.net.Cut(carol.ip, alice.ip)
		w.net.Cut(carol.ip, d.ip) // until she has begun to send
		carol.up()
		texts := map[*person]string{alice: "to the new one", carol: "to the old one"}
		sent := map[*person]node.Sent{}
		for p, text := range texts {
			sent[p] = p.draft(node.Draft{To: addressOf(bob), Content: []byte(text), Expires: 24 * time.Hour})
		}
		w.net.Join(carol.ip, d.ip)
		for p, s := range sent {
			p.comesTo(s, "stored", 20*time.Minute)
		}
		for range 3 { // it starts anew, says who reads, and lists
			time.Sleep(20 * time.Minute)
			phone.down()
			phone.up()
		}
		time.Sleep(20 * time.Minute)
		if got := phone.inbox(); len(got) != 0 {
			t.Errorf("the removed device has %q", got)
		}
		if st := d.kept(); st.Items < 2 || st.Refused["signed by somebody else"] == 0 {
			t.Errorf("the mailboxes hold %d items; refused %v", st.Items, st.Refused)
		}
		alice.down()
		carol.down()
		bob.up()
		for _, text := range texts {
			w.within(30*time.Minute, "bob has "+text, func() bool { return bob.has(text) == 1 })
		}
		tablet.up() // it has not heard of the new one, and hears it from bob
		for _, text := range texts {
			w.within(30*time.Minute, "his tablet has "+text, func() bool { return tablet.has(text) == 1 })
		}
		alice.up()
		carol.up()
		for p, s := range sent {
			p.comesTo(s, "delivered", 30*time.Minute)
		}
		time.Sleep(20 * time.Minute)
		if st := d.kept(); st.Items != 0 {
			t.Errorf("%d items are left", st.Items)
		}
		for _, p := range []*person{bob, tablet} {
			if n := len(p.inbox()); n != 2 {
				t.Errorf("%s has %q", p.name, p.inbox())
			}
		}
		if got := phone.inbox(); len(got) != 0 {
			t.Errorf("the removed device has %q", got)
		}
		bob.note("for those who are left")
		w.within(20*time.Minute, "carol, who was away, sees him", func() bool { return carol.sees(bob).Note == "for those who are left" })
	})
}
