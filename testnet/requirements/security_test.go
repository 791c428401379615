package requirements

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

const marker = "the-secret-marker-of-this-test"

// Carol is between the two and flips octets of messages, acks and notices.
func TestReq_2_5_1_NothingAltered(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		x := w.between(alice, bob)
		flipping := 0
		flips := func(dir bool, what uint32) mangler {
			return func(toBob bool, op uint32, b []byte) [][]byte {
				if toBob == dir && op == what {
					flipping++
					return [][]byte{flip(b, (flipping*37)%len(b))}
				}
				return [][]byte{b}
			}
		}
		for what, m := range map[string]mangler{"message": flips(true, wire.OpParcel), "ack": flips(false, wire.OpAckBox)} {
			x.let(m)
			s := alice.draft(node.Draft{To: "bob", Content: []byte("altered " + what), Expires: 20 * time.Minute})
			time.Sleep(2 * time.Minute)
			if fate := alice.fate(s); fate == "delivered" || fate == "failed" {
				t.Errorf("with every %s altered it is %s", what, fate)
			}
			if n := bob.has("altered " + what); what == "message" && n != 0 || n > 1 {
				t.Errorf("with every %s altered it is shown %d times", what, n)
			}
			x.let(faithfully)
			alice.comesTo(s, "delivered", 20*time.Minute)
			if n := bob.has("altered " + what); n != 1 {
				t.Errorf("in the end it is there %d times", n)
			}
		}
		if flipping < 6 {
			t.Errorf("only %d were altered", flipping)
		}
		if bob.refused("") == 0 {
			t.Error("bob's node counts nothing")
		}
	})
}

// everyOctet flips each octet in turn and returns how many of the altered copies open to something else
// than what was sealed. What a correct reader does not look at may be altered: it then opens as it was.
func everyOctet(b []byte, open func([]byte) ([]byte, bool)) (fooled int) {
	sealed, _ := open(b)
	for i := range b {
		if inside, ok := open(flip(b, i)); ok && !bytes.Equal(inside, sealed) {
			fooled++
		}
	}
	return fooled
}

// Of a message and of an ack no octet at all can be altered so that something else is read; the few that
// the nodes above are shown stand for them.
func TestReq_2_5_1_EveryOctet(t *testing.T) {
	inWorld(t, func(w *world) {
		c, dave := w.hostile("carol"), w.hostile("dave")
		message := dave.seal(c.bundle, c.im(w.person("bob"), "as it was sent"), dave.records...)
		opens := func(b []byte) ([]byte, bool) {
			o, ok := c.openParcel(b)
			return o.InnerRaw, ok && o.Inner.Signed.Verify() == nil
		}
		if _, ok := opens(message); !ok {
			t.Fatal("the true message does not open")
		}
		if n := everyOctet(message, opens); n != 0 {
			t.Errorf("%d of %d octets of a message may be altered", n, len(message))
		}
		ack := wire.Ack{From: c.address(), To: dave.address(), Device: c.device(), MIDs: []wire.MID{{1}}, Disposition: wire.Delivered, At: now(), ArSeq: 1}
		box := wire.SealAck(c.rand, [32]byte{5}, wire.Sign(c.d, wire.TypeAck, ack.Append(nil))).Append(nil)
		reads := func(b []byte) ([]byte, bool) {
			x, err := wire.ParseAckBox(b)
			if err != nil || x.Tag != wire.AckTag([32]byte{5}) {
				return nil, false
			}
			s, err := wire.OpenAck([32]byte{5}, x)
			return s.Body, err == nil && s.Verify() == nil
		}
		if _, ok := reads(box); !ok {
			t.Fatal("the true ack does not open")
		}
		if n := everyOctet(box, reads); n != 0 {
			t.Errorf("%d of %d octets of an ack may be altered", n, len(box))
		}
		unsigned := func(b []byte) ([]byte, bool) { s, err := wire.ParseSigned(b); return s.Body, err == nil }
		if everyOctet(c.im(w.person("eve"), "x").Append(nil), unsigned) == 0 {
			t.Error("a reader that verifies nothing is not found")
		}
	})
}

