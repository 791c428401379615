package attacks

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
)

// A reading is one version of bob's document that alice's user was told of.
type reading struct {
	version, superseded uint64
	note                string
}

// readings are all versions that alice was told of, in order.
func readings(t *testing.T, alice, bob *machine) (out []reading) {
	t.Helper()
	for _, e := range events(t, alice) {
		if e.Kind == "presence" && e.Address == bob.Self().Address && e.Version > 0 {
			out = append(out, reading{e.Version, e.Superseded, e.Text})
		}
	}
	return out
}

// accounted finds what is wrong in a list of readings of one epoch: a version that came twice or after a
// newer one, and one that is missing and was not said to be superseded.
func accounted(all []reading) error {
	for i, r := range all[1:] {
		was := all[i].version
		switch {
		case r.version <= was:
			return fmt.Errorf("version %d after %d", r.version, was)
		case r.version != was+1+r.superseded:
			return fmt.Errorf("version %d after %d, and %d are said to be superseded", r.version, was, r.superseded)
		}
	}
	return nil
}

// TestAttack_07_Flapping: every three seconds the path between alice and bob goes or comes, for ten minutes with
// a hundred updates. No version is shown twice, none is missing without a word, and in the end alice sees
// what bob last said: on a machine that follows topics, on a light one, where a limited circuit comes between
// direct and none, and where bob's anchor does.
func TestAttack_07_Flapping(t *testing.T) {
	for _, way := range []string{"direct", "light", "circuits", "anchor"} {
		t.Run(way, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				alice, bob := s.machine("alice"), s.machine("bob")
				if way == "light" {
					alice.stop()
					alice.light = true
					alice.start()
				}
				turns := directOrNone(s, alice, bob)
				if way == "circuits" {
					turns = directLimitedNone(s, alice, bob)
				}
				if way == "anchor" {
					o := s.operator("o")
					bob.joins(o)
					turns = directAnchorNone(s, alice, bob, o)
					pass(5 * time.Minute) // a document that only names his newest record is a version, and shows nothing
				}
				alice.add(bob)
				bob.add(alice)
				alice.subscribe(bob)
				pass(3 * time.Minute)
				var all []reading
				for skipped, rounds := 0, 0; len(all) < 5 || skipped < 5; rounds++ {
					if rounds == 6 { // how often a dial meets one of the three seconds is chance
						t.Fatalf("%d read, %d superseded: the path does not flap, or hardly ever stands", len(all), skipped)
					}
					flap(s, turns, bob, 10*time.Minute, 100)
					alice.eventually(25*time.Minute, "sees the last word", func() bool { return alice.sees(bob).Note == "update 100" && alice.sees(bob).Basic == "open" })
					all, skipped = readings(t, alice, bob), 0
					for _, r := range all {
						skipped += int(r.superseded)
					}
					t.Logf("%d versions were read, %d superseded", len(all), skipped)
				}
				if err := accounted(all); err != nil {
					t.Error(err)
				}
				twice := append(slices.Clone(all), all[len(all)-1])
				silent := slices.Delete(slices.Clone(all), 2, 3)
				if accounted(twice) == nil || accounted(silent) == nil {
					t.Error("a version that comes twice, or is missing without a word, is not found")
				}
			})
		})
	}
}

// directOrNone are the turns of a path that breaks and comes; the first is the one that stands.
func directOrNone(s *stage, alice, bob *machine) []func() {
	return []func(){
		func() { s.net.Join(alice.ip, bob.ip) },
		func() { s.net.Break(alice.ip, bob.ip) },
	}
}

// directAnchorNone are those of a path that is direct, then by the anchor of one of the two alone, then none.
func directAnchorNone(s *stage, alice, bob *machine, o *operator) []func() {
	return []func(){
		func() { s.net.Join(alice.ip, bob.ip); s.net.Join(alice.ip, o.ip) },
		func() { s.net.Break(alice.ip, bob.ip) },
		func() { s.net.Break(alice.ip, o.ip) },
	}
}

// directLimitedNone are those of a path that is direct, then a circuit of the library's limits, then none.
func directLimitedNone(s *stage, alice, bob *machine) []func() {
	relay, ip := s.relay()
	for _, m := range []*machine{alice, bob} {
		m.via(relay)
		s.net.Shut(m.ip, false)
	}
	return []func(){
		func() { s.net.Join(alice.ip, bob.ip); s.net.Join(alice.ip, ip) },
		func() { s.net.Break(alice.ip, bob.ip) },
		func() { s.net.Break(alice.ip, ip) },
	}
}

// flap has the path between two machines take its next turn every three seconds for a while, and bob speak.
func flap(s *stage, turns []func(), bob *machine, during time.Duration, updates int) {
	s.t.Helper()
	every, said := during/time.Duration(updates), 0
	turn := 0
	began := time.Now()
	for next := began; time.Since(began) < during; {
		time.Sleep(min(time.Until(next), time.Until(began.Add(time.Duration(said)*every))))
		if !time.Now().Before(next) {
			turn++
			turns[turn%len(turns)]()
			next = next.Add(3 * time.Second)
		}
		if said < updates && !time.Now().Before(began.Add(time.Duration(said)*every)) {
			said++
			note := fmt.Sprint("update ", said)
			if _, err := bob.Set(context.Background(), node.Change{Note: &note}); err != nil {
				s.t.Fatal(err)
			}
		}
		if said == updates && time.Since(began)+3*time.Second > during {
			break
		}
	}
	turns[0]()
}
