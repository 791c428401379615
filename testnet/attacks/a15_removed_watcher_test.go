package attacks

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A spy is a watcher of bob's who does what the protocol asks of her and keeps every key that she was ever
// told. She stands on every topic that she knows, and is connected to bob's other watchers.
type spy struct {
	*stranger
	bob    *machine
	to     wire.Recipient
	sub    wire.SubID
	at     wire.Stamp
	line   *line
	topics map[wire.PublicKey]*listener
}

func (s *stage) spy(name string, bob *machine) *spy {
	s.t.Helper()
	x := &spy{stranger: s.stranger(name), bob: bob, topics: map[wire.PublicKey]*listener{}}
	x.sub = x.subID()
	x.call()
	return x
}

// call dials bob and polls.
func (x *spy) call() {
	x.s.t.Helper()
	x.line = x.dial(x.bob, wire.ParcelProtocol)
	x.to = x.line.recipient(x.bob.Self().Address)
	x.say(wire.TypeSubRequest, func(at wire.Stamp) []byte {
		r := x.subRequest(x.to.Address, x.sub)
		r.At = at
		return r.Append(nil)
	})
}

// leave unsubscribes.
func (x *spy) leave() {
	x.say(wire.TypeUnsub, func(at wire.Stamp) []byte {
		return wire.Unsub{From: x.address, To: x.to.Address, Sub: x.sub, At: at}.Append(nil)
	})
}

func (x *spy) say(what wire.Type, body func(at wire.Stamp) []byte) {
	x.s.t.Helper()
	x.at = max(x.at+1, now())
	l := x.seal(wire.Inner{Signed: wire.Sign(x.d, what, body(x.at)), Attached: x.records()}, x.to)
	if got := x.line.put(l.parcel); got != wire.OK {
		x.s.t.Fatalf("%s: %v", x.person.address, got)
	}
}

// grants are all that she was ever told.
func (x *spy) grants() (out map[wire.PublicKey]wire.Grant) {
	out = map[wire.PublicKey]wire.Grant{}
	for _, st := range x.states(x.sub) {
		for _, g := range []*wire.Grant{st.Grant, st.Next} {
			if g != nil {
				out[g.E] = *g
			}
		}
	}
	return out
}

// state is what she was told last.
func (x *spy) state() wire.SubState {
	all := x.states(x.sub)
	if len(all) == 0 {
		return wire.SubState{}
	}
	return all[len(all)-1]
}

// opened are the documents among recs, of whatever epoch, that any key of hers opens, and that were signed after
// a time.
func (x *spy) opened(e wire.PublicKey, recs []wire.Rec, after wire.Stamp) (docs int) {
	for _, r := range recs {
		for _, g := range x.grants() {
			for _, under := range []wire.PublicKey{e, g.E} {
				if _, err := wire.OpenDoc(g.K, under, r.Tag, r.T, r.CT); !r.IsBeacon() && r.T > after && err == nil {
					docs++
				}
			}
		}
	}
	return docs
}

// held is what bob serves of an epoch.
func (x *spy) held(e wire.PublicKey) (recs []wire.Rec) {
	f := x.dial(x.bob, wire.PresenceProtocol).ask(wire.OpGet, wire.GetRequest{Key: e}.Append(nil))
	reply, err := wire.ParseGetReply(f.Payload)
	if f.Status != wire.OK || err != nil {
		return nil
	}
	for _, b := range reply.Recs {
		if r, err := wire.ParseRec(b); err == nil {
			recs = append(recs, r)
		}
	}
	return recs
}

// removals are how she is removed.
var removals = map[string]func(x *spy) error{
	"she unsubscribes": func(x *spy) error {
		x.leave()
		if !soon(10*time.Second, func() bool { return x.state().State == wire.SubTerminated }) {
			return fmt.Errorf("no answer to the Unsub: %v", x.state().State)
		}
		return nil
	},
	"she is blocked": func(x *spy) error {
		_, err := x.bob.Block(context.Background(), x.address.String(), "both")
		return err
	},
	"she is dropped": func(x *spy) error { _, err := x.bob.Drop(context.Background(), x.address.String()); return err },
}

// TestAttack_15_RemovedWatcher: at random moments of a rotation, the instants included at which the next epoch is
// made, begins, and the old one ends, carol unsubscribes or is blocked or dropped. Not one document that is
// published afterwards opens with any key that she ever held; alice, dave and erin, who is light, are shown
// every change; and alice and dave stay on the topics that carol knows until all leave them.
func TestAttack_15_RemovedWatcher(t *testing.T) {
	const day = 24 * time.Hour
	rnd := rand.New(rand.NewPCG(15, 15))
	moments := []time.Duration{5*day + 12*time.Hour - time.Minute, 5*day + 12*time.Hour + time.Minute, 7*day - 5*time.Second, 7*day + 5*time.Second, 8*day - time.Minute}
	for range size(1, 12) {
		moments = append(moments, 5*day+6*time.Hour+time.Duration(rnd.Int64N(int64(2*day+18*time.Hour))))
	}
	for i, how := range slices.Sorted(maps.Keys(removals)) {
		for j, at := range moments {
			if !wide && j != 2*i || !long && (i+j)%2 != 0 {
				continue
			}
			t.Run(fmt.Sprint(how, " at ", at.Round(time.Second)), func(t *testing.T) {
				play(t, func(t *testing.T, s *stage) { removed(t, s, at, removals[how]) })
			})
		}
	}
}

