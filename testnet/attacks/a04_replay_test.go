package attacks

import (
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_04_Replay: every Parcel that bob ever obtained is played to him again after a second, ten
// minutes, a restart, and 30 days after the last of them has expired, with his clock set back 31 days:
// nothing is shown, and what alice holds as delivered stays so.
func TestAttack_04_Replay(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		tap := s.tap(bob)
		c := s.stranger("mallory")
		alice.add(bob)
		bob.add(alice)
		alice.subscribe(bob)
		want := []string{"first", "second", "third"}
		var ids []wire.MID
		for i, text := range want {
			ids = append(ids, alice.send(bob, text, []time.Duration{0, time.Hour, 14 * 24 * time.Hour}[i]))
			pass(2 * time.Second)
		}
		// A stranger's too: his seen rows are nobody's who is heard.
		l := c.dial(bob, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		l.put(c.seal(wire.Inner{Signed: c.signIM(c.im(b.Address, "of a stranger")), Attached: c.records()}, b).parcel)
		l.Reset()
		want = append(want, "of a stranger")
		bob.eventually(10*time.Second, "has all", func() bool { return len(bob.inbox()) == len(want) })
		parcels := tap.parcels()
		rows := bob.table()
		play := func(when string) {
			t.Helper()
			l := c.dial(bob, wire.ParcelProtocol)
			for _, p := range parcels {
				l.put(p)
				pass(200 * time.Millisecond)
			}
			pass(5 * time.Second)
			l.Reset()
			if got := bob.inbox(); !slices.Equal(got, want) {
				t.Errorf("%s: bob has %q", when, got)
			}
			if got := bob.table(); got != rows {
				t.Errorf("%s: subscriptions were\n%s\nand are\n%s", when, rows, got)
			}
			for _, id := range ids {
				if st := alice.sent(id); st.State != "delivered" {
					t.Errorf("%s: alice's message is %s", when, st.State)
				}
			}
		}
		pass(time.Second)
		play("after a second")
		pass(10 * time.Minute)
		play("after ten minutes")
		bob.restart()
		play("after a restart")
		pass(time.Second)
		// 45 days on, with a start each while, so that what may be purged is purged; nobody but alice is heard.
		for range 4 {
			alice.stop()
			bob.stop()
			pass(12 * 24 * time.Hour)
			alice.start()
			bob.start()
			pass(90 * time.Second)
		}
		rows = bob.table()
		play("30 days after the last has expired")
		bob.clock.Step(-31 * 24 * time.Hour)
		pass(2 * time.Minute)
		play("with the clock set back by 31 days")
		bob.restart()
		pass(time.Minute)
		play("and after a restart")
	})
}

// TestAttack_04_SeenGone is the fault that 04 must be able to find: where seen is lost, as in a home that
// was made anew from the seed, a replayed message that has not expired is shown.
func TestAttack_04_SeenGone(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		bob := s.machine("bob")
		c := s.stranger("mallory")
		l := c.dial(bob, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		signed := c.signIM(c.im(b.Address, "again"))
		l.put(c.seal(wire.Inner{Signed: signed, Attached: c.records()}, b).parcel)
		bob.eventually(5*time.Second, "has it", func() bool { return len(bob.inbox()) == 1 })
		bob.stop()
		anew := s.machineOf("bob anew", "bob")
		l = c.dial(anew, wire.ParcelProtocol)
		b = l.recipient(anew.Self().Address)
		l.put(c.seal(wire.Inner{Signed: signed, Attached: c.records()}, b).parcel)
		anew.eventually(5*time.Second, "shows it again", func() bool { return len(anew.inbox()) == 1 })
	})
}
