package attacks

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// succeed has the user of a machine, which is off, leave his address for the next one of his words.
func (m *machine) succeed(why identity.MoveReason) node.Succession {
	m.s.t.Helper()
	seed := identity.Seed(sha256.Sum256([]byte("seed of " + m.seed)))
	s, err := node.SucceedHome(m.home, node.SuccessionConfig{Seed: seed, Reason: why, Clock: m.clock.Now, Rand: entropy(m.name+" moves", m.lives)})
	if err != nil {
		m.s.t.Fatal(err)
	}
	return s
}

// thief is a host of the adversary with the address key of a machine, and a device of his own.
func (s *stage) thief(of *machine) *stranger {
	s.t.Helper()
	x, keys := s.stranger("thief of "+of.name), author(of)
	x.address, x.a, x.commit = keys.address, keys.a, keys.commit
	return x
}

// says hands a message over in the name of the address, with the thief's records, and returns the answer.
func (x *stranger) says(to *machine, text string) string {
	x.s.t.Helper()
	line := x.dial(to, wire.ParcelProtocol)
	defer line.Reset()
	l := x.seal(wire.Inner{Signed: x.signIM(x.im(to.Self().Address, text)), Attached: x.records()}, line.recipient(to.Self().Address))
	line.put(l.parcel)
	return answer(x.acked(l))
}

func (m *machine) warnings() (out []string) {
	m.s.t.Helper()
	list, err := m.Contacts(context.Background())
	if err != nil {
		m.s.t.Fatal(err)
	}
	for _, c := range list {
		out = append(out, c.Petname+": "+c.Warning)
	}
	return out
}

