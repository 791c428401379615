//go:build unix

package bench

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

var crowded = flag.Int("crowd", 0, "how many watchers or watched there are in the benchmarks of crowds; 0 skips them")

func crowdSize(b *testing.B) int {
	if *crowded == 0 {
		b.Skip("by hand: -args -crowd 500")
	}
	return *crowded
}

// watched has all of a flock watch bob, and returns the epoch that they were granted.
func watched(b *testing.B, bob *node.Node, f *others, size int) (e string) {
	b.Helper()
	ctx := context.Background()
	card, err := bob.Card()
	if err != nil {
		b.Fatal(err)
	}
	for i, c := range f.cards {
		if _, err := bob.Add(ctx, c, fmt.Sprint("w", i)); err != nil {
			b.Fatal(err)
		}
	}
	const part = 80 // at a time: the list of those who wait is bounded
	for i := 0; i < size; i += part {
		end := min(size, i+part)
		f.tell("watch %s %d %d", card, i, end)
		for _, c := range f.cards[i:end] {
			approve(b, bob, c, "")
		}
		f.wait(time.Minute, func(line string) bool {
			words := strings.Fields(line)
			if words[0] == "granted" {
				e = words[1]
			}
			return words[0] == "granted" && words[2] == fmt.Sprint(end)
		})
	}
	return e
}

