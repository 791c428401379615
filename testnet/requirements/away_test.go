package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/testnet"
)

// kept is what an operator's node keeps.
func (o *operator) kept() host.Status {
	o.w.Helper()
	st, err := o.Status()
	o.w.must(err)
	return st
}

// requestsOf are those who wait for p's decision.
func (p *person) requestsOf(q *person) (n int) {
	p.w.Helper()
	every, err := p.Requests(ctx())
	p.w.must(err)
	for _, s := range every {
		if s.Address.String() == addressOf(q) {
			n++
		}
	}
	return n
}

// allows is approve of somebody whose node may be off.
func (p *person) allows(q *person) {
	p.w.Helper()
	_, err := p.Approve(ctx(), addressOf(q))
	p.w.must(err)
}

// While Bob is away his decisions stand (requirement 2.3.7): Alice, to whom he said yes when she was not there to
// hear it, fetches what he said last, with its age; Carol, whom he blocked, gets nothing; Dave's request waits, and is
// there once when Bob is back (3.2.1, 3.2.2).
func TestReq_2_3_7_DecisionsWhileAway(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob := w.operator("d"), w.person("bob")
		bob.enters(d.invite(1))
		alice, carol, dave := w.person("alice"), w.person("carol"), w.person("dave")
		carol.watch(bob)
		for _, p := range []*person{alice, dave} {
			p.add(bob)
		}
		alice.ask(bob)
		w.within(10*time.Second, "alice waits", func() bool { return alice.watching(bob).State == "pending" })
		alice.down()
		bob.allows(alice)
		_, err := bob.Block(ctx(), carol.address(), "both")
		w.must(err)
		bob.note("marker-note")
		time.Sleep(2 * time.Minute)
		bob.kill(testnet.Blackout)
		dave.down() // he had a connection
		dave.up()
		carol.down()
		carol.up()

		alice.up()
		w.within(time.Minute, "alice reads bob's yes", func() bool { return alice.watching(bob).State == "active" })
		got, err := alice.Fetch(ctx(), "bob", false)
		if err != nil || got.Note != "marker-note" {
			t.Errorf("alice fetched %+v, %v", got, err)
		}
		dave.ask(bob)
		time.Sleep(10 * time.Minute)
		if _, err := carol.Fetch(ctx(), "bob", false); err == nil {
			t.Error("carol fetched what was said after she was blocked")
		}
		if st := dave.watching(bob).State; st != "requested" || d.kept().Items == 0 {
			t.Errorf("dave's request is %s, and the mailbox holds %d items", st, d.kept().Items)
		}
		dave.down() // so that nobody but the mailbox tells bob
		bob.up()
		w.within(20*time.Minute, "bob has dave's request", func() bool { return bob.requestsOf(dave) == 1 })
		time.Sleep(10 * time.Minute)
		if n := bob.requestsOf(dave); n != 1 || d.kept().Items != 0 {
			t.Errorf("dave's request is there %d times; the mailbox holds %d items", n, d.kept().Items)
		}
		bob.allows(dave)
		time.Sleep(10 * time.Second)
		dave.up()
		w.within(time.Minute, "dave sees bob, and did nothing for it", func() bool { return dave.sees(bob).Basic == "open" })
		bobKey := bob.Self().Address
		for _, marker := range []string{"marker-note", addressOf(dave), string(bobKey[:])} {
			w.must(clean("the tape of the community", d.got.all(""), marker))
		}
	})
}

// A message to Bob, who is away, waits at both his operators. One of them burns down; he has it from the other, once,
// and his ack waits for Alice, who has gone meanwhile. Then nothing of it is left there (seed S43), and his presence
// stays. What is stored is never called delivered.
func TestReq_S43_PassedOnAndDropped(t *testing.T) {
	inWorld(t, func(w *world) {
		d, e, bob, alice := w.operator("d"), w.operator("e"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		bob.enters(e.invite(2))
		alice.enters(e.invite(1))
		alice.watch(bob)
		time.Sleep(10 * time.Second)
		bob.down()
		m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("marker-text"), Expires: 24 * time.Hour})
		alice.comesTo(m, "stored", time.Minute)
		w.within(time.Minute, "it lies at both operators", func() bool { return d.kept().Items == 1 && e.kept().Items == 1 })
		d.down()
		alice.down()
		bob.up()
		w.within(5*time.Minute, "bob has it", func() bool { return bob.has("marker-text") == 1 })
		time.Sleep(time.Minute)
		bob.down()
		alice.up()
		alice.comesTo(m, "delivered", 5*time.Minute)
		d.up()
		bob.up()
		w.within(20*time.Minute, "nothing is left at either", func() bool { return d.kept().Items == 0 && e.kept().Items == 0 })
		if n := bob.has("marker-text"); n != 1 {
			t.Errorf("bob has it %d times", n)
		}
		if d.kept().Keys == 0 || e.kept().Keys == 0 {
			t.Error("his presence went with it")
		}
	})
}

