package p2p

import "time"

// A bucket is a token bucket on the monotonic clock; the zero bucket is full.
type bucket struct {
	spent float64       // tokens missing
	at    time.Duration // when spent was true
}

// take takes one token of a bucket that holds depth and refills at perSecond.
func (b *bucket) take(now time.Duration, depth, perSecond float64) bool {
	b.refill(now, perSecond)
	if b.spent+1 > depth {
		return false
	}
	b.spent++
	return true
}

func (b *bucket) refill(now time.Duration, perSecond float64) {
	b.spent = max(0, b.spent-(now-b.at).Seconds()*perSecond)
	b.at = now
}
