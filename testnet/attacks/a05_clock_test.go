package attacks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
)

// TestAttack_05_ClockThrownForward: for an hour the clock of one stands in 2040, then it is right again.
// Within a ttl of that both talk and see each other; no record, epoch or subscription is locked, and what
// was delivered does not come again.
func TestAttack_05_ClockThrownForward(t *testing.T) {
	for _, row := range []struct {
		name       string
		alice, bob bool
		restart    bool
	}{
		{name: "alice's", alice: true},
		{name: "bob's", bob: true},
		{name: "bob's, over a restart", bob: true, restart: true},
		{name: "alice's, then bob's", alice: true, bob: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				alice, bob := s.machine("alice"), s.machine("bob")
				tap := s.tap(bob)
				befriend(alice, bob)
				alice.send(bob, "from before", 0)
				pass(10 * time.Second)
				throw := func(m *machine) {
					far := time.Until(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC))
					m.clock.Step(far)
					pass(2 * time.Minute)
					if row.restart {
						m.restart()
					}
					// Both go on as if nothing was, and whatever they say leaves its marks.
					alice.say("in between")
					bob.say("in between")
					alice.send(bob, "in between, by alice", time.Hour)
					bob.send(alice, "in between, by bob", time.Hour)
					pass(time.Duration(size(10, 58)) * time.Minute)
					m.clock.Step(-far)
				}
				for i, m := range []*machine{alice, bob} {
					if []bool{row.alice, row.bob}[i] {
						throw(m)
					}
				}
				// Right again: within a ttl.
				pass(150 * time.Second)
				if row.alice && row.bob {
					s.settle(t, alice, bob)
				}
				for i, pair := range [][2]*machine{{alice, bob}, {bob, alice}} {
					from, to := pair[0], pair[1]
					note := fmt.Sprint("right again ", i)
					to.say(note)
					if !soon(30*time.Second, func() bool { p := from.sees(to); return p.Basic == "open" && p.Note == note }) {
						t.Errorf("%s sees %s as %+v", from.name, to.name, from.sees(to))
					}
					id := from.send(to, note, 0)
					if !soon(30*time.Second, func() bool { return from.sent(id).State == "delivered" }) {
						t.Errorf("%s's message is %s (%v)", from.name, from.sent(id).State, from.sent(id).Reason)
					}
					if st := from.watching(to); st != "active" {
						t.Errorf("%s's subscription is %s", from.name, st)
					}
				}
				before := len(bob.inbox())
				c := s.stranger("mallory")
				l := c.dial(bob, "/hum/parcel/1")
				for _, p := range tap.parcels() {
					l.put(p)
					pass(200 * time.Millisecond)
				}
				pass(2 * time.Second)
				if got := bob.inbox(); len(got) != before {
					t.Errorf("after replays bob has %q", got)
				}
			})
		})
	}
}

// TestAttack_05_StillWrong is the fault that 05 must be able to find: while a clock is wrong, its owner is
// told so and shown nothing as certain.
func TestAttack_05_StillWrong(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		befriend(alice, bob)
		alice.clock.Step(14 * 365 * 24 * time.Hour)
		alice.eventually(10*time.Minute, "is not sure of bob", func() bool { return alice.sees(bob).Basic != "open" })
	})
}

// settle is what users do where every clock of a network was wrong: who is told that his clock is in doubt
// resets what it heard (SPEC 1, "Time"), and who finds a subscription ended asks anew.
func (s *stage) settle(t *testing.T, alice, bob *machine) {
	t.Helper()
	told := 0
	for _, m := range []*machine{alice, bob} {
		if st, err := m.Status(context.Background()); err != nil || !st.ClockSuspect {
			continue
		}
		told++
		m.stop()
		if err := node.ResetClock(m.home, nil); err != nil {
			t.Fatal(err)
		}
		m.start()
	}
	if told == 0 {
		return
	}
	pass(150 * time.Second)
	for _, pair := range [][2]*machine{{alice, bob}, {bob, alice}} {
		if from, to := pair[0], pair[1]; from.watching(to) != "active" {
			t.Logf("%s's subscription is %s, and asked for anew", from.name, from.watching(to))
			from.subscribe(to)
		}
	}
	pass(30 * time.Second)
}
