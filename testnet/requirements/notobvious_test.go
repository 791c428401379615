package requirements

import (
	"testing"
	"time"
)

// A subscription is not obvious to others (requirement 5.1.2): neither the node of the community, on the wire or on its
// disk, nor a member who is connected to all of them, has the address of who watches or of who is watched; topics have
// names that are drawn at random, so that who hears them knows no more.
func TestReq_5_1_2_NotObvious(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice, mallory := w.operator("d"), w.person("bob"), w.person("alice"), w.person("mallory")
		invite := d.invite(3)
		for _, p := range []*person{bob, alice, mallory} {
			p.enters(invite)
		}
		alice.hide(true)
		alice.slotted()
		alice.watch(bob)
		bob.note("marker-note")
		w.within(5*time.Second, "alice reads the note", func() bool { return alice.sees(bob).Note == "marker-note" })
		time.Sleep(10 * time.Minute)
		w.finds("a topic on the tape of the community", clean("tape", d.got.all(""), "/hum/1/p/"))
		a, b := alice.Self().Address, bob.Self().Address
		d.down()
		kept := openedAt(w, d.home)
		if len(kept) < 1000 {
			t.Errorf("the community keeps %d bytes", len(kept))
		}
		for _, secret := range []string{a.String(), b.String(), string(a[:]), string(b[:]), "marker-note"} {
			w.must(clean("what mallory gets", mallory.got.all(""), secret))
			w.must(clean("what the community gets", d.got.all(""), secret))
			w.must(clean("what the community keeps", kept, secret))
		}
	})
}
