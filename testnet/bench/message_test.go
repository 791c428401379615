//go:build unix

package bench

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkAck is the time from Send until the recipient's ack of its durable commit is verified, and until
// the event "delivered", which is told once that is saved here: a third sync, which the floor has not. The
// floor is a signed ping-pong on one stream with a synced row on each side before it sends.
func BenchmarkAck(b *testing.B) {
	alice, _ := pair(b)
	floor := newPinger(b, true)
	p50(20, floor.ping)
	var acked, settled figure
	for b.Loop() {
		least := p50(100, floor.ping)
		var verified []time.Duration
		told := p50(100, func() {
			start := time.Now()
			alice.send()
			verified = append(verified, time.Unix(0, opened.Load()).Sub(start))
		})
		slices.Sort(verified)
		acked.took(verified[len(verified)/2], least)
		settled.took(told, least)
	}
	acked.report(b, "µs/acked", "ratio")
	settled.report(b, "µs/settled", "ratio-settled")
}

// BenchmarkPipeline is messages per second with 64 in flight, each signed, sealed, and durable on both
// sides before it is acked. The floor signs and verifies both ways, and keeps nothing.
func BenchmarkPipeline(b *testing.B) {
	alice, _ := pair(b)
	floor := newPinger(b, false)
	var speed, spent figure
	each := func(n int, f func()) (perSecond float64, per time.Duration) {
		before := cpu()
		perSecond = rate(n, f)
		return perSecond, (cpu() - before) / time.Duration(n)
	}
	for b.Loop() {
		most, least := each(1000, floor.ping)
		ours, per := each(1000, alice.send)
		speed.note(ours, most)
		spent.took(per, least)
	}
	speed.report(b, "msg/s", "ratio")
	spent.report(b, "cpu-µs/msg", "cpu-ratio")
}
