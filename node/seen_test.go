package node

import (
	"encoding/binary"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// What is remembered of messages is bounded on the disk, whatever a clock that cannot be trusted has past (SPEC
// 5.4: 100,000 rows past by the system clock alone, 10,000 refusals), and takes no memory: a whole home that has
// come to the bound of refusals, and with HUM_LONG to both.
//
// It measures the memory of the whole process, so nothing runs beside it.
func TestSeenIsBounded(t *testing.T) {
	const refused, more = 10_000, 500
	past, beyond := 2000, 0 // what is over alone by the bound of ten times as many takes its time to write
	if os.Getenv("HUM_LONG") != "" {
		past, beyond = 100_000, more
	}
	alice := settle(t, "alice")
	alice.open()
	empty := heap(t, alice)
	his, soon, later := identity.Address{7}, alice.now().Wall.Add(24*time.Hour), alice.now().Wall.Add(100*24*time.Hour)
	ack := make([]byte, 200)
	write := func(first, n int, until identity.Time, refused bool) {
		t.Helper()
		for i := first; i < first+n; i += 1000 {
			if err := alice.update(func(tx *txn) error {
				for j := i; j < min(i+1000, first+n); j++ {
					var id wire.MID
					binary.BigEndian.PutUint64(id[:], uint64(j))
					id[20] = 1
					if err := remember(tx, his, id, nil, message.Seen{Ack: ack, Until: until.Add(time.Duration(j) * time.Millisecond), Refused: refused}); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, past+beyond, soon, false)
	write(past+beyond, refused+more, later, true)
	count := func(k store.Prefix) (n int) {
		if err := alice.view(func(tx *txn) error { n = tx.Count(k); return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	purge := func(want int) {
		t.Helper()
		if err := alice.purgeSeen(); err != nil {
			t.Fatal(err)
		}
		if a, b := count(store.AllSeen()), count(store.AllSeenUntil()); a != want || b != want {
			t.Errorf("%d ids are remembered, and %d times, want %d", a, b, want)
		}
	}
	purge(past + beyond + refused) // none is past, and of the refusals the newest stay
	alice.clock.move(50*24*time.Hour, 0)
	purge(past + refused)
	if grown := heap(t, alice) - empty; grown > 24<<20 {
		t.Errorf("a node that remembers %d ids holds %d kB more in memory than one that remembers none", past+refused, grown>>10)
	}
	alice.heard.raise(alice.now().Wall) // the others say so too
	purge(refused)
}

// heap is what the node holds in memory once it was opened anew.
func heap(t *testing.T, a *actor) int64 {
	t.Helper()
	a.stop()
	a.open()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
