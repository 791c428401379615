package p2p

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/hum-presence/hum/p2p/wire"
)

// One Parcel there and its reply back, over one long-lived stream on loopback TCP.
func BenchmarkSend(b *testing.B) {
	for _, flight := range []int{1, 64} {
		b.Run(fmt.Sprint(flight, " in flight"), func(b *testing.B) {
			x, y := benchNode(b, "x"), benchNode(b, "y")
			x.Keep(y.Self(), y.Addrs(), Watched)
			parcel := parcelOf(1, testKid)
			if _, _, err := x.Send(b.Context(), y.Self(), parcel); err != nil {
				b.Fatal(err)
			}
			var taken atomic.Int64
			b.SetParallelism(max(1, flight/2)) // times GOMAXPROCS
			b.ResetTimer()
			if flight == 1 {
				for range b.N {
					if s, _, err := x.Send(b.Context(), y.Self(), parcel); err == nil && s == wire.OK {
						taken.Add(1)
					}
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if s, _, err := x.Send(b.Context(), y.Self(), parcel); err == nil && s == wire.OK {
							taken.Add(1)
						}
					}
				})
			}
			b.ReportMetric(float64(taken.Load())/float64(b.N), "taken/op")
		})
	}
}

func benchNode(b *testing.B, name string) *Net {
	c := config(b.Name() + name)
	c.Listen = loopback[:1]
	n, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	f := &fake{links: map[PeerID]link{}, changed: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() { defer close(done); n.Run(b.Context(), f) }()
	<-n.ready
	b.Cleanup(func() { n.Close(); <-done })
	return n
}
