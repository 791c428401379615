package requirements

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// An address is the key itself, so an answer in the name of bob is his or is refused; a name service that
// could be poisoned does not exist.
func TestReq_5_1_1_BobIsBob(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		r, err := alice.Resolve(ctx(), "bob")
		w.must(err)
		if r.Fingerprint != bob.Self().Address.Fingerprint() || r.Proof == "" {
			t.Errorf("resolved: %+v", r)
		}
		dave := w.person("dave")
		real := c.bundleOf(bob)
		forged := wire.Sign(c.a, wire.TypeAddressRecord, real.Address.Body)
		unsigned := real.Address
		unsigned.Sig[3] ^= 1
		for how, b := range map[string]wire.Bundle{
			"her own records":                     c.bundle,
			"his record signed by her":            {Address: forged, Devices: real.Devices},
			"his record with a wrong signature":   {Address: unsigned, Devices: real.Devices},
			"her own record for his with her key": {Address: wire.Sign(c.d, wire.TypeAddressRecord, real.Address.Body), Devices: c.bundle.Devices},
		} {
			c.bundle = b
			_, err := dave.Resolve(ctx(), c.cardFor(bob.Self().Address))
			if code(err) != "binding-invalid" {
				t.Errorf("with %s: %q", how, code(err))
			}
		}
		_, err = dave.Add(ctx(), c.cardFor(bob.Self().Address), "bob")
		w.must(err)
		dave.ask(bob)
		w.soonly("dave is told", func() bool {
			return slices.ContainsFunc(dave.events(), func(e node.Event) bool { return e.State == "binding-invalid" })
		})
		if s := dave.watching(bob); s.State != "requested" || len(c.cameFrom(dave, wire.OpParcel)) != 0 {
			t.Errorf("his subscription is %s; carol got %d parcels of his", s.State, len(c.cameFrom(dave, wire.OpParcel)))
		}
		// That his own devices are attached does not make Carol one of them.
		c.bundle = wire.Bundle{Address: real.Address, Devices: c.bundle.Devices}
		_, _ = dave.Resolve(ctx(), "bob")
		time.Sleep(soon)
		if n := len(c.cameFrom(dave, wire.OpParcel)); n != 0 {
			t.Errorf("dave sealed %d parcels to carol's device", n)
		}
	})
}

// named is the check that Alice is told of each fault, by `hum who --why`, and of no other.
func named(alice, bob *person, faults ...string) error {
	why := strings.Join(alice.sees(bob).Why, "; ")
	for _, f := range faults {
		if !strings.Contains(why, f) {
			return fail("%q is not named: %s", f, why)
		}
	}
	for _, f := range []string{"damaged", "did not sign", "not granted", "older than", "future", "rate", "superseded", "not come yet"} {
		if strings.Contains(why, f) && !slices.ContainsFunc(faults, func(told string) bool { return strings.Contains(told, f) }) {
			return fail("%q is named: %s", f, why)
		}
	}
	return nil
}

