package testnet

import (
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
)

// A Clock is one node's clock. Its wall can be set by anybody at any time; its monotonic part cannot.
// NewClock starts it at the time of the bubble.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
	start  time.Time
}

// NewClock returns a clock that goes right.
func NewClock() *Clock { return &Clock{start: time.Now()} }

// Now reads the clock; Heard is not its business and 0.
func (c *Clock) Now() identity.Now {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return identity.Now{Wall: identity.TimeOf(now.Add(c.offset)), Mono: now.Sub(c.start)}
}

// Step sets the wall clock d further, or back if d is negative.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// Offset returns how far the wall clock stands from the true time.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// Restart begins the monotonic clock again, as a new process does.
func (c *Clock) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start = time.Now()
}
