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
	var acked, settled, least best
	for b.Loop() {
		least.note(p50(100, floor.ping))
		var verified []time.Duration
		settled.note(p50(100, func() {
			start := time.Now()
			alice.send()
			verified = append(verified, time.Unix(0, opened.Load()).Sub(start))
		}))
		slices.Sort(verified)
		acked.note(verified[len(verified)/2])
	}
	acked.report(b, "µs/acked")
	settled.report(b, "µs/settled")
	least.report(b, "µs/floor")
	b.ReportMetric(float64(settled)/float64(least), "ratio-settled")
	ratio(b, acked, least)
}

// BenchmarkPipeline is messages per second with 64 in flight, each signed, sealed, and durable on both
// sides before it is acked. The floor signs and verifies both ways, and keeps nothing.
func BenchmarkPipeline(b *testing.B) {
	alice, _ := pair(b)
	floor := newPinger(b, false)
	var ours, most float64
	var spent, least best
	each := func(n int, f func()) (perSecond float64, per time.Duration) {
		before := cpu()
		perSecond = rate(n, f)
		return perSecond, (cpu() - before) / time.Duration(n)
	}
	for b.Loop() {
		r, c := each(1000, floor.ping)
		most = max(most, r)
		least.note(c)
		r, c = each(1000, alice.send)
		ours = max(ours, r)
		spent.note(c)
	}
	b.ReportMetric(ours, "msg/s")
	b.ReportMetric(most, "floor-msg/s")
	b.ReportMetric(ours/most, "ratio")
	spent.report(b, "cpu-µs/msg")
	least.report(b, "floor-cpu-µs/msg")
	b.ReportMetric(float64(spent)/float64(least), "cpu-ratio")
	b.ReportMetric(0, "ns/op")
}
