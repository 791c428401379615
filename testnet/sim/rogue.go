package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/p2p/wire"
)

// A Rogue speaks gossip beside an adversary's real node, from a place of its own, and holds itself to nothing. It
// connects to honest nodes, learns from what they announce which topics there are, and joins all of them, as anybody
// can who is connected.
type Rogue struct {
	// Take is called with each record that comes on a topic; it returns whether to pass it on as a good node does.
	Take func(topic string, data []byte) (passOn bool)
	// Each is called with every topic in turn, Pause after the last, while the run lasts.
	Each  func(topic string, r *rand.Rand) (publish []byte)
	Pause time.Duration
	// Hosts is how many places it speaks from; 1.
	Hosts int
	// Victims is how many honest nodes each place connects to; 8.
	Victims int

	w      *World
	cancel context.CancelFunc
	ctx    context.Context
	busy   sync.WaitGroup
	hosts  []host.Host

	mu        sync.Mutex
	published int
}

type rogueHost struct {
	gossipCounts
	r    *Rogue
	ps   *pubsub.PubSub
	told chan string

	mu     sync.Mutex
	topics map[string]*pubsub.Topic
}

const mostRogues = 12500 // from the numbers of nodes below, places have addresses of their own

// rogueIP numbers places beyond those of the plan.
func rogueIP(n, i int) string { return fmt.Sprintf("10.%d.%d.%d", 200+n/250%50, n%250, 1+i) }

// rogueOf is the number of the adversary that speaks from a place, or -1.
func rogueOf(ip string) int {
	var a, b, c int
	if n, _ := fmt.Sscanf(ip, "10.%d.%d.%d", &a, &b, &c); n != 3 || a < 200 || a >= 250 {
		return -1
	}
	return (a-200)*250 + b
}

// Begin starts it; it ends with End.
func (r *Rogue) Begin(w *World, p *Peer) error {
	if r.ctx != nil {
		return nil // its node has restarted: it never left
	}
	r.w = w
	r.ctx, r.cancel = context.WithCancel(context.Background())
	luck := rand.New(rand.NewPCG(w.Plan.Seed, uint64(p.N)))
	for i := range max(1, r.Hosts) {
		if err := r.open(rogueIP(p.N, i), luck); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rogue) open(ip string, luck *rand.Rand) error {
	opts := []libp2p.Option{libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.RandomIdentity}
	h, err := libp2p.New(append(opts, r.w.Net.Host(ip)...)...)
	if err != nil {
		return err
	}
	r.hosts = append(r.hosts, h)
	x := &rogueHost{r: r, told: make(chan string, 4096), topics: map[string]*pubsub.Topic{}}
	x.ps, err = pubsub.NewGossipSub(r.ctx, h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return wire.GossipID(m.GetTopic(), m.GetData()) }), pubsub.WithRawTracer(x),
		pubsub.WithDefaultValidator(x.validate, pubsub.WithValidatorInline(true)), pubsub.WithFloodPublish(true))
	if err != nil {
		return err
	}
	r.w.tellAll(time.Now().Add(cardDelay), crossRogue, []byte(h.ID()))
	r.busy.Go(func() { x.join() })
	if seed := luck.Uint64(); r.Each != nil {
		r.busy.Go(func() { x.publish(rand.New(rand.NewPCG(seed, 1))) })
	}
	honest := r.w.Plan.Watches
	seed := luck.Uint64()
	r.busy.Go(func() {
		pick := rand.New(rand.NewPCG(seed, 2))
		for range max(r.Victims, 8) {
			if len(honest) == 0 || r.ctx.Err() != nil {
				return
			}
			v := r.w.Peers[honest[pick.IntN(len(honest))].Presentity]
			for _, dial := range v.card().Dial {
				if info, err := peer.AddrInfoFromString(dial); err == nil {
					_ = h.Connect(r.ctx, *info)
				}
			}
			r.sleep(time.Second)
		}
	})
	return nil
}

func (r *Rogue) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
	}
}

// RecvRPC hears what honest nodes announce.
func (x *rogueHost) RecvRPC(rpc *pubsub.RPC) {
	for _, s := range rpc.GetSubscriptions() {
		if s.GetSubscribe() {
			select {
			case x.told <- s.GetTopicid():
			default:
			}
		}
	}
}

// join joins what is heard of.
func (x *rogueHost) join() {
	for {
		select {
		case <-x.r.ctx.Done():
			return
		case name := <-x.told:
			x.mu.Lock()
			if x.topics[name] == nil {
				if t, err := x.ps.Join(name); err == nil {
					if _, err := t.Relay(); err == nil {
						x.topics[name] = t
					}
				}
			}
			x.mu.Unlock()
		}
	}
}

func (x *rogueHost) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if m.Local || x.r.Take == nil || x.r.Take(m.GetTopic(), m.GetData()) {
		return pubsub.ValidationAccept
	}
	return pubsub.ValidationIgnore
}

func (x *rogueHost) publish(luck *rand.Rand) {
	for x.r.ctx.Err() == nil {
		x.r.sleep(max(x.r.Pause, 10*time.Millisecond))
		x.mu.Lock()
		topics := make(map[string]*pubsub.Topic, len(x.topics))
		for name, t := range x.topics {
			topics[name] = t
		}
		x.mu.Unlock()
		for _, name := range sorted(topics) {
			if data := x.r.Each(name, luck); data != nil && topics[name].Publish(x.r.ctx, data) == nil {
				x.r.mu.Lock()
				x.r.published++
				x.r.mu.Unlock()
			}
		}
	}
}

// Figures are how much it published.
func (r *Rogue) Figures() map[string]float64 { return nil }

// Published is how many records it put on topics.
func (r *Rogue) Published() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.published
}

// End ends it.
func (r *Rogue) End() {
	r.cancel()
	r.busy.Wait()
	for _, h := range r.hosts {
		h.Close()
	}
}