// C0 has no relay: Carol is the only way between the two, and has the records but not the key. She cuts,
// drops, swaps, rolls back, forges and invents; Alice's screen names each of it, and ends with what bob
// disclosed.
func TestReq_5_1_4_ExactlyWhatWasDisclosed(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		x, e := watchedThrough(w, alice, bob)
		g := x.hostile.watch(bob) // only to compare: Alice has no more than what she is shown
		var recs, beacons []wire.Rec
		for i := range 6 {
			bob.note("version " + string(rune('4'+i)))
			time.Sleep(3 * time.Second)
		}
		time.Sleep(2 * time.Minute)
		for _, r := range x.hostile.recs(e) {
			if r.IsBeacon() {
				beacons = append(beacons, r)
			} else {
				recs = append(recs, r)
			}
		}
		recs = recs[len(recs)-6:]
		shown := func(want string, faults ...string) {
			t.Helper()
			time.Sleep(100 * time.Millisecond)
			if p := alice.sees(bob); p.Note != want {
				t.Errorf("alice is shown %q, not %q", p.Note, want)
			}
			if err := named(alice, bob, faults...); err != nil {
				t.Error(err)
			}
		}
		w.must(x.show(e, recs[0].Raw))
		w.within(5*time.Second, "version 4", func() bool { return alice.sees(bob).Note == "version 4" })
		shown("version 4")
		w.must(x.showBad(e, recs[1].Raw[:len(recs[1].Raw)-20])) // cut short
		cut := "damaged records refused: 1"
		shown("version 4", cut)
		w.must(x.show(e, recs[3].Raw)) // 5 and 6 are dropped
		gap := "changes superseded before they came: 2"
		shown("version 7", cut, gap)
		w.must(x.show(e, recs[2].Raw)) // the wrong way round
		shown("version 7", cut, gap, "older than what was known: 1")
		w.must(x.show(e, recs[0].Raw)) // rolled back
		shown("version 7", cut, gap, "older than what was known: 2")
		x.held.Store(&[][]byte{recs[1].Raw})
		last := beacons[len(beacons)-1]
		w.must(x.show(e, last.Raw)) // of version 9, which is kept back; asked for it Carol shows an old one
		old := "older than what was known: 3"
		shown("version 7", cut, gap, old, "announced a change that has not come yet")
		signed := wire.NewUpdate(x.hostile.d, recs[5].Tag, last.T+1, recs[5].CT)
		w.must(x.showBad(e, signed.Raw))
		forged := "did not sign: 1"
		shown("version 7", cut, gap, old, forged, "announced a change that has not come yet")
		w.must(x.show(x.hostile.d.Public(), wire.NewUpdate(x.hostile.d, recs[5].Tag, last.T+1, recs[5].CT).Raw))
		foreign := "has not granted: 1"
		shown("version 7", cut, gap, old, forged, foreign, "announced a change that has not come yet")
		x.held.Store(&[][]byte{recs[5].Raw, last.Raw})
		beat := wire.NewBeacon(x.hostile.d, last.Tag, last.T+2, recs[5].T)
		w.must(x.showBad(e, beat.Raw))
		forged = "did not sign: 2"
		w.within(2*time.Minute, "alice asks again, and is repaired", func() bool {
			for _, r := range x.hostile.recs(e) { // the beacons go on
				if r.IsBeacon() && r.T > last.T {
					last = r
					w.must(x.show(e, r.Raw))
				}
			}
			return alice.sees(bob).Note == "version 9"
		})
		shown("version 9", cut, "changes superseded before they came: 3", "older than what was known", forged, foreign)
		for _, r := range recs {
			w.must(x.show(e, r.Raw))
		}
		shown("version 9", cut, "changes superseded before they came: 3", "older than what was known", forged, foreign)
		if !slices.ContainsFunc(alice.events(), func(v node.Event) bool { return v.State == "tampering" && v.Address == bob.Self().Address }) {
			t.Error("no event tells of it")
		}
		docs := x.hostile.reads(e, g)
		if n := len(docs[len(docs)-1].Tuples); n != len(alice.sees(bob).Tuples) || n == 0 {
			t.Errorf("alice holds %d tuples of %d", len(alice.sees(bob).Tuples), n)
		}
		w.finds("a fault that did not happen", named(alice, bob, cut, "dated in the future: 1"))
		w.finds("a fault that is not asked for", named(alice, bob, cut))
	})
}

// watchedThrough has Alice watch Bob with Carol between them; what Bob publishes comes to Carol alone.
func watchedThrough(w *world, alice, bob *person) (*between, wire.PublicKey) {
	w.Helper()
	x := w.between(alice, bob)
	bob.approve(alice) // beforehand: his later word would seek her own node
	alice.ask(bob)
	w.within(time.Minute, "alice is granted", func() bool { return alice.watching(bob).State == "active" })
	e := x.topicOf(bob)
	w.within(2*time.Minute, "alice opens a stream for it", func() bool { return x.asked(e) > 0 })
	return x, e
}

