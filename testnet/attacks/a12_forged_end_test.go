package attacks

import (
	"context"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_12_ForgedEnd: unsigned, forged, replayed, misdirected and older SubStates, Unsubs and
// SubRequests change neither what alice watches nor who watches bob.
func TestAttack_12_ForgedEnd(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		befriend(alice, bob)
		subs, err := alice.Watching(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		sub := subs[0].ID
		atAlice, atBob := c.dial(alice, wire.ParcelProtocol), c.dial(bob, wire.ParcelProtocol)
		a, b := atAlice.recipient(alice.Self().Address), atBob.recipient(bob.Self().Address)
		before := alice.table() + bob.table()

		state := func(edit func(*wire.SubState)) []byte {
			st := wire.SubState{From: b.Address, To: a.Address, Sub: sub, Seq: now().Add(time.Second), State: wire.SubTerminated, Reason: wire.ReasonUnsubscribed}
			if edit != nil {
				edit(&st)
			}
			return st.Append(nil)
		}
		unsub := func(edit func(*wire.Unsub)) []byte {
			u := wire.Unsub{From: a.Address, To: b.Address, Sub: sub, At: now().Add(time.Second)}
			if edit != nil {
				edit(&u)
			}
			return u.Append(nil)
		}
		unsigned := func(typ wire.Type, body []byte, key identity.PublicKey) wire.Signed {
			return wire.Signed{Type: typ, Body: body, Key: key, Sig: identity.Signature{1}}
		}
		pinOf := func(m *machine) identity.PublicKey { return identity.PublicKey(m.Self().Address) }
		for _, row := range []struct {
			name   string
			to     wire.Recipient
			signed wire.Signed
			want   string
		}{
			{"SubState unsigned, under bob's address key", a, unsigned(wire.TypeSubState, state(nil), pinOf(bob)), "failed(bad-signature)"},
			{"SubState in bob's name, signed by mallory", a, wire.Sign(c.d, wire.TypeSubState, state(nil)), "failed(bad-signature)"},
			{"SubState of mallory for alice's sub", a, wire.Sign(c.d, wire.TypeSubState, state(func(st *wire.SubState) { st.From = c.address })), "silence"},
			{"SubState of mallory, ACTIVE, with a grant", a, wire.Sign(c.d, wire.TypeSubState, state(func(st *wire.SubState) {
				st.From, st.State, st.Reason, st.Expires = c.address, wire.SubActive, 0, now().Add(wire.SubscriptionLife)
				st.Grant = &wire.Grant{E: c.a.Public(), K: [32]byte{1}, NotBefore: now(), NotAfter: now().Add(wire.GrantLife), TTL: 150}
			})), "silence"},
			{"Unsub unsigned", b, unsigned(wire.TypeUnsub, unsub(nil), pinOf(alice)), "failed(bad-signature)"},
			{"Unsub in alice's name, signed by mallory", b, wire.Sign(c.d, wire.TypeUnsub, unsub(nil)), "failed(bad-signature)"},
			{"Unsub of mallory for alice's sub", b, wire.Sign(c.d, wire.TypeUnsub, unsub(func(u *wire.Unsub) { u.From = c.address })), "silence"},
			{"SubRequest in alice's name, signed by mallory", b, wire.Sign(c.d, wire.TypeSubRequest, wire.SubRequest{From: a.Address, To: b.Address, Sub: sub, At: now().Add(time.Second), Want: 1}.Append(nil)), "failed(bad-signature)"},
		} {
			x := c.seal(wire.Inner{Signed: row.signed, Attached: c.records()}, row.to)
			l := atBob
			if row.to.Address == a.Address {
				l = atAlice
			}
			if st := l.put(x.parcel); st != wire.OK {
				t.Errorf("%s: %v", row.name, st)
			}
			if got := answer(c.acked(x)); got != row.want {
				t.Errorf("%s: %s, want %s", row.name, got, row.want)
			}
			if after := alice.table() + bob.table(); after != before {
				t.Fatalf("%s changed\n%s\nto\n%s", row.name, before, after)
			}
		}
		pass(5 * time.Minute)
		if got := alice.sees(bob); got.Basic != "open" {
			t.Errorf("alice sees bob %s", got.Basic)
		}
		if after := alice.table() + bob.table(); after != before {
			t.Errorf("in the end\n%s\nbecame\n%s", before, after)
		}
	})
}

