package attacks

import (
	"context"
	"testing"
	"time"
)

// TestAttack_01_LonelyPair: two fresh nodes and nobody else go through the five steps of SPEC 6 in at most
// ten seconds; then again where alice cannot be dialled, and where bob starts again twice on the way.
func TestAttack_01_LonelyPair(t *testing.T) {
	for _, row := range []struct {
		name     string
		shut     bool
		restarts bool
	}{{"both can be dialled", false, false}, {"alice cannot", true, false}, {"alice cannot, and bob starts again twice", true, true}} {
		t.Run(row.name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				alice, bob := s.machine("alice"), s.machine("bob")
				s.net.Shut(alice.ip, row.shut)
				within := func(d time.Duration, from time.Time, what string) {
					t.Helper()
					if took := time.Since(from); took > d {
						t.Errorf("%s took %v", what, took)
					}
				}
				began := time.Now()
				alice.add(bob)
				if _, err := alice.Watch(context.Background(), "bob", "", 0); err != nil {
					t.Fatal(err)
				}
				bob.eventually(10*time.Second, "is asked", func() bool { return bob.watcher(alice) == "pending" })
				if row.restarts {
					bob.restart()
					pass(5 * time.Second)
				}
				if _, err := bob.Approve(context.Background(), alice.address()); err != nil {
					t.Fatal(err)
				}
				if row.restarts {
					bob.kill()
					bob.start()
				}
				limit := 10 * time.Second
				if row.restarts {
					limit = time.Minute
				}
				alice.eventually(limit, "sees bob open", func() bool { return alice.sees(bob).Basic == "open" })
				id := alice.send(bob, "hello", 0)
				alice.eventually(limit, "is told that it was delivered", func() bool { return alice.sent(id).State == "delivered" })
				bob.add(alice)
				back := bob.send(alice, "hello yourself", 0)
				bob.eventually(limit, "answers over alice's connection", func() bool { return bob.sent(back).State == "delivered" })
				within(limit+20*time.Second*time.Duration(btoi(row.restarts)), began, "all of it")

				bob.kill()
				died := time.Now()
				lost := alice.send(bob, "are you there?", 0)
				alice.eventually(5*time.Minute, "sees that he has gone", func() bool { return alice.sees(bob).Basic == "closed" })
				within(150*time.Second+2*time.Minute+10*time.Second, died, "the lapse") // ttl + S
				if ev := alice.sees(bob).Evidence; ev != "lapsed" {
					t.Errorf("the evidence is %q", ev)
				}
				bob.start()
				alice.eventually(16*time.Minute, "sees him again", func() bool { return alice.sees(bob).Basic == "open" })
				alice.eventually(time.Minute, "settles what waited", func() bool { return alice.sent(lost).State == "delivered" })
			})
		})
	}
}

// TestAttack_01_NoWay is what 01 must be able to find: where neither can be dialled no step is gone, and
// none is claimed to be; once there is a way, all of them follow by themselves. And the lapse is that of
// the dead: who lives is open for as long, and who signs off has said so.
func TestAttack_01_NoWay(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		s.net.Shut(alice.ip, true)
		s.net.Shut(bob.ip, true)
		alice.add(bob)
		bob.add(alice)
		if _, err := alice.Watch(context.Background(), "bob", "", 0); err != nil {
			t.Fatal(err)
		}
		id := alice.send(bob, "hello", 0)
		for _, wait := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute} {
			pass(wait)
			if got := bob.watcher(alice); got != "" {
				t.Errorf("bob was asked without a way: %s", got)
			}
			if st := alice.sent(id).State; st != "queued" && st != "sending" {
				t.Errorf("the message is %s", st)
			}
			if got := alice.sees(bob); got.Basic != "unknown" {
				t.Errorf("alice sees bob %s, %s", got.Basic, got.Evidence)
			}
		}
		s.net.Shut(bob.ip, false)
		bob.eventually(20*time.Minute, "is asked", func() bool { return bob.watcher(alice) == "pending" })
		if _, err := bob.Approve(context.Background(), alice.address()); err != nil {
			t.Fatal(err)
		}
		alice.eventually(time.Minute, "sees bob open", func() bool { return alice.sees(bob).Basic == "open" })
		alice.eventually(20*time.Minute, "is told that it was delivered", func() bool { return alice.sent(id).State == "delivered" })

		for range 10 { // longer than the dead are shown
			pass(30 * time.Second)
			if got := alice.sees(bob); got.Basic != "open" || got.Evidence != "said" {
				t.Errorf("bob lives, and alice sees him %s, %s", got.Basic, got.Evidence)
			}
		}
		bob.stop()
		alice.eventually(5*time.Second, "hears the sign-off", func() bool { return alice.sees(&machine{s: s, name: "bob"}).Basic == "closed" })
		if ev := alice.sees(&machine{s: s, name: "bob"}).Evidence; ev != "said" {
			t.Errorf("the evidence of a sign-off is %q", ev)
		}
	})
}
