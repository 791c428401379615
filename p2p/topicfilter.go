package p2p

import (
	"hash/maphash"
	"sync"

	"github.com/hum-presence/hum/p2p/wire"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A topicFilter lets peers announce topics that have the form of ours, at most 8 000 each. It does
// not ask whether the key is valid: an announcement that is dropped never comes again (SPEC 4.7).
type topicFilter struct {
	stats *counters
	told  func() // of every announcement
	seed  maphash.Seed

	mu   sync.Mutex
	seen map[peer.ID]map[uint64]bool // what a peer has announced, hashed
}

func newTopicFilter(stats *counters, told func()) *topicFilter {
	return &topicFilter{stats: stats, told: told, seed: maphash.MakeSeed(), seen: map[peer.ID]map[uint64]bool{}}
}

var _ pubsub.SubscriptionFilter = (*topicFilter)(nil)

// CanSubscribe reports whether topic is 52 characters of the right form.
func (f *topicFilter) CanSubscribe(topic string) bool {
	if len(topic) != wire.TopicLength || topic[:len(wire.TopicPrefix)] != wire.TopicPrefix {
		return false
	}
	for _, c := range []byte(topic[len(wire.TopicPrefix):]) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// FilterIncomingSubscriptions drops what is no topic of ours or too much.
func (f *topicFilter) FilterIncomingSubscriptions(p peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	f.told()
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*pb.RPC_SubOpts
	for _, s := range subs {
		if f.CanSubscribe(s.GetTopicid()) && f.room(p, s) {
			out = append(out, s)
		} else {
			f.stats.refuse("topic announcement")
		}
	}
	return out, nil
}

func (f *topicFilter) room(p peer.ID, s *pb.RPC_SubOpts) bool {
	h := maphash.String(f.seed, s.GetTopicid())
	seen := f.seen[p]
	if !s.GetSubscribe() {
		delete(seen, h)
		return true
	}
	if seen == nil {
		seen = map[uint64]bool{}
		f.seen[p] = seen
	}
	if len(seen) >= wire.MaxTopics && !seen[h] {
		return false
	}
	seen[h] = true
	return true
}

// gone forgets a peer that has left.
func (f *topicFilter) gone(p peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.seen, p)
}
