//go:build unix

package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A crowd is told of changes, one after the other.
type crowd struct {
	mu   sync.Mutex
	want string
	left int
	done chan struct{}
}

// expect begins to wait for n of the crowd to hear what.
func (c *crowd) expect(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want, c.left, c.done = what, n, make(chan struct{})
}

func (c *crowd) heard(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if what == c.want {
		if c.left--; c.left == 0 {
			close(c.done)
		}
	}
}

// wait returns how long it took from start until all had heard.
func (c *crowd) wait(tb testing.TB, start time.Time) time.Duration {
	tb.Helper()
	select {
	case <-c.done:
		return time.Since(start)
	case <-time.After(20 * time.Second):
		tb.Fatalf("%d never heard of %q", c.left, c.want)
		return 0
	}
}

// star is the floor: raw gossipsub, the watchers each connected to the publisher alone, with flooding on
// and without signatures of its own, as ours is. It publishes data of a size and waits until all have it;
// with paid, each watcher does his share of work first.
func star(tb testing.TB, watchers int, work func(watcher int, data []byte)) func(size int, paid bool) time.Duration {
	tb.Helper()
	var all crowd
	var pay atomic.Bool
	hub, topic := gossiper(tb)
	for i := range watchers {
		h, t := gossiper(tb)
		sub, err := t.Subscribe()
		if err != nil {
			tb.Fatal(err)
		}
		go func() {
			for {
				m, err := sub.Next(context.Background())
				if err != nil {
					return
				}
				if pay.Load() {
					work(i, m.GetData())
				}
				all.heard(string(m.GetData()[:16]))
			}
		}()
		connect(tb, h, hub)
	}
	for len(topic.ListPeers()) < watchers {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // the mesh settles
	n := 0
	return func(size int, paid bool) time.Duration {
		n++
		pay.Store(paid)
		data := make([]byte, size)
		copy(data, fmt.Sprintf("%016d", n))
		all.expect(string(data[:16]), watchers)
		start := time.Now()
		if err := topic.Publish(context.Background(), data); err != nil {
			tb.Fatal(err)
		}
		return all.wait(tb, start)
	}
}

func gossiper(tb testing.TB) (host.Host, *pubsub.Topic) {
	tb.Helper()
	h := bare(tb)
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout, p.Dlazy, p.HistoryGossip = 4, 3, 8, 3, 1, 2, 2
	ps, err := pubsub.NewGossipSub(context.Background(), h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return string(m.GetData()[:16]) }), pubsub.WithFloodPublish(true),
		pubsub.WithGossipSubParams(p))
	if err != nil {
		tb.Fatal(err)
	}
	t, err := ps.Join("bench")
	if err != nil {
		tb.Fatal(err)
	}
	return h, t
}

// recSize is about what an update with a short note comes to.
const recSize = 700

// BenchmarkPresence10 is the time from Set to the event at the last of ten watchers, whole nodes all: saved
// and synced by the publisher before it is sent, and by each watcher before it is shown. The raw floor keeps
// and signs nothing. The paid one syncs a row at the publisher and at each watcher, and verifies: these are
// eleven stores on one disk, which in the world are on eleven.
func BenchmarkPresence10(b *testing.B) {
	const watchers = 10
	var stores []*store.Store
	for range watchers + 1 {
		stores = append(stores, keep(b))
	}
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	sig := ed25519.Sign(key, make([]byte, recSize))
	var row atomic.Uint64
	save := func(s *store.Store, data []byte) {
		if err := s.Update(func(tx store.Tx) error { return tx.Put(store.Event(row.Add(1)), data) }); err != nil {
			b.Error(err)
		}
	}
	floor := star(b, watchers, func(i int, data []byte) {
		ed25519.Verify(pub, make([]byte, recSize), sig)
		save(stores[i], data)
	})
	var all crowd
	bob := open(b, "bob")
	for i := range watchers {
		watch(b, open(b, fmt.Sprint("w", i)), bob, &all)
	}
	time.Sleep(2 * time.Second)
	var ours, raw, paid median
	n := 0
	for b.Loop() {
		n++
		note := fmt.Sprint("change ", n)
		all.expect(note, watchers)
		start := time.Now()
		if _, err := bob.Set(context.Background(), node.Change{Note: &note}); err != nil {
			b.Fatal(err)
		}
		ours.note(all.wait(b, start))
		raw.note(floor(recSize, false))
		start = time.Now()
		save(stores[watchers], make([]byte, recSize))
		floor(recSize, true)
		paid.note(time.Since(start))
		time.Sleep(2 * time.Second) // changes are bounded to one in 2 s (SPEC 4.4)
	}
	ratios(b, ours, raw, paid)
}

// A median is of all that was noted.
type median []time.Duration

func (m *median) note(d time.Duration) { *m = append(*m, d) }

func (m median) of() float64 {
	slices.Sort(m)
	return float64(m[len(m)/2]) / float64(time.Microsecond)
}

func ratios(b *testing.B, ours, raw, paid median) {
	b.ReportMetric(ours.of(), "µs/change")
	b.ReportMetric(raw.of(), "µs/raw")
	b.ReportMetric(paid.of(), "µs/paid")
	b.ReportMetric(ours.of()/raw.of(), "ratio-raw")
	b.ReportMetric(ours.of()/paid.of(), "ratio-paid")
	b.ReportMetric(0, "ns/op")
}