// TestAttack_12_Replays: every Parcel that travelled while alice watched, stopped watching and watched
// again is played to both again, in order and backwards, at once and after a day: nothing changes.
func TestAttack_12_Replays(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		toAlice, toBob := s.tap(alice), s.tap(bob)
		c := s.stranger("mallory")
		alice.add(bob)
		bob.add(alice)
		alice.subscribe(bob)
		alice.eventually(time.Minute, "sees bob", func() bool { return alice.sees(bob).Basic == "open" })
		alice.send(bob, "one", 0)
		if _, err := alice.Unwatch(context.Background(), "bob"); err != nil {
			t.Fatal(err)
		}
		bob.eventually(time.Minute, "knows that alice left", func() bool { return bob.watcher(alice) == "terminated" })
		pass(time.Minute)
		replay := func(when string) {
			t.Helper()
			before := alice.table() + bob.table()
			inbox := len(alice.inbox()) + len(bob.inbox())
			for _, x := range []struct {
				to      *machine
				parcels []wire.Parcel
			}{{alice, toAlice.parcels()}, {bob, toBob.parcels()}} {
				if len(x.parcels) < 2 {
					t.Fatalf("%s got only %d parcels", x.to.name, len(x.parcels))
				}
				l := c.dial(x.to, wire.ParcelProtocol)
				for i := range x.parcels {
					l.put(x.parcels[i])
					l.put(x.parcels[len(x.parcels)-1-i])
					pass(time.Second)
				}
				pass(3 * time.Second)
				l.Reset()
			}
			if after := alice.table() + bob.table(); after != before {
				t.Errorf("%s: replays changed\n%s\nto\n%s", when, before, after)
			}
			if n := len(alice.inbox()) + len(bob.inbox()); n != inbox {
				t.Errorf("%s: %d messages became %d", when, inbox, n)
			}
		}
		replay("after the end")
		alice.restart()
		bob.restart()
		replay("after restarts")
		if _, err := alice.Watch(context.Background(), "bob", "", 0); err != nil {
			t.Fatal(err)
		}
		alice.eventually(time.Minute, "watches bob again", func() bool { return alice.watching(bob) == "active" })
		pass(2 * time.Minute)
		replay("with a new subscription")
		alice.eventually(time.Minute, "still sees bob", func() bool { return alice.sees(bob).Basic == "open" })
		alice.stop()
		bob.stop()
		pass(25 * time.Hour)
		alice.start()
		bob.start()
		alice.eventually(time.Minute, "sees bob after a day", func() bool { return alice.sees(bob).Basic == "open" })
		pass(2 * time.Minute)
		replay("after a day")
	})
}

