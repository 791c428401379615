package requirements

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// Bob lets anybody see the basics. Dora asks under a pseudonym, which is an address of its own: she is refused until
// he allows pseudonyms, then she sees the basics and nothing more, his list says that she hides, and nothing that
// his machine obtains is of her own address.
func TestReq_5_1_3_Pseudonyms(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, dora, mask := w.person("bob"), w.person("dora"), w.person("mask")
		bob.view(node.ViewEdit{Name: "basic", Show: []string{"activities"}})
		bob.note(marker)
		mask.add(bob)
		ask := func() {
			_, err := mask.WatchAs(ctx(), "bob", "", 0, true)
			w.must(err)
		}
		ask()
		w.within(5*time.Second, "by default she is told to say who she is", func() bool {
			s := mask.watching(bob)
			return s.State == "denied" && s.Reason == wire.ReasonAuthRequired
		})
		allow, basic := "allow", "basic"
		_, err := bob.SetPolicy(ctx(), node.PolicyEdit{Class: "pseudonymous", Watch: &allow, View: &basic})
		w.must(err)
		ask()
		w.within(5*time.Second, "then she sees him", func() bool { return mask.sees(bob).Basic == "open" })
		if s := bob.watcher(mask); s.State != "active" || !s.Hidden || s.View != "basic" {
			t.Errorf("his list says %+v", s)
		}
		onlyBasics := func() error {
			return clean("what she obtained", append(mask.got.all(""), fmt.Sprint(mask.sees(bob))...), marker)
		}
		w.must(onlyBasics())

		unseen := func(of *person) error {
			list, err := bob.Watchers(ctx())
			w.must(err)
			return clean("what he knows", append(bob.got.all(""), fmt.Sprint(list, bob.events())...), of.address())
		}
		w.must(unseen(dora))
		w.finds("the address that she asked with", unseen(mask))

		all := "default"
		_, err = bob.SetPolicy(ctx(), node.PolicyEdit{Class: "pseudonymous", Watch: &allow, View: &all})
		w.must(err)
		w.within(time.Minute, "she sees everything", func() bool { return mask.sees(bob).Note == marker })
		w.finds("a view that shows the note", onlyBasics())
	})
}

// What Alice once saw is remembered with its age, without anybody being asked, also after a restart and with the
// whole network gone.
func TestReq_3_3_1_RememberedHere(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		bob.note("at the harbour")
		w.soonly("alice reads it", func() bool { return alice.sees(bob).Note == "at the harbour" })
		w.net.Cut(alice.ip, bob.ip)
		alice.kill(testnet.Crash)
		time.Sleep(time.Hour)
		alice.up()
		before := len(alice.got.all(""))
		p, err := alice.Fetch(ctx(), "bob", true)
		w.must(err)
		if p.Note != "at the harbour" || p.Evidence != "cached" || p.Age < time.Hour || p.Age > 2*time.Hour || p.Basic == "open" {
			t.Errorf("remembered as %+v", p)
		}
		if after := len(alice.got.all("")); after != before {
			t.Error("somebody was asked")
		}
	})
}

// A message that comes again is one message, also after a restart; what was meant for Bob is refused
// by Dora, by name.
func TestReq_S25_Replays(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, dora, c := w.person("bob"), w.person("dora"), w.hostile("carol")
		im := c.im(bob, "once")
		for _, pause := range []time.Duration{0, time.Minute, 30 * time.Minute} {
			time.Sleep(pause)
			bob.kill(testnet.Crash)
			bob.up()
			c.post(bob, im, c.records...)
			time.Sleep(soon)
			if n := bob.has("once"); n != 1 {
				t.Fatalf("after %v it is there %d times", pause, n)
			}
		}
		fresh := c.im(bob, "for bob")
		c.post(dora, fresh, c.records...)
		if v := c.verdict(dora, fresh); v != "failed(recipient-mismatch)" {
			t.Errorf("dora says %s", v)
		}
		if len(dora.inbox()) != 0 {
			t.Errorf("her inbox holds %q", dora.inbox())
		}
		c.post(bob, c.im(bob, "once"), c.records...) // the same words again are another message
		w.within(5*time.Second, "which is found by the check", func() bool { return bob.has("once") == 2 })
	})
}

