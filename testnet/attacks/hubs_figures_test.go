package attacks

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// figures are taken of a thousand who listen to one, with HUM_LONG=hubs.
const (
	figureLeaves = 1000
	figureWords  = 20
)

// spent is the CPU time of this process.
func spent() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// delays are how long words took to whom they were for, by the virtual clock: links alone, processors take no time.
type delays struct {
	mu    sync.Mutex
	since time.Time
	all   []time.Duration
}

func (d *delays) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = time.Now()
}

func (d *delays) heard() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, time.Since(d.since))
}

// String is the median and the longest.
func (d *delays) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return "never"
	}
	slices.Sort(d.all)
	return fmt.Sprintf("in %v, the last in %v", d.all[len(d.all)/2].Round(time.Millisecond), d.all[len(d.all)-1].Round(time.Millisecond))
}

// figure says what figureWords words cost: say says one, heard is how many came to whom they were for.
func figure(t *testing.T, what string, took *delays, bytes func() uint64, say func(), heard func() int) {
	t.Helper()
	b, cpu := bytes(), spent()
	for range figureWords {
		took.begin()
		say()
		time.Sleep(1100 * time.Millisecond)
	}
	time.Sleep(10 * time.Second)
	n := heard()
	cpu, b = spent()-cpu, bytes()-b
	t.Logf("%-22s delivered %.2f %%, %v; %d B and %v of CPU a delivery", what, 100*float64(n)/float64(figureWords*figureLeaves), took,
		b/uint64(max(n, 1)), (cpu / time.Duration(max(n, 1))).Round(100*time.Nanosecond))
}

// TestHubsFigures measures a thousand watchers on eight hubs against bare gossipsub over the same connections, and against
// a push from the presentity to each, on the same simulated network, in one run.
func TestHubsFigures(t *testing.T) {
	if os.Getenv("HUM_LONG") != "hubs" {
		t.Skip("HUM_LONG=hubs takes the figures of docs/figures.md")
	}
	inHubs(t, 8, figureLeaves, func(h *hubs) {
		time.Sleep(3 * time.Minute) // everybody who may has left the stream
		from := len(h.said)
		took := h.listen()
		figure(t, "eight hubs", took, h.bytes, h.say, func() int { return figureLeaves*figureWords - h.missing(from) })
	})
	synctest.Test(t, func(t *testing.T) {
		x := bare(t, 8, figureLeaves)
		figure(t, "bare gossipsub", &x.took, x.bytes.Load, x.say, func() int { return int(x.heard.Load()) })
		x.end()
	})
	inHubs(t, 1, 0, func(h *hubs) {
		for i := range figureLeaves {
			x := h.ear(fmt.Sprint("leaf ", i), false, true)
			x.Keep(h.bob.Self(), h.bob.Addrs(), p2p.Watched)
			if err := x.Follow(h.key.Public(), []p2p.PeerID{h.bob.Self()}); err != nil {
				t.Fatal(err)
			}
			h.leaves = append(h.leaves, x)
		}
		time.Sleep(time.Minute)
		figure(t, "direct push", h.listen(), h.bytes, h.say, func() int { return figureLeaves*figureWords - h.missing(0) })
	})
}

// bytes is what all ears have received.
func (h *hubs) bytes() (n uint64) {
	for _, x := range h.all {
		n += x.Stats().BytesIn
	}
	return n
}

// listen notes from now on when leaves hear a word.
func (h *hubs) listen() *delays {
	d := &delays{}
	for _, x := range h.leaves {
		x.mu.Lock()
		x.first = d.heard
		x.mu.Unlock()
	}
	return d
}

// A gossip is hosts of libp2p that speak gossipsub and nothing else, with the degrees of ours.
type gossip struct {
	t     *testing.T
	net   *testnet.Network
	bytes received
	took  delays
	heard atomic.Int64
	say   func()
	end   func()
}

// received counts the bytes in streams that all have received.
type received struct{ n atomic.Uint64 }

var _ metrics.Reporter = (*received)(nil)

