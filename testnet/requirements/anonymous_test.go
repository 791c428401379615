package requirements

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// takes has p say what becomes of anonymous messages.
func (p *person) takes(anonymous string) {
	p.w.Helper()
	_, err := p.SetPolicy(ctx(), node.PolicyEdit{Class: "anonymous", Messages: &anonymous})
	p.w.must(err)
}

func (p *person) whispers(q *person, text string, life time.Duration) node.Sent {
	p.w.Helper()
	return p.draft(node.Draft{To: q.card(), Content: []byte(text), Anonymous: true, Expires: life})
}

// newest is the last message in p's inbox.
func (p *person) newest() node.Received {
	p.w.Helper()
	rows, err := p.Inbox(ctx(), node.InboxQuery{})
	p.w.must(err)
	if len(rows) == 0 {
		p.w.Fatal("the inbox is empty")
	}
	return rows[len(rows)-1]
}

// AB4.3: Bob takes nothing anonymous unless he says so, and may say no again.
func TestReq_8_2_2_AB4_3_Disallowed(t *testing.T) {
	inWorld(t, func(w *world) {
		bob := w.person("bob")
		accepted := func(by string) error {
			m := w.person(by) // who knows nothing of him but his card
			s := m.whispers(bob, "of "+by, 20*time.Second)
			if err := await(30*time.Second, "it has an end", func() bool { f := m.outcome(s).State; return f == "delivered" || f == "failed" }); err != nil {
				return err
			}
			if f := m.fate(s); f != "delivered" || bob.has("of "+by) != 1 {
				return fail("it is %s, and bob has it %d times", f, bob.has("of "+by))
			}
			return nil
		}
		w.finds("the rule that holds by default", accepted("m1"))
		bob.takes("first-contact")
		w.must(accepted("m2"))
		bob.takes("refuse")
		w.finds("a rule that refuses", accepted("m3"))
		if got := bob.inbox(); len(got) != 1 {
			t.Errorf("bob has %q", got)
		}
		way := "accept"
		if _, err := bob.SetPolicy(ctx(), node.PolicyEdit{Class: "anonymous", Messages: &way}); code(err) != "bad-word" {
			t.Errorf("among those of people he knows: %v", err)
		}
	})
}

// AC2: Alice hears that it was refused, by the word of Bob's node, and once his record is known before anything
// leaves.
func TestReq_8_2_2_AC2_ToldOfRefusal(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.comesTo(alice.whispers(bob, "who am I?", 20*time.Second), "failed(refused-anonymous)", 10*time.Second)
		again := func() error {
			_, err := alice.Send(ctx(), node.Draft{To: bob.card(), Content: []byte("again"), Anonymous: true})
			if code(err) != "refused-anonymous" {
				return fail("it is refused as %v", err)
			}
			return nil
		}
		w.must(again())
		bob.takes("first-contact")
		bob.add(alice)
		bob.delivers(alice, "with the new record")
		w.finds("an inbox that takes them", again())
	})
}

// AD5, AD6: Bob has them discarded, and then their sender hears nothing else than of one that he keeps; or refused,
// which is told.
func TestReq_8_2_2_AD6_DiscardIsNotTold(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dora := w.person("alice"), w.person("bob"), w.person("dora")
		bob.takes("discard")
		dora.takes("first-contact")
		told := func(p *person) (fate string, steps []string) {
			s := alice.whispers(p, "hello", 20*time.Second)
			alice.comesTo(s, "delivered", 10*time.Second)
			for _, x := range must(alice.Trace(ctx(), s.ID.String())) {
				steps = append(steps, x.Step)
			}
			return alice.fate(s), steps
		}
		f1, s1 := told(bob)
		f2, s2 := told(dora)
		if f1 != f2 || !slices.Equal(s1, s2) || len(bob.inbox()) != 0 || len(dora.inbox()) != 1 {
			t.Errorf("discarded: %s %q, kept: %s %q; bob has %q", f1, s1, f2, s2, bob.inbox())
		}
		mask := w.person("mask")
		bob.takes("refuse")
		mask.comesTo(mask.whispers(bob, "hello", 20*time.Second), "failed(refused-anonymous)", 10*time.Second)
	})
}

