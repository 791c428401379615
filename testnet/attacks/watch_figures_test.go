package attacks

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet"
)

// The figures of WATCH are taken with HUM_LONG=hubs.
const (
	figureBare  = 100
	idleWindow  = 10 * time.Minute
	watchWindow = 30 * time.Minute // two readings of the second hub
)

// TestWatchFigures measures what watchers of 150 and of 500 people cost, and the hub that they watch at: by WATCH, of 150
// by the topics as well, and by bare streams that WATCH and only count what comes, so that what is left is the hub's.
// All run over real noise and yamux.
func TestWatchFigures(t *testing.T) {
	if os.Getenv("HUM_LONG") != "hubs" {
		t.Skip("HUM_LONG=hubs takes the figures of docs/figures.md")
	}
	for _, size := range []struct{ contacts, readers int }{{gateContacts, 20}, {500, 10}} {
		contacts, readers := size.contacts, size.readers
		t.Run(fmt.Sprint(contacts, " bare"), func(t *testing.T) {
			inStreet(t, testnet.Noise, contacts, func(s *street) {
				var heard atomic.Int64
				var watch []func(from, to int)
				for i := range figureBare {
					watch = append(watch, s.raw(i, func() { heard.Add(1) }))
				}
				idle := s.idle()
				for _, w := range watch {
					w(0, contacts)
				}
				time.Sleep(time.Minute)
				n, cpu := heard.Load(), spent()
				time.Sleep(watchWindow)
				s.cost(t, "by bare streams", figureBare, int(heard.Load()-n), spent()-cpu, idle)
			})
		})
		t.Run(fmt.Sprint(contacts, " by WATCH"), func(t *testing.T) {
			inStreet(t, testnet.Noise, contacts, func(s *street) { s.figures(t, "by WATCH", readers, gateWatch) })
		})
	}
	t.Run(fmt.Sprint(gateContacts, " by topics"), func(t *testing.T) {
		inStreet(t, testnet.Noise, gateContacts, func(s *street) { s.figures(t, "by topics", 20, gateMesh) })
	})
}

// idle is the CPU of a second while nobody watches.
func (s *street) idle() time.Duration {
	time.Sleep(time.Minute)
	cpu := spent()
	time.Sleep(idleWindow)
	return (spent() - cpu) / time.Duration(idleWindow/time.Second)
}

// cost says what n deliveries to readers within watchWindow cost beyond a time without watching.
func (s *street) cost(t *testing.T, way string, readers, n int, cpu, idle time.Duration) {
	second := time.Duration(watchWindow / time.Second)
	more := cpu - idle*second
	t.Logf("%d people %s: %d Recs came, %v of CPU each, %v a second for each of %d, beyond the %v that everybody takes in a second", len(s.people), way, n,
		(more / time.Duration(max(n, 1))).Round(time.Microsecond), (more / second / time.Duration(readers)).Round(time.Microsecond), readers,
		idle.Round(10*time.Microsecond))
}

