package requirements

import (
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
)

const reason = "please" // of a request

// presenceOnly checks that Bob, who has no inbox, is watched by Alice and gets no message of anybody.
func presenceOnly(w *world, alice, bob *person) error {
	bob.note("working")
	if err := await(3*time.Second, "alice sees his note", func() bool { return alice.sees(bob).Note == "working" }); err != nil {
		return err
	}
	_, err := alice.Send(ctx(), node.Draft{To: "bob", Content: []byte("hi")})
	if code(err) != "no-im-service" {
		return fail("a message to him is %q", code(err))
	}
	if out, err := alice.Outbox(ctx(), ""); err != nil || len(out) > 0 {
		return fail("%d messages are queued", len(out))
	}
	return nil
}

// The protocol reads services from the pinned record (SPEC 2.3), so alice's own node refuses before
// anything is sent; who asks all the same gets the answer from bob's node.
func TestReq_2_1_1_PresenceAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob", only(identity.Presentity)), w.hostile("carol")
		alice.watch(bob)
		w.must(presenceOnly(w, alice, bob))
		im := c.im(bob, "hi")
		c.post(bob, im, c.records...)
		if v := c.verdict(bob, im); v != "failed(no-im-service)" {
			t.Errorf("a message sent all the same is %s", v)
		}
		bob.down()
		bob.up()
		w.within(30*time.Second, "alice sees him again", func() bool { return alice.sees(bob).Basic == "open" })
		w.must(presenceOnly(w, alice, bob))
		if n := len(bob.inbox()); n != 0 {
			t.Errorf("%d messages are in the inbox that he does not have", n)
		}
		dave := w.person("dave")
		alice.watch(dave)
		_, err := alice.Send(ctx(), node.Draft{To: "dave", Content: []byte("hi")})
		w.finds("somebody with an inbox", map[bool]error{false: nil, true: fail("sent")}[err == nil])
	})
}

// That nothing is known of an address before the first message is answered by its node.
func TestReq_2_1_1_FirstMessageToPresenceAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob", only(identity.Presentity))
		alice.add(bob)
		s := alice.send(bob, "anybody there?")
		alice.comesTo(s, "failed(no-im-service)", soon)
	})
}

func TestReq_2_1_1_MessagesAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob", only(identity.Inbox))
		alice.add(bob)
		alice.ask(bob)
		w.soonly("alice's request is refused", func() bool {
			s := alice.watching(bob)
			return s.State == "denied" && s.Reason.String() == "no-presence-service"
		})
		alice.delivers(bob, "first")
		bob.down()
		bob.up()
		w.within(5*time.Second, "a message after his restart", func() bool { return bob.Node != nil })
		s := alice.send(bob, "second")
		alice.comesTo(s, "delivered", 15*time.Second)
		_, err := alice.Watch(ctx(), "bob", reason, 0)
		if code(err) != "no-presence-service" {
			t.Errorf("a request after his restart is %q", code(err))
		}
	})
}

// Here addresses are hum1…, so that "other identifier" is another key; the checks of domains belong to
// communities. That an address lives nowhere cannot be told from nobody answering for it (SPEC 2.3): the
// message ends by its own expiry.
func TestReq_2_1_2_TwoIdentifiers(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, box := w.person("alice"), w.person("bob", only(identity.Presentity)), w.person("box", only(identity.Inbox))
		alice.watch(bob)
		alice.add(box)
		s := alice.draft(node.Draft{To: box.Self().Address.IM(), Content: []byte("to the box"), Expires: time.Minute})
		alice.comesTo(s, "delivered", soon)
		if box.has("to the box") != 1 {
			t.Error("it is not in the box")
		}
		// What bob publishes names the inbox, and that is enough to write to it.
		named := func() error {
			who := alice.sees(bob).Contacts
			if len(who) != 1 {
				return fail("alice is shown %q as his other ways", who)
			}
			s, err := alice.Send(ctx(), node.Draft{To: who[0], Content: []byte("by what he publishes"), Expires: time.Minute})
			if err != nil {
				return err
			}
			return await(soon, "it is in the box", func() bool { return alice.fate(s) == "delivered" && box.has("by what he publishes") == 1 })
		}
		w.finds("a document that names no inbox", named())
		_, err := bob.Set(ctx(), node.Change{Contacts: &[]string{box.card()}})
		w.must(err)
		w.within(5*time.Second, "the document comes", func() bool { return len(alice.sees(bob).Contacts) > 0 })
		w.must(named())
		_, err = alice.Send(ctx(), node.Draft{To: bob.Self().Address.IM(), Content: []byte("to bob")})
		if code(err) != "no-im-service" {
			t.Errorf("a message to his presentity is %q", code(err))
		}
		_, err = alice.Watch(ctx(), box.Self().Address.Pres(), reason, 0)
		if code(err) != "no-presence-service" {
			t.Errorf("a subscription to his inbox is %q", code(err))
		}
		nobody := identity.NewSigningKey([32]byte{1}).Public()
		card := identity.Card{Address: identity.Address(nobody), Dial: []string{testnet.Addr(bob.ip).String() + "/p2p/" + peerOf(bob).String()}}
		s = alice.draft(node.Draft{To: card.String(), Content: []byte("nobody"), Expires: 20 * time.Second})
		alice.comesTo(s, "failed(unreachable)", 25*time.Second)
	})
}