// alteredNotices pushes altered copies of an update to Alice, and fails if any of them shows.
func alteredNotices(x *between, e wire.PublicKey, r wire.Rec, was, text string, step int) error {
	for i := 0; i < len(r.Raw); i += step {
		if err := x.showBad(e, flip(r.Raw, i)); err != nil {
			return err
		}
		if note := x.alice.sees(x.bob).Note; note != was {
			return fail("octet %d altered: alice is shown %q", i, note)
		}
	}
	if err := x.show(e, r.Raw); err != nil {
		return err
	}
	return await(soon, "the true one shows", func() bool { return x.alice.sees(x.bob).Note == text })
}

// latest is the newest update that Carol has of an epoch.
func latest(c *hostile, e wire.PublicKey) (last wire.Rec) {
	for _, r := range c.recs(e) {
		if !r.IsBeacon() && r.T > last.T {
			last = r
		}
	}
	return last
}

func TestReq_5_3_1_ContentAsSent(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		x, e := watchedThrough(w, alice, bob)
		bob.note("one")
		time.Sleep(3 * time.Second)
		w.must(x.show(e, latest(x.hostile, e).Raw))
		w.soonly("the first", func() bool { return alice.sees(bob).Note == "one" })
		bob.note("two")
		time.Sleep(3 * time.Second)
		r := latest(x.hostile, e)
		if !r.Verify(e) {
			t.Fatal("the true one does not verify")
		}
		for i := range r.Raw {
			if f, err := wire.ParseRec(flip(r.Raw, i)); err == nil && f.Verify(e) {
				t.Errorf("octet %d may be altered", i)
			}
		}
		w.must(alteredNotices(x, e, r, "one", "two", 97))
		bob.note("three")
		time.Sleep(3 * time.Second)
		w.finds("the true one among the altered", alteredNotices(x, e, latest(x.hostile, e), "three", "three", 1000))
	})
}

// replay hands over everything that Carol recorded, and pushes it on topics.
func replay(c *hostile, bob *person, parcels [][]byte, e wire.PublicKey, recs []wire.Rec) {
	for _, p := range parcels {
		c.hand(bob, p)
	}
	other := identity.NewSigningKey([32]byte{3}).Public()
	for _, r := range recs {
		c.say(e, r.Raw)
		c.say(other, r.Raw)
	}
	time.Sleep(3 * time.Second)
}

func TestReq_2_5_2_NothingReplayed(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		c.meet(alice)
		c.meet(bob)
		e := c.topicOf(bob)
		c.join(e)
		alice.delivers(bob, "only once")
		bob.note("five")
		time.Sleep(3 * time.Second)
		parcels, recs := bob.got.parcels(alice.ip), c.recs(e)
		bob.note("six")
		w.within(5*time.Second, "alice sees the newer", func() bool { return alice.sees(bob).Note == "six" })
		check := func(when string) error {
			if n := bob.has("only once"); n != 1 {
				return fail("%s the message is there %d times", when, n)
			}
			if note := alice.sees(bob).Note; note != "six" {
				return fail("%s alice is shown %q", when, note)
			}
			if s := bob.watcher(alice); s.State != "active" {
				return fail("%s her subscription is %s", when, s.State)
			}
			return nil
		}
		if len(parcels) < 2 || len(recs) < 2 {
			t.Fatalf("recorded: %d parcels, %d records", len(parcels), len(recs))
		}
		before := bob.refused("") + alice.refused("")
		for _, d := range []time.Duration{time.Second, 10 * time.Minute} {
			time.Sleep(d)
			replay(c, bob, parcels, e, recs)
			w.must(check("after " + d.String()))
		}
		for _, p := range []*person{alice, bob} {
			p.kill(testnet.Crash)
			p.up()
			w.within(time.Minute, "they see each other again", func() bool { return alice.sees(bob).Basic == "open" })
			c.meet(p)
			replay(c, bob, parcels, e, recs)
			w.must(check("after a restart of " + p.name))
		}
		if now := bob.refused("") + alice.refused(""); now <= before {
			t.Error("nothing of it is counted")
		}
		alice.delivers(bob, "only once")
		w.finds("the same text sent again", check("at last"))
	})
}