func (r *received) Load() uint64                                          { return r.n.Load() }
func (r *received) LogSentMessage(int64)                                  {}
func (r *received) LogRecvMessage(n int64)                                { r.n.Add(uint64(n)) }
func (r *received) LogSentMessageStream(int64, protocol.ID, peer.ID)      {}
func (r *received) LogRecvMessageStream(int64, protocol.ID, peer.ID)      {}
func (r *received) GetBandwidthForPeer(peer.ID) metrics.Stats             { return metrics.Stats{} }
func (r *received) GetBandwidthForProtocol(protocol.ID) metrics.Stats     { return metrics.Stats{} }
func (r *received) GetBandwidthTotals() metrics.Stats                     { return metrics.Stats{} }
func (r *received) GetBandwidthByPeer() map[peer.ID]metrics.Stats         { return nil }
func (r *received) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats { return nil }
func (r *received) Reset()                                                {}
func (r *received) TrimIdle(time.Time)                                    {}

// bare connects leaves, hubs and a presentity as inHubs does.
func bare(t *testing.T, hubCount, leafCount int) *gossip {
	t.Helper()
	x := &gossip{t: t, net: testnet.New(testnet.Config{Seed: 11})}
	ctx, stop := context.WithCancel(context.Background())
	var all []host.Host
	key, topic := sha256.Sum256([]byte("topic")), ""
	topic = wire.TopicName(key)
	enter := func(hub bool) (host.Host, *pubsub.Topic) {
		i := len(all) + 1
		seed := sha256.Sum256(fmt.Append(nil, "bare ", i))
		id, _, err := crypto.GenerateEd25519Key(&repeat{seed[:]})
		if err != nil {
			t.Fatal(err)
		}
		h, err := libp2p.New(append(x.net.Host(fmt.Sprintf("10.1.%d.%d", i/250, 1+i%250)), libp2p.Identity(id), libp2p.DisableMetrics(), libp2p.BandwidthReporter(&x.bytes),
			libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery(), libp2p.ForceReachabilityPrivate())...)
		if err != nil {
			t.Fatal(err)
		}
		p := pubsub.DefaultGossipSubParams()
		p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout, p.Dlazy, p.HistoryGossip, p.Connectors = 4, 3, 8, 3, 1, 2, 2, 1
		if hub {
			p.D, p.Dhi = 2*leafCount, 2*leafCount
		}
		ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithGossipSubParams(p), pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
			pubsub.WithMessageIdFn(func(m *pb.Message) string { return wire.GossipID(m.GetTopic(), m.GetData()) }),
			pubsub.WithFloodPublish(true), pubsub.WithPeerOutboundQueueSize(256))
		if err != nil {
			t.Fatal(err)
		}
		in, err := ps.Join(topic)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
		return h, in
	}
	var reads sync.WaitGroup
	read := func(in *pubsub.Topic, heard func()) {
		s, err := in.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		reads.Go(func() {
			for {
				if _, err := s.Next(ctx); err != nil {
					return
				}
				heard()
			}
		})
	}
	connect := func(a, b host.Host) {
		if err := a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
			t.Fatal(err)
		}
	}
	bob, says := enter(false)
	read(says, func() {})
	var hubs []host.Host
	for range hubCount {
		h, in := enter(true)
		read(in, func() {})
		for _, other := range hubs {
			connect(h, other)
		}
		hubs = append(hubs, h)
	}
	for _, h := range hubs[:2] {
		connect(bob, h)
	}
	for i := range leafCount {
		h, in := enter(false)
		read(in, func() { x.heard.Add(1); x.took.heard() })
		connect(h, hubs[i%hubCount])
		connect(h, hubs[(i+1)%hubCount])
	}
	time.Sleep(3 * time.Minute)
	word := 0
	x.say = func() {
		word++
		said := make([]byte, 380)
		said[0] = byte(word)
		if err := says.Publish(ctx, said); err != nil {
			t.Error(err)
		}
	}
	x.end = func() {
		stop()
		reads.Wait()
		for _, h := range all {
			_ = h.Close()
		}
		time.Sleep(time.Minute)
	}
	return x
}
