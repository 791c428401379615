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
	second int64 // which second the last reading was in
	reads  int   // in that second
	busy   int   // seconds in a row with too many readings
	all    int   // readings since it was made
}

// A machine that reads its clock this often in each of so many seconds of virtual time spins: it waits
// for something that never comes, and virtual time hardly moves. Five hundred who answer at once keep a node as busy for
// some seconds.
const (
	spinReads   = 3000
	spinSeconds = 30
)

// NewClock returns a clock that goes right.
func NewClock() *Clock { return &Clock{start: time.Now()} }

// Now reads the clock; Heard is not its business and 0. It panics if the machine spins, so that the
// stack shows where; otherwise a story would stand still without a word.
func (c *Clock) Now() identity.Now {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.count(now.Unix())
	return identity.Now{Wall: identity.TimeOf(now.Add(c.offset)), Mono: now.Sub(c.start)}
}

func (c *Clock) count(second int64) {
	if second != c.second {
		if c.reads < spinReads {
			c.busy = 0
		}
		c.second, c.reads = second, 0
	}
	c.all++
	if c.reads++; c.reads == spinReads {
		if c.busy++; c.busy > spinSeconds {
			panic("testnet: a machine spins: it reads its clock thousands of times in each second of virtual time")
		}
	}
}

// Reads returns how often the clock was read: whatever a node does it begins by that.
func (c *Clock) Reads() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
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
