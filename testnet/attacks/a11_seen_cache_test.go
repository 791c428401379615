package attacks

import (
	"testing"
	"time"
)

// TestAttack_11_SeenCache: what bob says is IGNOREd at alice, whose clock is behind, and stays in the seen-cache of
// gossip. Once her clock is right it is legal, and gossip does not bring it again: the next beacon, which names it,
// has her ask for it (SPEC 4.7).
func TestAttack_11_SeenCache(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		befriend(alice, bob)
		bob.say("before")
		pass(5 * time.Minute) // she hears him by the topic alone
		alice.clock.Step(-4 * time.Minute)
		bob.say("while her clock was behind")
		pass(20 * time.Second)
		if got := alice.sees(bob).Note; got == "while her clock was behind" {
			t.Fatal("it was not ignored")
		}
		alice.clock.Step(4 * time.Minute)
		alice.eventually(beaconAtMost+5*time.Second, "reads it", func() bool { return alice.sees(bob).Note == "while her clock was behind" })
	})
}

// beaconAtMost is the longest pause between two beacons.
const beaconAtMost = 66 * time.Second
