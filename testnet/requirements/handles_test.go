package requirements

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
)

// Domains that never met (requirements 2.2.1, S3): Alice knows nothing of Bob but bob@d2.test, her community has never
// heard of his, and no configuration of either names the other. She writes, asks to watch, and sees him.
func TestReq_2_2_1_DomainsThatNeverMet(t *testing.T) {
	inWorld(t, func(w *world) {
		d1, d2 := w.operator("d1", of("d1.test")), w.operator("d2", of("d2.test"))
		alice, bob := w.person("alice"), w.person("bob")
		alice.enters(d1.invite(1))
		bob.enters(d2.invite(1))
		bob.calls("bob@d2.test")
		alice.calls("alice@d1.test")
		time.Sleep(2 * time.Minute) // the homes are told
		r, err := alice.Resolve(ctx(), "bob@d2.test")
		if err != nil || r.Address != bob.Self().Address || !r.Known {
			t.Fatalf("resolved: %+v, %v", r, err)
		}
		m := alice.draft(node.Draft{To: "bob@d2.test", Content: []byte("hello")})
		_, err = alice.Watch(ctx(), "bob@d2.test", "it is alice", 0)
		w.must(err)
		w.within(20*time.Minute, "bob is asked", func() bool { reqs, _ := bob.Requests(ctx()); return len(reqs) == 1 })
		_, err = bob.ApproveIn(ctx(), "alice@d1.test", "")
		w.must(err)
		alice.comesTo(m, "delivered", 20*time.Minute)
		bob.note("seen across")
		w.within(20*time.Minute, "alice sees him", func() bool { return alice.sees(bob).Note == "seen across" })
	})
}

// What a domain may say that is no address, each with its own clear answer (requirements 2.1.2, S9).
func TestReq_2_1_2_DomainsSayNo(t *testing.T) {
	inWorld(t, func(w *world) {
		d := w.operator("d1", of("d1.test"))
		alice := w.person("alice")
		for _, x := range []struct {
			name, who, im, presence string
			is                      error
		}{
			{"a name that nobody has", "nobody@d1.test", "no-such-inbox", "noresource", nil},
			{"a domain that is none", "bob@none.test", "no-such-inbox", "noresource", nil},
			{"a domain with mail alone", "bob@mail.test", "no-im-service", "no-presence-service", names.ErrMailOnly},
			{"a domain that does not answer", "bob@silent.test", "unreachable", "unreachable", names.ErrSilent},
			{"another's certificate", "bob@forged.test", "binding-invalid", "binding-invalid", names.ErrForged},
			{"two words at once", "bob@two.test", "binding-invalid", "binding-invalid", names.ErrDisagrees},
			{"no answer at all", "bob@bad.test", "malformed", "malformed", names.ErrBadAnswer},
			{"no handle", "bob@", "bad-handle", "bad-handle", nil},
		} {
			if h, err := wire.ParseHandle(x.who); err == nil && x.is != nil {
				w.book().fails(h.Domain, x.is)
			}
			if _, err := alice.Send(ctx(), node.Draft{To: x.who, Content: []byte("x")}); code(err) != x.im {
				t.Errorf("%s: to send: %v", x.name, err)
			}
			if _, err := alice.Watch(ctx(), x.who, "", 0); code(err) != x.presence {
				t.Errorf("%s: to watch: %v", x.name, err)
			}
		}
		if st, err := d.Status(); err != nil || st.Members != 0 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// Three communities of which two have heard of nobody but the third: from an address alone, by the DHT, Alice of the one
// finds Bob of the other; also while he is away. The servers cannot tell whom she asked for.
func TestReq_2_2_1_AddressAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		d3 := w.operator("d3")
		d1, d2 := w.operator("d1", meets(d3)), w.operator("d2", meets(d3))
		alice, bob := w.person("alice"), w.person("bob")
		alice.enters(d1.invite(1))
		bob.enters(d2.invite(1))
		time.Sleep(10 * time.Minute) // the homes are told, and tell the DHT
		r, err := alice.Resolve(ctx(), addressOf(bob))
		if err != nil || !r.Known || r.Asked == 0 {
			t.Fatalf("resolved: %+v, %v", r, err)
		}
		bob.down()
		time.Sleep(3 * time.Hour)
		carol := w.person("carol")
		carol.enters(d1.invite(1))
		if r, err := carol.Resolve(ctx(), addressOf(bob)); err != nil || !r.Known {
			t.Errorf("resolved when he is away: %+v, %v", r, err)
		}
		m := carol.draft(node.Draft{To: addressOf(bob), Content: []byte("by address alone"), Expires: 24 * time.Hour})
		carol.comesTo(m, "stored", 10*time.Minute)
		bob.up()
		w.within(20*time.Minute, "bob has it", func() bool { return bob.has("by address alone") == 1 })
		carol.comesTo(m, "delivered", 20*time.Minute)
		key := bob.Self().Address
		for _, d := range []*operator{d1, d3} {
			w.must(clean("the tape of "+d.name, d.got.all(""), string(key[:])))
			w.must(clean("the tape of "+d.name, d.got.all(""), addressOf(bob)))
		}
	})
}

