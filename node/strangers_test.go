package node

import (
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// TestThirdNode is about somebody who knows the topic's key E and the subscription's id, but not K.
func TestThirdNode(t *testing.T) {
	t.Parallel()
	alice, bob, mallory := start(t, "alice"), start(t, "bob"), start(t, "mallory")
	alice.subscribe(bob)
	bob.says("private")
	alice.sees(bob, "open private said")
	mallory.befriend(bob)
	mallory.befriend(alice)
	must(mallory.Resolve(t.Context(), "bob"))(t)
	must(mallory.Resolve(t.Context(), "alice"))(t)
	w, _ := alice.Node.presence.watchingOf(bob.who.Address)
	e := w.Grant.E

	recs := held(t, mallory, bob, e)
	if len(recs) == 0 {
		t.Fatal("nothing is held")
	}
	for _, r := range recs {
		if _, err := wire.OpenDoc([32]byte{}, e, r.Tag, r.T, r.CT); err == nil {
			t.Error("a record opens without its key")
		}
		mallory.read(bob.net.Self(), p2p.ViaFetch, e, r)
		before := alice.shown(bob)
		alice.read(mallory.net.Self(), p2p.ViaTopic, e, r) // a replay
		if got := alice.shown(bob); got != before {
			t.Errorf("a replay shows %q", got)
		}
	}
	if got := mallory.shown(bob); got != "unknown unknown" {
		t.Errorf("mallory sees %q", got)
	}
	forged := wire.NewBeacon(identity.NewSigningKey([32]byte{9}), recs[0].Tag, recs[0].T+1000, recs[0].T)
	alice.read(mallory.net.Self(), p2p.ViaTopic, e, forged)
	if alice.refusedFor("bad-record") != 1 {
		t.Error("a forged record was read")
	}

	now := mallory.now().Wall
	letters := []struct {
		name string
		to   *actor
		kind wire.Type
		body []byte
	}{
		{"the end of alice's subscription, in bob's name", alice, wire.TypeSubState,
			(wire.SubState{From: bob.who.Address, To: alice.who.Address, Sub: w.Sub, Seq: now, State: wire.SubTerminated, Reason: wire.ReasonPolicy}).Append(nil)},
		{"the same in her own", alice, wire.TypeSubState,
			(wire.SubState{From: mallory.who.Address, To: alice.who.Address, Sub: w.Sub, Seq: now, State: wire.SubTerminated, Reason: wire.ReasonPolicy}).Append(nil)},
		{"a subscription that nobody asked for", alice, wire.TypeSubState,
			(wire.SubState{From: mallory.who.Address, To: alice.who.Address, Sub: wire.SubID{7}, Seq: now, State: wire.SubActive, Expires: now.Add(time.Hour)}).Append(nil)},
		{"alice's unsubscription", bob, wire.TypeUnsub,
			(wire.Unsub{From: alice.who.Address, To: bob.who.Address, Sub: w.Sub, At: now}).Append(nil)},
		{"her own, of alice's id", bob, wire.TypeUnsub,
			(wire.Unsub{From: mallory.who.Address, To: bob.who.Address, Sub: w.Sub, At: now}).Append(nil)},
		{"a request in alice's name", bob, wire.TypeSubRequest,
			(wire.SubRequest{From: alice.who.Address, To: bob.who.Address, Sub: wire.SubID{8}, At: now, Want: wire.WantPresence}).Append(nil)},
	}
	for _, l := range letters {
		r := mallory.sendControl(t.Context(), &letter{to: l.to.who.Address, role: anyDevice, signed: wire.Sign(mallory.keys.Device(), l.kind, l.body)})
		if !r.taken {
			t.Errorf("%s: %v", l.name, r.err)
		}
	}
	time.Sleep(wire.AnswerDelay + 500*time.Millisecond)
	if got, _ := alice.Node.presence.watchingOf(bob.who.Address); got.State != presence.Active || got.Sub != w.Sub {
		t.Errorf("alice's subscription is %v", got.State)
	}
	if _, ok := alice.Node.presence.watchingOf(mallory.who.Address); ok {
		t.Error("alice was subscribed")
	}
	if l := must(bob.Watchers(t.Context()))(t); len(l) != 1 || l[0].State != "active" {
		t.Errorf("bob's watchers: %+v", l)
	}
	bob.says("still here")
	alice.sees(bob, "open still here said")
}

func (a *actor) refusedFor(cause string) uint64 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.refused[cause]
}

// asks is a request of a as it arrives at b.
func (a *actor) asks(b *actor, sub byte, at identity.Time) (arrival, wire.SubRequest) {
	r := wire.SubRequest{From: a.who.Address, To: b.who.Address, Sub: wire.SubID{sub}, At: at, Want: wire.WantPresence}
	return a.arrives(b, wire.TypeSubRequest, r.Append(nil)), r
}

func (a *actor) arrives(b *actor, kind wire.Type, body []byte) arrival {
	s := wire.Sign(a.keys.Device(), kind, body)
	attached, _ := a.own.Load().attachments(told{})
	return arrival{peer: a.net.Self(), signed: s, id: s.ID(), attached: attached, at: b.now()}
}

