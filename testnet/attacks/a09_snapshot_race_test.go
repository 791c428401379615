package attacks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_09_SnapshotRace: bob changes his presence at every instant around a WATCH: what comes on the
// stream, before its OK or after, ends with the last change.
func TestAttack_09_SnapshotRace(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		announced := s.epochOf(alice)
		alice.add(bob)
		bob.add(alice)
		alice.subscribe(bob)
		pass(3 * time.Minute)
		e := announced()[0]
		c := s.stranger("mallory")
		before, after := 0, 0
		for i := range size(40, 1000) {
			w := c.dial(bob, wire.PresenceProtocol)
			done := make(chan node.Published, 1)
			go func() {
				time.Sleep(time.Duration(i%40) * time.Millisecond) // the WATCH takes 20 ms to come
				note := fmt.Sprint("change ", i)
				p, err := bob.Set(context.Background(), node.Change{Note: &note})
				if err != nil {
					t.Error(err)
				}
				done <- p
			}()
			ok := w.ask(wire.OpWatch, wire.WatchRequest{Keys: []wire.PublicKey{e}}.Append(nil))
			if ok.Status != wire.OK {
				t.Fatalf("WATCH: %v", ok.Status)
			}
			first := w.lastUpdate(e)
			want := (<-done).Sequence
			pass(3 * time.Second)
			got := w.lastUpdate(e)
			if got.T != wire.Stamp(want) {
				t.Errorf("change %d: the last update is %d, want %d", i, got.T, want)
			}
			if first.T == got.T {
				before++
			} else {
				after++
			}
			w.Reset()
		}
		if before == 0 || after == 0 {
			t.Errorf("%d came before the OK and %d after: not every instant was met", before, after)
		}
	})
}

// lastUpdate is the newest update that came on a stream.
func (l *line) lastUpdate(e wire.PublicKey) (last wire.Rec) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.other {
		p, err := wire.ParseRecPush(f.Payload)
		if err != nil || p.Key != e {
			continue
		}
		if r, err := wire.ParseRec(p.Rec); err == nil && !r.IsBeacon() && r.T > last.T {
			last = r
		}
	}
	return last
}