// everywhere is all that Carol obtained, and all that she can open of it with her keys and grants.
func everywhere(c *hostile, grants ...wire.Grant) []byte {
	all := c.got.all("")
	c.mu.Lock()
	frames := slices.Clone(c.frames)
	c.mu.Unlock()
	for _, f := range frames {
		if f.proto == parcelProto && f.Op == wire.OpParcel {
			if o, ok := c.openParcel(f.Payload); ok {
				all = append(all, o.InnerRaw...)
			}
		}
	}
	for _, g := range grants {
		for _, e := range c.got.topics() {
			for _, r := range c.recs(e) {
				if b, err := wire.OpenDoc(g.K, e, r.Tag, r.T, r.CT); err == nil {
					all = append(all, b...)
				}
			}
		}
	}
	return all
}

// eavesdrop has Carol hear all she can of two people, who then tell each other the marker.
func eavesdrop(w *world, granted bool) (alice, bob *person, c *hostile, held []byte) {
	alice, bob, c = w.person("alice"), w.person("bob"), w.hostile("carol")
	alice.watch(bob)
	var grants []wire.Grant
	if granted {
		grants = append(grants, c.watch(bob))
	}
	c.meet(alice)
	c.meet(bob)
	w.soonly("carol hears of the topic", func() bool { return len(c.got.topics()) > 0 })
	for _, e := range c.got.topics() {
		c.join(e)
		_ = c.watchTopic(bob, e)
	}
	time.Sleep(3 * time.Second) // the mesh takes her in
	bob.note(marker)
	alice.delivers(bob, marker)
	w.within(5*time.Second, "alice sees the note", func() bool { return alice.sees(bob).Note == marker })
	time.Sleep(time.Second)
	n := 0
	for _, e := range c.got.topics() {
		n += len(c.recs(e))
	}
	if n == 0 {
		w.Error("carol heard nothing at all")
	}
	return alice, bob, c, everywhere(c, grants...)
}

func secrecy(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c, held := eavesdrop(w, false)
		w.must(clean("what carol holds", held, marker))
		for _, p := range []*person{alice, bob} { // what an even better placed recorder has: all bytes of the line
			w.must(clean("what "+p.name+"'s machine was sent", p.got.all(""), marker))
		}
		atRest(w, marker, alice, bob)
		w.finds("a message to carol", func() error {
			_, err := alice.Add(ctx(), c.card(), "carol")
			w.must(err)
			alice.draft(node.Draft{To: "carol", Content: []byte(marker)})
			time.Sleep(soon)
			return clean("carol", everywhere(c), marker)
		}())
	})
	inWorld(t, func(w *world) {
		_, _, _, held := eavesdrop(w, true)
		w.finds("carol as a watcher", clean("what carol holds", held, marker))
	})
}

func TestReq_2_5_3_OnlyThoseMeant(t *testing.T) { secrecy(t) }

// A second view belongs to a later profile; the other reader here is a member of the mesh without a key.
func TestReq_5_2_1_NoticesForWatchersOnly(t *testing.T) { secrecy(t) }

// Carol is the only way between the two, so that she holds every octet of the message.
func TestReq_5_4_6_MessagesForTheRecipientOnly(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		x := w.between(alice, bob)
		s := alice.draft(node.Draft{To: "bob", Content: []byte(marker)})
		alice.comesTo(s, "delivered", 2*time.Minute)
		w.must(clean("what carol holds", everywhere(x.hostile), marker))
		atRest(w, marker, alice, bob)
		if len(x.cameFrom(alice, wire.OpParcel)) == 0 {
			t.Error("nothing passed through carol")
		}
		c := w.hostile("dave")
		c.post(bob, c.im(bob, "x"), c.records...)
		o := wire.Inner{Signed: c.im(bob, marker)}
		w.finds("what was sealed", clean("the inside", o.Append(nil), marker))
	})
}

