package requirements

import (
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// While Bob is lost, Alice and Dave, who are in different views, fetch from his community's node the very documents that
// each was told last and no other (requirement 2.3.3): the digests are those that Bob's own node shows for them.
func TestReq_2_3_3_FromAnAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice, dave := w.operator("d"), w.person("bob"), w.person("alice"), w.person("dave")
		bob.enters(d.invite(1))
		alice.watch(bob)
		dave.watch(bob)
		must(bob.EditView(ctx(), node.ViewEdit{Name: "little", Show: []string{"person"}, Add: []string{dave.address()}}))
		bob.note("for friends alone")
		w.within(time.Minute, "alice reads the note", func() bool { return alice.sees(bob).Note == "for friends alone" })
		time.Sleep(time.Minute)
		shown := map[*person]string{}
		for _, p := range []*person{alice, dave} {
			shown[p] = must(bob.ViewAs(ctx(), p.address())).Digest
			if got := p.sees(bob).Digest; got == "" || got != shown[p] {
				t.Errorf("%s was told %q, and bob shows %q", p.name, got, shown[p])
			}
		}
		if shown[alice] == shown[dave] {
			t.Error("both are told the same")
		}
		bob.kill(testnet.Blackout)
		time.Sleep(10 * time.Minute)
		for p, note := range map[*person]string{alice: "for friends alone", dave: ""} {
			got, err := p.Fetch(ctx(), "bob", false)
			if err != nil || got.Digest != shown[p] || got.Note != note {
				t.Errorf("%s fetches %+v, %v; bob showed %q", p.name, got, err, shown[p])
			}
		}
		w.must(clean("the tape of the anchor", d.got.all(""), "for friends alone"))
	})
}

// What a name of somebody's own domain says goes through a community's node as it was said (seed S18).
func TestReq_S18_ThroughAnAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		alice.watch(bob)
		says := node.Measure{Name: "x.example.org/tide", Value: "2.41 m; falling"}
		must(bob.Set(ctx(), node.Change{Measures: &[]node.Measure{says}}))
		time.Sleep(10 * time.Second)
		bob.kill(testnet.Blackout)
		alice.kill(testnet.Crash) // so that nothing is remembered but what is on the disk, and asked for again
		alice.up()
		time.Sleep(time.Minute)
		got, err := alice.Fetch(ctx(), "bob", false)
		if err != nil || len(got.Tuples) != 1 || !slices.Contains(got.Tuples[0].Status, says) {
			t.Errorf("from the anchor alice fetches %+v, %v", got, err)
		}
	})
}

// A request that a mailbox took is an event when Bob is back, with who, which and when, and stays in his list whatever
// becomes of his node (requirement 5.1.11).
func TestReq_5_1_11_TakenByAMailbox(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		alice.add(bob)
		time.Sleep(time.Minute)
		must(alice.Resolve(ctx(), "bob"))
		bob.down()
		alice.ask(bob)
		w.within(5*time.Minute, "her request waits", func() bool { return d.kept().Items == 1 })
		alice.down()
		bob.up()
		w.within(20*time.Minute, "bob has it", func() bool { return bob.requestsOf(alice) == 1 })
		told := 0
		for _, e := range bob.events() {
			if e.Kind == "request" && e.Address.String() == addressOf(alice) && e.ID != "" && !e.At.IsZero() {
				told++
			}
		}
		if told == 0 {
			t.Error("no event tells bob of her request")
		}
		bob.kill(testnet.Blackout)
		bob.up()
		time.Sleep(time.Minute)
		if n := bob.requestsOf(alice); n != 1 {
			t.Errorf("after a power cut it is there %d times", n)
		}
	})
}

// Alice and Bob hear each other through a community's node alone, which restarts again and again while Bob says
// something every few seconds: she ends with what he said last, and each number on the way was read or is declared
// superseded (requirement 5.2.2).
func TestReq_5_2_2_AnchorThatRestarts(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		alice.enters(d.invite(1))
		alice.watch(bob)
		time.Sleep(time.Minute)
		w.net.Cut(alice.ip, bob.ip)
		last := ""
		for i := range 30 {
			last = "note " + string(rune('a'+i))
			bob.note(last)
			if i%8 == 5 {
				d.down()
				time.Sleep(20 * time.Second)
				d.up()
			}
			time.Sleep(3 * time.Second)
		}
		w.within(30*time.Minute, "alice reads what he said last", func() bool { return alice.sees(bob).Note == last })
		before := uint64(0)
		for _, e := range alice.events() {
			if e.Kind != "presence" || e.Version == 0 || e.Address.String() != addressOf(bob) {
				continue
			}
			if before != 0 && e.Version != before+1+e.Superseded {
				t.Errorf("after version %d comes %d, and %d are said to be superseded", before, e.Version, e.Superseded)
			}
			before = e.Version
		}
		if before < 30 {
			t.Errorf("the last version is %d", before)
		}
	})
}

