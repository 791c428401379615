package requirements

import (
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// Bob's record and documents decide whether his messages and his presence share one address (seed S47): he sends those
// who write to an inbox elsewhere, and takes them back, while all goes on; who watches follows, and who knows his name
// alone is told. His domain gives a name once, and cannot do either: it holds no key of his. Where the check has a
// domain forbid it to those whom it manages, there is nothing here that it could forbid by: see SPEC, 14.
func TestReq_S47_OwnerSplitsAndMerges(t *testing.T) {
	inWorld(t, func(w *world) {
		d := w.operator("d1", of("d1.test"))
		bob, box, alice := w.person("bob"), w.person("box", only(identity.Inbox)), w.person("alice")
		bob.enters(d.invite(1))
		box.enters(d.invite(1))
		bob.calls("bob@d1.test")
		if h, err := box.AddHandle(ctx(), "bob@d1.test"); err == nil && h.State == "vouched" {
			t.Errorf("the domain has given bob's name to another address: %+v", h)
		}
		alice.watch(bob)
		said := func(to, text, fate string, at *person) {
			t.Helper()
			alice.comesTo(alice.draft(node.Draft{To: to, Content: []byte(text), Expires: 10 * time.Minute}), fate, 5*time.Minute)
			if n := at.has(text); fate == "delivered" && n != 1 {
				t.Errorf("%q is %d times in the inbox of %s", text, n, at.name)
			}
		}
		said("im:bob@d1.test", "while they are one", "delivered", bob)

		closed, open := wire.Closed, wire.Open
		_, err := bob.Set(ctx(), node.Change{Basic: &closed, Contacts: &[]string{box.card()}})
		w.must(err)
		w.soonly("alice is told of the other inbox", func() bool { return slices.Contains(alice.sees(bob).Contacts, box.card()) })
		said(alice.sees(bob).Contacts[0], "to the other inbox", "delivered", box)
		said("im:bob@d1.test", "to the one of before", "failed(closed)", bob)

		_, err = bob.Set(ctx(), node.Change{Basic: &open, Contacts: &[]string{}})
		w.must(err)
		w.soonly("alice sees that they are one again", func() bool {
			p := alice.sees(bob)
			return p.Basic == "open" && len(p.Contacts) == 0
		})
		said("im:bob@d1.test", "together again", "delivered", bob)
		if s := alice.watching(bob).State; s != "active" {
			t.Errorf("all the while alice's subscription is %s", s)
		}
	})
}

// administered is bob, whose administrator dora may say what he does, and who is watched by alice.
func administered(w *world) (bob, alice, dora *person) {
	bob, alice = w.person("bob"), w.person("alice")
	alice.watch(bob)
	return bob, alice, bob.also("dora", node.NewDevice{Delegate: true, Scope: []string{"activities"}})
}

// Nobody is told who watches but the owner: not even whom he lets speak for him (8.1.1 C1).
func TestReq_8_1_1_C1_AdministratorIsToldNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, dora := administered(w)
		carol := w.person("carol")
		carol.add(bob)
		carol.ask(bob)
		lists := func(p *person) error {
			info, err := p.WatcherInfo(ctx())
			asked, failed := p.Requests(ctx())
			if err == nil && failed == nil && len(info.Watchers)+len(asked) > 0 {
				return fail("%s is told of %d who watch, and %d who ask", p.name, len(info.Watchers), len(asked))
			}
			return nil
		}
		w.within(time.Minute, "bob is asked by carol", func() bool { return bob.requestsOf(carol) == 1 })
		time.Sleep(time.Minute)
		w.finds("what bob's own list shows", lists(bob))
		w.must(lists(dora))
		key := alice.Self().Address
		w.must(clean("the tape of the administrator", dora.got.all(""), string(key[:])))
	})
}

// What an administrator may do is what bob has listed him for, shown as his, and what bob takes back: he sets no rule,
// lets nobody in and keeps nobody out (8.1.1 C3), nor changes what bob's address is.
func TestReq_8_1_1_C3_AdministratorDecidesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, dora := administered(w)
		w.within(time.Minute, "alice reads dora's word", func() bool { _ = dora.doing("meeting"); return alice.spoken(bob) != "" })
		closed := wire.Closed
		on := true
		for what, err := range map[string]error{
			"bars alice":          second(dora.Block(ctx(), alice.address(), "both")),
			"bars all":            second(dora.SetPolicy(ctx(), node.PolicyEdit{Class: "known", Watch: ptr("block")})),
			"refuses messages":    second(dora.SetPolicy(ctx(), node.PolicyEdit{Class: "known", Messages: ptr("refuse")})),
			"closes his inbox":    second(dora.Set(ctx(), node.Change{Basic: &closed})),
			"takes a name":        second(dora.AddHandle(ctx(), "bob@d1.test")),
			"shows him to all":    second(dora.EditView(ctx(), node.ViewEdit{Name: "hello", Public: &on})),
			"removes his devices": second(dora.RevokeDevice(ctx(), bob.Self().Device.String())),
		} {
			if err == nil {
				t.Errorf("an administrator %s", what)
			}
		}
		time.Sleep(time.Minute)
		if p := alice.sees(bob); p.Basic != "open" || alice.watching(bob).State != "active" {
			t.Errorf("alice sees %+v", p)
		}
		alice.delivers(bob, "as before")
	})
}