func removed(t *testing.T, s *stage, at time.Duration, remove func(*spy) error) {
	bob := s.machine("bob")
	born := time.Now()
	alice, dave, erin := s.machine("alice"), s.machine("dave"), s.crowdMachine("erin", true)
	others := []*machine{alice, dave, erin}
	announced := s.epochOf(alice) // every topic that bob announces to alice
	for _, m := range others {
		m.add(bob)
		bob.add(m)
		m.subscribe(bob)
	}
	carol := s.spy("carol", bob)
	bob.eventually(10*time.Second, "is asked by carol", func() bool { return carol.state().State == wire.SubPending })
	if _, err := bob.Approve(context.Background(), carol.address.String()); err != nil {
		t.Fatal(err)
	}
	bob.eventually(10*time.Second, "grants carol", func() bool { return carol.state().Grant != nil })
	sleep := func(until time.Duration) {
		for _, m := range append(others, bob) {
			m.stop()
		}
		pass(time.Until(born.Add(until)))
		for _, m := range append([]*machine{bob}, others...) {
			m.start()
		}
	}
	sleep(at - 10*time.Minute)
	pass(3 * time.Minute)
	carol.call()
	for _, m := range []*machine{alice, dave} {
		carol.dial(m, wire.ParcelProtocol)
	}
	pass(2 * time.Minute)
	if carol.state().State != wire.SubActive {
		t.Fatalf("carol is %v before she is removed", carol.state().State)
	}
	held := carol.grants()
	for e := range held {
		carol.topics[e] = carol.join(t.Context(), e)
	}
	said := 0
	say := func() {
		t.Helper()
		said++
		note := fmt.Sprint("word ", said)
		bob.say(note)
		for _, m := range others {
			m.eventually(10*time.Second, "sees "+note, func() bool { return m.sees(bob).Note == note })
		}
	}
	say()
	before := 0
	for e, l := range carol.topics {
		before += carol.opened(e, l.recs(), 0) + carol.opened(e, carol.held(e), 0)
	}
	if before == 0 {
		t.Fatal("carol reads nothing while she may: nothing is tried")
	}
	onTopic := func(m *machine, e wire.PublicKey) bool {
		id, err := peer.AddrInfoFromString(mustCard(t, m).Dial[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range carol.topics[e].topic.ListPeers() {
			if p == id.ID {
				return true
			}
		}
		return false
	}
	current := wire.PublicKey{}
	for e, g := range held {
		if g.NotBefore <= now() && onTopic(alice, e) && onTopic(dave, e) && (current == wire.PublicKey{} || g.NotAfter < held[current].NotAfter) {
			current = e
		}
	}
	if (current == wire.PublicKey{}) {
		t.Fatal("no topic of carol's has alice and dave on it")
	}
	time.Sleep(time.Until(born.Add(at)))
	held = carol.grants() // the next epoch may have been made meanwhile
	if err := remove(carol); err != nil {
		t.Fatal(err)
	}
	gone := now()
	bob.say("in the very instant")
	pass(5 * time.Second)
	for range 5 {
		say()
		pass(3 * time.Second)
	}
	after := func(when string) {
		t.Helper()
		for e := range carol.grants() {
			if held[e].E != e {
				t.Errorf("%s: carol was told another epoch", when)
			}
		}
		for _, e := range append(announced(), keysOf(held)...) {
			if n := carol.opened(e, carol.held(e), gone); n > 0 {
				t.Errorf("%s: %d documents that bob serves open with a key of carol's", when, n)
			}
		}
		for e, l := range carol.topics {
			if n := carol.opened(e, l.recs(), gone); n > 0 {
				t.Errorf("%s: %d documents on a topic of carol's open with a key of hers", when, n)
			}
		}
	}
	after("at once")
	stay := func(when string) {
		t.Helper()
		for _, m := range []*machine{alice, dave} {
			if !onTopic(m, current) {
				t.Errorf("%s: %s has left the old topic", when, m.name)
			}
		}
	}
	stay("at once")
	end := held[current].NotAfter.Go()
	if time.Until(end) > time.Hour {
		pass(30 * time.Minute)
		stay("half an hour later")
		sleep(end.Add(-5 * time.Minute).Sub(born))
		for _, m := range []*machine{bob, alice, dave} {
			carol.dial(m, wire.ParcelProtocol)
		}
		pass(3 * time.Minute)
	} else {
		pass(time.Until(end.Add(-time.Second)))
	}
	stay("just before it ends")
	say()
	after("days later")
	pass(time.Until(end.Add(wire.EpochLinger + time.Minute)))
	for _, m := range []*machine{alice, dave} {
		if onTopic(m, current) {
			t.Errorf("%s never leaves the old topic", m.name)
		}
	}
	say()
	after("in the end")
}

func keysOf(m map[wire.PublicKey]wire.Grant) (out []wire.PublicKey) {
	for e := range m {
		out = append(out, e)
	}
	return out
}

func mustCard(t *testing.T, m *machine) identity.Card {
	t.Helper()
	c, err := identity.ParseCard(m.card())
	if err != nil {
		t.Fatal(err)
	}
	return c
}