// lying is an operator who does what he is asked and something else.
func (w *world) lying(name string) (*operator, *liar) {
	w.Helper()
	l := &liar{first: map[wire.PublicKey][]byte{}}
	return w.operator(name, func(o *operator) {
		o.lies = func(c p2p.Custodian) p2p.Custodian { l.Custodian = c; return l }
	}), l
}

// What one of Bob's mailboxes has altered is not his, and is counted; he has the message by the other (requirement
// 5.4.7).
func TestReq_5_4_7_ByTheOtherMailbox(t *testing.T) {
	inWorld(t, func(w *world) {
		m, l := w.lying("m")
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(m.invite(1))
		bob.enters(d.invite(1))
		alice.watch(bob)
		time.Sleep(10 * time.Second)
		l.tells("truncates")
		bob.down()
		s := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("as it was written"), Expires: 24 * time.Hour})
		w.within(5*time.Minute, "it lies at both", func() bool { return m.kept().Items == 1 && d.kept().Items == 1 })
		alice.down()
		bob.up()
		w.within(20*time.Minute, "bob has it", func() bool { return bob.has("as it was written") == 1 })
		w.within(20*time.Minute, "what was altered is counted", func() bool { return bob.refused("bad-item") > 0 })
		if n := len(bob.inbox()); n != 1 {
			t.Errorf("bob's inbox holds %d messages", n)
		}
		alice.up()
		alice.comesTo(s, "delivered", 20*time.Minute)
	})
}

// Whatever stands in Alice's slot at Bob's community, which is all that she has of him while he is away, her subscription
// goes on: nobody but Bob ends it (requirement 5.1.8).
func TestReq_5_1_8_ForgedAtAnAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		m, l := w.lying("m")
		bob, alice, carol := w.person("bob"), w.person("alice"), w.person("carol")
		bob.enters(m.invite(1))
		alice.watch(bob)
		carol.watch(bob)
		must(bob.Block(ctx(), carol.address(), "both")) // an end that is true, of another's
		time.Sleep(10 * time.Second)
		bob.kill(testnet.Blackout)
		for _, lie := range []string{"forges", "hands out another's slot", "truncates", "rolls back", "withholds"} {
			l.tells(lie)
			alice.down()
			alice.up()
			time.Sleep(2 * time.Minute)
			if s := alice.watching(bob); s.State != "active" {
				t.Errorf("%s: her subscription is %s", lie, s.State)
			}
		}
		l.tells("")
		bob.up()
		bob.note("after all that")
		w.within(time.Minute, "alice reads on", func() bool { return alice.sees(bob).Note == "after all that" })
	})
}

// A mailbox acks nothing in its owner's place (seed S31): to the sender a message there is stored, whether he will be told
// or not, and of one whose inbox tells of refusals alone he hears no more. Where the check has a host ack for the owner,
// the protocol has nobody who could: an ack is signed by the device that has committed.
func TestReq_S31_MailboxAcksNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		must(bob.SetPolicy(ctx(), node.PolicyEdit{Acks: ptr("refusals")}))
		alice.watch(bob)
		time.Sleep(10 * time.Second)
		bob.down()
		s := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("for his eyes"), Expires: time.Hour})
		alice.comesTo(s, "stored", 5*time.Minute)
		bob.up()
		w.within(20*time.Minute, "bob has it", func() bool { return bob.has("for his eyes") == 1 })
		if f := alice.fate(s); f != "stored" {
			t.Errorf("alice is told %s", f)
		}
		alice.comesTo(s, "failed(unconfirmed)", 90*time.Minute)
		if n := bob.has("for his eyes"); n != 1 {
			t.Errorf("bob has it %d times", n)
		}
	})
}
