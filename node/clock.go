package node

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
)

// SystemClock reads the clocks of this machine; Heard is the node's to add.
func SystemClock() func() identity.Now {
	start := time.Now()
	return func() identity.Now {
		now := time.Now()
		return identity.Now{Wall: identity.TimeOf(now.Round(0)), Mono: now.Sub(start)}
	}
}

// heard is the largest stamp accepted from any contact (SPEC 1, "Time").
type heard struct{ at atomic.Uint64 }

func (h *heard) raise(s identity.Stamp) {
	for {
		old := h.at.Load()
		if uint64(s) <= old || h.at.CompareAndSwap(old, uint64(s)) {
			return
		}
	}
}

// now is one reading of all clocks.
func (n *Node) now() identity.Now {
	now := n.cfg.Clock()
	now.Heard = identity.Time(n.heard.at.Load())
	return now
}

// clockEvery is how often those are asked what time it is whose clocks put mine in doubt.
const clockEvery = time.Minute

// askClocks asks them, unless it did so within the minute, and returns when to do it again: so that a clock
// set right, mine or theirs, is noticed within a lease (SPEC 11.2, I30).
func (n *Node) askClocks(now identity.Now) time.Duration {
	n.presence.mu.Lock()
	off := n.presence.clocks.Off(now)
	wait := n.presence.asked + clockEvery - now.Mono
	if n.presence.asked == 0 || wait <= 0 {
		n.presence.asked, wait = now.Mono, 0
	}
	n.presence.mu.Unlock()
	if wait > 0 || len(off) == 0 {
		return wait
	}
	for _, a := range off {
		w, _ := n.presence.watchingOf(a)
		for _, g := range w.Grants() {
			n.spawn(func(ctx context.Context) { n.fetchPresence(ctx, a, g.E, "") })
		}
	}
	return clockEvery
}

// lockedReader lets many read one source of randomness, which need not be made for that.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// peerClock notes what a contact's clock shows (SPEC 1, "Time").
func (n *Node) peerClock(from p2p.PeerID, at identity.Time) {
	n.ownClock(from, at)
	whose := n.addressesAt(from)
	i := slices.IndexFunc(whose, func(a identity.Address) bool {
		w, _ := n.presence.watchingOf(a)
		return n.isContact(a) && len(w.Grants()) > 0 // else he could not be asked again: see Clocks.Forget
	})
	if i < 0 {
		return
	}
	n.presence.mu.Lock()
	n.presence.clocks.Told(n.now(), whose[i], at)
	n.presence.mu.Unlock()
	n.reading.nudge()
}

// clockSuspect reports whether my clock may be wrong (SPEC 1, "Time").
func (n *Node) clockSuspect() bool {
	n.presence.mu.Lock()
	defer n.presence.mu.Unlock()
	return n.presence.clocks.Suspect(n.now())
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
