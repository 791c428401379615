package node

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hum-presence/hum/identity"
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
