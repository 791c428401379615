package sim

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// gossipCounts watches what gossip does in one node.
type gossipCounts struct {
	mu        sync.Mutex
	topics    map[string]map[peer.ID]bool // the mesh of each
	delivered int
	copies    int // after the first
}

func (g *gossipCounts) Join(topic string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.topics == nil {
		g.topics = map[string]map[peer.ID]bool{}
	}
	g.topics[topic] = map[peer.ID]bool{}
}

func (g *gossipCounts) Leave(topic string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.topics, topic)
}

func (g *gossipCounts) Graft(p peer.ID, topic string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.topics[topic]; t != nil {
		t[p] = true
	}
}

func (g *gossipCounts) Prune(p peer.ID, topic string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.topics[topic], p)
}

func (g *gossipCounts) DeliverMessage(m *pubsub.Message) {
	if m.Local {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.delivered++
}

func (g *gossipCounts) DuplicateMessage(*pubsub.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.copies++
}

// OnClosedOutboundStream forgets a peer whose connection ended: it is in no mesh any more.
func (g *gossipCounts) OnClosedOutboundStream(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.topics {
		delete(t, p)
	}
}

// mesh sums places in meshes, and those of them that some peers hold.
func (g *gossipCounts) mesh(of func(peer.ID) bool) (topics, places, held int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.topics {
		if len(t) == 0 {
			continue
		}
		topics++
		places += len(t)
		for p := range t {
			if of != nil && of(p) {
				held++
			}
		}
	}
	return topics, places, held
}

func (g *gossipCounts) sums() (delivered, copies int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.delivered, g.copies
}

func (*gossipCounts) OnNewOutboundStream(peer.ID, protocol.ID)             {}
func (*gossipCounts) ValidateMessage(*pubsub.Message)                      {}
func (*gossipCounts) RejectMessage(*pubsub.Message, string)                {}
func (*gossipCounts) ThrottlePeer(peer.ID)                                 {}
func (*gossipCounts) RecvRPC(*pubsub.RPC)                                  {}
func (*gossipCounts) SendRPC(*pubsub.RPC, peer.ID)                         {}
func (*gossipCounts) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
func (*gossipCounts) DropRPC(*pubsub.RPC, peer.ID)                         {}
func (*gossipCounts) UndeliverableMessage(*pubsub.Message)                 {}
func (*gossipCounts) AddPeer(peer.ID, protocol.ID)                         {}
func (*gossipCounts) RemovePeer(peer.ID)                                   {}

var _ pubsub.RawTracer = (*gossipCounts)(nil)
