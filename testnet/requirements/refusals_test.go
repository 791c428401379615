package requirements

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// The requirement asks that a subscription to an address that exists nowhere be refused (noresource). Nobody
// can sign such a refusal: that an address lives nowhere cannot be told from nobody answering for it. So the
// protocol promises something else (SPEC 4.8): the request stays requested, is tried for 30 days, and then
// ends, and a fetch says no-copy in 5 s at most (SPEC 4.10).
func TestReq_2_1_2_AddressThatLivesNowhere(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice"), w.person("bob"), w.person("dave")
		alice.watch(bob)
		at := testnet.Addr(bob.ip).String() + "/p2p/" + peerOf(bob).String()
		nobody := identity.Address(identity.NewSigningKey([32]byte{1}).Public())
		card := identity.Card{Address: nobody, Dial: []string{at}}.String()
		began := time.Now()
		_, err := alice.Fetch(ctx(), card, false)
		if d := time.Since(began); code(err) != "no-copy" || d > 5*time.Second {
			t.Errorf("a fetch is %q after %v", code(err), d)
		}
		state := func(a identity.Address) string {
			every, err := alice.Watching(ctx())
			w.must(err)
			for _, s := range every {
				if s.Address == a {
					return s.State
				}
			}
			return "none"
		}
		stays := func(card string) error {
			asked, err := alice.Watch(ctx(), card, "", 0)
			w.must(err)
			time.Sleep(2 * time.Minute)
			if s := state(asked.Address); s != "requested" {
				return fail("the subscription is %s", s)
			}
			return nil
		}
		w.must(stays(card))
		w.finds("an address that lives at its place", stays(dave.card()))
		later := func(d time.Duration) {
			for _, p := range []*person{alice, bob} { // what ends for good is past by what others say as well
				p.clock.Step(d)
			}
			bob.note(d.String())
			w.within(5*time.Minute, "alice hears the time of bob", func() bool { return alice.sees(bob).Note == d.String() })
			alice.kill(testnet.Crash) // timers run by the monotonic clock, which no step of the other moves
			alice.up()
			time.Sleep(10 * time.Minute)
		}
		later(wire.RequestLife - 6*time.Hour)
		if s := state(nobody); s != "requested" {
			t.Errorf("hours before the end it is %s", s)
		}
		later(12 * time.Hour)
		if s := state(nobody); s != "none" {
			t.Errorf("after 30 days it is %s", s)
		}
	})
}

// Who fetches once learns the other identifier too, and may write to it; the refusals of either service are
// the same by fetch.
func TestReq_2_1_2_ContactByFetch(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, box := w.person("alice"), w.person("bob", only(identity.Presentity)), w.person("box", only(identity.Inbox))
		bob.approve(alice)
		alice.add(bob)
		reached := func(text string) error {
			time.Sleep(61 * time.Second)
			got, err := alice.Fetch(ctx(), "bob", false)
			w.must(err)
			if len(got.Contacts) != 1 || got.Source != "direct" {
				return fail("fetched %q, %s", got.Contacts, got.Source)
			}
			s := alice.draft(node.Draft{To: got.Contacts[0], Content: []byte(text), Expires: time.Minute})
			return await(soon, "it is in the box", func() bool { return alice.fate(s) == "delivered" && box.has(text) == 1 })
		}
		w.finds("a document that names no inbox", reached("too early"))
		_, err := bob.Set(ctx(), node.Change{Contacts: &[]string{box.card()}})
		w.must(err)
		w.must(reached("by what was fetched"))
		if alice.watching(bob).State != "" {
			t.Error("the fetch has made a subscription")
		}
		if _, err = alice.Fetch(ctx(), box.card(), false); code(err) != "no-presence-service" {
			t.Errorf("a fetch of an inbox is %q", code(err))
		}
	})
}

// badAcks is how many acks Alice's node has turned away, whatever was wrong with them.
func badAcks(p *person) uint64 {
	return p.refused("bad-ack") + p.refused("unknown-ack") + p.refused("ackbox malformed")
}