// watch has w watch bob, and tells all of every note that w is shown.
func watch(tb testing.TB, w, bob *node.Node, all *crowd) {
	tb.Helper()
	ctx, end := context.WithCancel(context.Background())
	tb.Cleanup(end)
	add(tb, w, bob)
	events, err := w.Events(ctx, 0)
	if err != nil {
		tb.Fatal(err)
	}
	open := make(chan struct{})
	go func() {
		seen := false
		for e, err := range events {
			if err != nil {
				return
			}
			if e.Kind == "presence" && e.Address == bob.Self().Address {
				if !seen && e.State != "" && e.State != "unknown" {
					seen = true
					close(open)
				}
				all.heard(e.Text)
			}
		}
	}()
	if _, err := w.Watch(ctx, "bob", "", 0); err != nil {
		tb.Fatal(err)
	}
	for range 500 {
		if _, err = bob.Approve(ctx, w.Self().Address.String()); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case <-open:
	case <-time.After(20 * time.Second):
		tb.Fatalf("%s is never shown bob: %v", w.Self().Name, err)
	}
}

// An ear is a host that follows, and only listens.
type ear struct {
	all  *crowd
	mu   sync.Mutex
	last wire.Stamp
}

func (*ear) HasKey(wire.KeyID) bool { return false }
func (*ear) HandleSession(wire.SessionRequest) (wire.Session, error) {
	return wire.Session{}, wire.ErrNoKey
}
func (*ear) HandleParcel(context.Context, p2p.PeerID, wire.Parcel, *wire.Session) {}
func (*ear) HandleAckBox(context.Context, p2p.PeerID, wire.AckBox)                {}
func (*ear) HandleRecords(wire.Address) ([]byte, bool)                            { return nil, false }
func (*ear) HandleFault(p2p.PeerID, wire.PublicKey, string)                       {}
func (*ear) HandleClock(p2p.PeerID, wire.Time)                                    {}
func (*ear) HandlePeer(p2p.PeerID, bool, bool)                                    {}
func (*ear) IsContact(p2p.PeerID) bool                                            { return true }

// HandleRec counts a Rec once, though it may come by topic and by stream.
func (e *ear) HandleRec(_ p2p.PeerID, _ p2p.RecPath, _ wire.PublicKey, r wire.Rec) {
	e.mu.Lock()
	first := r.T > e.last
	e.last = max(e.last, r.T)
	e.mu.Unlock()
	if first {
		e.all.heard(fmt.Sprint(r.T))
	}
}

// ourHost opens a p2p.Net on loopback TCP and noise.
func ourHost(tb testing.TB, all *crowd) *p2p.Net {
	tb.Helper()
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		tb.Fatal(err)
	}
	n, err := p2p.Open(p2p.Config{Transport: seed, Clock: node.SystemClock(), Rand: rand.Reader, Host: []libp2p.Option{
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New)}})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx, &ear{all: all})
	}()
	tb.Cleanup(func() {
		end()
		<-done
		n.Close()
	})
	return n
}

// BenchmarkPresence100 is a record that is sealed, signed and published by a host of ours to a hundred of
// ours, each of which checks it and hands it up. Nothing is saved on either side. The raw floor checks
// nothing; the paid one verifies one signature at each watcher.
func BenchmarkPresence100(b *testing.B) {
	const watchers = 100
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	sig := ed25519.Sign(priv, make([]byte, recSize))
	floor := star(b, watchers, func(int, []byte) { ed25519.Verify(pub, make([]byte, recSize), sig) })
	var all crowd
	bob := ourHost(b, &all)
	key, err := identity.GenerateSigningKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	e, k, clock := key.Public(), [32]byte{1}, node.SystemClock()
	if err := bob.Serve(e, clock().Wall.Add(time.Hour)); err != nil {
		b.Fatal(err)
	}
	var ears []*p2p.Net
	for range watchers {
		w := ourHost(b, &all)
		w.Keep(bob.Self(), bob.Addrs(), p2p.Watched)
		if err := w.Follow(e, []p2p.PeerID{bob.Self()}); err != nil {
			b.Fatal(err)
		}
		ears = append(ears, w)
	}
	for _, w := range ears {
		for end := time.Now().Add(20 * time.Second); !w.Path(e).Up; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				b.Fatal("a watcher has no path")
			}
		}
	}
	time.Sleep(3 * time.Second)
	var ours, raw, paid median
	tag := wire.Tag{1}
	for b.Loop() {
		at := clock().Wall
		all.expect(fmt.Sprint(at), watchers)
		start := time.Now()
		r := wire.NewUpdate(key, tag, at, wire.SealDoc(rand.Reader, k, e, tag, at, make([]byte, recSize-200)))
		if err := bob.Publish(e, r); err != nil {
			b.Fatal(err)
		}
		ours.note(all.wait(b, start))
		raw.note(floor(len(r.Raw), false))
		paid.note(floor(len(r.Raw), true))
		time.Sleep(1100 * time.Millisecond) // the door takes one in 1 s (SPEC 4.7)
	}
	topic, streams := bob.Audience(e)
	b.ReportMetric(float64(topic), "topic-peers")
	b.ReportMetric(float64(streams), "streams")
	ratios(b, ours, raw, paid)
}