func TestReq_5_1_5_ToldOfRefusal(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice"), w.person("bob"), w.person("dave")
		_, err := bob.Block(ctx(), alice.address(), "presence")
		w.must(err)
		alice.add(bob)
		alice.ask(bob)
		denied := func(p *person) func() bool {
			return func() bool { s := p.watching(bob); return s.State == "denied" && s.Reason == wire.ReasonPolicy }
		}
		w.soonly("alice is refused", denied(alice))
		dave.add(bob)
		dave.ask(bob)
		w.soonly("dave's request waits", func() bool { return bob.watcher(dave).State == "pending" && dave.watching(bob).State == "pending" })
		dave.kill(testnet.Crash)
		_, err = bob.Deny(ctx(), addressOf(dave), "")
		w.must(err)
		time.Sleep(time.Minute)
		dave.up()
		w.within(5*time.Second, "dave is told after he is back", denied(dave))
	})
}

// forgedRequests is the check that nothing of Carol's makes Alice a watcher of Bob.
func forgedRequests(alice, bob *person, c *hostile, captured []byte) error {
	before := bob.watcher(alice)
	b := c.bundleOf(alice)
	hers := append([]wire.Signed{b.Address}, b.Devices...)
	as := func(r *wire.SubRequest) { r.From = identity.Address(b.Address.Key) }
	forged := c.subRequest(bob, wire.SubID{1}, as)
	unsigned := forged
	unsigned.Sig = wire.Signature{}
	named := forged
	named.Key = alices(b)
	for how, s := range map[string]wire.Signed{"signed by carol": forged, "unsigned": unsigned, "carol's signature under alice's key": named} {
		c.post(bob, s, hers...)
		if v := c.verdict(bob, s); v != "failed(bad-signature)" {
			return fail("%s: %s", how, v)
		}
	}
	if captured != nil {
		c.hand(bob, captured)
		time.Sleep(soon)
	}
	if after := bob.watcher(alice); after.State != before.State || after.ID != before.ID {
		return fail("the list of watchers changes from %+v to %+v", before, after)
	}
	return nil
}

func alices(b wire.Bundle) wire.PublicKey { return b.Devices[0].Key }

func TestReq_5_1_6_NobodyMakesHerSubscribe(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		w.must(forgedRequests(alice, bob, c, nil))
		alice.watch(bob)
		captured := bob.got.parcels(alice.ip)[0]
		w.finds("a request of alice's own", map[bool]error{true: nil, false: fail("active")}[bob.watcher(alice).State == ""])
		_, err := alice.Unwatch(ctx(), "bob")
		w.must(err)
		w.soonly("her subscription has ended", func() bool { return bob.watcher(alice).State == "terminated" })
		w.must(forgedRequests(alice, bob, c, captured))

		// What Carol tells Alice makes no subscription and joins no topic.
		s, err := alice.Status(ctx())
		w.must(err)
		topics := s.Topics
		g := &wire.Grant{E: identity.NewSigningKey([32]byte{7}).Public(), K: [32]byte{1}, NotBefore: now(), NotAfter: now().Add(time.Hour), TTL: 150}
		st := wire.SubState{From: c.address(), To: alice.Self().Address, Sub: wire.SubID{5}, Seq: now(), State: wire.SubActive, Expires: now().Add(time.Hour), Grant: g, ArSeq: 1}
		c.post(alice, wire.Sign(c.d, wire.TypeSubState, st.Append(nil)), c.records...)
		c.post(alice, c.im(alice, "watch me: "+c.card()), c.records...)
		c.join(g.E)
		time.Sleep(soon)
		every, err := alice.Watching(ctx())
		w.must(err)
		if s, _ = alice.Status(ctx()); s.Topics != topics || len(every) > 1 || alice.watching(bob).State == "active" {
			t.Errorf("alice is on %d topics, was on %d; watches %+v", s.Topics, topics, every)
		}
	})
}

// after is what Carol, a watcher until now, can read of what Bob says next, with all she ever held.
func after(bob *person, c *hostile, g wire.Grant, changes int) (read int) {
	began := now()
	for i := range changes {
		bob.note("later " + string(rune('a'+i)))
		for _, e := range c.got.topics() {
			if c.watchTopic(bob, e) == nil {
				c.join(e)
			}
		}
		time.Sleep(3 * time.Second)
	}
	for _, e := range c.got.topics() {
		for _, r := range c.recs(e) {
			if r.T >= began && !r.IsBeacon() {
				if _, err := wire.OpenDoc(g.K, e, r.Tag, r.T, r.CT); err == nil {
					read++
				}
			}
		}
	}
	return read
}