// Each altered ack is counted by her whose message it would have acked.
func TestReq_2_5_1_AlteredAcksAreCounted(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		x := w.between(alice, bob)
		altered := 0
		counted := func(text string, m mangler) error {
			before, was := badAcks(alice), altered
			x.let(m)
			s := alice.draft(node.Draft{To: "bob", Content: []byte(text), Expires: 20 * time.Minute})
			time.Sleep(2 * time.Minute)
			x.let(faithfully)
			alice.comesTo(s, "delivered", 20*time.Minute)
			if n := badAcks(alice) - before; n == 0 || n < uint64(altered-was) {
				return fail("%d are counted of %d", n, altered-was)
			}
			return nil
		}
		w.must(counted("altered", func(toBob bool, op uint32, b []byte) [][]byte {
			if toBob || op != wire.OpAckBox {
				return [][]byte{b}
			}
			altered++
			return [][]byte{flip(b, (altered*37)%len(b))}
		}))
		if altered < 3 {
			t.Errorf("only %d were altered", altered)
		}
		w.finds("acks as they were", counted("as it was", faithfully))
	})
}

// What was recorded is refused by name at both sides: a message as repeated, requests and answers as replay,
// records as not newer.
func TestReq_2_5_2_RefusedByName(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		x, e := watchedThrough(w, alice, bob)
		by := func(text string) { alice.comesTo(alice.send(bob, text), "delivered", 20*time.Second) }
		by("only once")
		bob.note("five")
		time.Sleep(3 * time.Second)
		old := latest(x.hostile, e)
		w.must(x.show(e, old.Raw))
		w.soonly("the first", func() bool { return alice.sees(bob).Note == "five" })
		bob.note("six")
		time.Sleep(3 * time.Second)
		w.must(x.show(e, latest(x.hostile, e).Raw))
		w.soonly("the second", func() bool { return alice.sees(bob).Note == "six" })
		toBob := x.cameFrom(alice, wire.OpParcel)
		named := func(p *person, reason string, again func()) error {
			before := p.refused(reason)
			again()
			time.Sleep(3 * time.Second)
			if p.refused(reason) == before {
				return fail("%s's node does not count it as %s", p.name, reason)
			}
			return nil
		}
		hand := func() {
			for _, b := range toBob {
				x.hand(bob, b)
			}
		}
		for _, later := range []time.Duration{time.Second, 10 * time.Minute} {
			time.Sleep(later)
			w.must(named(bob, "repeated", hand))
			w.must(named(bob, "replay", hand))
			w.must(named(alice, "rec not newer", func() { w.must(x.show(e, old.Raw)) }))
			if note := alice.sees(bob).Note; note != "six" || bob.has("only once") != 1 {
				t.Errorf("after %v alice is shown %q, bob has it %d times", later, note, bob.has("only once"))
			}
		}
		fresh := func() { x.post(bob, x.im(bob, "a new one"), x.records...) }
		w.finds("a new message", named(bob, "repeated", fresh))
		w.finds("a new message to the requests", named(bob, "replay", fresh))
	})
}

// An answer that was overtaken is a replay too, if it comes again.
func TestReq_2_5_2_OldAnswerByName(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		alice.ask(bob)
		w.within(5*time.Second, "a first answer", func() bool { return alice.watching(bob).State == "pending" })
		bob.approve(alice)
		w.within(5*time.Second, "a second", func() bool { return alice.watching(bob).State == "active" })
		was := alice.watching(bob)
		answers := alice.got.parcels(bob.ip)
		counted := func(answers [][]byte) error {
			before := alice.refused("replay")
			for _, b := range answers {
				c.hand(alice, b)
			}
			time.Sleep(3 * time.Second)
			if n := alice.refused("replay") - before; n == 0 {
				return fail("none of %d parcels is counted as replay", len(answers))
			}
			return nil
		}
		w.must(counted(answers))
		w.finds("the newest answer again, which confirms", counted(answers[len(answers)-1:]))
		if s := alice.watching(bob); s.State != "active" || s.ID != was.ID {
			t.Errorf("her subscription is %+v", s)
		}
	})
}

// keysOf are the keys that Carol was given by somebody, each epoch with its next.
func (c *hostile) keysOf(p *person) (held []wire.Grant) {
	for _, st := range c.states(p) {
		for _, g := range []*wire.Grant{st.Grant, st.Next} {
			if g != nil {
				held = append(held, *g)
			}
		}
	}
	return held
}

