package requirements

import (
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A message says which one it answers, if it does: both ends find the thread, and one that answers what nobody
// knows is a message like any other (seed ask S26).
func TestReq_S26_Threads(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		bob.add(alice)
		first := alice.delivers(bob, "tea at four?")
		alice.delivers(bob, "by the way")
		second, err := bob.Reply(ctx(), first.ID.String(), node.Draft{Content: []byte("at five")})
		w.must(err)
		bob.comesTo(second, "delivered", 15*time.Second)
		third, err := alice.Reply(ctx(), second.ID.String(), node.Draft{Content: []byte("five it is")})
		w.must(err)
		alice.comesTo(third, "delivered", 15*time.Second)
		for _, p := range []struct {
			who, with *person
			from      node.Sent
		}{{alice, bob, third}, {bob, alice, first}} {
			h, err := p.who.History(ctx(), node.HistoryQuery{Who: p.with.name, Thread: p.from.ID.String()})
			w.must(err)
			var texts []string
			for _, l := range h.Lines {
				if l.Sent != nil {
					texts = append(texts, string(l.Sent.Content))
				} else {
					texts = append(texts, string(l.Received.Content))
				}
			}
			if got := strings.Join(texts, ", "); got != "tea at four?, at five, five it is" {
				t.Errorf("%s finds %s", p.who.name, got)
			}
		}
		im := c.im(bob, "what you said", func(im *wire.IM) { im.InReplyTo = wire.MID{1, 2, 3} })
		c.post(bob, im, c.records...)
		if v := c.verdict(bob, im); v != "delivered" || bob.has("what you said") != 1 {
			t.Errorf("an answer to what nobody knows is %s", v)
		}
	})
}

// A card with an invite admits its holder once, and nobody else, also after a crash; and neither cards nor invites that come in a message make alice subscribe (RFC 2779, 5.1.6).
func TestReq_5_1_6_InvitesAndLinks(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		i, err := bob.Invite(ctx(), true, 0)
		w.must(err)
		card, err := identity.ParseCard(i.Card)
		w.must(err)
		before, err := alice.Status(ctx())
		w.must(err)
		for _, text := range []string{i.Card, "watch me: " + c.card(), "hum:" + bob.address()} {
			im := c.im(alice, text, func(im *wire.IM) { im.Contact = []string{text, i.Card} })
			c.post(alice, im, c.records...)
			if v := c.verdict(alice, im); v != "delivered" {
				t.Fatalf("carol's message is %s", v)
			}
		}
		_, err = alice.Add(ctx(), i.Card, "bob") // contacts nobody
		w.must(err)
		time.Sleep(soon)
		every, err := alice.Watching(ctx())
		w.must(err)
		if s, _ := alice.Status(ctx()); len(every) != 0 || s.Topics != before.Topics || bob.watcher(alice).State != "" {
			t.Errorf("alice watches %+v, and is on %d topics", every, s.Topics)
		}

		alice.ask(bob)
		w.soonly("the invite is used", func() bool { l, err := bob.Invites(ctx()); return err == nil && l[0].State == "used" })
		w.within(time.Minute, "alice is let in", func() bool { return alice.watching(bob).State == "active" })
		bob.kill(testnet.Crash)
		bob.up()
		s := c.subRequest(bob, carolsSub, func(r *wire.SubRequest) { r.Invite = card.Invite })
		c.post(bob, s, c.records...)
		w.soonly("carol is a stranger like any other", func() bool { return bob.watcherAt(c.address().String()).State == "pending" })
		if n := bob.refused("invite-refused"); n == 0 {
			t.Error("that her invite was refused is not counted")
		}
		l, err := bob.Invites(ctx())
		w.must(err)
		if l[0].By.String() != alice.address() {
			t.Errorf("the invite was used by %s", l[0].ByName)
		}
	})
}

// A card with an invite admits whoever first writes by it, as it does whoever asks to watch: once, also after a crash,
// and where strangers are refused. Without allow his message waits for a decision (SPEC 4.9, 14.96).
func TestReq_2_3_5_InviteInAMessage(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, carol, dave := w.person("alice"), w.person("bob"), w.person("carol"), w.person("dave")
		bob.sets(node.PolicyEdit{Class: "unknown", Messages: word("refuse")})
		card := func(allow bool) string {
			i, err := bob.Invite(ctx(), allow, 0)
			w.must(err)
			return i.Card
		}
		used := func(by *person) bool {
			l, err := bob.Invites(ctx())
			w.must(err)
			for _, i := range l {
				if i.By.String() == by.address() {
					return true
				}
			}
			return false
		}
		full, plain := card(true), card(false)
		clear := alice.draft(node.Draft{To: full, Content: []byte("who carries this sees no invite"), Clear: true, Expires: 20 * time.Second})
		w.within(time.Minute, "what is in the clear ends", func() bool { return alice.outcome(clear).State == "failed" })
		if used(alice) {
			t.Error("the invite was used by a message in the clear")
		}
		first := alice.draft(node.Draft{To: full, Content: []byte("you gave me your card")})
		alice.comesTo(first, "delivered", soon)
		if m := bob.one("you gave me your card"); m.FirstContact || !used(alice) {
			t.Errorf("alice's is shown as %+v, the invite is used: %v", m, used(alice))
		}
		bob.kill(testnet.Crash)
		bob.up()
		late := carol.draft(node.Draft{To: full, Content: []byte("so did I"), Expires: time.Hour})
		carol.comesTo(late, "failed(refused)", 20*time.Second)
		if n := bob.refused("invite-refused"); n == 0 {
			t.Error("that carol's invite was refused is not counted")
		}
		alice.comesTo(alice.draft(node.Draft{To: bob.card(), Content: []byte("and I am still welcome")}), "delivered", 20*time.Minute)
		alice.add(bob)
		alice.ask(bob)
		w.within(time.Minute, "alice may watch too", func() bool { return alice.watching(bob).State == "active" })

		_, err := dave.Add(ctx(), plain, "bob") // it is remembered with him
		w.must(err)
		dave.comesTo(dave.draft(node.Draft{To: "bob", Content: []byte("may I?")}), "delivered", soon)
		if m := bob.one("may I?"); !m.FirstContact || !used(dave) {
			t.Errorf("dave's is shown as %+v, the invite is used: %v", m, used(dave))
		}
	})
}
