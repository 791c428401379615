package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

func (p *person) sets(e node.PolicyEdit) {
	p.w.Helper()
	_, err := p.SetPolicy(ctx(), e)
	p.w.must(err)
}

func word(s string) *string { return &s }

// for5 queues a message that lives for five minutes.
func (p *person) for5(q *person, text string) node.Sent {
	p.w.Helper()
	return p.draft(node.Draft{To: addressOf(q), Content: []byte(text), Expires: 5 * time.Minute})
}

// With closed_hold, what comes while Bob is closed waits unanswered on his disk, also over a crash and with
// its sender gone; it is delivered when he is open, and not when its time is over before.
func TestReq_4_4_2_ClosedHold(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice"), w.person("bob"), w.person("dave")
		alice.watch(bob)
		dave.add(bob) // no watcher: the default view decides for him
		bob.basic(wire.Closed)
		w.soonly("alice sees it", func() bool { return alice.sees(bob).Basic == "closed" })
		alice.comesTo(alice.send(bob, "refused"), "failed(closed)", soon)

		bob.sets(node.PolicyEdit{Closed: word("hold")})
		held, other, late := alice.for5(bob, "held"), dave.for5(bob, "held too"), alice.send(bob, "too late")
		for _, x := range []struct {
			p *person
			s node.Sent
		}{{alice, held}, {dave, other}, {alice, late}} {
			x.p.comesTo(x.s, "handed", 10*time.Second)
		}
		time.Sleep(10 * time.Second)
		bob.kill(testnet.Crash)
		bob.up()
		time.Sleep(30 * time.Second)
		if got := bob.inbox(); len(got) != 0 {
			t.Errorf("a closed inbox shows %q", got)
		}
		if alice.fate(held) != "handed" || dave.fate(other) != "handed" {
			t.Errorf("while he is closed: %s, %s", alice.fate(held), dave.fate(other))
		}
		alice.comesTo(late, "failed(unconfirmed)", 5*time.Minute)
		dave.down()
		bob.basic(wire.Open)
		alice.comesTo(held, "delivered", 5*time.Second)
		w.within(5*time.Second, "what dave, who is away, wrote is here", func() bool { return bob.has("held too") == 1 })
		if bob.has("held") != 1 || bob.has("too late") != 0 || bob.has("refused") != 0 {
			t.Errorf("his inbox: %q", bob.inbox())
		}
		dave.up()
		dave.comesTo(other, "delivered", time.Minute)
		time.Sleep(time.Minute)
		if bob.has("held")+bob.has("held too") != 2 {
			t.Errorf("his inbox: %q", bob.inbox())
		}

		bob.basic(wire.Closed)
		w.soonly("alice sees it", func() bool { return alice.sees(bob).Basic == "closed" })
		last := alice.for5(bob, "held at first")
		alice.comesTo(last, "handed", 10*time.Second)
		bob.sets(node.PolicyEdit{Closed: word("refuse")})
		alice.comesTo(last, "failed(closed)", 5*time.Second)
		if bob.has("held at first") != 0 {
			t.Error("what was refused is in the inbox")
		}
	})
}

// Who is politely blocked meets the same rule: what he writes ends as what is written to somebody who stays
// closed.
func TestReq_5_1_15_ClosedHold(t *testing.T) {
	fates := map[string]string{}
	for _, way := range []string{"polite", "offline"} {
		inWorld(t, func(w *world) {
			alice, bob := w.person("alice"), w.person("bob")
			bob.sets(node.PolicyEdit{Closed: word("hold")})
			alice.watch(bob)
			if way == "polite" {
				bob.politely(alice.address())
			} else {
				_, err := bob.Offline(ctx())
				w.must(err)
			}
			w.within(31*time.Second, "alice sees him closed", func() bool { return alice.sees(bob).Basic == "closed" })
			s := alice.for5(bob, "are you there?")
			alice.comesTo(s, "handed", 10*time.Second)
			time.Sleep(10 * time.Minute)
			fates[way] = alice.fate(s)
			if bob.has("are you there?") != 0 {
				t.Error("it came in")
			}
		})
	}
	if fates["polite"] != "failed(unconfirmed)" || fates["polite"] != fates["offline"] {
		t.Errorf("fates %v", fates)
	}
}

