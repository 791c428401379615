package attacks

import (
	"fmt"
	"testing"
	"time"
)

// TestAttack_16_StaleKeys: alice sleeps for 13, 20, 29 and 60 days, in which bob rotates his prekeys and
// epochs. Then she sends and polls: it is delivered, and she sees him again, or a named reason heals
// itself; a message that she wrote just before she slept is settled by its expiry, never by silence.
func TestAttack_16_StaleKeys(t *testing.T) {
	const day = 24 * time.Hour
	for _, days := range []int{13, 20, 29, 60} {
		t.Run(fmt.Sprint(days, " days"), func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				alice, bob := s.machine("alice"), s.machine("bob")
				befriend(alice, bob)
				kids := []string{fmt.Sprint(bob.prekey())}
				bob.stop()
				old := alice.send(bob, "written before the sleep", 14*day)
				pass(time.Minute)
				alice.stop()
				bob.start()
				for slept := 0; slept < days; slept += 3 {
					pass(90 * time.Second)
					bob.stop()
					pass(time.Duration(min(3, days-slept)) * day)
					bob.start()
				}
				pass(90 * time.Second)
				kids = append(kids, fmt.Sprint(bob.prekey()))
				if kids[0] == kids[1] {
					t.Fatal("the fault was not planted: bob's prekey is the same")
				}
				alice.start()
				id := alice.send(bob, "good morning", 0)
				alice.eventually(5*time.Minute, "is delivered to bob", func() bool { return alice.sent(id).State == "delivered" })
				bob.say("you were away long")
				if st := alice.watching(bob); days >= 60 {
					if st != "expired" && st != "terminated" {
						t.Errorf("after 60 days alice's subscription is %q", st)
					}
					alice.subscribe(bob) // its life was over; a new one may follow (SPEC 4.8)
				}
				alice.eventually(5*time.Minute, "sees bob", func() bool { return alice.sees(bob).Note == "you were away long" })
				reply := bob.send(alice, "good morning to you", 0)
				bob.eventually(5*time.Minute, "is delivered to alice", func() bool { return bob.sent(reply).State == "delivered" })
				switch st := alice.sent(old); {
				case days <= 13 && st.State != "delivered":
					t.Errorf("what was written before the sleep is %s (%v)", st.State, st.Reason)
				case days > 14 && st.State != "failed":
					t.Errorf("what expired in the sleep is %s", st.State)
				}
				t.Logf("subscription %s, bob's table %s, old message %s (%v)", alice.watching(bob), bob.watcher(alice), alice.sent(old).State, alice.sent(old).Reason)
			})
		})
	}
}