func TestReq_2_1_3_OneIdentifier(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		alice.delivers(bob, "by the same address")
		im, err := alice.Resolve(ctx(), bob.Self().Address.IM())
		w.must(err)
		pres, err := alice.Resolve(ctx(), bob.Self().Address.Pres())
		w.must(err)
		if im.Fingerprint != pres.Fingerprint || im.Address != pres.Address || im.Services != identity.Inbox|identity.Presentity {
			t.Errorf("im: is %+v, pres: is %+v", im, pres)
		}
	})
}

// The default of the protocol is a first-contact box, not refusal (SPEC 5.2): those who may not send are
// blocked by name.
func TestReq_2_3_5_WhoMaySend(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		bob.add(alice)
		_, err := bob.Block(ctx(), c.address().String(), "im")
		w.must(err)
		check := func() {
			t.Helper()
			im := c.im(bob, "spam")
			c.post(bob, im, c.records...)
			if v := c.verdict(bob, im); v != "forbidden(refused)" || bob.has("spam") != 0 {
				t.Errorf("carol's message is %s, in the inbox %d times", v, bob.has("spam"))
			}
		}
		check()
		alice.delivers(bob, "let in")
		bob.kill(testnet.Crash)
		bob.up()
		check() // the rules stand before the first frame is read
		s := alice.send(bob, "let in again")
		alice.comesTo(s, "delivered", 15*time.Second)
		if got := strings.Join(bob.inbox(), ","); got != "let in,let in again" {
			t.Errorf("inbox: %s", got)
		}
	})
}

// What a node without a service says of itself; for whole builds see testnet/process.
func TestReq_S1_RecordSaysWhichService(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob", only(identity.Presentity))
		alice.add(bob)
		r, err := alice.Resolve(ctx(), "bob")
		w.must(err)
		if !r.Known || r.Services != identity.Presentity {
			t.Errorf("resolved: %+v", r)
		}
		alice.watch(bob)
		w.must(presenceOnly(w, alice, bob))
		_, err = bob.Send(ctx(), node.Draft{To: alice.card(), Content: []byte("out")})
		if code(err) != "no-im-service" {
			t.Errorf("he sends: %q", code(err))
		}
	})
}

// The simulated network has no name service and no other port than 4866, so whatever works here works
// with all names blocked.
func TestReq_S6_ByCardAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		alice.delivers(bob, "by card")
		if c := bob.card(); !strings.HasPrefix(c, "hum:hum1") || strings.Contains(c, "dns") {
			t.Errorf("card: %s", c)
		}
		for _, uri := range []string{bob.Self().Address.IM(), bob.Self().Address.Pres()} {
			card, err := identity.ParseWho(uri)
			if err != nil || card.Address != bob.Self().Address {
				t.Errorf("%s is %v, %v", uri, card.Address, err)
			}
		}
	})
}

func TestReq_S8_ServicesOfEachAddress(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.person("alice")
		for name, s := range map[string]identity.Services{"both": identity.Inbox | identity.Presentity, "im": identity.Inbox, "pres": identity.Presentity} {
			p := w.person(name, only(s))
			alice.add(p)
			r, err := alice.Resolve(ctx(), name)
			if err != nil || !r.Known || r.Services != s {
				t.Errorf("%s resolves to %+v, %v", name, r, err)
			}
			_, err = alice.Send(ctx(), node.Draft{To: name, Content: []byte("x")})
			if can := s&identity.Inbox != 0; (err == nil) != can {
				t.Errorf("a message to %s: %v", name, err)
			}
			_, err = alice.Watch(ctx(), name, reason, 0)
			if can := s&identity.Presentity != 0; (err == nil) != can {
				t.Errorf("a request to %s: %v", name, err)
			}
		}
		// What somebody lacks is not proposed: the roster says so, and so does the list of who is there.
		roster, err := alice.Contacts(ctx())
		w.must(err)
		for _, c := range roster {
			if want := map[string]identity.Services{"both": identity.Inbox | identity.Presentity, "im": identity.Inbox, "pres": identity.Presentity}[c.Petname]; c.Services != want {
				t.Errorf("%s offers %v on the roster", c.Petname, c.Services)
			}
			_, _ = alice.Unwatch(ctx(), c.Petname)
		}
		time.Sleep(soon)
		who, err := alice.Who(ctx(), nil)
		w.must(err)
		for _, p := range who {
			if proposed := strings.Contains(strings.Join(p.Why, " "), "hum watch"); proposed == (p.Petname == "im") {
				t.Errorf("of %s it says %q", p.Petname, p.Why)
			}
		}
	})
}

