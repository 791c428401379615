package presence

import (
	"time"

	"github.com/hum-presence/hum/identity"
)

const (
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour

	// MaxSleep bounds every Wake, so that a step of the system clock is noticed in time.
	MaxSleep = time.Hour
)

// reached reports whether a timer that was set at from has come to at. One that was set in what is now
// the future has, too: the clock went back, and the timer would lie as far off as the step was wide.
func reached(now identity.Now, from, at identity.Time) bool {
	return at != 0 && (now.Wall >= at || now.Ahead(from))
}

// until returns how long it is until at, but at least a millisecond and at most MaxSleep. A time that
// is past waits for something else than the clock, such as heard; it is looked at again in an hour.
func until(now identity.Now, at identity.Time) time.Duration {
	if at == 0 || at < now.Wall || at > now.Wall.Add(MaxSleep) {
		return MaxSleep
	}
	return max(at.Sub(now.Wall), time.Millisecond)
}

// within reports whether t lies in the d before now. A t ahead of now lies in no past: the clock went
// back, and a limit on how often something happens must not then become a lock.
func within(now identity.Now, t identity.Time, d time.Duration) bool {
	return t != 0 && t <= now.Wall && now.Wall.Sub(t) < d
}

// fraction returns the part jitter of d; jitter is in [0,1).
func fraction(d time.Duration, jitter float64) time.Duration {
	return time.Duration(float64(d) * jitter)
}

// around returns d moved by up to the share spread, either way: jitter 0.5 is d itself.
func around(d time.Duration, spread, jitter float64) time.Duration {
	return d + time.Duration(float64(d)*spread*(2*jitter-1))
}