// Who is blocked is refused by the mailbox already, and who was let in anew may write again (requirements 2.3.5,
// 5.4.10); Bob's own node, when he is back, refuses what came before he blocked.
func TestReq_5_4_10_AtHisMailbox(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		alice.watch(bob)
		bob.add(alice)
		time.Sleep(5 * time.Second)
		_, err := bob.Block(ctx(), alice.address(), "im")
		w.must(err)
		time.Sleep(5 * time.Second)
		bob.down()
		m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("unwanted"), Expires: 24 * time.Hour})
		time.Sleep(5 * time.Minute)
		if n := d.kept().Refused["revoked cap"]; n == 0 {
			t.Errorf("the mailbox refused %v", d.kept().Refused)
		}
		bob.up()
		alice.comesTo(m, "failed(refused)", 30*time.Minute)
		if n := bob.has("unwanted"); n != 0 {
			t.Errorf("bob has it %d times", n)
		}
		_, err = bob.Unblock(ctx(), alice.address())
		w.must(err)
		time.Sleep(5 * time.Second)
		bob.down()
		m = alice.draft(node.Draft{To: addressOf(bob), Content: []byte("welcome"), Expires: 24 * time.Hour})
		alice.comesTo(m, "stored", time.Minute)
		bob.up()
		alice.comesTo(m, "delivered", 30*time.Minute)
	})
}

// An anchor that has gone back to what it held before is found out by the other operator's (requirement 3.3.2): Alice
// goes on seeing the newest, and what the stale one offers is counted.
func TestReq_3_3_2_StaleAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		d, e, bob, alice := w.operator("d"), w.operator("e"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		bob.enters(e.invite(1))
		alice.watch(bob)
		bob.note("v5")
		w.within(10*time.Second, "alice reads v5", func() bool { return alice.sees(bob).Note == "v5" })
		time.Sleep(5 * time.Second)
		d.down()
		old := d.home + ".old"
		w.must(testnet.CopyHome(d.home, old))
		d.up()
		time.Sleep(time.Minute)
		bob.note("v6")
		w.within(10*time.Second, "alice reads v6", func() bool { return alice.sees(bob).Note == "v6" })
		time.Sleep(5 * time.Second)
		bob.kill(testnet.Blackout)
		d.down()
		d.home = old
		d.up()
		time.Sleep(40 * time.Minute)
		if got := alice.sees(bob); got.Note != "v6" || got.Basic == "open" {
			t.Errorf("alice sees %+v", got)
		}
		got, err := alice.Fetch(ctx(), "bob", false)
		if err != nil || got.Note != "v6" {
			t.Errorf("fetched %+v, %v", got, err)
		}
		for _, o := range []*operator{d, e} {
			w.must(clean("the tape of "+o.name, o.got.all(""), addressOf(bob)))
		}
	})
}

// What is cached bypasses no rule (requirement 3.3.3): the anchors hold bytes that nobody but who was granted opens;
// who was blocked gets nothing newer there, and what he could read is gone at its end.
func TestReq_3_3_3_CachesKeepTheRules(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob := w.operator("d"), w.person("bob")
		bob.enters(d.invite(1))
		c := w.hostile("carol")
		g := c.watch(bob)
		bob.note("v5")
		time.Sleep(10 * time.Second)
		_, err := bob.Block(ctx(), c.address().String(), "presence")
		w.must(err)
		bob.note("v6")
		time.Sleep(10 * time.Second)
		w.must(clean("the tape of the anchor", d.got.all(""), string(g.K[:])))
		for _, doc := range c.reads(g.E, g) {
			for _, n := range doc.Notes {
				if n.Text == "v6" {
					t.Error("carol reads v6 with the key that she held")
				}
			}
		}
		bob.down()
		before := d.kept().Keys
		time.Sleep(g.NotAfter.Sub(identity.TimeOf(time.Now())) + 30*time.Minute)
		if after := d.kept().Keys; after >= before {
			t.Errorf("%d keys were kept, and %d after the end of her epoch", before, after)
		}
	})
}

// Alice asks to watch Bob, who is away, and goes away herself; he finds her request once when he is back, says yes, and
// goes; she sees him when she is back, and has done nothing for it (requirement 3.2.2).
func TestReq_3_2_2_AskedWhileAway(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(2))
		alice.enters(d.invite(1))
		alice.add(bob)
		time.Sleep(time.Minute) // his home has his records
		_, err := alice.Resolve(ctx(), "bob")
		w.must(err)
		bob.note("marker-note")
		time.Sleep(10 * time.Second)
		bob.kill(testnet.Blackout)
		alice.ask(bob)
		w.within(2*time.Minute, "her request waits", func() bool { return d.kept().Items == 1 })
		alice.down()
		bob.up()
		w.within(10*time.Minute, "bob has it", func() bool { return bob.requestsOf(alice) == 1 })
		time.Sleep(5 * time.Minute)
		if n := bob.requestsOf(alice); n != 1 {
			t.Errorf("it is there %d times", n)
		}
		bob.allows(alice)
		time.Sleep(time.Minute)
		bob.kill(testnet.Blackout)
		alice.up()
		w.within(5*time.Minute, "alice was let in", func() bool { return alice.watching(bob).State == "active" })
		got, err := alice.Fetch(ctx(), "bob", false)
		if err != nil || got.Note != "marker-note" {
			t.Errorf("she fetched %+v, %v", got, err)
		}
	})
}
