package attacks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestSlowReader: a watcher who opens his window and never reads holds up nobody: others hear each change at
// once, and his stream is reset when it has been blocked for 30 s (SPEC 4.6). If he comes again, the newest
// is what he gets first.
func TestSlowReader(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		announced := s.epochOf(alice)
		alice.add(bob)
		bob.add(alice)
		alice.subscribe(bob)
		pass(3 * time.Minute)
		e := announced()[0]
		mallory := s.stranger("mallory")
		mallory.dial(bob, wire.ParcelProtocol) // a connection
		slow, err := mallory.host.NewStream(t.Context(), mallory.host.Network().Peers()[0], wire.PresenceProtocol)
		if err != nil {
			t.Fatal(err)
		}
		watch := wire.AppendFrame(nil, wire.Frame{ID: 1, Op: wire.OpWatch, Payload: wire.WatchRequest{Keys: []wire.PublicKey{e}}.Append(nil)})
		if _, err := slow.Write(watch); err != nil {
			t.Fatal(err)
		}
		watches := func(id uint32) bool { // an UNWATCH of nothing tells whether the stream stands
			_, err := slow.Write(wire.AppendFrame(nil, wire.Frame{ID: id, Op: wire.OpUnwatch, Payload: wire.WatchRequest{Keys: []wire.PublicKey{{1}}}.Append(nil)}))
			return err == nil
		}
		said, ended := 0, time.Duration(0)
		began := time.Now()
		for ended == 0 && said < 120 {
			said++
			note := fmt.Sprintf("%d %s", said, strings.Repeat("𝄞", 480)) // padded to 4 096 bytes
			bob.set(node.Change{Note: &note})
			pass(2 * time.Second)
			if got := alice.sees(bob).Note; got != note {
				t.Fatalf("change %d: alice sees %.10q", said, got)
			}
			if !watches(uint32(said + 1)) {
				ended = time.Since(began)
			}
		}
		const window, update = 256 << 10, 4300
		full := time.Duration(window/update) * 2 * time.Second // when the window is full
		if ended < full || ended > full+wire.SlowReader+30*time.Second {
			t.Errorf("the stream ended after %v, and its window was full after %v", ended, full)
		}
		again := mallory.dial(bob, wire.PresenceProtocol)
		if f := again.ask(wire.OpWatch, wire.WatchRequest{Keys: []wire.PublicKey{e}}.Append(nil)); f.Status != wire.OK {
			t.Fatalf("WATCH again: %v", f.Status)
		}
		if got := again.lastUpdate(e).T; time.Since(got.Go()) > 3*time.Second {
			t.Errorf("the newest is not what comes first: %v", got.Go())
		}
	})
}