func unsub(c *hostile, bob *person, sub wire.SubID) wire.Signed {
	a, err := identity.ParseAddress(addressOf(bob))
	c.w.must(err)
	u := wire.Unsub{From: c.address(), To: a, Sub: sub, At: now()}
	return wire.Sign(c.d, wire.TypeUnsub, u.Append(nil))
}

// Carol is the one who leaves, since she keeps every key she was given and asks for all she hears of.
func TestReq_5_1_7_EndMeansEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		g := c.watch(bob)
		w.finds("a watcher", same(after(bob, c, g, 3), 0))
		c.post(bob, unsub(c, bob, carolsSub))
		w.soonly("she is listed as gone", func() bool { return bob.watcherAt(c.address().String()).State == "terminated" })
		time.Sleep(soon)
		if n := after(bob, c, g, 10); n != 0 {
			t.Errorf("%d of 10 later documents can be read", n)
		}
		w.within(10*time.Second, "alice misses nothing", func() bool { return alice.sees(bob).Note == "later j" })

		// Alice leaves while Bob is away; he hears of it when he is back.
		bob.kill(testnet.Crash)
		_, err := alice.Unwatch(ctx(), "bob")
		w.must(err)
		if p := alice.sees(bob); p.Basic != "unknown" || p.Note != "" {
			t.Errorf("at once alice still sees %q %q", p.Basic, p.Note)
		}
		bob.up()
		w.within(15*time.Minute, "bob hears of it", func() bool { return bob.watcher(alice).State == "terminated" })
		heard := len(presenceFrom(alice, bob))
		for range 5 {
			bob.note(time.Now().String())
			time.Sleep(3 * time.Second)
		}
		if n := len(presenceFrom(alice, bob)); n != heard {
			t.Errorf("%d records still left bob's node for alice by stream", n-heard)
		}
	})
}

// carolsSub is the subscription that hostile.watch asks for.
var carolsSub = wire.SubID{'c', 'a', 'r', 'o', 'l'}

// presenceFrom are the records pushed on streams.
func presenceFrom(p, of *person) (out []frameOn) {
	for _, f := range p.got.frames(of.ip) {
		if f.proto == presenceProto && f.Op == wire.OpRec {
			out = append(out, f)
		}
	}
	return out
}

func TestReq_5_1_8_NobodyElseEndsIt(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		_, err := alice.Unwatch(ctx(), "bob")
		w.must(err)
		w.soonly("a first subscription ends", func() bool { return bob.watcher(alice).State == "terminated" })
		old := bob.got.parcels(alice.ip)
		_, err = alice.Watch(ctx(), "bob", "again", 0)
		w.must(err)
		w.within(10*time.Second, "a second one stands", func() bool { return alice.watching(bob).State == "active" && alice.sees(bob).Basic == "open" })
		sub, hers := alice.watching(bob).ID, c.bundleOf(alice)
		attached := append([]wire.Signed{hers.Address}, hers.Devices...)
		u := wire.Unsub{From: alice.Self().Address, To: bob.Self().Address, Sub: sub, At: now()}
		forged := wire.Sign(c.d, wire.TypeUnsub, u.Append(nil))
		for range 2 {
			c.post(bob, forged, attached...)
			forged.Key = alices(hers)
		}
		c.post(bob, unsub(c, bob, sub), c.records...) // her own, by the id of another's
		for _, p := range old {
			c.hand(bob, p)
		}
		st := wire.SubState{From: bob.Self().Address, To: alice.Self().Address, Sub: sub, Seq: now() + 1000, State: wire.SubTerminated, Reason: wire.ReasonPolicy, Expires: now().Add(time.Hour), ArSeq: 1}
		his := c.bundleOf(bob)
		end := wire.Sign(c.d, wire.TypeSubState, st.Append(nil))
		c.post(alice, end, append([]wire.Signed{his.Address}, his.Devices...)...)
		if v := c.verdict(alice, end); v != "failed(bad-signature)" {
			t.Errorf("a forged end is answered %s", v)
		}
		time.Sleep(soon)
		stands := func() error {
			if a, b := alice.watching(bob), bob.watcher(alice); a.State != "active" || b.State != "active" || a.ID != sub {
				return fail("alice's side is %s, bob's %s", a.State, b.State)
			}
			return nil
		}
		w.must(stands())
		bob.note("still here")
		w.soonly("the next change arrives", func() bool { return alice.sees(bob).Note == "still here" })
		_, err = alice.Unwatch(ctx(), "bob")
		w.must(err)
		w.finds("an end of alice's own", stands())
	})
}