// One person, two names in two domains run by different operators (requirements 2.1.2, S2): presence at the one, messages
// at the other. Each refuses what it does not do, before anybody is asked.
func TestReq_2_1_2_TwoDomains(t *testing.T) {
	inWorld(t, func(w *world) {
		d1, d2 := w.operator("d1", of("d1.test")), w.operator("d2", of("d2.test"))
		pres, msgs, alice := w.person("pres", only(identity.Presentity)), w.person("msgs", only(identity.Inbox)), w.person("alice")
		pres.enters(d1.invite(1))
		msgs.enters(d2.invite(1))
		pres.calls("bob@d1.test")
		msgs.calls("b-msg@d2.test")
		_, err := pres.Set(ctx(), node.Change{Contacts: &[]string{"im:b-msg@d2.test"}})
		w.must(err)
		time.Sleep(2 * time.Minute)
		if _, err := alice.Send(ctx(), node.Draft{To: "im:bob@d1.test", Content: []byte("x")}); err == nil {
			s, _ := alice.Outbox(ctx(), "")
			w.within(10*time.Minute, "a message to who takes none fails", func() bool {
				s, _ = alice.Outbox(ctx(), "")
				return len(s) == 1 && s[0].State == "failed" && s[0].Reason == wire.ReasonNoIMService
			})
		} else if code(err) != "no-im-service" {
			t.Errorf("to a presentity: %v", err)
		}
		if _, err := alice.Watch(ctx(), "pres:b-msg@d2.test", "", 0); code(err) != "no-presence-service" {
			t.Errorf("to watch an inbox: %v", err)
		}
		_, err = alice.Watch(ctx(), "pres:bob@d1.test", "", 0)
		w.must(err)
		w.within(20*time.Minute, "bob is asked", func() bool { reqs, _ := pres.Requests(ctx()); return len(reqs) == 1 })
		_, err = pres.ApproveIn(ctx(), addressOf(alice), "")
		w.must(err)
		w.within(20*time.Minute, "alice sees where he takes messages", func() bool {
			return slices.Contains(alice.sees(pres).Contacts, "im:b-msg@d2.test")
		})
		m := alice.draft(node.Draft{To: "im:b-msg@d2.test", Content: []byte("found by your presence")})
		alice.comesTo(m, "delivered", 20*time.Minute)
	})
}