// Carol is an ordinary watcher here whose line always stands: what she reads says how many versions there
// were. Of each of them Alice is shown the document, or told that it was superseded.
func TestReq_5_2_2_EveryNoticeMeantForHer(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		g := c.watch(bob)
		w.must(c.watchTopic(bob, g.E))
		alice.watch(bob)
		bob.note("begin")
		w.within(5*time.Second, "alice sees it begin", func() bool { return alice.sees(bob).Note == "begin" })
		first := lastVersion(c, g)
		var all gaps
		all.begin(alice, bob)
		check := func(last int) error {
			for i := range 200 {
				switch long := i >= 100 && i < 160; { // a minute kills connections, ten seconds only delay them
				case i%20 == 0:
					w.net.Cut(alice.ip, bob.ip)
				case i%20 == 10 && !long:
					w.net.Join(alice.ip, bob.ip)
				}
				bob.note(fmt.Sprint(i))
				time.Sleep(time.Second)
				n := -1
				_, _ = fmt.Sscan(alice.sees(bob).Note, &n)
				if n < last {
					return fail("after %d alice is shown %d", last, n)
				}
				last = n
			}
			return nil
		}
		w.must(check(-1))
		w.net.Join(alice.ip, bob.ip)
		w.within(2*time.Minute, "the last", func() bool { return alice.sees(bob).Note == "199" })
		versions := int(lastVersion(c, g) - first)
		w.must(all.explained(versions))
		if n := superseded(alice, bob); n == 0 || versions < 50 {
			t.Errorf("of %d versions %d were superseded", versions, n)
		}
		w.finds("a version that was lost without a word", all.explained(versions+1))
		w.finds("numbers that go back", check(1000))
	})
}

// lastVersion is the newest version that Carol can read with a grant.
func lastVersion(c *hostile, g wire.Grant) (v uint64) {
	for _, d := range c.reads(g.E, g) {
		v = max(v, d.Ver)
	}
	return v
}

// Carol is a watcher, so she can seal what she likes for the others; but without the private half of E all
// of it is turned away at the door.
func TestReq_5_2_4_NobodyFakesNotices(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		bob.note("true")
		g := c.watch(bob) // she knows E and K, as a watcher does
		c.meet(alice)
		w.must(c.watchTopic(bob, g.E))
		time.Sleep(3 * time.Second)
		old := latest(c, g.E)
		plain, err := wire.OpenDoc(g.K, g.E, old.Tag, old.T, old.CT)
		w.must(err)
		doc, err := wire.ParseDoc(plain)
		w.must(err)
		for i := range doc.Tuples {
			doc.Tuples[i].Notes = []wire.Note{{Text: "fake"}}
		}
		doc.Notes = []wire.Note{{Text: "fake"}}
		at := now() + 1
		ct := wire.SealDoc(c.rand, g.K, g.E, old.Tag, at, doc.Append(nil))
		carols := wire.NewUpdate(c.d, old.Tag, at, ct)
		unsigned := carols
		unsigned.Sig = wire.Signature{}
		renumbered := wire.NewUpdate(c.d, old.Tag, at, old.CT)
		renumbered.Sig = old.Sig
		before := alice.refused("")
		for _, r := range [][]byte{renumbered.Append(nil), carols.Append(nil), unsigned.Append(nil)} {
			c.say(g.E, r)
			time.Sleep(10 * time.Second) // in quicker order the mesh does not listen to her any more
		}
		time.Sleep(soon)
		unfooled := func() error {
			if n := alice.sees(bob).Note; n != "true" {
				return fail("alice is shown %q", n)
			}
			return nil
		}
		w.must(unfooled())
		if n := alice.refused("") - before; n < 3 {
			t.Errorf("%d of it are counted", n)
		}
		w.must(outOfTheMesh(c, alice, g.E, func(i int) []byte {
			return wire.NewUpdate(c.d, old.Tag, at+2+wire.Time(i), ct).Append(nil)
		}))
		w.must(unfooled())
		bob.note("still true")
		w.within(5*time.Second, "what bob says comes", func() bool { return alice.sees(bob).Note == "still true" })
		w.finds("what bob himself says", unfooled())
		w.finds("somebody who passes on what is true", outOfTheMesh(c, alice, g.E, func(int) []byte { return latest(c, g.E).Raw }))
	})
}