// Bob refuses the messages of all whom he does not know, but for whom he says otherwise.
func TestReq_2_3_5_RefusesStrangers(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, carol, dave := w.person("alice"), w.person("bob"), w.person("carol"), w.person("dave")
		alice.watch(bob)
		for _, p := range []*person{carol, dave} {
			p.add(bob)
			p.delivers(bob, "before, into the box for first contacts")
		}
		bob.sets(node.PolicyEdit{Class: "unknown", Messages: word("refuse")})
		bob.sets(node.PolicyEdit{Who: dave.address(), Messages: word("accept")})
		carol.comesTo(carol.send(bob, "let me in"), "failed(refused)", soon)
		alice.delivers(bob, "from a watcher")
		dave.delivers(bob, "by his leave")
		bob.kill(testnet.Crash)
		bob.up()
		carol.comesTo(carol.send(bob, "and now?"), "failed(refused)", 20*time.Second)
		bob.sets(node.PolicyEdit{Who: dave.address(), Messages: word("default")})
		dave.comesTo(dave.send(bob, "no leave any more"), "failed(refused)", 20*time.Second)
		if bob.has("let me in")+bob.has("and now?")+bob.has("no leave any more") != 0 {
			t.Errorf("his inbox: %q", bob.inbox())
		}
		for _, bad := range []node.PolicyEdit{{Class: "anonymous", Messages: word("accept")}, {Class: "pseudonymous", Messages: word("refuse")}, {Class: "known", Messages: word("first-contact")},
			{Class: "unknown", Messages: word("lose")}, {Class: "unknown", Closed: word("hold")}, {Closed: word("keep")}} {
			if _, err := bob.SetPolicy(ctx(), bad); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
	})
}

// What Carol writes is discarded: she is told that it was delivered, and Bob is told nothing.
func TestReq_5_4_10_SilentDiscard(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, carol := w.person("bob"), w.person("carol")
		carol.add(bob)
		bob.sets(node.PolicyEdit{Who: carol.address(), Messages: word("discard")})
		l := must(bob.Policy(ctx(), carol.address()))
		if len(l) != 1 || l[0].Messages != "discard" {
			t.Errorf("policy: %+v", l)
		}
		told := len(bob.events())
		first := carol.send(bob, "read this")
		carol.comesTo(first, "delivered", soon)
		bob.kill(testnet.Crash)
		bob.up()
		s := carol.send(bob, "and this")
		carol.comesTo(s, "delivered", 20*time.Second)
		if got := bob.inbox(); len(got) != 0 {
			t.Errorf("his inbox: %q", got)
		}
		for _, e := range bob.events()[told:] {
			if e.Kind == "message" {
				t.Errorf("he is told %+v", e)
			}
		}
		bob.sets(node.PolicyEdit{Who: carol.address(), Messages: word("default")})
		carol.delivers(bob, "now read it")
	})
}

// What is said of a class on one device holds on the others, also on one that comes later, and whoever watches
// there follows.
func TestReq_S4_PolicyOfAllDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob", lease5), w.person("alice")
		bob.sets(node.PolicyEdit{Class: "pseudonymous", Watch: word("polite-block")})
		phone := bob.also("bob's phone", node.NewDevice{})
		holds := func(p *person, class, want string) func() bool {
			return func() bool {
				for _, l := range must(p.Policy(ctx(), "")) {
					if l.Class == class {
						return l.Watch+" "+l.Messages == want
					}
				}
				return false
			}
		}
		w.within(10*time.Second, "the phone has what was said before", holds(phone, "pseudonymous", "polite-block "))
		phone.sets(node.PolicyEdit{Class: "unknown", Watch: word("allow"), Messages: word("refuse")})
		w.within(10*time.Second, "the desk has what the phone says", holds(bob, "unknown", "allow refuse"))
		alice.add(bob)
		alice.ask(bob)
		w.within(5*time.Second, "alice is let in", func() bool { return alice.watching(bob).State == "active" })
		phone.sets(node.PolicyEdit{Class: "unknown", Watch: word("block")})
		w.within(10*time.Second, "and out", func() bool { return alice.watching(bob).State == "terminated" })
		w.within(10*time.Second, "on both", func() bool {
			return bob.watcher(alice).State == "terminated" && phone.watcher(alice).State == "terminated"
		})
		alice.comesTo(alice.send(bob, "let me in"), "failed(refused)", 20*time.Second)

		phone.down() // apart: the later word holds
		bob.sets(node.PolicyEdit{Class: "unknown", Watch: word("polite-block")})
		time.Sleep(time.Second)
		bob.sets(node.PolicyEdit{Class: "unknown", Watch: word("confirm")})
		bob.sets(node.PolicyEdit{Closed: word("hold")})
		phone.up()
		w.within(time.Minute, "they converge", holds(phone, "unknown", "confirm refuse"))
		w.within(time.Minute, "the phone holds too", func() bool { return must(phone.Policy(ctx(), ""))[0].Closed == "hold" })
		if _, err := phone.SetPolicy(ctx(), node.PolicyEdit{Closed: word("refuse")}); code(err) != "not-admin" {
			t.Errorf("a device that signs no record: %v", err)
		}
	})
}
