package attacks

import (
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_03_Suppress: mallory, who has learnt the id of a message that alice sent and bob does not
// have yet, sends messages of her own as its second sending: alice's message is shown all the same.
func TestAttack_03_Suppress(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		alice.add(bob)
		bob.add(alice)
		alice.send(bob, "before", 0)
		pass(5 * time.Second)
		s.net.Cut(alice.ip, bob.ip)
		id := alice.send(bob, "the message", 0)
		l := c.dial(bob, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		for i := range 3 {
			m := c.im(b.Address, "instead")
			m.ResendOf = id
			if i == 1 { // in alice's name
				m.From = alice.Self().Address
			}
			x := c.seal(wire.Inner{Signed: c.signIM(m), Attached: c.records()}, b)
			l.put(x.parcel)
			a := c.acked(x)
			if a == nil || i == 1 && a.Reason != wire.ReasonBadSignature && a.Reason != wire.ReasonStaleRecord {
				t.Errorf("message %d: %s", i, answer(a))
			}
		}
		s.net.Join(alice.ip, bob.ip)
		alice.eventually(time.Hour, "is told that it was delivered", func() bool { return alice.sent(id).State == "delivered" })
		if !slices.Contains(bob.inbox(), "the message") {
			t.Errorf("bob has only %q", bob.inbox())
		}
	})
}

// TestAttack_03_ResendWorks is the fault that 03 must be able to find: by the author's own word the first
// sending is suppressed.
func TestAttack_03_ResendWorks(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		bob := s.machine("bob")
		c := s.stranger("mallory")
		l := c.dial(bob, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		first := c.im(b.Address, "first")
		second := c.im(b.Address, "second")
		second.ResendOf = c.signIM(first).ID()
		for _, m := range []wire.IM{second, first, second} {
			x := c.seal(wire.Inner{Signed: c.signIM(m), Attached: c.records()}, b)
			l.put(x.parcel)
			if a := c.acked(x); a == nil || a.Disposition != wire.Delivered {
				t.Errorf("%s: %s", m.Content, answer(a))
			}
		}
		if got := bob.inbox(); !slices.Equal(got, []string{"second"}) {
			t.Errorf("bob has %q", got)
		}
	})
}
