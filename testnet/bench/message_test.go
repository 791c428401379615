package bench

import (
	"testing"
	"time"
)

// BenchmarkAck is the time from Send to the event "delivered", which is told once the ack is verified and
// durable here. The floor is a signed ping-pong on one stream with a synced row on each side before it
// sends; what settles the message at its sender is a third sync that the floor has not.
func BenchmarkAck(b *testing.B) {
	alice, _ := pair(b)
	floor := newPinger(b, true)
	p50(20, floor.ping)
	var ours, least best
	for b.Loop() {
		least.note(p50(100, floor.ping))
		ours.note(p50(100, alice.send))
	}
	ours.report(b, "µs/p50")
	least.report(b, "µs/floor")
	ratio(b, ours, least)
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
