//go:build unix

package bench

import (
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
)

// body is the text of a message: with it, what is signed is about as long as the floor's frame.
var body = []byte("back at four? the report is on your desk, and the key is where it always was. — a.")

// open runs a real node in a fresh home on the disk, listening on loopback TCP.
func open(tb testing.TB, name string) *node.Node {
	tb.Helper()
	n, stop := up(tb, newHome(tb, name))
	tb.Cleanup(stop)
	return n
}

// newHome makes a home on the disk.
func newHome(tb testing.TB, name string) string {
	tb.Helper()
	home := filepath.Join(tb.TempDir(), name)
	if _, err := node.Init(home, node.InitConfig{Name: name, Clock: node.SystemClock(), Rand: rand.Reader}); err != nil {
		tb.Fatal(err)
	}
	return home
}

// up runs the node of a home until stop is called.
func up(tb testing.TB, home string) (n *node.Node, stop func()) {
	tb.Helper()
	n, err := node.Open(node.Config{Home: home, Rand: rand.Reader, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(&acks{})})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	return n, func() {
		end()
		if err := <-done; err != nil {
			tb.Errorf("%s: run: %v", home, err)
		}
		if err := n.Close(); err != nil {
			tb.Errorf("%s: close: %v", home, err)
		}
	}
}

// acks is a log that keeps one thing: when the last ack was opened, its signature verified. The event comes
// later, when that is saved.
type acks struct{}

var opened atomic.Int64 // nanoseconds since the epoch

func (*acks) Enabled(context.Context, slog.Level) bool { return true }
func (a *acks) WithAttrs([]slog.Attr) slog.Handler     { return a }
func (a *acks) WithGroup(string) slog.Handler          { return a }
func (*acks) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "ack opened" {
		opened.Store(r.Time.UnixNano())
	}
	return nil
}

// add puts b on a's roster.
func add(tb testing.TB, a, b *node.Node) {
	tb.Helper()
	card, err := b.Card()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := a.Add(context.Background(), card, b.Self().Name); err != nil {
		tb.Fatal(err)
	}
}

// A sender sends messages to one contact, and is told of the ack of each by the events of its node.
type sender struct {
	tb testing.TB
	n  *node.Node
	to string

	mu      sync.Mutex
	waiting map[string]chan string
	early   map[string]string // acks that came before anybody asked
}

func newSender(tb testing.TB, n *node.Node, to *node.Node) *sender {
	tb.Helper()
	s := &sender{tb: tb, n: n, to: to.Self().Address.String(), waiting: map[string]chan string{}, early: map[string]string{}}
	ctx, end := context.WithCancel(context.Background())
	tb.Cleanup(end)
	events, err := n.Events(ctx, 0)
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		for e, err := range events {
			if err != nil {
				if ctx.Err() == nil {
					tb.Error(err)
				}
				return
			}
			if e.Kind == "ack" && e.State != "handed" && e.State != "sending" {
				s.acked(e.ID, e.State)
			}
		}
	}()
	return s
}

func (s *sender) acked(id, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.waiting[id]; c != nil {
		delete(s.waiting, id)
		c <- state
		return
	}
	s.early[id] = state
}

// send sends one message, and returns when it is settled.
func (s *sender) send() {
	sent, err := s.n.Send(context.Background(), node.Draft{To: s.to, Content: body})
	if err != nil {
		s.tb.Error(err)
		return
	}
	s.await(sent.ID.String())
}

// await returns when a message is settled.
func (s *sender) await(id string) {
	c := make(chan string, 1)
	s.mu.Lock()
	state, ok := s.early[id]
	if delete(s.early, id); !ok {
		s.waiting[id] = c
	}
	s.mu.Unlock()
	if !ok {
		select {
		case state = <-c:
		case <-time.After(2 * time.Minute):
			state = "silence"
		}
	}
	if state != "delivered" {
		s.tb.Errorf("message %s: %s", id, state)
	}
}

// pair is two nodes that are each other's contacts, warm: connected, and each with the other's records.
func pair(tb testing.TB) (a, b *sender) {
	tb.Helper()
	alice, bob := open(tb, "alice"), open(tb, "bob")
	add(tb, alice, bob)
	add(tb, bob, alice)
	a, b = newSender(tb, alice, bob), newSender(tb, bob, alice)
	for range 3 {
		a.send()
		b.send()
	}
	return a, b
}

// p50 runs f n times and returns the median of how long it took.
func p50(n int, f func()) time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		start := time.Now()
		f()
		all[i] = time.Since(start)
	}
	slices.Sort(all)
	return all[n/2]
}

// rate runs f n times, 64 at a time, and returns how many ended per second.
func rate(n int, f func()) float64 {
	var wg sync.WaitGroup
	work := make(chan struct{}, n)
	for range n {
		work <- struct{}{}
	}
	close(work)
	start := time.Now()
	for range 64 {
		wg.Go(func() {
			for range work {
				f()
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}

// cpu is what this process has spent so far, on all cores, in user and system together. Unlike time it does
// not grow with what else runs on the machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A figure is what was measured in rounds, each beside its floor. What else runs on the machine slows both, so the
// median of the ratios counts, not the ratio of two medians.
type figure struct{ ours, floor, ratios []float64 }

func (f *figure) note(ours, floor float64) {
	f.ours, f.floor, f.ratios = append(f.ours, ours), append(f.floor, floor), append(f.ratios, ours/floor)
}

// took notes times, in microseconds.
func (f *figure) took(ours, floor time.Duration) {
	f.note(float64(ours)/float64(time.Microsecond), float64(floor)/float64(time.Microsecond))
}

// report names the figure by its unit; its ratio is named by ratio.
func (f *figure) report(tb *testing.B, unit, ratio string) {
	tb.ReportMetric(middle(f.ours), unit)
	tb.ReportMetric(middle(f.floor), "floor-"+unit)
	tb.ReportMetric(middle(f.ratios), ratio)
	tb.ReportMetric(0, "ns/op") // a round is no unit
}

func middle(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