// approve has bob agree to whoever has the card, and show him a view, once he has asked.
func approve(b *testing.B, bob *node.Node, card, view string) {
	b.Helper()
	for try := 0; ; try++ {
		_, err := bob.ApproveIn(context.Background(), card[4:67], view)
		if err == nil {
			return
		}
		if try > 2000 {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// watchedIn has one of a flock watch bob in each of so many views, and returns the epochs that they were granted.
func watchedIn(b *testing.B, bob *node.Node, f *others, views int) (es []string) {
	b.Helper()
	ctx := context.Background()
	card, err := bob.Card()
	if err != nil {
		b.Fatal(err)
	}
	for i, c := range f.cards {
		view := fmt.Sprint("view", i)
		if _, err := bob.Add(ctx, c, fmt.Sprint("w", i)); err != nil {
			b.Fatal(err)
		}
		if _, err := bob.EditView(ctx, node.ViewEdit{Name: view, Show: []string{"note"}}); err != nil {
			b.Fatal(err)
		}
		f.tell("watch %s %d %d", card, i, i+1)
		approve(b, bob, c, view)
		f.wait(time.Minute, func(line string) bool {
			words := strings.Fields(line)
			if words[0] == "granted" {
				es = append(es, words[1])
			}
			return words[0] == "granted"
		})
	}
	return es
}

// BenchmarkRekey is a change of the epoch when one of many watchers is dropped: from the word until every other
// holds the new key and has said so. CPU is bob's alone, the watchers being a process of their own. The floor
// is what any program must spend that tells each of them by a signed, sealed word that is acked: a signature,
// an encapsulation, and an ack opened and verified for each, and one synced transaction of all rows.
func BenchmarkRekey(b *testing.B) {
	size := crowdSize(b)
	bob, f := open(b, "bob"), startFlock(b, fmt.Sprint(size))
	watched(b, bob, f, size)
	pay := rekeyFloor(b, size)
	var ours, oursCPU, floor, floorCPU median
	left, bytes := size, 0.0
	for b.Loop() {
		left--
		before, start, out := cpu(), time.Now(), sentBy(b, bob)
		if _, err := bob.Drop(context.Background(), f.cards[left][4:67]); err != nil {
			b.Fatal(err)
		}
		f.wait(2*time.Minute, func(line string) bool {
			return strings.HasPrefix(line, "granted") && strings.HasSuffix(line, fmt.Sprint(" ", left))
		})
		ours.note(time.Since(start))
		time.Sleep(2 * time.Second) // until the last acks are kept
		oursCPU.note(cpu() - before)
		bytes = float64(sentBy(b, bob) - out)
		before, start = cpu(), time.Now()
		pay()
		floor.note(time.Since(start))
		floorCPU.note(cpu() - before)
	}
	b.ReportMetric(ours.of()/1000, "ms/rekey")
	b.ReportMetric(floor.of()/1000, "ms/floor")
	b.ReportMetric(ours.of()/floor.of(), "ratio")
	b.ReportMetric(oursCPU.of()/1000, "cpu-ms/rekey")
	b.ReportMetric(floorCPU.of()/1000, "cpu-ms/floor")
	b.ReportMetric(oursCPU.of()/floorCPU.of(), "ratio-cpu")
	b.ReportMetric(bytes/float64(left), "bytes/watcher")
	b.ReportMetric(0, "ns/op")
}

func sentBy(tb testing.TB, n *node.Node) uint64 {
	tb.Helper()
	s, err := n.Status(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return s.BytesOut
}

func rekeyFloor(b *testing.B, size int) func() {
	m, err := newMember(node.SystemClock()())
	if err != nil {
		b.Fatal(err)
	}
	s := keep(b)
	to := []wire.Recipient{{Address: m.address, Device: m.device, Kid: identity.KeyIDOf(m.prekey.Public()), Key: m.prekey.Public()}}
	state := wire.SubState{From: m.address, To: m.address, Sub: wire.SubID{1}, Seq: 1, State: wire.SubActive, Grant: m.epoch.Grant(wire.DefaultTTLSeconds)}
	ack := wire.Sign(m.d, wire.TypeAck, wire.Ack{From: m.address, To: m.address, Device: m.device, MIDs: []wire.MID{{1}}, Disposition: wire.Delivered, At: 1}.Append(nil))
	return func() {
		var all [][]byte
		for i := range size {
			cek := [32]byte{byte(i), byte(i >> 8), 1}
			signed := wire.Sign(m.d, wire.TypeSubState, state.Append(nil))
			p, err := wire.SealParcel(rand.Reader, cek, wire.Inner{Signed: signed}, to, 1)
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, p.Append(nil)[:600])
			if back, err := wire.OpenAck(cek, wire.SealAck(rand.Reader, cek, ack)); err != nil || back.Verify() != nil {
				b.Fatal(err)
			}
		}
		if err := s.Update(func(tx store.Tx) error {
			for i, row := range all {
				if err := tx.Put(store.Event(uint64(1+i)), row); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFanOut is a change of bob's and the time until each of so many watchers on streams of their own has
// heard and verified it, and what it costs bob's process, for crowds of different sizes: 0, 10, 100 and all,
// who share one view; and for all in three views, each with its document, its version and its key.
// The floor writes as many bytes to as many streams.
func BenchmarkFanOut(b *testing.B) {
	size := crowdSize(b)
	for _, n := range []int{0, 10, 100, size} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { fanOut(b, n, 1) })
	}
	b.Run(fmt.Sprint(size, " in 3 views"), func(b *testing.B) { fanOut(b, size, 3) })
}

func fanOut(b *testing.B, n, views int) {
	bob, f := open(b, "bob"), startFlock(b, fmt.Sprint(views))
	epochs := watchedIn(b, bob, f, views)
	raw := newRawFan(b, n)
	ears := 0 // in so many views somebody listens
	for i, e := range epochs {
		if part := n*(i+1)/views - n*i/views; part > 0 {
			ears++
			f.tell("ears %s %s %d", e, bob.Listening()[0], part)
			f.wait(time.Minute, func(line string) bool { return line == "listening" })
		}
	}
	time.Sleep(2 * time.Second)
	var ours, oursCPU, floor, floorCPU median
	i := 0
	for b.Loop() {
		i++
		note := fmt.Sprint("change ", i)
		f.drain() // what was heard with the snapshot
		before, start := cpu(), time.Now()
		if _, err := bob.Set(context.Background(), node.Change{Note: &note}); err != nil {
			b.Fatal(err)
		}
		for range ears {
			f.wait(20*time.Second, func(line string) bool { return strings.HasPrefix(line, "heard ") })
		}
		ours.note(time.Since(start))
		time.Sleep(200 * time.Millisecond)
		oursCPU.note(cpu() - before)
		before, start = cpu(), time.Now()
		raw.round()
		floor.note(time.Since(start))
		floorCPU.note(cpu() - before)
		time.Sleep(2 * time.Second) // changes are bounded to one in 2 s (SPEC 4.4)
	}
	b.ReportMetric(ours.of()/1000, "ms/change")
	b.ReportMetric(oursCPU.of(), "cpu-µs/change")
	if n > 0 {
		b.ReportMetric(floor.of()/1000, "ms/floor")
		b.ReportMetric(ours.of()/floor.of(), "ratio")
		b.ReportMetric(floorCPU.of(), "cpu-µs/floor")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkWatched is a node that watches so many people, who live in four processes: what it takes while
// nobody changes anything, how long it takes until all are current after a start, and until all changes of
// one instant are shown. The floors: the bytes of a beacon a minute for each, one signature verified for each,
// and for a change a synced row for each, in groups as they come.
func BenchmarkWatched(b *testing.B) {
	size := crowdSize(b)
	if *idle == 0 {
		b.Skip("by hand: -args -crowd 500 -idle 120s")
	}
	ctx := context.Background()
	var flocks []*others
	var cards []string
	for range 4 {
		f := startFlock(b, fmt.Sprint(size/4, " apart"))
		flocks, cards = append(flocks, f), append(cards, f.cards...)
	}
	home := filepath.Join(b.TempDir(), "alice")
	if _, err := node.Init(home, node.InitConfig{Name: "alice", Clock: node.SystemClock(), Rand: rand.Reader}); err != nil {
		b.Fatal(err)
	}
	alice, stop := up(b, home)
	for i, c := range cards {
		if _, err := alice.Add(ctx, c, fmt.Sprint("p", i)); err != nil {
			b.Fatal(err)
		}
		if _, err := alice.Watch(ctx, fmt.Sprint("p", i), "", 0); err != nil {
			b.Fatal(err)
		}
	}
	all := func(word string) (took, spent time.Duration) { // wall and CPU, what looking costs left out
		start, before, looking := time.Now(), cpu(), time.Duration(0)
		for {
			look := cpu()
			who, err := alice.Who(ctx, nil)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for _, p := range who {
				if p.Basic == "open" && p.Evidence == "said" && p.Note == word {
					n++
				}
			}
			if n == len(cards) {
				return time.Since(start), cpu() - before - looking
			}
			if time.Since(start) > 5*time.Minute {
				for _, p := range who {
					if p.Basic != "open" || p.Note != word {
						b.Logf("%s is %s (%s) %q: %q", p.Petname, p.Basic, p.Evidence, p.Note, p.Why)
					}
				}
				b.Fatalf("%d of %d are current (%q) after 5 min", n, len(cards), word)
			}
			look = cpu() - look
			looking += look
			time.Sleep(max(50*time.Millisecond, 10*look))
		}
	}
	joined, joining := all("")
	time.Sleep(30 * time.Second)
	bytes := func() float64 {
		s, err := alice.Status(ctx)
		if err != nil {
			b.Fatal(err)
		}
		return float64(s.BytesIn + s.BytesOut)
	}
	moved, before, start := bytes(), cpu(), time.Now()
	time.Sleep(*idle)
	took := time.Since(start)
	b.ReportMetric((bytes()-moved)/took.Seconds(), "idle-bytes/s")
	b.ReportMetric(float64(len(cards))*92/60, "floor-bytes/s")
	b.ReportMetric(100*float64(cpu()-before)/float64(took), "idle-cpu-%")
	b.ReportMetric(resident("self")/(1<<20), "MB-rss")
	for _, f := range flocks {
		f.tell("say flipped")
	}
	flip, flipping := all("flipped")
	stop()
	again := time.Now()
	alice, stop = up(b, home)
	_, backing := all("flipped")
	back := time.Since(again)
	b.ReportMetric(1e6*joining.Seconds()/float64(len(cards)), "cpu-µs-each-joined")
	b.ReportMetric(1e6*flipping.Seconds()/float64(len(cards)), "cpu-µs-each-flipped")
	b.ReportMetric(1e6*backing.Seconds()/float64(len(cards)), "cpu-µs-each-after-start")
	b.ReportMetric(joined.Seconds(), "s-until-first-current")
	b.ReportMetric(flip.Seconds(), "s-until-flipped")
	b.ReportMetric(back.Seconds(), "s-until-current-after-start")
	floor := watchedFloor(b, len(cards))
	b.ReportMetric(floor.Seconds(), "s-floor")
	b.ReportMetric(back.Seconds()/floor.Seconds(), "ratio-start")
	b.ReportMetric(0, "ns/op")
	stop()
}

// watchedFloor verifies two signatures for each of so many, and keeps a synced row of each, 32 callers at once.
func watchedFloor(b *testing.B, n int) time.Duration {
	m, err := newMember(node.SystemClock()())
	if err != nil {
		b.Fatal(err)
	}
	s := keep(b)
	rec := wire.NewBeacon(m.epoch.Key(), wire.Tag{1}, 2, 1)
	start := time.Now()
	work := make(chan int, n)
	for i := range n {
		work <- i
	}
	close(work)
	done := make(chan bool)
	for range 32 {
		go func() {
			for i := range work {
				if ok := rec.Verify(m.epoch.E); !ok || !rec.Verify(m.epoch.E) {
					b.Error("bad signature")
				}
				if err := s.Update(func(tx store.Tx) error { return tx.Put(store.Event(uint64(1+i)), make([]byte, 700)) }); err != nil {
					b.Error(err)
				}
			}
			done <- true
		}()
	}
	for range 32 {
		<-done
	}
	return time.Since(start)
}
