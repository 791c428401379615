package attacks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_06_Overtaking: alice hears bob over mallory alone, who hands on a beacon before its update:
// alice fetches what she missed within five seconds of it, from bob himself, and applies the update once,
// also when it comes by every other way afterwards.
func TestAttack_06_Overtaking(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		announced := s.epochOf(alice)
		alice.add(bob)
		bob.add(alice)
		alice.subscribe(bob)
		pass(3 * time.Minute)
		c, d := s.stranger("mallory, with bob"), s.stranger("mallory, with alice")
		ctx, done := context.WithCancel(context.Background())
		defer done()
		c.dial(bob, wire.ParcelProtocol)
		d.dial(alice, wire.ParcelProtocol)
		heldBack := make(map[wire.Stamp]wire.Rec)
		l, out := c.join(ctx, announced()[0]), d.join(ctx, announced()[0])
		pass(5 * time.Second)
		for round := range 4 {
			s.net.Cut(alice.ip, bob.ip)
			pass(time.Minute) // longer than a silent connection lives
			l.recs()
			note := fmt.Sprint("overtaken ", round)
			bob.say(note)
			var update, beacon wire.Rec
			for range 30 {
				pass(5 * time.Second)
				for _, r := range l.recs() {
					if r.IsBeacon() {
						beacon = r
					} else {
						update, heldBack[r.T] = r, r
					}
				}
				if beacon.Base != 0 && beacon.Base == update.T {
					break
				}
			}
			if beacon.Base == 0 || beacon.Base != update.T {
				t.Fatalf("mallory heard no beacon of the update")
			}
			if p := alice.sees(bob); p.Note == note || s.net.Lines(alice.ip, bob.ip) > 0 {
				t.Fatalf("the fault was not planted: alice sees %q", p.Note)
			}
			s.net.Join(alice.ip, bob.ip)
			if round > 0 {
				out.topic.Publish(ctx, beacon.Raw)
			}
			quick := soon(5*time.Second, func() bool { p := alice.sees(bob); return p.Note == note && p.Basic == "open" })
			if quick != (round > 0) { // without the beacon nothing hurries her: so the test can fail
				t.Errorf("round %d: alice sees %s %q", round, alice.sees(bob).Basic, alice.sees(bob).Note)
			}
			for _, r := range heldBack {
				out.topic.Publish(ctx, r.Raw)
			}
			pass(2 * time.Minute)
			told := 0
			for _, e := range events(t, alice) {
				if e.Kind == "presence" && e.Text == note {
					told++
				}
			}
			if told != 1 {
				t.Errorf("%q was told %d times", note, told)
			}
		}
	})
}
