package attacks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_19_DocOfAnother: mallory, whom alice watches, publishes under her own key and a right tag
// the document of another entity or of another device. The door takes the record, which is well made; the
// reader refuses it and counts it, and neither mallory nor anybody else is shown by it.
func TestAttack_19_DocOfAnother(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		befriend(alice, bob)
		bob.say("bob's own")
		alice.eventually(30*time.Second, "reads bob", func() bool { return alice.sees(bob).Note == "bob's own" })
		mute := newPerson("mallory's device that may not publish")
		c.listed = []identity.Device{{Key: mute.d.Public(), Roles: identity.RoleInbox}}
		card := identity.Card{Address: c.address, Dial: []string{fmt.Sprintf("%v/p2p/%v", c.at, c.transport)}}
		if _, err := alice.Add(context.Background(), card.String(), "mallory"); err != nil {
			t.Fatal(err)
		}
		if _, err := alice.Watch(context.Background(), "mallory", "", 0); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		l := c.dial(alice, wire.ParcelProtocol)
		a := l.recipient(alice.Self().Address)
		g := wire.Grant{E: c.a.Public(), K: [32]byte{19}, NotBefore: now(), NotAfter: now().Add(wire.GrantLife), TTL: 900}
		st := wire.SubState{From: c.address, To: a.Address, Sub: alice.sub(c.address), Seq: now(), State: wire.SubActive, Expires: now().Add(wire.SubscriptionLife), Grant: &g}
		x := c.seal(wire.Inner{Signed: wire.Sign(c.d, wire.TypeSubState, st.Append(nil)), Attached: c.records()}, a)
		l.put(x.parcel)
		if got := answer(c.acked(x)); got != "delivered" {
			t.Fatalf("the grant: %s", got)
		}
		ctx, done := context.WithCancel(context.Background())
		defer done()
		topic := c.join(ctx, g.E).topic
		alice.eventually(2*time.Minute, "stands on mallory's topic", func() bool { return len(topic.ListPeers()) > 0 })
		pass(5 * time.Second)

		mallory := &machine{s: s, name: "mallory"}
		faces := func() string {
			m, b := alice.sees(mallory), alice.sees(bob)
			return fmt.Sprintf("mallory %s %q, bob %s %q", m.Basic, m.Note, b.Basic, b.Note)
		}
		tag := func(d identity.DeviceID) wire.Tag { return wire.TagOf(g.K, d) }
		mine, bobs := c.device(), bob.Self().Device
		for i, row := range []struct {
			name   string
			entity identity.Address
			device identity.DeviceID
			tag    wire.Tag
			sealed wire.Tag // that ct is bound to
			shown  bool
		}{
			{"the control: her own", c.address, mine, tag(mine), tag(mine), true},
			{"bob's, under her tag", bob.Self().Address, mine, tag(mine), tag(mine), false},
			{"bob's, of his device, under her tag", bob.Self().Address, bobs, tag(mine), tag(mine), false},
			{"bob's, of his device, under its tag", bob.Self().Address, bobs, tag(bobs), tag(bobs), false},
			{"alice's own", a.Address, a.Device, tag(a.Device), tag(a.Device), false},
			{"hers, of bob's device, under its tag", c.address, bobs, tag(bobs), tag(bobs), false},
			{"hers, of bob's device, under her tag", c.address, bobs, tag(mine), tag(mine), false},
			{"hers, of a device that may not publish", c.address, mute.device(), tag(mute.device()), tag(mute.device()), false},
			{"hers, under the tag of another device", c.address, mine, tag(mute.device()), tag(mute.device()), false},
			{"hers, sealed for another tag", c.address, mine, tag(mine), tag(bobs), false},
			{"the control again", c.address, mine, tag(mine), tag(mine), true},
		} {
			note := fmt.Sprint("word ", i)
			doc := wire.Doc{Entity: row.entity, Device: row.device, Ver: uint64(i + 1), TTL: 900, Notes: []wire.Note{{Text: note}},
				Tuples: []wire.Tuple{{ID: "t", Basic: wire.Open, Timestamp: now()}}}
			before, counted := faces(), alice.refused("bad-record")
			at := now()
			r := wire.NewUpdate(c.a, row.tag, at, wire.SealDoc(c.rand, g.K, g.E, row.sealed, at, doc.Append(nil)))
			if err := topic.Publish(ctx, r.Raw); err != nil {
				t.Fatal(err)
			}
			pass(10 * time.Second)
			want, more := before, uint64(1)
			if row.shown {
				want, more = fmt.Sprintf("mallory open %q, bob open %q", note, "bob's own"), 0
			}
			if got := faces(); got != want {
				t.Errorf("%s: alice sees %s; want %s", row.name, got, want)
			}
			if got := alice.refused("bad-record") - counted; got != more {
				t.Errorf("%s: %d were counted as bad-record, want %d", row.name, got, more)
			}
		}
	})
}