// Which service an address has is known before it is tried, and each wrong one is refused in one round trip with its
// own word.
func TestReq_S7_WrongService(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.person("alice")
		writes, shows := w.person("writes", only(identity.Inbox)), w.person("shows", only(identity.Presentity))
		for _, x := range []*person{writes, shows} {
			alice.add(x)
			w.within(5*time.Second, "what "+x.name+" offers is known", func() bool {
				r, err := alice.Resolve(ctx(), x.name)
				return err == nil && r.Known && r.Services == x.services
			})
		}
		if _, err := alice.Watch(ctx(), "writes", "", 0); code(err) != "no-presence-service" {
			t.Errorf("to watch one who only writes: %v", err)
		}
		if _, err := alice.Send(ctx(), node.Draft{To: "shows", Content: []byte("hello")}); code(err) != "no-im-service" {
			t.Errorf("to write to one who is only seen: %v", err)
		}
	})
}

// Whom Bob blocks at one device is refused by the other within five seconds, also once the first is off.
func TestReq_S34_SecondDevice(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob"), w.person("alice")
		phone := bob.also("bob's phone", node.NewDevice{})
		alice.watch(bob)
		w.within(time.Minute, "alice sees both devices", func() bool { return len(alice.sees(bob).Tuples) == 2 })
		_, err := bob.Block(ctx(), alice.address(), "both")
		w.must(err)
		w.within(5*time.Second, "the phone knows", func() bool {
			list, err := phone.Blocks(ctx())
			return err == nil && slices.ContainsFunc(list, func(b node.BlockEntry) bool { return b.Address.String() == alice.address() })
		})
		bob.kill(testnet.Crash)
		phone.kill(testnet.Crash)
		phone.up()
		s := alice.draft(node.Draft{To: "bob", Content: []byte("hello?"), Expires: 10 * time.Minute})
		alice.comesTo(s, "failed(refused)", 10*time.Minute)
		if n := len(phone.inbox()); n != 0 {
			t.Errorf("%d messages came in", n)
		}
	})
}

// A node that was only just made tells nobody on its network a name, an address or a state of its user.
func TestReq_8_1_2_B1_NothingByItself(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, c := w.person("Bob Breithaupt"), w.hostile("carol")
		c.meet(bob)
		time.Sleep(10 * time.Minute)
		a := bob.Self().Address
		silent := func() error {
			heard := c.got.all(bob.ip)
			if len(heard) == 0 {
				t.Fatal("nothing was heard, so nothing was tried")
			}
			if bytes.Contains(heard, a[:]) || bytes.Contains(heard, []byte(a.String())) {
				return fail("carol obtained his address")
			}
			return clean("what carol obtained", heard, "Breithaupt")
		}
		w.must(silent())
		c.bundleOf(bob)
		w.finds("his records, which whoever knows his address may ask for", silent())
	})
}

// Two notes of different length, of one bucket, make records of equal size; one of another bucket does not.
func TestReq_8_1_4_A2_SizesInBuckets(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, c := w.person("bob"), w.hostile("carol")
		g := c.watch(bob)
		w.must(c.watchTopic(bob, g.E))
		size := func(note string) int {
			bob.note(note)
			time.Sleep(soon)
			all := slices.DeleteFunc(c.recs(g.E), func(r wire.Rec) bool { return r.IsBeacon() })
			if !tells(c.reads(g.E, g), note) {
				t.Errorf("%q did not come", note)
			}
			return len(all[len(all)-1].Append(nil))
		}
		equal := func(a, b string) error {
			if x, y := size(a), size(b); x != y {
				return fail("%d bytes, and %d", x, y)
			}
			return nil
		}
		w.must(equal("in", "back at half past four"))
		w.finds("a note of another bucket", equal("out", strings.Repeat("long ", 100)))
	})
}

// Alice says the same to Bob and to Dora: nothing that Bob obtains is of her, unless Alice says it.
func TestReq_8_2_1_B5_EachACopyOfItsOwn(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dora := w.person("alice"), w.person("bob"), w.person("dora")
		alice.add(bob)
		alice.add(dora)
		for _, to := range []*person{bob, dora} {
			alice.delivers(to, "to both of you")
		}
		alone := func() error {
			inbox, err := bob.Inbox(ctx(), node.InboxQuery{})
			w.must(err)
			return clean("what bob obtained", append(bob.got.all(""), fmt.Sprintf("%+v %s", inbox, bob.inbox())...), dora.address())
		}
		w.must(alone())
		alice.delivers(bob, "also to "+dora.address())
		w.finds("a message that names her", alone())
	})
}