// AD5: what is discarded leaves nothing in the inbox, and Bob can see on his trace that it came.
func TestReq_8_2_2_AD5_Discarded(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		gone := func(text string) error {
			s := alice.whispers(bob, text, 20*time.Second)
			alice.comesTo(s, "delivered", 10*time.Second)
			if bob.has(text) != 0 {
				return fail("bob has it")
			}
			steps, err := bob.Trace(ctx(), s.ID.String())
			w.must(err)
			if len(steps) == 0 || steps[len(steps)-1].Step != "discarded" {
				return fail("his trace says %+v", steps)
			}
			return nil
		}
		bob.takes("discard")
		w.must(gone("for nobody"))
		bob.takes("first-contact")
		w.finds("one that is kept", gone("for bob"))
	})
}

// AB4.1: nothing that Bob's machine obtains is of Alice's address, device or peer, and two messages have nothing in
// common but the address of her machine.
func TestReq_8_2_2_AB4_1_NothingOfAlice(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		bob.takes("first-contact")
		var shown []string
		for i := range 2 {
			text := fmt.Sprint("from nobody ", i)
			s := alice.whispers(bob, text, time.Minute)
			alice.comesTo(s, "delivered", 5*time.Second)
			m := bob.newest()
			if string(m.Content) != text {
				t.Errorf("bob is shown %+v", m)
			}
			steps, err := bob.Trace(ctx(), m.ID.String())
			w.must(err)
			shown = append(shown, fmt.Sprintf("%+v %+v", m, steps))
		}
		if n := len(bob.got.parcels(alice.ip)); n != 2 {
			t.Errorf("%d parcels came", n)
		}
		self, peer := alice.Self(), peerOf(alice)
		nothing := func() error {
			got := bob.got.all("")
			for what, b := range map[string][]byte{"her address": self.Address[:], "her device": self.Device[:], "her peer": []byte(peer), "her name": []byte("alice")} {
				if bytes.Contains(got, b) {
					return fail("bob obtained %s", what)
				}
			}
			return clean("what bob is shown", fmt.Append(nil, shown, bob.events()), self.Address.String())
		}
		w.must(nothing())
		alice.add(bob)
		alice.delivers(bob, "by name")
		w.finds("a message that she signs", nothing())
	})
}

// AB4.2: in place of a name stands what no name can be: no petname, and nothing that a sender claims.
func TestReq_8_2_2_AB4_2_NoName(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dora := w.person("alice"), w.person("bob"), w.person("dora")
		bob.takes("first-contact")
		bob.add(dora)
		s := alice.draft(node.Draft{To: bob.card(), Content: []byte("it is me, dora"), Contact: []string{dora.card()}, Anonymous: true, Expires: time.Minute})
		alice.comesTo(s, "delivered", 10*time.Second)
		if m := bob.newest(); m.FromName != "(anonymous)" || m.Claimed != "" || !m.From.IsZero() || !m.FirstContact {
			t.Errorf("bob is shown %+v", m)
		}
		called := func(name string) error {
			if _, err := bob.Add(ctx(), alice.card(), name); code(err) != "bad-petname" {
				return fail("somebody can be called %s: %v", name, err)
			}
			return nil
		}
		w.must(called("(anonymous)"))
		w.finds("a name", called("anna"))
	})
}

// AD4: Bob is told that a message is anonymous, where it is listed and in the event that tells of it; nobody can
// answer it, and a message by name bears no such mark.
func TestReq_8_2_2_AD4_Marked(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		bob.takes("first-contact")
		alice.comesTo(alice.whispers(bob, "from nobody", time.Minute), "delivered", 5*time.Second)
		marked := func() error {
			m := bob.newest()
			if !m.Anonymous || m.Verified {
				return fail("bob is shown %+v", m)
			}
			if !slices.ContainsFunc(bob.events(), func(e node.Event) bool { return e.ID == m.ID.String() && e.Name == "(anonymous)" }) {
				return fail("no event says so")
			}
			if _, err := bob.Reply(ctx(), m.ID.String(), node.Draft{Content: []byte("who?")}); code(err) != "anonymous" {
				return fail("an answer is %v", err)
			}
			return nil
		}
		w.must(marked())
		alice.add(bob)
		alice.delivers(bob, "by name")
		w.finds("a message that says who wrote it", marked())
	})
}