func TestReq_5_1_9_ToldOfTheEnd(t *testing.T) {
	for name, between := range map[string]func(alice, bob *person){
		"both there":       nil,
		"alice away":       func(alice, bob *person) {},
		"bob dies as well": func(alice, bob *person) { bob.kill(testnet.Crash); bob.up() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				alice, bob := w.person("alice"), w.person("bob")
				alice.watch(bob)
				if between != nil {
					alice.kill(testnet.Crash)
				}
				_, err := bob.Drop(ctx(), addressOf(alice))
				w.must(err)
				if between != nil {
					between(alice, bob)
					time.Sleep(time.Minute)
					alice.up()
				}
				w.within(5*time.Second, "alice is told of the end", func() bool { return alice.watching(bob).State == "terminated" })
				if !slices.ContainsFunc(alice.events(), func(e node.Event) bool { return e.Kind == "subscription" && e.State == "terminated" }) {
					t.Error("no event says so")
				}
			})
		})
	}
}

func TestReq_5_1_10_StateAtAnyTime(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		agree := func(state string) {
			t.Helper()
			w.within(3*time.Second, "both sides say "+state, func() bool { return alice.watching(bob).State == state && bob.watcher(alice).State == state })
		}
		alice.ask(bob)
		agree("pending")
		bob.approve(alice)
		agree("active")
		heard := alice.watching(bob).Heard
		if time.Since(heard) > time.Minute || heard.IsZero() {
			t.Errorf("heard at %v", heard)
		}
		bob.kill(testnet.Crash)
		time.Sleep(10 * time.Minute)
		if s := alice.watching(bob); s.State != "active" || time.Since(s.Heard) < 9*time.Minute {
			t.Errorf("with bob away: %s, heard at %v", s.State, s.Heard)
		}
		bob.up()
		time.Sleep(10 * time.Second)
		_, err := bob.Drop(ctx(), addressOf(alice))
		w.must(err)
		agree("terminated")
		if s := alice.watching(bob); s.Reason == 0 {
			t.Error("it ended without a reason")
		}
	})
}

// Fetchers and what a relay accepted belong to later profiles.
func TestReq_5_1_11_BobLearnsOfIt(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		alice.ask(bob)
		w.soonly("an event tells of it", func() bool {
			return slices.ContainsFunc(bob.events(), func(e node.Event) bool {
				return e.Kind == "request" && e.Address == alice.Self().Address && e.ID != "" && e.State == "pending" && time.Since(e.At) < time.Minute
			})
		})
		before := bob.watcher(alice)
		if before.Text != "please" || before.Claimed != "alice" || before.At.IsZero() {
			t.Errorf("listed as %+v", before)
		}
		bob.kill(testnet.Crash)
		bob.up()
		if s := bob.watcher(alice); s.ID != before.ID || s.State != "pending" {
			t.Errorf("after a crash: %+v", s)
		}
		bob.approve(alice)
		w.within(30*time.Second, "it is active", func() bool { return alice.watching(bob).State == "active" })
		bob.kill(testnet.Crash)
		bob.up()
		if s := bob.watcher(alice); s.ID != before.ID || s.State != "active" {
			t.Errorf("after another: %+v", s)
		}
	})
}