// Domains name their own (requirement 2.1.4): two of them, that cannot reach each other, have an alice each; with one of
// them gone the other goes on naming.
func TestReq_2_1_4_DomainsNameTheirOwn(t *testing.T) {
	inWorld(t, func(w *world) {
		d1, d2 := w.operator("d1", of("d1.test")), w.operator("d2", of("d2.test"))
		w.net.Cut(d1.ip, d2.ip)
		a1, a2, carol := w.person("alice1"), w.person("alice2"), w.person("carol")
		dave := w.person("dave")
		a1.enters(d1.invite(9))
		invite := d2.invite(9)
		a2.enters(invite)
		a1.calls("alice@d1.test")
		a2.calls("alice@d2.test")
		for who, p := range map[string]*person{"alice@d1.test": a1, "ALICE@D2.test": a2} {
			if r, err := dave.Resolve(ctx(), who); err != nil || r.Address != p.Self().Address {
				t.Errorf("%s: %+v, %v", who, r, err)
			}
		}
		d1.down()
		carol.enters(invite)
		carol.calls("carol@d2.test")
		m := dave.draft(node.Draft{To: "carol@d2.test", Content: []byte("hello")})
		dave.comesTo(m, "delivered", 30*time.Minute)
		if _, err := dave.Resolve(ctx(), "eve@d1.test"); code(err) != "unreachable" {
			t.Errorf("a domain that is gone: %v", err)
		}
		if r, err := dave.Resolve(ctx(), "alice@d1.test"); err != nil || r.Address != a1.Self().Address {
			t.Errorf("a name that was pinned before its domain went: %+v, %v", r, err)
		}
	})
}

// Whoever answers in Bob's place is refused (requirement 5.1.1): a domain that names Mallory, DNS or a certificate that
// lies, a record that does not list the name, another's record; and once it is pinned another address is a conflict that
// the user hears of, and decides. Blocking by the name bars the address, under whatever name it comes (5.1.13).
func TestReq_5_1_1_PoisonedNames(t *testing.T) {
	inWorld(t, func(w *world) {
		d := w.operator("d", of("d.test"))
		bob, mallory, alice := w.person("bob"), w.person("mallory"), w.person("alice")
		invite := d.invite(9)
		for _, p := range []*person{bob, mallory} {
			p.enters(invite)
		}
		bob.calls("bob@d.test")
		mallory.calls("mallory@d.test")
		if f, err := mallory.AddHandle(ctx(), "bob@d.test"); err != nil || f.State != "waiting" || !strings.Contains(f.Detail, "another's") {
			t.Errorf("mallory claims bob's name: %+v, %v", f, err)
		}
		_, err := mallory.RemoveHandle(ctx(), "bob@d.test")
		w.must(err)
		time.Sleep(2 * time.Minute)
		reply := func(handle string) names.Answer {
			h, err := wire.ParseHandle(handle)
			w.must(err)
			page, ok := d.Page(h.Label())
			if !ok {
				t.Fatalf("no page of %s", handle)
			}
			r, err := wire.ParseHandleReply(page)
			w.must(err)
			return names.Answer{HandleReply: r, HTTPS: true}
		}
		lies := func(a names.Answer) {
			w.book().lie("d.test", func(wire.Handle) (names.Answer, error) { return a, nil })
		}

		lies(reply("mallory@d.test"))
		if _, err := alice.Resolve(ctx(), "bob@d.test"); code(err) != "binding-invalid" {
			t.Errorf("a domain that names mallory, who does not call herself so: %v", err)
		}
		mixed := reply("mallory@d.test")
		mixed.Address = bob.Self().Address
		lies(mixed)
		if _, err := alice.Resolve(ctx(), "bob@d.test"); code(err) != "binding-invalid" {
			t.Errorf("bob's address with mallory's record: %v", err)
		}
		w.book().lie("d.test", nil)
		_, err = alice.Add(ctx(), "bob@d.test", "bob")
		w.must(err)

		_, err = mallory.AddHandle(ctx(), "bob@d.test") // now she calls herself so, and the domain is taken over
		w.must(err)
		forged := names.Answer{HandleReply: wire.HandleReply{Address: mallory.Self().Address, Record: reply("mallory@d.test").Record}, HTTPS: true}
		time.Sleep(2 * time.Minute)
		forged.Record = reply("mallory@d.test").Record
		lies(forged)
		w.dayOff(d, bob, mallory, alice) // the name is asked for again
		_, err = alice.Resolve(ctx(), "bob@d.test")
		w.must(err)
		w.within(time.Minute, "alice hears of the conflict", func() bool { return alice.told("handle-conflict") })
		if _, err := alice.Send(ctx(), node.Draft{To: "bob@d.test", Content: []byte("x")}); code(err) != "binding-invalid" {
			t.Errorf("a name in conflict: %v", err)
		}
		if _, err := alice.Send(ctx(), node.Draft{To: "bob", Content: []byte("x")}); err != nil {
			t.Errorf("his petname: %v", err)
		}
		_, err = alice.ForgetHandle(ctx(), "bob@d.test")
		w.must(err)
		w.book().lie("d.test", nil)
		_, err = alice.Resolve(ctx(), "bob@d.test")
		w.must(err)

		_, err = bob.Block(ctx(), "mallory@d.test", "both")
		w.must(err)
		m := mallory.draft(node.Draft{To: addressOf(bob), Content: []byte("under another name")})
		time.Sleep(20 * time.Minute)
		if sent, err := mallory.Outbox(ctx(), m.ID.String()); err != nil || len(sent) != 1 || sent[0].State == "delivered" || bob.has("under another name") != 0 {
			t.Errorf("mallory was blocked by her name, and writes from her address: %+v, %v", sent, err)
		}
	})
}