// outOfTheMesh is the check that Alice's node stops listening to Carol, who says forged records in quick
// order: three are judged, what follows is not even looked at, and Carol is told that she is out of the mesh.
func outOfTheMesh(c *hostile, alice *person, e wire.PublicKey, forged func(i int) []byte) error {
	time.Sleep(2 * time.Minute) // what she did before is forgotten, and she may be in the mesh again
	before, pruned := alice.refused("rec signature"), c.prunedBy(alice)
	for i := range 20 {
		c.say(e, forged(i))
		time.Sleep(20 * time.Millisecond)
	}
	if n := alice.refused("rec signature") - before; n < 3 || n > 5 {
		return fail("%d of 20 forged records were looked at", n)
	}
	return await(5*time.Second, "carol is put out of the mesh", func() bool { return c.prunedBy(alice) > pruned })
}

// Carol is a presentity whom Alice watched once. What she publishes, by her own right or with Bob's topic
// in her grant, is never shown as Bob's, nor after Alice has left as hers.
func TestReq_5_3_2_OnlyFromThoseSubscribed(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice"), w.person("bob"), w.person("dave")
		alice.watch(bob)
		alice.watch(dave)
		_, err := alice.Unwatch(ctx(), "dave")
		w.must(err)
		dave.note("unasked")
		bob.note("asked")
		w.soonly("bob's is shown", func() bool { return alice.sees(bob).Note == "asked" })
		time.Sleep(3 * time.Second)
		if p := alice.sees(dave); p.Basic != "unknown" || p.Note != "" {
			t.Errorf("dave is shown %q %q", p.Basic, p.Note)
		}
		c := w.hostile("carol")
		g := c.watch(bob)
		c.meet(alice)
		e := identity.NewSigningKey([32]byte{8})
		doc := wire.Doc{Entity: c.address(), Device: c.device(), Ver: 1, TTL: 150, Tuples: []wire.Tuple{{ID: "t", Basic: wire.Open, Timestamp: now(), Notes: []wire.Note{{Text: "carol's"}}}}}
		k := [32]byte{4}
		tag, at := wire.TagOf(k, c.device()), now()
		own := wire.NewUpdate(e, tag, at, wire.SealDoc(c.rand, k, e.Public(), tag, at, doc.Append(nil)))
		c.say(e.Public(), own.Append(nil))
		c.say(g.E, own.Append(nil))
		_ = c.push(alice, presenceProto, wire.OpRec, wire.RecPush{Key: e.Public(), Rec: own.Append(nil)}.Append(nil))
		c.tell(alice, presenceProto, wire.OpRec, wire.RecPush{Key: g.E, Rec: own.Append(nil)}.Append(nil))
		time.Sleep(soon)
		who, err := alice.Who(ctx(), nil)
		w.must(err)
		for _, p := range who {
			if p.Note == "carol's" {
				t.Errorf("shown: %+v", p)
			}
		}
		if slices.ContainsFunc(alice.events(), func(e node.Event) bool { return e.Text == "carol's" }) {
			t.Error("an event tells of it")
		}
	})
}