// TestAttack_12_RightlySigned is what 12 must be able to find: the words that change nothing under
// mallory's key end a subscription under the key of their author, sealed and sent by mallory as before.
// And he cannot end it either by an older word, or by one for another sub.
func TestAttack_12_RightlySigned(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		befriend(alice, bob)
		sub := alice.sub(bob.Self().Address)
		atAlice, atBob := c.dial(alice, wire.ParcelProtocol), c.dial(bob, wire.ParcelProtocol)
		a, b := atAlice.recipient(alice.Self().Address), atBob.recipient(bob.Self().Address)
		state := func(key identity.SigningKey, sub wire.SubID, late time.Duration) wire.Signed {
			st := wire.SubState{From: b.Address, To: a.Address, Sub: sub, Seq: now().Add(late), State: wire.SubTerminated, Reason: wire.ReasonUnsubscribed}
			return wire.Sign(key, wire.TypeSubState, st.Append(nil))
		}
		unsub := func(key identity.SigningKey, sub wire.SubID, late time.Duration) wire.Signed {
			u := wire.Unsub{From: a.Address, To: b.Address, Sub: sub, At: now().Add(late)}
			return wire.Sign(key, wire.TypeUnsub, u.Append(nil))
		}
		ask := func(key identity.SigningKey, late time.Duration) wire.Signed {
			r := wire.SubRequest{From: a.Address, To: b.Address, Sub: sub, At: now().Add(late), Want: wire.WantPresence}
			return wire.Sign(key, wire.TypeSubRequest, r.Append(nil))
		}
		hers, his := author(alice).d, author(bob).d
		pass(2 * time.Minute)
		for _, row := range []struct {
			name         string
			to           *machine
			signed       wire.Signed
			watching     string // at alice, then
			watcher      string // at bob, then
			table        bool   // changes
			counts, want string
		}{
			{"SubState of mallory", alice, state(c.d, sub, time.Second), "active", "active", false, "bad-signature", "failed(bad-signature)"},
			{"SubState of bob, for another sub", alice, state(his, c.subID(), time.Second), "active", "active", false, "unknown-subscription", "silence"},
			{"SubState of bob, of a lower seq", alice, state(his, sub, -time.Hour), "active", "active", false, "replay", "silence"},
			{"Unsub of mallory", bob, unsub(c.d, sub, time.Second), "active", "active", false, "bad-signature", "failed(bad-signature)"},
			{"Unsub of alice, for another sub", bob, unsub(hers, c.subID(), time.Second), "active", "active", false, "", "silence"},
			{"Unsub of alice, older than her request", bob, unsub(hers, sub, -time.Hour), "active", "active", false, "", "silence"},
			{"SubState of bob", alice, state(his, sub, time.Second), "terminated", "active", true, "", "delivered"},
			{"Unsub of alice", bob, unsub(hers, sub, time.Second), "terminated", "terminated", true, "", "silence"},
			{"SubRequest of alice, older than her Unsub", bob, ask(hers, -time.Minute), "terminated", "terminated", false, "", "silence"},
		} {
			before, counted := alice.table()+bob.table(), row.to.refused(row.counts)
			x := c.seal(wire.Inner{Signed: row.signed, Attached: c.records()}, b)
			l := atBob
			if row.to == alice {
				x, l = c.seal(wire.Inner{Signed: row.signed, Attached: c.records()}, a), atAlice
			}
			l.put(x.parcel)
			if got := answer(c.acked(x)); got != row.want {
				t.Errorf("%s: %s, want %s", row.name, got, row.want)
			}
			if w, by := alice.watching(bob), bob.watcher(alice); w != row.watching || by != row.watcher {
				t.Errorf("%s: alice's side is %s, bob's %s; want %s, %s", row.name, w, by, row.watching, row.watcher)
			}
			if changed := alice.table()+bob.table() != before; changed != row.table {
				t.Errorf("%s: the tables changed: %v", row.name, changed)
			}
			if row.counts != "" && row.to.refused(row.counts) != counted+1 {
				t.Errorf("%s: %s was counted %d times", row.name, row.counts, row.to.refused(row.counts)-counted)
			}
		}
		if alice.watcher(bob) != "active" || bob.watching(alice) != "active" {
			t.Error("the other subscription ended too")
		}
	})
}

// sub is the sub of m's subscription to an address.
func (m *machine) sub(of identity.Address) wire.SubID {
	m.s.t.Helper()
	all, err := m.Watching(context.Background())
	if err != nil {
		m.s.t.Fatal(err)
	}
	for _, x := range all {
		if x.Address == of {
			return x.ID
		}
	}
	m.s.t.Fatalf("%s has no subscription to %v", m.name, of)
	return wire.SubID{}
}