// dayOff turns everybody off for more than a day, after which a name is asked for again.
func (w *world) dayOff(d *operator, everybody ...*person) {
	d.down()
	for _, p := range everybody {
		p.down()
	}
	time.Sleep(25 * time.Hour)
	d.up()
	for _, p := range everybody {
		p.up()
	}
}

// A name leads to the address, and goes with its owner when he moves (requirement S5): the domain gives his new address
// with the successor that he signed, so that who had pinned the old one reaches the new by the name, without a conflict
// and without a word from him; and so does who never knew the old. A new address without a successor is a conflict
// (TestReq_5_1_1_PoisonedNames).
func TestReq_S5_NameMovesWithItsOwner(t *testing.T) {
	inWorld(t, func(w *world) {
		d := w.operator("d", of("d.test"))
		bob, alice, carol := w.person("bob"), w.person("alice"), w.person("carol")
		bob.enters(d.invite(9))
		bob.calls("bob@d.test")
		time.Sleep(2 * time.Minute)
		_, err := alice.Add(ctx(), "bob@d.test", "bob")
		w.must(err)
		before := bob.Self().Address

		alice.down()
		bob.down()
		moved, err := node.SucceedHome(bob.home, node.SuccessionConfig{Seed: bob.words(), Reason: identity.MovedAway, Clock: bob.clock.Now, Rand: bob.rand()})
		w.must(err)
		bob.up()
		h, err := wire.ParseHandle("bob@d.test")
		w.must(err)
		w.within(20*time.Minute, "the domain names his new address", func() bool {
			said, err := w.book().Look(ctx(), h)
			return err == nil && said.Address == moved.Self.Address && len(said.Successors) > 0
		})
		alice.up()
		w.dayOff(d, bob, alice, carol) // the name is asked for again
		bob.down()                     // nobody but the domain tells alice
		if r, err := alice.Resolve(ctx(), "bob@d.test"); err != nil || r.Address != before {
			t.Errorf("as it was pinned: %+v, %v", r, err)
		}
		w.within(time.Minute, "alice follows him", func() bool {
			r, err := alice.Resolve(ctx(), "bob@d.test")
			return err == nil && r.Address == moved.Self.Address
		})
		if alice.told("handle-conflict") {
			t.Error("a name that moved by a successor is a conflict")
		}
		if r, err := carol.Resolve(ctx(), "bob@d.test"); err != nil || r.Address != moved.Self.Address {
			t.Errorf("who never knew the old address: %+v, %v", r, err)
		}
		bob.up()
		for _, to := range []string{"bob@d.test", "bob"} {
			m := alice.draft(node.Draft{To: to, Content: []byte("to " + to)})
			alice.comesTo(m, "delivered", 20*time.Minute)
		}
	})
}

