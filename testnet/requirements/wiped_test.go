package requirements

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
)

// wiped has an operator's node lose all that it keeps for its members; who they are it knows of a copy that was made when
// they came in.
func (o *operator) wiped(copied string) {
	o.w.Helper()
	o.down()
	o.home = copied
	o.up()
}

// copied makes a copy of what the node keeps now.
func (o *operator) copied() string {
	o.w.Helper()
	o.down()
	to := fmt.Sprint(o.home, ".", o.lives)
	o.w.must(testnet.CopyHome(o.home, to))
	o.up()
	return to
}

// An anchor is wiped while Bob is away: who asks there is told in 5 s that there is no copy. When Bob is back everything is
// there again, and who asked has it, and did nothing for it (requirements 3.2.1, 2.3.7).
func TestReq_3_2_1_WipedAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d", does(anchors)), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		fresh := d.copied()
		time.Sleep(time.Minute) // bob is back there
		bob.note("marker-note")
		alice.add(bob)
		alice.ask(bob)
		w.within(10*time.Second, "alice waits", func() bool { return alice.watching(bob).State == "pending" })
		alice.down()
		bob.allows(alice)
		time.Sleep(2 * time.Minute)
		kept := d.kept().Keys
		bob.kill(testnet.Blackout)
		d.wiped(fresh)
		time.Sleep(time.Minute)
		alice.up()
		began := time.Now()
		got, err := alice.Fetch(ctx(), "bob", false)
		if took := time.Since(began); err == nil || took > 5*time.Second {
			t.Errorf("from a wiped anchor she fetched %+v, %v in %v", got, err, took)
		}
		time.Sleep(10 * time.Minute)
		if st := alice.watching(bob).State; st != "pending" {
			t.Errorf("her subscription is %s", st)
		}
		alice.down()
		bob.up()
		w.within(20*time.Minute, "all is there again", func() bool { return d.kept().Keys >= kept })
		time.Sleep(time.Minute)
		bob.kill(testnet.Blackout)
		alice.up()
		w.within(20*time.Minute, "alice reads bob's yes", func() bool { return alice.watching(bob).State == "active" })
		if got, err := alice.Fetch(ctx(), "bob", false); err != nil || got.Note != "marker-note" {
			t.Errorf("she fetched %+v, %v", got, err)
		}
	})
}

// Of two devices of Bob's one dies, and his anchor is wiped: the other puts there again what both of them have said, so that
// Alice, who watches by the anchor alone, is shown it again. Dave was let in and had not heard it: the word that lay in his
// slot is gone with the device that had signed it, and the other says it anew when he asks.
func TestReq_3_2_1_WipedWhileAnotherDeviceIsThere(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice, dave := w.operator("d", does(anchors)), w.person("bob"), w.person("alice"), w.person("dave")
		bob.enters(d.invite(1))
		phone := bob.also("bob's phone", node.NewDevice{})
		phone.enters(d.invite(1))
		fresh := d.copied()
		time.Sleep(time.Minute)
		alice.watch(bob)
		time.Sleep(time.Minute)
		alice.kill(testnet.Crash)
		bob.note("marker-note")
		dave.add(bob)
		dave.ask(bob)
		w.within(10*time.Second, "dave waits", func() bool { return dave.watching(bob).State == "pending" })
		dave.down()
		bob.allows(dave)
		w.within(time.Minute, "the phone knows it", func() bool { return phone.watcher(dave).State == "active" })
		time.Sleep(time.Minute)
		for _, p := range []*person{bob, phone} {
			w.net.Cut(p.ip, alice.ip)
		}
		bob.kill(testnet.Blackout)
		d.wiped(fresh)
		alice.up()
		w.within(20*time.Minute, "alice sees what both said by the anchor", func() bool {
			p := alice.sees(bob)
			return p.Basic == "open" && p.Note == "marker-note" && len(p.Tuples) == 2
		})
		if got, err := alice.Fetch(ctx(), "bob", false); err != nil || got.Basic != "open" || got.Note != "marker-note" {
			t.Errorf("she fetched %+v, %v", got, err)
		}
		phone.note("from the phone")
		w.within(20*time.Minute, "alice reads on", func() bool { return strings.Contains(fmt.Sprint(alice.sees(bob)), "from the phone") })
		dave.up()
		w.within(20*time.Minute, "dave is let in", func() bool { return dave.watching(bob).State == "active" && dave.sees(bob).Basic == "open" })
	})
}

