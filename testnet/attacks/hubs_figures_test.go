package attacks

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p"
)

// figures are taken of a thousand who listen to one, with HUM_LONG=hubs.
const (
	figureLeaves = 1000
	figureWords  = 20
)

// spent is the CPU time of this process.
func spent() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// figure says what figureWords words cost: say says one, heard is how many came to whom they were for.
func figure(t *testing.T, what string, bytes func() uint64, say func(), heard func() int) {
	t.Helper()
	b, cpu := bytes(), spent()
	for range figureWords {
		say()
		time.Sleep(1100 * time.Millisecond)
	}
	time.Sleep(10 * time.Second)
	n := heard()
	cpu, b = spent()-cpu, bytes()-b
	t.Logf("%-22s delivered %.2f %%, %d B and %v of CPU a delivery", what, 100*float64(n)/float64(figureWords*figureLeaves),
		b/uint64(max(n, 1)), (cpu / time.Duration(max(n, 1))).Round(100*time.Nanosecond))
}

// TestHubsFigures measures a thousand watchers on eight hubs against a push from the presentity to each, on the
// same simulated network, in one run.
func TestHubsFigures(t *testing.T) {
	if os.Getenv("HUM_LONG") != "hubs" {
		t.Skip("HUM_LONG=hubs takes the figures of docs/figures.md")
	}
	inHubs(t, 8, figureLeaves, func(h *hubs) {
		time.Sleep(3 * time.Minute) // everybody who may has left the stream
		from := len(h.said)
		figure(t, "eight hubs", h.bytes, h.say, func() int { return figureLeaves*figureWords - h.missing(from) })
	})
	inHubs(t, 1, 0, func(h *hubs) {
		for i := range figureLeaves {
			x := h.ear(fmt.Sprint("leaf ", i), false, true)
			x.Keep(h.bob.Self(), h.bob.Addrs(), p2p.Watched)
			if err := x.Follow(h.key.Public(), []p2p.PeerID{h.bob.Self()}); err != nil {
				t.Fatal(err)
			}
			h.leaves = append(h.leaves, x)
		}
		time.Sleep(time.Minute)
		figure(t, "direct push", h.bytes, h.say, func() int { return figureLeaves*figureWords - h.missing(0) })
	})
}

// bytes is what all ears have received.
func (h *hubs) bytes() (n uint64) {
	for _, x := range h.all {
		n += x.Stats().BytesIn
	}
	return n
}