// figures are those of onlookers, each of whom may take gate bytes a second of 150 people.
func (s *street) figures(t *testing.T, way string, readers, gate int) {
	var rs []*onlooker
	for i := range readers {
		rs = append(rs, s.onlooker(i, gate == gateWatch))
	}
	idle := s.idle()
	began, cpu := time.Now(), spent()
	for _, r := range rs {
		s.follow(r)
	}
	for slices.ContainsFunc(rs, func(r *onlooker) bool { return s.behind(r) > 0 }) {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	t.Logf("%d people %s: after a start all of %d had heard all in %v, for %v of CPU each", len(s.people), way, len(rs), took.Round(time.Millisecond),
		((spent() - cpu) / time.Duration(len(rs))).Round(100*time.Microsecond))
	time.Sleep(5 * time.Minute) // who may leaves the stream
	s.quiet(rs...)

	said := s.said()
	streams, everything, line := make([]uint64, readers), make([]uint64, readers), make([]uint64, readers)
	read := func() {
		for i, r := range rs {
			a, b := r.spent()
			streams[i], everything[i], line[i] = a-streams[i], b-everything[i], s.line(r)-line[i]
		}
	}
	count := func() (n int) {
		for _, r := range rs {
			n += r.count()
		}
		return n
	}
	read()
	n := count()
	cpu = spent()
	time.Sleep(watchWindow)
	cpu = spent() - cpu
	late := s.quiet(rs...)
	read()
	said, n = s.said()-said, count()-n
	t.Logf("%d people %s: of %d Recs %d came, %d last ones not in 5 s", len(s.people), way, said*len(rs), n, late)
	if gate == gateWatch && (n != said*len(rs) || late != 0) { // gossip promises less: what it loses is fetched
		t.Errorf("%d people %s: not all came", len(s.people), way)
	}
	s.cost(t, way, readers, n, cpu, idle)
	second := uint64(watchWindow / time.Second)
	t.Logf("%d people %s: %.1f Recs/s; bytes/s of a watcher, the most of %d: %d on streams of presence, %d on all, %d on the line", len(s.people), way,
		float64(said)/float64(second), len(rs), slices.Max(streams)/second, slices.Max(everything)/second, slices.Max(line)/second)
	if most := slices.Max(line) / second; len(s.people) == gateContacts && most > uint64(gate) {
		t.Errorf("%d bytes/s; the design allows %d", most, gate)
	}
	took, a, b := s.catchUp(rs[0], 5*time.Minute)
	t.Logf("%d people %s: all was heard %v after the connection was back, for %d bytes on streams of presence, %d on all", len(s.people), way,
		took.Round(time.Millisecond), a, b)
	for i, hub := range s.hubs.hubs {
		t.Logf("%d people %s: hub %d turned away: %v", len(s.people), way, i, hub.Stats().Refused)
	}
}

// line is what went between an onlooker and all others so far, with what noise and yamux add, and without IP.
func (s *street) line(r *onlooker) (n uint64) {
	s.net.Each(func(from, to string, x testnet.Traffic) {
		if from == r.ip || to == r.ip {
			n += x.Bytes
		}
	})
	return n
}

// TestWatchMemory measures what 10,000 entries hold in the memory of a hub: twenty who watch the same 500 keys, and 67
// who watch 150 each that nobody else does.
func TestWatchMemory(t *testing.T) {
	if os.Getenv("HUM_LONG") != "hubs" {
		t.Skip("HUM_LONG=hubs takes the figures of docs/figures.md")
	}
	t.Run("20 x 500", func(t *testing.T) { memory(t, 500, 20, func(int) (from, to int) { return 0, 500 }) })
	t.Run("67 x 150", func(t *testing.T) {
		memory(t, 67*150, 67, func(i int) (from, to int) { return i * 150, (i + 1) * 150 })
	})
}

// memory has readers watch their parts of keys, and says what that takes of live heap, all hosts in it.
func memory(t *testing.T, keys, readers int, part func(i int) (from, to int)) {
	inStreet(t, testnet.Stream, 0, func(s *street) {
		var watch []func(from, to int)
		for i := range readers {
			watch = append(watch, s.raw(i, func() {}))
		}
		empty := s.heap()
		for i := range keys {
			s.settle(i, false)
		}
		hosted := s.heap()
		for i, w := range watch {
			w(part(i))
		}
		full := s.heap()
		entries := s.watched()
		t.Logf("%d entries: %d B each; %d hosted keys before, %d B each at two hubs; hubs and %d readers without either %d kB", entries,
			(full-hosted)/uint64(max(entries, 1)), keys, (hosted-empty)/uint64(keys), readers, empty>>10)
		if entries != 10_000 && entries != 67*150 {
			t.Errorf("%d entries", entries)
		}
	})
}

// heap is what is live.
func (s *street) heap() uint64 {
	time.Sleep(30 * time.Second)
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