func TestReq_5_4_1_NeverInLimbo(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice) // or he would keep twenty
		alice.delivers(bob, "met")
		r := randomOf("kills")
		var sent []node.Sent
		for i := range 1000 {
			if i%100 == 50 {
				victim := []*person{alice, bob}[r.Uint64()%2]
				victim.kill(testnet.Death(r.Uint64() % 2))
				if victim == bob {
					sent = append(sent, alice.send(bob, fmt.Sprint("to the dead ", i)))
				}
				time.Sleep(time.Duration(r.Uint64()%20) * time.Second)
				victim.up()
			}
			sent = append(sent, alice.draft(node.Draft{To: addressOf(bob), Content: fmt.Append(nil, "n ", i), Expires: 5 * time.Minute}))
			time.Sleep(50 * time.Millisecond)
		}
		alice.kill(testnet.Crash) // right after a send
		alice.up()
		time.Sleep(5*time.Minute + 2*identity.Skew + 5*time.Second)
		w.must(allSettled(alice, bob, sent))
		delivered := 0
		for _, s := range alice.fates() {
			if s.State == "delivered" {
				delivered++
			}
		}
		if delivered < 900 {
			t.Errorf("only %d of %d are delivered", delivered, len(sent))
		}
		lost := append(sent, node.Sent{ID: sent[0].ID, Content: []byte("never there")})
		w.finds("a delivered message that is not in the inbox", allSettled(alice, bob, lost))
	})
}

// exactly is the check that texts are in Bob's inbox once each.
func exactly(bob *person, texts []string) error {
	got := bob.inbox()
	slices.Sort(got)
	want := slices.Sorted(slices.Values(texts))
	if !slices.Equal(got, want) {
		return fail("%d in the inbox, %d different ones; %d were sent", len(got), len(slices.Compact(got)), len(want))
	}
	return nil
}

// Carol, in between, loses the first ack of each message and carries each Parcel twice; Bob is killed at
// moments of the clock's choosing. Two devices have a check of their own.
func TestReq_5_4_2_ExactlyOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		bob.add(alice) // or he would keep twenty
		x := w.between(alice, bob)
		acks, every := map[string]int{}, 0
		x.let(func(toBob bool, op uint32, b []byte) [][]byte {
			switch {
			case toBob && op == wire.OpParcel:
				return [][]byte{b, b}
			case !toBob && op == wire.OpAckBox:
				tag := string(b[:18])
				if acks[tag]++; acks[tag] <= 2 { // both copies were answered
					every++
					return nil
				}
			}
			return [][]byte{b}
		})
		var texts []string
		var sent []node.Sent
		for i := range 1000 {
			texts = append(texts, fmt.Sprint("n ", i))
			sent = append(sent, alice.draft(node.Draft{To: "bob", Content: []byte(texts[i]), Expires: 2 * time.Hour}))
			if i%200 == 125 {
				time.Sleep(time.Duration(i) * 7 * time.Millisecond)
				bob.kill(testnet.Crash)
				bob.up()
			}
		}
		w.within(2*time.Hour, "all are settled", func() bool {
			time.Sleep(20 * time.Second)
			s, err := alice.Status(ctx())
			return err == nil && s.Outbox == 0
		})
		w.must(exactly(bob, texts))
		w.must(allSettled(alice, bob, sent))
		if every < 1000 {
			t.Errorf("only %d acks were lost", every)
		}
		captured := bob.got.parcels(x.ip)
		bob.clock.Step(30 * 24 * time.Hour)
		for _, p := range captured[len(captured)-5:] {
			x.hand(bob, p)
		}
		time.Sleep(soon)
		w.must(exactly(bob, texts))
		w.finds("one that is missing", exactly(bob, append(texts, "one more")))
		w.finds("one that is there twice", exactly(bob, texts[1:]))
	})
}

func TestReq_5_4_3_AliceSentIt(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		alice.delivers(bob, "by alice")
		rows, err := bob.Inbox(ctx(), node.InboxQuery{})
		w.must(err)
		if !rows[0].Verified || rows[0].From.Fingerprint() != alice.Self().Address.Fingerprint() {
			t.Errorf("shown as %+v", rows[0])
		}
		w.must(forgedFrom(alice, bob, c))
		// A message of Alice's to Carol is not one to Bob.
		_, err = alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		alice.draft(node.Draft{To: "carol", Content: []byte("for carol alone")})
		w.soonly("carol has it", func() bool { return len(c.opened(alice)) > 0 })
		o := c.opened(alice)[0].Inner
		c.post(bob, o.Signed, o.Attached...)
		if v := c.verdict(bob, o.Signed); v != "failed(recipient-mismatch)" || bob.has("for carol alone") != 0 {
			t.Errorf("passed on it is %s, shown %d times", v, bob.has("for carol alone"))
		}
	})
}

