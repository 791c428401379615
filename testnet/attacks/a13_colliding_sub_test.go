package attacks

import (
	"context"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_13_CollidingSub: mallory asks bob with the sub that alice drew. There are two rows, and what
// becomes of either does not touch the other.
func TestAttack_13_CollidingSub(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		befriend(alice, bob)
		subs, err := alice.Watching(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		sub := subs[0].ID
		before := alice.table()
		rows := func() (of map[string]string) {
			of = map[string]string{}
			all, err := bob.Watchers(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range all {
				if w.ID != sub {
					t.Errorf("a row of sub %v", w.ID)
				}
				of[w.Address.String()] = w.State
			}
			return of
		}
		expect := func(when, mine, hers string) {
			t.Helper()
			pass(3 * time.Second)
			of := rows()
			if of[alice.address()] != mine || of[c.address.String()] != hers {
				t.Errorf("%s: alice %q, mallory %q; want %q, %q", when, of[alice.address()], of[c.address.String()], mine, hers)
			}
			if after := alice.table(); after != before {
				t.Errorf("%s: alice's side changed\n%s\nto\n%s", when, before, after)
			}
		}
		l := c.dial(bob, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		send := func(x wire.Signed) {
			l.put(c.seal(wire.Inner{Signed: x, Attached: c.records()}, b).parcel)
		}
		send(wire.Sign(c.d, wire.TypeSubRequest, c.subRequest(b.Address, sub).Append(nil)))
		expect("asked", "active", "pending")
		if _, err := bob.Deny(context.Background(), c.address.String(), ""); err != nil {
			t.Fatal(err)
		}
		expect("denied", "active", "denied")
		if st := c.states(sub); len(st) < 2 || st[len(st)-1].State != wire.SubDenied || st[len(st)-1].Grant != nil {
			t.Errorf("mallory was told %+v", st)
		}
		pass(2 * time.Minute)
		send(wire.Sign(c.d, wire.TypeUnsub, wire.Unsub{From: c.address, To: b.Address, Sub: sub, At: now()}.Append(nil)))
		expect("ended by mallory", "active", "terminated")
		if _, err := bob.Block(context.Background(), c.address.String(), "both"); err != nil {
			t.Fatal(err)
		}
		expect("blocked", "active", "terminated")
		bob.say("still here")
		alice.eventually(30*time.Second, "reads bob", func() bool { return alice.sees(bob).Note == "still here" })
		if _, err := alice.Unwatch(context.Background(), "bob"); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		if of := rows(); of[alice.address()] != "terminated" || of[c.address.String()] != "terminated" {
			t.Errorf("in the end %v", of)
		}
	})
}

// TestAttack_13_OwnEnd is what 13 must be able to find: of two rows under one sub, the end that alice
// signs ends hers, and that of mallory is left as it was; a home that lost its table shows the loss.
func TestAttack_13_OwnEnd(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		befriend(alice, bob)
		sub, before := alice.sub(bob.Self().Address), alice.table()
		l := c.dial(bob, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		send := func(x wire.Signed) {
			l.put(c.seal(wire.Inner{Signed: x, Attached: c.records()}, b).parcel)
			pass(3 * time.Second)
		}
		send(wire.Sign(c.d, wire.TypeSubRequest, c.subRequest(b.Address, sub).Append(nil)))
		u := wire.Unsub{From: alice.Self().Address, To: b.Address, Sub: sub, At: now()}
		for _, row := range []struct {
			name, hers string
			key        identity.SigningKey
		}{{"signed by mallory", "active", c.d}, {"signed by alice", "terminated", author(alice).d}} {
			send(wire.Sign(row.key, wire.TypeUnsub, u.Append(nil)))
			of := map[string]string{}
			all, err := bob.Watchers(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range all {
				if w.ID == sub {
					of[w.Address.String()] = w.State
				}
			}
			if of[alice.address()] != row.hers || of[c.address.String()] != "pending" {
				t.Errorf("%s: alice %q, mallory %q; want %q, pending", row.name, of[alice.address()], of[c.address.String()], row.hers)
			}
		}
		alice.stop()
		if anew := s.machineOf("alice anew", "alice"); anew.table() == before {
			t.Error("the fault that was planted, a home without its table, is not found")
		}
	})
}
