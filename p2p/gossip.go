package p2p

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	maxRPC     = 1 << 20 // SPEC 4.7
	heardQueue = 1024    // Recs from topics that the handler has not taken yet

	// heartbeat is how often gossip looks after each mesh, and tells others what they may have missed. What a publisher says goes to
	// all topic peers of his at once, and what does not come is looked for by GET, so that nothing waits for it but who is grafted;
	// a look at eleven topics takes as much as all else that an idle node does (SPEC 14.130).
	heartbeat = 5 * time.Second
)

// gossip is the topics we are on. No topic is joined because of anything that a peer sends.
type gossip struct {
	n      *Net
	ps     *pubsub.PubSub
	filter *topicFilter
	heard  heard

	mu     sync.RWMutex
	topics map[PublicKey]*topic
	names  map[string]PublicKey
}

// A topic is left when it is neither served nor followed and nobody is to linger on it.
type topic struct {
	t        *pubsub.Topic
	cancel   pubsub.RelayCancelFunc
	served   bool
	followed bool
	linger   Time
}

type heardRec struct {
	from PeerID
	e    PublicKey
	r    wire.Rec
}

// heard are the Recs from topics that the handler has not taken yet. Somebody hands them on as long as there are any.
type heard struct {
	mu    sync.Mutex
	queue []heardRec
	taken bool // somebody does
}

// put queues r and finds somebody to hand it on, which start does if it can; false if there is no room for r.
func (h *heard) put(r heardRec, start func() bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) >= heardQueue {
		return false
	}
	h.queue = append(h.queue, r)
	h.taken = h.taken || start()
	return true
}

// wake finds somebody for what has come while nobody could be found.
func (h *heard) wake(start func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = h.taken || len(h.queue) > 0 && start()
}

// take returns what has waited longest; false if nothing waits, and who asked may go.
func (h *heard) take() (r heardRec, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		h.queue, h.taken = nil, false
		return r, false
	}
	r, h.queue = h.queue[0], h.queue[1:]
	return r, true
}

func newGossip(n *Net) (*gossip, error) {
	g := &gossip{n: n, filter: newTopicFilter(n.stats, n.follows.stir),
		topics: map[PublicKey]*topic{}, names: map[string]PublicKey{}}
	score, thresholds := scores()
	ps, err := pubsub.NewGossipSub(n.ctx, n.host, append([]pubsub.Option{
		pubsub.WithGossipSubProtocols([]protocol.ID{pubsub.GossipSubID_v13, pubsub.GossipSubID_v12, pubsub.GossipSubID_v11}, pubsub.GossipSubDefaultFeatures),
		pubsub.WithGossipSubParams(degrees(n.cfg)),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return wire.GossipID(m.GetTopic(), m.GetData()) }),
		pubsub.WithMaxMessageSize(maxRPC), pubsub.WithPeerOutboundQueueSize(256),
		pubsub.WithFloodPublish(true), pubsub.WithPeerExchange(false),
		pubsub.WithPeerScore(score, thresholds),
		pubsub.WithSubscriptionFilter(g.filter),
		// One worker keeps the order of a topic; its queue is where a flood is dropped.
		pubsub.WithValidateWorkers(1), pubsub.WithValidateQueueSize(512),
		pubsub.WithDefaultValidator(g.validate, pubsub.WithValidatorInline(true)),
	}, n.cfg.Gossip...)...)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g.ps = ps
	return g, nil
}

// degrees are those of SPEC 4.7. The leaves of a hub know no one else, so a hub prunes nobody.
func degrees(c Config) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout, p.Dlazy, p.HistoryGossip = 4, 3, 8, 3, 1, 2, 2
	p.HeartbeatInterval = heartbeat
	p.MaxIHaveMessages *= int(heartbeat / pubsub.GossipSubHeartbeatInterval) // of a heartbeat
	if d := c.Degree; d > 1 {
		p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout = d, d-d/4, 2*d, d-d/4, d/4
	}
	if c.Host != nil {
		p.Connectors = 1 // of those that gossip dials by itself, which it does for no peer of ours
	}
	if c.Hub {
		_, p.Dhi = connLimits(true)
		p.D = p.Dhi
	}
	return p
}

// decay is 0.9 in each second (SPEC 4.7), in steps of a heartbeat.
var decay = math.Pow(0.9, heartbeat.Seconds())

// scores punish invalid messages (P4) and broken promises (P7) and nothing else: a quiet topic, or
// many people behind one IP address, is normal here (SPEC 4.7).
func scores() (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	return &pubsub.PeerScoreParams{
			SkipAtomicValidation:   true,
			Topics:                 map[string]*pubsub.TopicScoreParams{},
			AppSpecificScore:       func(peer.ID) float64 { return 0 },
			BehaviourPenaltyWeight: -10, BehaviourPenaltyThreshold: 6, BehaviourPenaltyDecay: decay,
			DecayInterval: heartbeat, DecayToZero: 0.01, RetainScore: 10 * time.Minute,
		}, &pubsub.PeerScoreThresholds{
			GossipThreshold: -40, PublishThreshold: -60, GraylistThreshold: -80,
		}
}

func topicScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		SkipAtomicValidation: true, TopicWeight: 1,
		TimeInMeshQuantum:              time.Second, // a divisor
		InvalidMessageDeliveriesWeight: -10, InvalidMessageDeliveriesDecay: decay,
	}
}

// join joins the topic of e unless it is joined, and notes what for.
func (g *gossip) join(e PublicKey, use func(*topic)) error {
	if !identity.ValidKey(e) {
		return ErrBadKey
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.topics[e]
	if t == nil {
		if len(g.topics) >= wire.MaxTopics {
			return ErrFull
		}
		var err error
		if t, err = g.enter(e); err != nil {
			return err
		}
	}
	use(t)
	return nil
}

// enter joins as a relay: what is accepted goes on to others, and to the handler from the validator.
func (g *gossip) enter(e PublicKey) (*topic, error) {
	name := wire.TopicName(e)
	t, err := g.ps.Join(name)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	if err := t.SetScoreParams(topicScore()); err != nil {
		t.Close()
		return nil, fmt.Errorf("join: %w", err)
	}
	g.n.door.open(e)
	g.names[name] = e
	cancel, err := t.Relay()
	if err != nil {
		g.n.door.shut(e)
		delete(g.names, name)
		t.Close()
		return nil, fmt.Errorf("join: %w", err)
	}
	g.topics[e] = &topic{t: t, cancel: cancel}
	return g.topics[e], nil
}

// release notes that a use of the topic of e has ended, and leaves it if that was the last; false says that it is
// not joined.
func (g *gossip) release(e PublicKey, use func(*topic)) bool {
	now := g.n.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.topics[e]
	if t == nil {
		return false
	}
	use(t)
	g.leaveIfUnused(now, e, t)
	return true
}

func (g *gossip) leaveIfUnused(now identity.Now, e PublicKey, t *topic) {
	if t.served || t.followed || now.Wall < t.linger {
		return
	}
	delete(g.topics, e)
	delete(g.names, wire.TopicName(e))
	if !g.n.door.served(now, e) { // what is served without its topic stays: a key that is heard upstream
		g.n.door.shut(e)
	}
	t.cancel()
	if err := t.t.Close(); err != nil && g.n.ctx.Err() == nil {
		g.n.log.Warn("topic not closed", "err", err)
	}
}

// sweep leaves what has ended.
func (g *gossip) sweep() {
	now := g.n.now()
	for _, e := range g.n.door.ended(now) {
		g.n.Unserve(e)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for e, t := range g.topics {
		g.leaveIfUnused(now, e, t)
	}
}

func (g *gossip) publish(ctx context.Context, e PublicKey, raw []byte) error {
	g.mu.RLock()
	t := g.topics[e]
	g.mu.RUnlock()
	if t == nil {
		return ErrNotServed
	}
	return t.t.Publish(ctx, raw)
}

// peers returns those who have announced the topic of e over a connection that is not limited.
func (g *gossip) peers(e PublicKey) []peer.ID { return g.ps.ListPeers(wire.TopicName(e)) }

func (g *gossip) count() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.topics)
}

// validate is the door of every topic. It runs in pubsub's one validation worker, so it must not wait.
func (g *gossip) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if PeerID(from) == g.n.self {
		return pubsub.ValidationAccept // Publish has looked at it
	}
	g.mu.RLock()
	e, ok := g.names[m.GetTopic()]
	g.mu.RUnlock()
	if !ok {
		return pubsub.ValidationIgnore // left a moment ago
	}
	r, v := g.n.door.take(e, m.GetData())
	switch v {
	case reject:
		return pubsub.ValidationReject
	case ignore:
		return pubsub.ValidationIgnore
	}
	g.n.follows.heard(e, r.Tag, ViaTopic)
	g.n.custody.heard(heardRec{PeerID(from), e, r})
	if !g.heard.put(heardRec{PeerID(from), e, r}, g.start) {
		g.n.stats.refuse("rec queue full")
	}
	return pubsub.ValidationAccept
}

func (g *gossip) start() bool { return g.n.spawn(g.work) }

// work hands the Recs of followed keys that wait to the handler.
func (g *gossip) work(ctx context.Context) {
	for ctx.Err() == nil {
		h, ok := g.heard.take()
		if !ok {
			return
		}
		g.n.follows.deliver(h.from, ViaTopic, h.e, h.r)
	}
}