func TestReq_5_4_4_ReplyWithoutPresence(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice", only(identity.Inbox)), w.person("bob")
		w.net.Shut(alice.ip, true) // she cannot be dialled
		s := alice.draft(node.Draft{To: bob.card(), Content: []byte("answer me"), Expires: time.Minute})
		alice.comesTo(s, "delivered", soon)
		r, err := bob.Reply(ctx(), s.ID.String(), node.Draft{Content: []byte("an answer"), Expires: time.Minute})
		w.must(err)
		bob.comesTo(r, "delivered", 10*time.Second)
		if s := bob.watcher(alice); s.State != "" || alice.has("an answer") != 1 {
			t.Errorf("subscription %q, inbox %q", s.State, alice.inbox())
		}
	})
}

// Carol knows what is inside, as a recipient of Alice's message to her does, and seals altered copies to
// Bob: what is not sealed right is found by the seal, this by the signature.
func TestReq_5_4_7_TamperingIsFound(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		genuine := c.im(bob, "genuine")
		b := c.bundleOf(bob)
		n := 0
		for i := range genuine.Body {
			s := genuine
			s.Body = flip(s.Body, i)
			c.hand(bob, c.seal(b, s, c.records...))
			n++
		}
		for i := range genuine.Sig {
			s := genuine
			s.Sig[i] ^= 1
			c.hand(bob, c.seal(b, s, c.records...))
			n++
		}
		time.Sleep(soon)
		if len(bob.inbox()) != 0 {
			t.Fatalf("of %d altered ones these surface: %q", n, bob.inbox())
		}
		if got := bob.refused("bad-signature") + bob.refused("malformed"); got < uint64(n) {
			t.Errorf("%d of %d are counted", got, n)
		}
		c.hand(bob, c.seal(b, genuine, c.records...))
		w.soonly("the genuine one surfaces", func() bool { return bob.has("genuine") == 1 })

		// Of a sealed one no octet may be altered either, but for the hint of a custodian and the end that no
		// correct reader looks at.
		alice.add(bob)
		x := w.person("dave")
		x.kill(testnet.Crash)
		sealed := c.seal(b, c.im(bob, "sealed"), c.records...)
		for i := 0; i < len(sealed); i += 41 {
			if st, err := c.request(bob, parcelProto, wire.OpParcel, flip(sealed, i)); err == nil && st.Status == wire.BUSY {
				time.Sleep(time.Second)
				i -= 41
			}
		}
		time.Sleep(soon)
		if bob.has("sealed") != 0 {
			t.Error("an altered parcel surfaces")
		}
	})
}

func TestReq_5_4_10_StopAlicesMessages(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		_, err := bob.Block(ctx(), alice.address(), "im")
		w.must(err)
		for _, when := range []string{"at once", "after a crash"} {
			s := alice.send(bob, when)
			alice.comesTo(s, "failed(refused)", 15*time.Second)
			bob.note(when)
			w.within(20*time.Second, "the presence rule is untouched", func() bool { return alice.sees(bob).Note == when })
			bob.kill(testnet.Crash)
			bob.up()
		}
		if len(bob.inbox()) != 0 {
			t.Errorf("inbox: %q", bob.inbox())
		}
		_, err = bob.Unblock(ctx(), alice.address())
		w.must(err)
		s := alice.send(bob, "welcome back")
		alice.comesTo(s, "delivered", 15*time.Second)
		if s := alice.watching(bob); s.State != "active" {
			t.Errorf("her subscription is %s", s.State)
		}
	})
}
