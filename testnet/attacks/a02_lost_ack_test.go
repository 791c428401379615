package attacks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// lossy spoils the first n answers to each letter that come to m.
func (s *stage) lossy(m *machine, n int) *sieve {
	lost := map[[16]byte]int{}
	return s.sieve(m, func(head []byte) bool {
		tag, ok := boxTag(head)
		if !ok || lost[tag] >= n {
			return false
		}
		lost[tag]++
		return true
	})
}

// TestAttack_02_LostAck: the first three answers to each message are lost; bob is killed between commit
// and ack, closes, blocks alice, or lets the messages expire by his clock before the next try. Every
// message is in his inbox once, and every one ends delivered.
func TestAttack_02_LostAck(t *testing.T) {
	for _, what := range []string{"nothing else", "killed", "closed", "blocked", "expired"} {
		t.Run(what, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				alice, bob := s.machine("alice"), s.machine("bob")
				chance := rand.New(rand.NewPCG(2, 2))
				lossy := s.lossy(alice, 3) // which sees a stream only from its beginning
				befriend(alice, bob)
				lossy.spoiled = 0
				want := map[string]int{}
				var ids []wire.MID
				for round := range size(3, 20) {
					for i := range 10 {
						text := fmt.Sprint("message ", round, " ", i)
						want[text] = 1
						ids = append(ids, alice.send(bob, text, []time.Duration{0, 90 * time.Second}[btoi(what == "expired")]))
						time.Sleep(time.Duration(chance.IntN(20)) * time.Millisecond)
					}
					// A message takes 20 ms to come, and its answer 20 ms to go.
					switch what {
					case "killed":
						time.Sleep(time.Duration(chance.IntN(40)) * time.Millisecond)
						bob.kill()
						bob.start()
					case "closed":
						pass(time.Second)
						bob.set(node.Change{Basic: &closed})
						pass(3 * time.Minute)
						bob.set(node.Change{Basic: &opened})
						pass(time.Second)
					case "blocked":
						pass(time.Second)
						if _, err := bob.Block(context.Background(), alice.address(), "im"); err != nil {
							t.Fatal(err)
						}
						pass(3 * time.Minute)
						if _, err := bob.Unblock(context.Background(), alice.address()); err != nil {
							t.Fatal(err)
						}
					case "expired":
						pass(time.Second)
						bob.clock.Step(100 * time.Second)
						pass(3 * time.Minute)
						bob.clock.Step(-100 * time.Second)
					}
				}
				pass(90 * time.Minute) // a try that was killed had no answer to lose, and later ones are 15 min apart
				got := map[string]int{}
				for _, text := range bob.inbox() {
					got[text]++
				}
				for text := range want {
					if got[text] != 1 {
						t.Errorf("bob has %q %d times", text, got[text])
					}
				}
				if len(got) != len(want) {
					t.Errorf("bob has %d messages, want %d", len(got), len(want))
				}
				for _, id := range ids {
					if st := alice.sent(id); st.State != "delivered" {
						t.Errorf("%q is %s (%v)", st.Content, st.State, st.Reason)
					}
				}
				if lossy.spoiled < 3*len(want)/2 {
					t.Errorf("only %d answers were lost", lossy.spoiled)
				}
			})
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestAttack_02_EveryAckLost is the fault that 02 must be able to find: where no answer ever comes, no
// message is delivered, and the inbox has each once all the same.
func TestAttack_02_EveryAckLost(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		s.lossy(alice, 1<<30)
		alice.add(bob)
		bob.add(alice)
		id := alice.send(bob, "unanswered", 10*time.Minute)
		pass(20 * time.Minute)
		if st := alice.sent(id); st.State != "failed" || st.Reason != wire.ReasonUnconfirmed {
			t.Errorf("the message is %s (%v)", st.State, st.Reason)
		}
		if got := bob.inbox(); len(got) != 1 {
			t.Errorf("bob has %q", got)
		}
	})
}