// judge leads an arriving request through one pass, after what first does.
func (a *actor) judge(in arrival, r wire.SubRequest, first func(*txn) error) (out verdict) {
	a.t.Helper()
	err := a.update(func(t *txn) (err error) {
		if first != nil {
			err = first(t)
		}
		if err == nil {
			out, err = a.takeRequest(t, in, r, readRecords(r.From, in.attached))
		}
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

func (a *actor) rowsOf(b *actor) (out []presence.Watcher) {
	a.t.Helper()
	if err := a.view(func(t *txn) (err error) {
		out, err = all[presence.Watcher](t, store.WatchersOf(b.who.Address))
		return err
	}); err != nil {
		a.t.Fatal(err)
	}
	return out
}

func opened(t *testing.T, name string) *actor {
	t.Helper()
	a := settle(t, name)
	a.open()
	return a
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	alice, bob, carol := opened(t, "alice"), opened(t, "bob"), opened(t, "carol")
	wall := bob.now().Wall

	t.Run("a replay takes nobody's seat", func(t *testing.T) {
		in, r := alice.asks(bob, 1, wall)
		if out := bob.judge(in, r, nil); out.row.State != wire.SubPending {
			t.Fatalf("pending: %v", out.row.State)
		}
		in, r = alice.asks(bob, 2, wall.Add(-31*24*time.Hour))
		if out := bob.judge(in, r, nil); out.ans.Kind != presence.Silent {
			t.Errorf("an old request: %v", out.ans.Kind)
		}
		if of := bob.rowsOf(alice); len(of) != 1 || of[0].Sub != (wire.SubID{1}) {
			t.Errorf("rows: %+v", of)
		}
	})
	t.Run("one pending request for each device", func(t *testing.T) {
		in, r := alice.asks(bob, 3, wall+1)
		bob.judge(in, r, nil)
		if of := bob.rowsOf(alice); len(of) != 1 || of[0].Sub != (wire.SubID{3}) {
			t.Errorf("rows: %+v", of)
		}
	})
	t.Run("blocked in the same pass", func(t *testing.T) {
		in, r := carol.asks(bob, 1, wall)
		allow := func(t *txn) error {
			return bob.setRule(t, carol.who.Address, policy.Rule{}.Approve(t.now, policy.Both))
		}
		if out := bob.judge(in, r, allow); out.row.State != wire.SubActive {
			t.Errorf("allowed: %v", out.row.State)
		}
		in, r = carol.asks(bob, 2, wall+1)
		block := func(t *txn) error {
			return bob.setRule(t, carol.who.Address, policy.Rule{}.Block(t.now, policy.Both))
		}
		if out := bob.judge(in, r, block); out.row.State != wire.SubDenied || out.row.Reason != wire.ReasonPolicy {
			t.Errorf("blocked: %v %v", out.row.State, out.row.Reason)
		}
	})
	t.Run("the ninth subscription", func(t *testing.T) {
		allow := func(t *txn) error {
			return bob.setRule(t, carol.who.Address, policy.Rule{}.Approve(t.now, policy.Both))
		}
		for i := range byte(10) {
			in, r := carol.asks(bob, 10+i, wall+10+identity.Time(i))
			bob.judge(in, r, allow)
		}
		live := slices.DeleteFunc(bob.rowsOf(carol), ended)
		if len(live) != wire.MaxSubs || live[0].Sub[0] != 12 {
			t.Errorf("%d subscriptions from %v on", len(live), live[0].Sub[0])
		}
		if l := must(bob.Watchers(t.Context()))(t); len(l) != 2 {
			t.Errorf("two watchers are listed as %d", len(l))
		}
	})
	t.Run("subscriptions that are over", func(t *testing.T) {
		fill := func(t *txn) error {
			for i := range endedKept {
				w := presence.Watcher{Who: carol.who.Address, Sub: wire.SubID{200, byte(i >> 8), byte(i)}, State: wire.SubTerminated, Ended: true, LastAt: wall, Since: wall}
				if err := put(t, store.Watcher(w.Who, w.Sub), w); err != nil {
					return err
				}
			}
			return nil
		}
		if err := bob.update(fill); err != nil {
			t.Fatal(err)
		}
		u := wire.Unsub{From: carol.who.Address, To: bob.who.Address, Sub: wire.SubID{250}, At: wall + 100}
		in := carol.arrives(bob, wire.TypeUnsub, u.Append(nil))
		if err := bob.update(func(t *txn) error { _, err := bob.takeUnsub(t, in, u, readRecords(u.From, in.attached)); return err }); err != nil {
			t.Fatal(err)
		}
		over := slices.DeleteFunc(bob.rowsOf(carol), func(w presence.Watcher) bool { return !ended(w) })
		if len(over) > endedKept+1 || !slices.ContainsFunc(over, func(w presence.Watcher) bool { return w.Sub == u.Sub }) {
			t.Errorf("%d rows are over", len(over))
		}
	})
}

// granted gives a's node an active subscription to b under an epoch made here.
func (a *actor) granted(b *actor, e presence.Epoch) presence.Watching {
	a.t.Helper()
	now := a.now()
	w := presence.Subscribe(now, a.who.Address, b.who.Address, wire.SubID{1}, wire.WantPresence, "", "", 0)
	w.State, w.Grant, w.Expires = presence.Active, e.Grant(60), now.Wall.Add(time.Hour)
	err := a.update(func(t *txn) error {
		in := b.arrives(a, wire.TypeUnsub, nil)
		p, _, err := a.accept(t, b.who.Address, readRecords(b.who.Address, in.attached))
		if err != nil {
			return err
		}
		if err := a.savePin(t, b.who.Address, p); err != nil {
			return err
		}
		if err := a.recall(t, w, func(h []presence.Heard) { t.after(func() { a.Node.presence.recalled(now, w.Of, h) }) }); err != nil {
			return err
		}
		return a.saveWatching(t, w, false)
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return w
}

// TestReadingIsKept is about what is on the disk of what was read, and when.
func TestReadingIsKept(t *testing.T) {
	t.Parallel()
	alice, bob := opened(t, "alice"), opened(t, "bob")
	now := bob.now()
	view := presence.NewView(presence.DefaultView, 60)
	view.Change(now, [64]byte{1, 2, 3})
	e := view.Epochs[0]
	pub := presence.NewPublisher(now, bob.who.Address, bob.who.Device, "", 60)
	say := func(note string) wire.Rec {
		c := pub.Choice
		c.Note = note
		if _, err := pub.Choose(bob.now(), c); err != nil {
			t.Fatal(err)
		}
		return pub.Publish(bob.now(), view, 0)[0].Rec(bob.cfg.Rand, nil)
	}
	heard := func() (n int) {
		_ = alice.view(func(t *txn) error { n = t.Count(store.HeardOf(e.E)); return nil })
		return n
	}

	w := alice.granted(bob, e)
	first := say("one")
	alice.read("", p2p.ViaStream, e.E, first)
	if got := alice.shown(bob); got != "open available one said" || heard() != 1 {
		t.Fatalf("shown %q, %d rows", got, heard())
	}
	w.End(alice.now(), 0)
	if err := alice.update(func(t *txn) error { return alice.saveWatching(t, w, false) }); err != nil {
		t.Fatal(err)
	}
	if got := alice.shown(bob); got != "unknown unknown" || heard() != 1 {
		t.Errorf("after the end: %q, %d rows", got, heard())
	}
	alice.read("", p2p.ViaStream, e.E, say("two"))
	if got := alice.shown(bob); got != "unknown unknown" {
		t.Errorf("read without a grant: %q", got)
	}
	alice.stop()
	alice.open()
	alice.granted(bob, e)
	third := say("three")
	alice.read("", p2p.ViaStream, e.E, third)
	alice.read("", p2p.ViaTopic, e.E, first)
	if got := alice.shown(bob); got != "open available three said" {
		t.Errorf("after the grant came again: %q", got)
	}
	if err := alice.store.Close(); err != nil {
		t.Fatal(err)
	}
	alice.read("", p2p.ViaStream, e.E, say("four"))
	if got := alice.shown(bob); got != "open available three said" {
		t.Errorf("shown, but not saved: %q", got)
	}
	alice.stop()
	alice.open()
	if got := alice.shown(bob); got != "unknown three cached" {
		t.Errorf("after a restart: %q", got)
	}
	alice.pass(9 * 24 * time.Hour)
	alice.heard.raise(alice.now().Wall)
	if err := alice.purgeHeard(); err != nil || heard() != 0 {
		t.Errorf("%d rows of an ended epoch, %v", heard(), err)
	}
}

// TestReachWithoutAddresses: a node that only dials names its peer, and forgets no address for none.
func TestReachWithoutAddresses(t *testing.T) {
	t.Parallel()
	bob := opened(t, "bob")
	err := bob.update(func(tx *txn) error {
		o := *bob.own.Load()
		o.ReachPeer, o.ReachAddrs = nil, nil
		if err := bob.signRecords(tx, &o, &identity.Pin{Record: bob.pins.get(bob.self.Address).Record, Raw: o.Address}, []byte(bob.net.Self()), nil); err != nil {
			return err
		}
		s, _ := wire.ParseSigned(o.Reach)
		if r, err := wire.ParseReach(s.Body); err != nil || string(r.Peer) != string(bob.net.Self()) || len(r.Addrs) != 0 {
			t.Errorf("reach %+v, %v", r, err)
		}
		o = *bob.own.Load()
		seq := o.ReachSeq
		if err := bob.signRecords(tx, &o, &identity.Pin{Record: bob.pins.get(bob.self.Address).Record, Raw: o.Address}, []byte(bob.net.Self()), nil); err != nil || o.ReachSeq != seq {
			t.Errorf("an address was given up for none, %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