// A name is a claim; rules are by address, which only its key can speak for.
func TestReq_5_1_12_WhoAsks(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		bob.add(alice)
		bob.approve(alice) // whenever she asks
		w.must(forgedRequests(alice, bob, c, nil))
		r := c.subRequest(bob, wire.SubID{2}, func(r *wire.SubRequest) { r.Name = "alice" })
		c.post(bob, r, c.records...)
		w.soonly("carol is listed", func() bool { return bob.watcherAt(c.address().String()).State != "" })
		s := bob.watcherAt(c.address().String())
		if s.State != "pending" || s.Petname == "alice" || s.Claimed != "alice" || s.Proof != c.address().Fingerprint() {
			t.Errorf("listed as %+v", s)
		}
		alice.add(bob)
		alice.ask(bob)
		w.within(3*time.Second, "alice matches the rule", func() bool { return bob.watcher(alice).State == "active" })
		if s := bob.watcher(alice); s.Proof != alice.Self().Address.Fingerprint() || s.Petname != "alice" {
			t.Errorf("listed as %+v", s)
		}
	})
}

// An address is one principal whatever its device; that a second device is refused as well is for the
// profile that has one. A new subscription id and a new node are tried here.
func TestReq_5_1_13_BlockedByAddress(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave, c := w.person("alice"), w.person("bob"), w.person("dave"), w.hostile("carol")
		alice.watch(bob)
		dave.watch(bob)
		g := c.watch(bob)
		for _, who := range []string{alice.address(), c.address().String()} {
			_, err := bob.Block(ctx(), who, "both")
			w.must(err)
		}
		w.soonly("alice's subscription ends", func() bool { return alice.watching(bob).State == "terminated" })
		time.Sleep(soon)
		if n := after(bob, c, g, 3); n != 0 {
			t.Errorf("carol, blocked, reads %d documents", n)
		}
		refused := func() {
			t.Helper()
			sub := wire.SubID{byte(time.Now().Unix())}
			c.post(bob, c.subRequest(bob, sub), c.records...)
			w.within(5*time.Second, "a new request is denied", func() bool {
				return slices.ContainsFunc(c.states(bob), func(s wire.SubState) bool {
					return s.Sub == sub && s.State == wire.SubDenied && s.Reason == wire.ReasonPolicy
				})
			})
		}
		refused()
		bob.kill(testnet.Crash)
		bob.up()
		refused()
		w.within(30*time.Second, "dave sees him", func() bool { return dave.sees(bob).Basic == "open" })
		bob.note("for dave")
		w.within(5*time.Second, "dave is told", func() bool { return dave.sees(bob).Note == "for dave" })
	})
}

func TestReq_5_1_16_EndedAtWill(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, dave, c := w.person("bob"), w.person("dave"), w.hostile("carol")
		dave.watch(bob)
		g := c.watch(bob)
		w.finds("a watcher", same(after(bob, c, g, 3), 0))
		_, err := bob.Drop(ctx(), c.address().String())
		w.must(err)
		w.soonly("she is told", func() bool {
			return slices.ContainsFunc(c.states(bob), func(s wire.SubState) bool { return s.State == wire.SubTerminated })
		})
		time.Sleep(soon)
		if n := after(bob, c, g, 5); n != 0 {
			t.Errorf("%d of 5 later documents can be read", n)
		}
		w.within(5*time.Second, "dave misses nothing", func() bool { return strings.HasPrefix(dave.sees(bob).Note, "later e") })
	})
}

// Alice asks Bob by his address alone, so that she knows no place of his, and her tries lie further and further apart.
// When he comes, since he wants to see her, her request reaches him on his own connection at once.
func TestAskedBeforeHeCame(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		_, err := alice.Watch(ctx(), bob.address(), "please", 0)
		w.must(err)
		time.Sleep(40 * time.Minute)
		if s := bob.watcher(alice); s.State != "" {
			t.Fatalf("he has heard of it already: %+v", s)
		}
		bob.add(alice)
		bob.ask(alice)
		w.soonly("bob hears of her request", func() bool { return bob.watcher(alice).State == "pending" || bob.watcher(alice).State == "active" })
	})
}