// An operator has lost everything but the name of his node: nobody is a member any more. Bob is told; by a new invite he is
// one again, and what is his is there.
func TestReq_3_2_1_AnchorThatForgotItsMembers(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d", does(anchors)), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		alice.watch(bob)
		time.Sleep(time.Minute)
		d.down()
		w.must(os.RemoveAll(filepath.Join(d.home, "store")))
		d.up()
		time.Sleep(20 * time.Minute)
		if n := d.kept().Keys; n != 0 {
			t.Errorf("it keeps %d keys for nobody", n)
		}
		told := slices.ContainsFunc(bob.events(), func(e node.Event) bool { return e.State == "no-member" && e.Name == "d" })
		seen := slices.ContainsFunc(bob.Doctor(ctx()), func(c node.Check) bool { return c.Check == "community d" && !c.OK && c.Advice != "" })
		if !told || !seen {
			t.Errorf("bob is told %v, and his doctor says so %v", told, seen)
		}
		bob.enters(d.invite(1))
		bob.enters(d.invite(1)) // once more changes nothing
		w.within(20*time.Minute, "what is bob's is there", func() bool { return d.kept().Keys > 0 && d.kept().Members == 1 })
		bob.note("after the loss")
		time.Sleep(10 * time.Second)
		bob.kill(testnet.Blackout)
		alice.kill(testnet.Crash)
		alice.up()
		time.Sleep(time.Minute)
		if got, err := alice.Fetch(ctx(), "bob", false); err != nil || got.Note != "after the loss" {
			t.Errorf("she fetched %+v, %v", got, err)
		}
	})
}

// Bob allows Dave, who has never asked, and goes away. Nobody but Bob can seal the keys to him (SPEC 14.116): what Dave
// asks for waits, he is told in 5 s that there is no copy for him, and he has it once Bob is back, without another step of
// either; Carol, whom Bob blocked, is refused then (requirements 3.2.1 and 2.3.7).
func allowedButNeverAsked(t *testing.T, allow func(bob, dave *person)) {
	inWorld(t, func(w *world) {
		d, bob, dave, carol := w.operator("d"), w.person("bob"), w.person("dave"), w.person("carol")
		bob.enters(d.invite(1))
		bob.note("marker-note")
		for _, p := range []*person{dave, carol} {
			p.add(bob)
			must(p.Resolve(ctx(), "bob"))
		}
		allow(bob, dave)
		must(bob.Block(ctx(), carol.address(), "both"))
		time.Sleep(time.Minute)
		bob.kill(testnet.Blackout)
		for _, p := range []*person{dave, carol} {
			p.ask(bob)
			began := time.Now()
			got, err := p.Fetch(ctx(), "bob", false)
			if took := time.Since(began); err == nil || took > 5*time.Second {
				t.Errorf("%s fetched %+v, %v in %v", p.name, got, err, took)
			}
		}
		time.Sleep(10 * time.Minute)
		for _, p := range []*person{dave, carol} {
			if st := p.watching(bob).State; st != "requested" {
				t.Errorf("%s is %s", p.name, st)
			}
		}
		if d.kept().Items < 2 {
			t.Errorf("%d requests wait in the mailbox", d.kept().Items)
		}
		w.must(clean("the tape of the anchor", d.got.all(""), "marker-note"))
		bob.up()
		w.within(20*time.Minute, "dave reads him", func() bool { return dave.sees(bob).Note == "marker-note" })
		w.within(20*time.Minute, "carol is refused", func() bool { return carol.watching(bob).State == "denied" })
		if n := bob.requestsOf(dave); n != 0 {
			t.Errorf("his request waits for a word of bob's %d times", n)
		}
	})
}

func TestReq_3_2_1_AllowedButNeverAsked(t *testing.T) {
	allowedButNeverAsked(t, func(bob, dave *person) { bob.allows(dave) })
}

func TestReq_2_3_7_AllowedButNeverAsked(t *testing.T) {
	allowedButNeverAsked(t, func(bob, dave *person) { bob.sets(node.PolicyEdit{Who: dave.address(), Watch: word("allow")}) })
}

// Bob's anchor is off for some minutes as Alice starts, and he is away: she reads his yes soon after it is back, and not when
// its turn would come again a quarter of an hour later.
func TestReq_3_2_1_AnchorBackAfterSheStarted(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d", does(anchors)), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		time.Sleep(time.Minute)
		alice.add(bob)
		alice.ask(bob)
		w.within(10*time.Second, "alice waits", func() bool { return alice.watching(bob).State == "pending" })
		alice.down()
		bob.allows(alice)
		time.Sleep(2 * time.Minute)
		bob.kill(testnet.Blackout)
		d.down()
		alice.up()
		time.Sleep(4 * time.Minute)
		d.up()
		w.within(6*time.Minute, "alice reads bob's yes", func() bool { return alice.watching(bob).State == "active" })
	})
}
