//go:build unix

package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
)

// queued is how many messages wait for somebody who is away.
const queued = 1000

// BenchmarkDrain is from the start of a recipient who was away, while so many messages were queued for him,
// until the last of them is delivered; he dials. The floor is so many signed exchanges, 64 at a time, each with
// a synced row on either side.
func BenchmarkDrain(b *testing.B) {
	ctx := context.Background()
	alice, bob := open(b, "alice"), newHome(b, "bob")
	there, stop := up(b, bob)
	add(b, alice, there)
	add(b, there, alice)
	if _, err := there.Watch(ctx, "alice", "", 0); err != nil { // so that he dials
		b.Fatal(err)
	}
	to := newSender(b, alice, there)
	to.send()
	floor := newPinger(b, true)
	rate(queued, floor.ping)
	var drain figure
	for b.Loop() {
		stop()
		var all sync.WaitGroup
		for range queued {
			sent, err := alice.Send(ctx, node.Draft{To: to.to, Content: body})
			if err != nil {
				b.Fatal(err)
			}
			all.Go(func() { to.await(sent.ID.String()) })
		}
		start := time.Now()
		_, stop = up(b, bob)
		all.Wait()
		took := time.Since(start)
		drain.took(took, time.Duration(queued/rate(queued, floor.ping)*float64(time.Second)))
	}
	stop()
	drain.report(b, "µs/drained", "ratio")
}