// Names that are equal once normalised, and those that look alike, are one person's (requirement 4.1.6).
func TestReq_4_1_6_NamesOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		d := w.operator("d", of("d.test"))
		a, b := w.person("a"), w.person("b")
		invite := d.invite(9)
		a.enters(invite)
		b.enters(invite)
		a.calls("zo\u00eb@d.test")
		a.calls("alice@d.test")
		for name, why := range map[string]string{
			"zoe\u0308@d.test": "another's", "ZO\u00cb@D.test": "another's", "\u0430lice@d.test": "looks like", "a\u200dlice@d.test": "",
			"al ice@d.test": "", "\uff41lice@d.test": "",
		} {
			f, err := b.AddHandle(ctx(), name)
			if why == "" && err == nil && f.State == "vouched" || why != "" && (err != nil || f.State != "waiting" || !strings.Contains(f.Detail, why)) {
				t.Errorf("%q: %+v, %v", name, f, err)
			}
			if err == nil {
				_, err = b.RemoveHandle(ctx(), name)
				w.must(err)
			}
		}
		if kept, err := d.Names(); err != nil || len(kept) != 2 {
			t.Errorf("kept: %+v, %v", kept, err)
		}
	})
}

// A community of three nodes (requirement S45): with any two of them gone a new member joins, and is heard; with all of
// them gone those who know each other talk on.
func TestReq_S45_AnyTwoOfThree(t *testing.T) {
	inWorld(t, func(w *world) {
		nodes := []*operator{w.operator("d1"), w.operator("d2"), w.operator("d3")}
		var invites []string
		for _, d := range nodes {
			invites = append(invites, d.invite(9))
		}
		alice, bob := w.person("alice"), w.person("bob")
		for _, p := range []*person{alice, bob} {
			_, waiting, err := p.JoinAny(ctx(), invites)
			if err != nil || waiting != 0 {
				t.Fatalf("%s joins: %d wait, %v", p.name, waiting, err)
			}
		}
		alice.watch(bob)
		bob.watch(alice)
		time.Sleep(2 * time.Minute)
		for i := range nodes {
			for j, d := range nodes {
				if j != i {
					d.down()
				}
			}
			carol := w.person(fmt.Sprint("carol", i))
			if _, waiting, err := carol.JoinAny(ctx(), invites); err != nil || waiting != 2 {
				t.Fatalf("joins with %s alone: %d wait, %v", nodes[i].name, waiting, err)
			}
			m := carol.draft(node.Draft{To: bob.card(), Content: []byte("from " + carol.name)})
			carol.comesTo(m, "delivered", 20*time.Minute)
			for j, d := range nodes {
				if j != i {
					d.up()
				}
			}
			w.within(30*time.Minute, "carol joins the others", func() bool {
				for _, d := range nodes {
					if st, err := d.Status(); err != nil || st.Members != 3+i {
						return false
					}
				}
				return true
			})
		}
		for _, d := range nodes {
			d.down()
		}
		time.Sleep(10 * time.Minute)
		m := alice.draft(node.Draft{To: "bob", Content: []byte("still there")})
		alice.comesTo(m, "delivered", 20*time.Minute)
		bob.note("still here")
		w.within(5*time.Minute, "alice sees him", func() bool { return alice.sees(bob).Note == "still here" })
		if _, _, err := w.person("late").JoinAny(ctx(), invites); code(err) != "unreachable" {
			t.Errorf("to join when nobody is there: %v", err)
		}
	})
}

// What the founders asked for, in the same worlds: presence at one name and messages at another (S2), both at one that
// people see and can say (S3), and a name that may be that of mail as well, without depending on it (S9).
func TestReq_S2_PresenceHereMessagesThere(t *testing.T) { TestReq_2_1_2_TwoDomains(t) }
func TestReq_S3_OneNameForBoth(t *testing.T)            { TestReq_2_2_1_DomainsThatNeverMet(t) }
func TestReq_S9_AsForMail(t *testing.T)                 { TestReq_2_1_2_DomainsSayNo(t) }