// B2, B3, D1: acks that are lost, a node that dies and one that is away: it is delivered once, or fails and says so. The
// box for what nobody answers for has its bounds, and only text goes there.
func TestReq_8_2_2_All_OnceOrToldOtherwise(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		bob.takes("first-contact")
		alice.comesTo(alice.whispers(bob, "first", time.Minute), "delivered", 5*time.Second)
		card := bob.card()
		bob.kill(testnet.Crash)
		lost := alice.draft(node.Draft{To: card, Content: []byte("to nobody"), Anonymous: true, Expires: 20 * time.Second})
		late := alice.draft(node.Draft{To: card, Content: []byte("to wait"), Anonymous: true, Expires: 2 * time.Hour})
		alice.comesTo(lost, "failed(unreachable)", time.Minute)
		alice.kill(testnet.Crash)
		alice.up()
		bob.up()
		alice.comesTo(late, "delivered", time.Hour)
		before := bob.got.parcels(alice.ip)
		c := w.hostile("carol")
		for range 2 {
			for _, p := range before {
				c.hand(bob, p)
				time.Sleep(time.Second)
			}
			bob.kill(testnet.Crash)
			bob.up()
		}
		once := func(want ...string) error {
			if got := bob.inbox(); !slices.Equal(got, want) {
				return fail("bob has %q, not %q", got, want)
			}
			return nil
		}
		w.must(once("first", "to wait"))
		w.finds("a message twice", once("first", "first", "to wait"))
		if _, err := alice.Send(ctx(), node.Draft{To: card, Type: "image/png", Content: []byte("\x89PNG"), Anonymous: true, Expires: time.Minute}); err == nil {
			s := alice.draft(node.Draft{To: card, Type: "image/png", Content: []byte("\x89PNG"), Anonymous: true, Expires: time.Minute})
			alice.comesTo(s, "failed(unsupported-type)", time.Minute)
		}
		var last node.Sent
		for i := range wire.MaxFirstPerPeer {
			last = alice.whispers(bob, fmt.Sprint("one of many ", i), 10*time.Minute)
		}
		w.within(time.Hour, "the last has its end", func() bool { s := alice.outcome(last); return s.State == "failed" || s.State == "delivered" })
		if n := len(bob.inbox()); n > wire.MaxFirstPerPeer {
			t.Errorf("%d anonymous messages wait", n)
		}
	})
}

// C2: while Bob is away an anonymous message waits in his mailbox, and never counts as delivered; once he is back he
// has it once, and its author hears so. The mailbox learns nothing of her.
func TestReq_8_2_2_All_WhileHeIsAway(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		bob.takes("first-contact")
		time.Sleep(time.Minute) // until the mailbox is in his record
		alice.comesTo(alice.whispers(bob, "while he is there", time.Minute), "delivered", 10*time.Second)
		card := bob.card()
		bob.down()
		s := alice.draft(node.Draft{To: card, Content: []byte("while he is away"), Anonymous: true, Expires: 24 * time.Hour})
		alice.comesTo(s, "stored", 2*time.Minute)
		self, peer := alice.Self(), peerOf(alice)
		nothing := func() error {
			d.down()
			kept := openedAt(w, d.home)
			d.up()
			if !slices.ContainsFunc(d.got.frames(alice.ip), func(f frameOn) bool {
				x, err := wire.ParseDeposit(f.Payload)
				return f.Op == wire.OpDeposit && err == nil && bytes.Contains(kept, x.Item.Parcel)
			}) {
				t.Error("what she left is not found in what the mailbox keeps")
			}
			held := append(d.got.all(""), kept...)
			for what, b := range map[string][]byte{"her address": self.Address[:], "her device": self.Device[:], "her peer": []byte(peer)} {
				if bytes.Contains(held, b) {
					return fail("the mailbox obtained %s", what)
				}
			}
			return nil
		}
		w.must(nothing())
		time.Sleep(time.Hour)
		if f := alice.fate(s); f != "stored" {
			t.Errorf("while he is away it is %s", f)
		}
		bob.up()
		w.within(10*time.Minute, "bob has it", func() bool { return bob.has("while he is away") == 1 })
		alice.comesTo(s, "delivered", time.Hour)
		time.Sleep(time.Hour)
		if n := bob.has("while he is away"); n != 1 {
			t.Errorf("bob has it %d times", n)
		}
		m := alice.draft(node.Draft{To: card, Content: []byte("by name"), Expires: 24 * time.Hour})
		alice.comesTo(m, "delivered", time.Minute)
		bob.down()
		alice.comesTo(alice.draft(node.Draft{To: card, Content: []byte("by name, to the mailbox"), Expires: 24 * time.Hour}), "stored", 2*time.Minute)
		w.finds("a message that she signs", nothing())
	})
}