// nothingUnder is the check that Bob's machine sends no record under these keys to anybody while he says
// three things. A record bears the tag of its key and device in the clear.
func nothingUnder(bob *person, held []wire.Grant, to ...string) error {
	out := &tape{}
	for _, ip := range to {
		bob.w.net.Capture(ip, out.add)
	}
	for _, text := range []string{"one", "two", "three"} {
		bob.note(text + " at " + time.Now().String())
		time.Sleep(3 * time.Second)
	}
	b := out.all(bob.ip)
	for _, g := range held {
		tag := wire.TagOf(g.K, bob.Self().Device)
		if n := bytes.Count(b, tag[:]); n > 0 {
			return fail("%d records under a key that she held left his machine", n)
		}
	}
	if len(b) < 1000 {
		return fail("only %d octets left his machine", len(b))
	}
	return nil
}

// Carol leaves; from then on all that leaves Bob's machine, to whomever, is under keys that she never held.
func TestReq_5_1_7_NothingLeavesUnderHerKeys(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		g := c.watch(bob)
		c.join(g.E)
		w.must(c.watchTopic(bob, g.E))
		time.Sleep(3 * time.Second)
		w.finds("a watcher", nothingUnder(bob, c.keysOf(bob), alice.ip, c.ip))
		c.post(bob, unsub(c, bob, carolsSub))
		w.soonly("she is listed as gone", func() bool { return bob.watcherAt(c.address().String()).State == "terminated" })
		time.Sleep(10 * time.Second) // what gossip still repeats of before
		w.must(nothingUnder(bob, c.keysOf(bob), alice.ip, c.ip))
		bob.note("the last")
		w.within(5*time.Second, "alice misses nothing", func() bool { return alice.sees(bob).Note == "the last" })
	})
}

// An end without a signature, at either side, is answered bad-signature and changes nothing.
func TestReq_5_1_8_UnsignedCancel(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		sub := alice.watching(bob).ID
		of := func(p *person) (wire.PublicKey, []wire.Signed) {
			b := c.bundleOf(p)
			return b.Devices[0].Key, append([]wire.Signed{b.Address}, b.Devices...)
		}
		u := wire.Unsub{From: alice.Self().Address, To: bob.Self().Address, Sub: sub, At: now()}
		st := wire.SubState{From: bob.Self().Address, To: alice.Self().Address, Sub: sub, Seq: now() + 1000, State: wire.SubTerminated, Reason: wire.ReasonPolicy, Expires: now().Add(time.Hour), ArSeq: 1}
		for what, x := range map[string]struct {
			to, from *person
			s        wire.Signed
		}{
			"a cancel": {bob, alice, wire.Sign(c.d, wire.TypeUnsub, u.Append(nil))},
			"an end":   {alice, bob, wire.Sign(c.d, wire.TypeSubState, st.Append(nil))},
		} {
			key, records := of(x.from)
			x.s.Key, x.s.Sig = key, wire.Signature{}
			c.post(x.to, x.s, records...)
			if v := c.verdict(x.to, x.s); v != "failed(bad-signature)" {
				t.Errorf("%s that nobody signed is answered %s", what, v)
			}
		}
		stands := func() error {
			if a, b := alice.watching(bob), bob.watcher(alice); a.State != "active" || b.State != "active" || a.ID != sub {
				return fail("alice's side is %s, bob's %s", a.State, b.State)
			}
			return nil
		}
		w.must(stands())
		bob.note("still here")
		w.soonly("the next change arrives", func() bool { return alice.sees(bob).Note == "still here" })
		g := c.watch(bob)
		c.post(bob, unsub(c, bob, carolsSub))
		w.soonly("one that is signed ends", func() bool {
			return bob.watcherAt(c.address().String()).State == "terminated" && g.E != (wire.PublicKey{})
		})
		_, err := alice.Unwatch(ctx(), "bob")
		w.must(err)
		w.finds("an end of alice's own", stands())
	})
}