// plainNames checks what a person reads for locators.
func plainNames(lines ...string) error {
	for _, l := range lines {
		for _, ugly := range []string{"12D3Koo", "/p2p/", "/ip4/", "16Uiu2"} {
			if strings.Contains(l, ugly) {
				return fail("%q shows a locator", l)
			}
		}
	}
	return nil
}

// What the commands print is held in cmd/hum's own tests; here it is all that a node tells them. A card
// is made to be scanned, and is the one place where a locator belongs.
func TestReq_S10_NoLocatorsAreShown(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		s := alice.delivers(bob, "hello")
		bob.kill(testnet.Crash)
		late := alice.send(bob, "nobody home")
		alice.comesTo(late, "failed(unreachable)", time.Minute)
		var lines []string
		for _, id := range []string{s.ID.String(), late.ID.String()} {
			steps, err := alice.Trace(ctx(), id)
			w.must(err)
			for _, x := range steps {
				lines = append(lines, x.Step+" "+x.Peer+" "+x.Detail)
			}
		}
		for _, e := range alice.events() {
			lines = append(lines, e.Name+" "+e.State+" "+e.Text)
		}
		p := alice.sees(bob)
		lines = append(lines, p.Petname, strings.Join(p.Why, " "), alice.outcome(s).ToName)
		if len(lines) < 6 {
			t.Fatalf("too little to look at: %q", lines)
		}
		w.must(plainNames(lines...))
		w.finds("a card among what is read", plainNames(append(lines, alice.card())...))
	})
}

// Nothing but the recipient's card is needed: no presence, no subscription, no log-on.
func TestReq_S11_SendBeforeAnything(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice", only(identity.Inbox)), w.person("bob")
		s := alice.draft(node.Draft{To: bob.card(), Content: []byte("the first command")})
		alice.comesTo(s, "delivered", soon)
		if bob.has("the first command") != 1 {
			t.Errorf("inbox: %q", bob.inbox())
		}
		if s := bob.watcher(alice); s.State != "" {
			t.Errorf("a subscription stands in: %+v", s)
		}
	})
}

func TestReq_S12_EitherOrder(t *testing.T) {
	sub := func(a, b *person) { a.watch(b) }
	send := func(a, b *person) {
		a.add(b)
		a.delivers(b, "in any order")
	}
	for name, steps := range map[string][]func(a, b *person){
		"subscription then message": {sub, send}, "message then subscription": {send, sub}, "subscription alone": {sub}, "message alone": {send},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				alice, bob := w.person("alice"), w.person("bob")
				for _, step := range steps {
					step(alice, bob)
				}
			})
		})
	}
}

// The simulated network knows port 4866 alone and no name service; nothing there could be mail.
func TestReq_S42_NoMail(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		alice.delivers(bob, "without mail")
		for _, p := range []*person{alice, bob} {
			s, err := p.Status(ctx())
			w.must(err)
			for _, l := range s.Listen {
				if strings.Contains(l, "/tcp/25/") || strings.Contains(l, "/tcp/587/") || strings.Contains(l, "/tcp/465/") {
					t.Errorf("%s listens on %s", p.name, l)
				}
			}
		}
	})
}

// The change of network is a new IP address at both ends of the address that bob told: alice's node keeps
// his old place, his dials her. Suspending is a cut without a word. Whether a README is enough, and real
// suspending, is looked at by the tour of the README and in network tests.
func TestReq_S44_BackAfterSleepAndMove(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice", lease5), w.person("bob", lease5)
		began := time.Now()
		alice.watch(bob)
		alice.delivers(bob, "first chat")
		if d := time.Since(began); d > 2*time.Minute {
			t.Errorf("the first chat takes %v", d)
		}
		w.net.Cut(alice.ip, bob.ip) // bob's machine sleeps
		w.within(2*time.Minute, "alice sees him gone", func() bool { return alice.sees(bob).Basic != "open" })
		w.net.Join(alice.ip, bob.ip)
		back := func() bool { return alice.sees(bob).Basic == "open" }
		w.within(lease+10*time.Second, "alice sees him again after sleep", back)
		bob.down()
		w.within(lease+20*time.Second, "alice sees him gone before the move", func() bool { return alice.sees(bob).Basic != "open" })
		bob.ip = w.ip()
		bob.up()
		w.within(lease+10*time.Second, "alice sees him again at his new address", back)
		s := alice.send(bob, "after the move")
		alice.comesTo(s, "delivered", 15*time.Second)
	})
}
