package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
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

// somebody is a fresh identity without a node.
type somebody struct{ a, d identity.SigningKey }

func newSomebody(t *testing.T) somebody { return somebody{signingKey(t), signingKey(t)} }

func (s somebody) address() identity.Address { return identity.Address(s.a.Public()) }

// arrives is a letter of his as it arrives at b, from a place of its own.
func (s somebody) arrives(b *actor, kind wire.Type, body []byte) arrival {
	now := b.now()
	ar := identity.AddressRecord{Address: s.address(), Seq: now.Wall, Expires: now.Wall.Add(identity.AddressRecordLife), Services: identity.Inbox,
		Recovery: [32]byte{1}, Devices: []identity.Device{{Key: s.d.Public(), Roles: identity.RoleAdmin | identity.RoleInbox}}}
	signed := wire.Sign(s.d, kind, body)
	peer := make([]byte, 16)
	_, _ = rand.Read(peer)
	return arrival{peer: p2p.PeerID(peer), signed: signed, id: signed.ID(), at: now,
		attached: []wire.Signed{wire.Sign(s.a, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, ar))}}
}

// fetches leads a question of his through one pass at b, and returns whether it is answered.
func (s somebody) fetches(b *actor, at identity.Time) bool {
	b.t.Helper()
	r := wire.Fetch{From: s.address(), To: b.who.Address, At: at, ArSeq: 1}
	_, _ = rand.Read(r.Req[:])
	in := s.arrives(b, wire.TypeFetch, r.Append(nil))
	var out ruling
	if err := b.update(func(t *txn) (err error) {
		out, err = b.takeFetch(t, in, r, readRecords(r.From, in.attached))
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return out.answer != nil
}

// closedViews are those that there are, and those that are vacant.
func (a *actor) closedViews() (names, vacant []string) {
	a.t.Helper()
	if err := a.view(func(t *txn) error {
		every, err := a.viewNames(t)
		for _, name := range every {
			if view, _, failed := a.loadView(t, name); failed == nil && isClosedView(name) {
				if names = append(names, name); view.Vacant {
					vacant = append(vacant, name)
				}
			}
		}
		return err
	}); err != nil {
		a.t.Fatal(err)
	}
	return names, vacant
}

// TestStrangersMakeNoViews: those who are politely blocked by the default of their class, and ask once, are
// shown one view together, which began with the default and goes with it.
func TestStrangersMakeNoViews(t *testing.T) {
	t.Parallel()
	bob := opened(t, "bob")
	polite, block := "polite-block", "block"
	must(bob.SetPolicy(t.Context(), PolicyEdit{Class: "unknown", Fetch: &polite}))(t)
	for range 40 {
		if !newSomebody(t).fetches(bob, bob.now().Wall) {
			t.Fatal("a stranger is not answered")
		}
	}
	old := newSomebody(t)
	if old.fetches(bob, bob.now().Wall.Add(-wire.FetchLife-1e6)) || bob.askedNow(old.address()) {
		t.Error("what is too old was taken")
	}
	if names, vacant := bob.closedViews(); !slices.Equal(names, []string{closedPrefix + "unknown"}) || len(vacant) != 0 {
		t.Errorf("views %q, vacant %q", names, vacant)
	}
	must(bob.SetPolicy(t.Context(), PolicyEdit{Class: "unknown", Fetch: &block}))(t)
	if err := bob.occupy(must(bob.allViews())(t)); err != nil {
		t.Fatal(err)
	}
	if _, vacant := bob.closedViews(); len(vacant) != 1 {
		t.Errorf("vacant views: %q", vacant)
	}
	before := bob.epochsOf(closedPrefix + "unknown")
	must(bob.SetPolicy(t.Context(), PolicyEdit{Class: "unknown", Fetch: &polite}))(t)
	if now := bob.epochsOf(closedPrefix + "unknown"); slices.Equal(before, now) {
		t.Error("a second time goes on where the first one ended")
	}
}

// TestLostSeats: who waited and lost his place to another is listed as given up, is not told, and is heard
// again when he polls or asks again.
func TestLostSeats(t *testing.T) {
	t.Parallel()
	bob := opened(t, "bob")
	ask := func(s somebody, at identity.Time) presence.Watcher {
		r := wire.SubRequest{From: s.address(), To: bob.who.Address, Sub: wire.SubID{1}, At: at, Want: wire.WantPresence}
		return bob.judge(s.arrives(bob, wire.TypeSubRequest, r.Append(nil)), r, nil).row
	}
	stands := func(s somebody) string {
		var of []Subscription
		if err := bob.view(func(t *txn) (err error) {
			of, err = bob.watcherRows(t, store.WatchersOf(s.address()), store.FetcherOf(s.address()))
			return err
		}); err != nil || len(of) != 1 {
			return fmt.Sprint(len(of), err)
		}
		return of[0].Winfo + " " + of[0].Event
	}
	start := bob.now().Wall
	first, fetcher := newSomebody(t), newSomebody(t)
	if w := ask(first, start); w.State != wire.SubPending {
		t.Fatalf("the first: %+v", w)
	}
	fetcher.fetches(bob, start)
	bob.clock.move(time.Second, time.Second)
	if err := bob.update(func(t *txn) (err error) { // all places but theirs are taken
		for i := range policy.MaxPending - 1 {
			who, at := identity.Address{1, byte(i)}, start+1000
			w := presence.Watcher{Me: bob.who.Address, Who: who, Sub: wire.SubID{1}, Want: wire.WantPresence, State: wire.SubPending, Since: at, Asked: at, LastAt: at}
			f := presence.Fetcher{Me: bob.who.Address, Who: who, ID: wire.ReqID{1}, State: wire.FetchPending, Began: at, Since: at, Asked: at, Peer: who[:16]}
			err = errors.Join(err, put(t, store.Watcher(who, w.Sub), w), put(t, store.Meta(sourceName(w)), source{Peer: who[:16]}), put(t, store.Fetcher(who), f))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := stands(first) + ", " + stands(fetcher); got != "pending subscribe, waiting timeout" {
		t.Errorf("while there is room: %q", got)
	}
	ask(newSomebody(t), start+1000)
	newSomebody(t).fetches(bob, start)
	if got := stands(first); got != "terminated giveup" {
		t.Errorf("who lost his seat is listed as %q", got)
	}
	if got := stands(fetcher); got != "terminated giveup" {
		t.Errorf("who waited for a fetch is listed as %q", got)
	}
	if ask(first, start); stands(first) != "terminated giveup" {
		t.Errorf("a replay brings him back: %q", stands(first))
	}
	bob.clock.move(2*time.Minute, 2*time.Minute)
	if w := ask(first, bob.now().Wall); w.State != wire.SubPending || stands(first) != "pending subscribe" {
		t.Errorf("his poll: %+v, listed as %q", w, stands(first))
	}
	if !fetcher.fetches(bob, bob.now().Wall) || stands(fetcher) != "waiting timeout" {
		t.Errorf("his next fetch: listed as %q", stands(fetcher))
	}
}

func (a *actor) askedNow(who identity.Address) (asked bool) {
	_ = a.view(func(t *txn) error { asked = a.askedOnce(t, who); return nil })
	return asked
}

func (a *actor) allViews() (names []string, err error) {
	err = a.view(func(t *txn) error { names, err = a.viewNames(t); return err })
	return names, err
}

// epochsOf are the keys of the live epochs of a view.
func (a *actor) epochsOf(name string) (out []wire.PublicKey) {
	_ = a.view(func(t *txn) error {
		view, _, err := a.loadView(t, name)
		for _, e := range view.Publishing(t.now) {
			out = append(out, e.E)
		}
		return err
	})
	return out
}

// TestAClosedViewGoesWithItsRows: a stranger who subscribes under a default of polite-block has a view of his
// own, which is dropped with the last row about him, and not before; that of a rule by name stays.
func TestAClosedViewGoesWithItsRows(t *testing.T) {
	t.Parallel()
	bob := opened(t, "bob")
	polite := "polite-block"
	must(bob.SetPolicy(t.Context(), PolicyEdit{Class: "unknown", Watch: &polite}))(t)
	stranger, named := newSomebody(t), newSomebody(t)
	must(bob.SetPolicy(t.Context(), PolicyEdit{Who: named.address().String(), Watch: &polite}))(t)
	for _, s := range []somebody{stranger, named} {
		for sub := range byte(2) {
			r := wire.SubRequest{From: s.address(), To: bob.who.Address, Sub: wire.SubID{sub + 1}, At: bob.now().Wall, Want: wire.WantPresence}
			in := s.arrives(bob, wire.TypeSubRequest, r.Append(nil))
			if out := bob.judge(in, r, nil); out.row.State != wire.SubActive || out.row.InView() != closedView(s.address()) {
				t.Fatalf("%+v", out.row)
			}
		}
	}
	for _, s := range []somebody{stranger, named} {
		for sub := range byte(2) {
			names, _ := bob.closedViews()
			if !slices.Contains(names, closedView(s.address())) {
				t.Errorf("with %d rows less the view is gone", sub)
			}
			if err := bob.update(func(t *txn) error {
				w, err := get[presence.Watcher](t, store.Watcher(s.address(), wire.SubID{sub + 1}))
				if err != nil {
					return err
				}
				return bob.deleteWatcher(t, w)
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	names, _ := bob.closedViews()
	if slices.Contains(names, closedView(stranger.address())) || !slices.Contains(names, closedView(named.address())) {
		t.Errorf("left: %q", names)
	}
}

// TestPoliteBlockWhileARemovalIsOwed: dave has just been removed, and alice is politely blocked before the
// epochs have changed. She sees that bob went offline, and dave reads nothing more, not even that.
func TestPoliteBlockWhileARemovalIsOwed(t *testing.T) {
	t.Parallel()
	alice, bob, carol, dave := start(t, "alice"), start(t, "bob"), start(t, "carol"), start(t, "dave")
	for _, x := range []*actor{alice, carol, dave} {
		x.subscribe(bob)
	}
	shared, _ := dave.Node.presence.watchingOf(bob.who.Address)
	a, c := bob.rowsOf(alice)[0], bob.rowsOf(carol)[0]
	if err := bob.update(func(t *txn) error {
		return errors.Join(bob.leave(t, presence.DefaultView, presence.CauseUser, dave.who.Address), bob.shut(t, a), bob.shut(t, c))
	}); err != nil {
		t.Fatal(err)
	}
	before := bob.net.Held(shared.Grant.E)
	for _, x := range []*actor{alice, carol} {
		x.sees(bob, "closed said")
	}
	dave.sees(bob, "open said") // he was not really removed, so he reads on in the epoch without him
	if after := bob.net.Held(shared.Grant.E); len(before) == 0 || !reflect.DeepEqual(after, before) {
		t.Errorf("the epoch that closed holds %+v, before %+v", after, before)
	}
	as, _ := alice.Node.presence.watchingOf(bob.who.Address)
	cs, _ := carol.Node.presence.watchingOf(bob.who.Address)
	if as.Grant.E == cs.Grant.E || as.Grant.E == shared.Grant.E {
		t.Error("who is politely blocked shares an epoch")
	}
}