// Alice's own node asks anew after the block, before and after restarts, and is refused each time.
func TestReq_5_1_13_OwnNewRequest(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice"), w.person("bob"), w.person("dave")
		alice.watch(bob)
		dave.watch(bob)
		_, err := bob.Block(ctx(), alice.address(), "presence")
		w.must(err)
		w.soonly("her subscription ends", func() bool { return alice.watching(bob).State == "terminated" })
		last := alice.watching(bob).ID
		refused := func() error {
			alice.ask(bob)
			if err := await(5*time.Second, "a new request is denied", func() bool {
				s := alice.watching(bob)
				return s.ID != last && s.State == "denied" && s.Reason == wire.ReasonPolicy
			}); err != nil {
				return err
			}
			last = alice.watching(bob).ID
			return nil
		}
		w.must(refused())
		for _, p := range []*person{alice, bob} {
			p.kill(testnet.Crash)
			p.up()
			w.within(time.Minute, "dave sees bob", func() bool { return dave.sees(bob).Basic == "open" })
			w.must(refused())
		}
		bob.note("not for alice")
		w.within(5*time.Second, "dave is told", func() bool { return dave.sees(bob).Note == "not for alice" })
		if p := alice.sees(bob); p.Note != "" || p.Basic == "open" {
			t.Errorf("alice is shown %q %q", p.Basic, p.Note)
		}
		_, err = bob.Unblock(ctx(), alice.address())
		w.must(err)
		w.finds("a block that is lifted", refused())
	})
}

// The requirement asks that the stream of an unsolicited push be reset. The protocol drops a record of an
// unknown epoch unread and counts it (SPEC 4.8), and lets the stream be: what was asked for until a moment ago
// may still be under way, and on that stream comes what others are asked about. A record that nobody could
// have sent in good faith, forged or malformed, resets it. Carol sees both at her end.
func TestReq_5_3_2_StreamOfAPush(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		x, e := watchedThrough(w, alice, bob)
		bob.note("asked")
		time.Sleep(3 * time.Second)
		w.must(x.show(e, latest(x.hostile, e).Raw))
		w.soonly("what she asked for", func() bool { return alice.sees(bob).Note == "asked" })
		own := identity.NewSigningKey([32]byte{8})
		k, at := [32]byte{4}, now()
		doc := wire.Doc{Entity: x.address(), Device: x.device(), Ver: 1, TTL: 150, Tuples: []wire.Tuple{{ID: "t", Basic: wire.Open, Timestamp: at, Notes: []wire.Note{{Text: "unasked"}}}}}
		tag := wire.TagOf(k, x.device())
		valid := wire.NewUpdate(own, tag, at, wire.SealDoc(x.rand, k, own.Public(), tag, at, doc.Append(nil))).Append(nil)
		push := func(key wire.PublicKey, rec []byte) (reset bool) {
			x.mu.Lock()
			s := x.came[peerOf(alice)][presenceProto]
			x.mu.Unlock()
			if s == nil {
				t.Fatal("alice has no stream")
			}
			_, err := s.Write(wire.AppendFrame(nil, wire.Frame{Op: wire.OpRec, Payload: wire.RecPush{Key: key, Rec: rec}.Append(nil)}))
			w.must(err)
			time.Sleep(time.Second)
			_, err = s.Write(wire.AppendFrame(nil, wire.Frame{Op: 99, Payload: []byte{1}})) // which is ignored where it is read
			return err != nil
		}
		before := alice.refused("pushed rec of unknown key")
		if push(own.Public(), valid) {
			t.Error("a push of an epoch that she does not know ends the stream")
		}
		if n := alice.refused("pushed rec of unknown key") - before; n != 1 {
			t.Errorf("%d are counted", n)
		}
		for what, rec := range map[string][]byte{"another's, as bob's": valid, "malformed": {1, 2, 3}} {
			n := x.asked(e)
			if !push(e, rec) {
				t.Errorf("%s: the stream goes on", what)
			}
			w.within(2*time.Minute, "alice comes again", func() bool { return x.asked(e) > n })
		}
		x.tell(alice, presenceProto, wire.OpRec, wire.RecPush{Key: own.Public(), Rec: valid}.Append(nil))
		time.Sleep(soon)
		if slices.ContainsFunc(alice.events(), func(e node.Event) bool { return e.Text == "unasked" }) || alice.sees(bob).Note != "asked" {
			t.Error("what she never asked for is shown")
		}
	})
}