// TestAttack_17_StolenAddressKey: a thief with bob's address key signs a newer record with his own device.
// Until bob leaves the address, alice cannot tell them apart: the thief is heard, and bob is not. Once bob's
// Successor is with her, bob is heard under his new address with all that she had said of him, the thief is
// refused whatever he signs, and her screen says that the number has changed.
func TestAttack_17_StolenAddressKey(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		befriend(alice, bob)
		ctx := context.Background()
		number, err := alice.Safety(ctx, node.SafetyQuery{Who: "bob", Confirm: true})
		if err != nil || !number.Verified {
			t.Fatalf("%+v, %v", number, err)
		}
		pass(time.Minute)
		thief := s.thief(bob)
		if got := thief.says(alice, "I am bob"); got != "delivered" {
			t.Errorf("before anybody knows, the thief is answered %s", got)
		}
		id := bob.send(alice, "this is bob", 0)
		pass(2 * time.Minute)
		if got := bob.sent(id); got.State == "delivered" {
			t.Error("alice hears a device that the newer record does not list")
		}

		bob.stop()
		moved := bob.succeed(identity.MovedCompromised)
		bob.start()
		alice.eventually(5*time.Minute, "follows bob", func() bool {
			c, err := alice.Contacts(ctx)
			return err == nil && len(c) == 1 && c[0].Address == moved.Self.Address && c[0].Petname == "bob" && !c[0].Verified
		})
		if w := alice.warnings(); !strings.Contains(w[0], "that you had compared has changed") || !strings.Contains(w[0], "stolen") {
			t.Errorf("alice's roster says %q", w)
		}
		now, err := alice.Safety(ctx, node.SafetyQuery{Who: "bob"})
		if err != nil || now.Number == number.Number || now.Verified || now.Previous != moved.Old {
			t.Errorf("alice reads %+v, %v", now, err)
		}
		alice.eventually(5*time.Minute, "sees bob", func() bool { return alice.sees(bob).Basic == "open" && alice.sees(bob).Warning != "" })
		bob.eventually(5*time.Minute, "sees alice", func() bool { return bob.sees(alice).Basic == "open" })
		id = bob.send(alice, "my key was stolen", 0)
		bob.eventually(time.Minute, "is heard", func() bool { return bob.sent(id).State == "delivered" })

		// The thief: newer records, a message, a request, an end, a document's key.
		table, inbox := alice.table(), len(alice.inbox())
		for round := range 3 {
			pass(time.Hour)
			if got := thief.says(alice, "believe me"); got != "failed(bad-signature)" {
				t.Errorf("round %d: the thief is answered %s", round, got)
			}
			line := thief.dial(alice, wire.ParcelProtocol)
			ask := thief.seal(wire.Inner{Signed: wire.Sign(thief.d, wire.TypeSubRequest, thief.subRequest(alice.Self().Address, thief.subID()).Append(nil)),
				Attached: thief.records()}, line.recipient(alice.Self().Address))
			line.put(ask.parcel)
			if got := answer(thief.acked(ask)); got != "failed(bad-signature)" {
				t.Errorf("round %d: his request is answered %s", round, got)
			}
			line.Reset()
			if round == 0 {
				alice.restart()
				alice.eventually(5*time.Minute, "sees bob again", func() bool { return alice.sees(bob).Basic == "open" })
			}
		}
		if got := alice.table(); got != table || len(alice.inbox()) != inbox {
			t.Errorf("alice's table was\n%s\nand is\n%s\ninbox %q", table, got, alice.inbox())
		}
		// Nor can he name a successor himself: the address key is not R.
		other := newPerson("the thief's own")
		forged := identity.Successor{Old: thief.address, New: other.address, Issued: identity.TimeOf(time.Now()), Reason: identity.MovedAway, Recovery: thief.a.Public()}
		line := thief.dial(alice, wire.ParcelProtocol)
		l := thief.seal(wire.Inner{Signed: wire.Sign(thief.a, wire.TypeSuccessor, wire.AppendSuccessor(nil, forged)), Attached: other.records()},
			line.recipient(alice.Self().Address))
		line.put(l.parcel)
		if got := answer(thief.acked(l)); got != "failed(bad-signature)" {
			t.Errorf("his successor is answered %s", got)
		}
		if c, _ := alice.Contacts(ctx); len(c) != 1 || c[0].Address != moved.Self.Address {
			t.Errorf("alice's roster: %+v", c)
		}
		states := []string{}
		for _, e := range events(t, alice) {
			if e.Kind == "node" && (e.State == "successor" || e.State == "frozen") {
				states = append(states, e.State)
			}
		}
		if !slices.Equal(states, []string{"successor"}) {
			t.Errorf("alice was told %q", states)
		}
	})
}

// TestAttack_17_Rollback: after the move a hostile home serves the newest record of the address that was
// left, and a Bundle without the Successor: alice stays with bob.
func TestAttack_17_Rollback(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		befriend(alice, bob)
		thief := s.thief(bob)
		bob.stop()
		moved := bob.succeed(identity.MovedCompromised)
		bob.start()
		alice.eventually(5*time.Minute, "follows bob", func() bool { return alice.watchingOf(moved.Self.Address) == "active" })
		stale := thief.bundle().Append(nil)
		thief.bundles = func(identity.Address) (wire.FrameStatus, []byte) { return wire.OK, stale }
		card := identity.Card{Address: moved.Old, Dial: []string{thief.at.String() + "/p2p/" + thief.transport.String()}}
		if _, err := alice.Add(context.Background(), card.String(), ""); err != nil {
			t.Fatal(err)
		}
		if r, err := alice.Resolve(context.Background(), card.String()); err != nil || r.Address != moved.Self.Address {
			t.Errorf("the old card resolves to %+v, %v", r, err)
		}
		id := alice.send(bob, "to you alone", 0)
		alice.eventually(20*time.Minute, "reaches bob", func() bool { return alice.sent(id).State == "delivered" })
		if thief.asked > 0 || len(thief.pushed) > 0 {
			t.Errorf("the thief was asked %d times, and got %d parcels", thief.asked, len(thief.pushed))
		}
		if got := thief.says(alice, "I am bob"); got != "failed(bad-signature)" {
			t.Errorf("the thief is answered %s", got)
		}
	})
}
