package p2p

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/p2p/wire"
)

// What a liar puts on a topic goes no further than his neighbour, and what is true still does.
func TestLiarOnATopic(t *testing.T) {
	b, a, liar := run(t, "b"), run(t, "a"), run(t, "liar")
	x, own := newEpoch(t.Name()), newEpoch("liar")
	for _, n := range []*node{b, liar} {
		must(t, n.Serve(x.e, far()))
	}
	liar.knows(b, Watched)
	must(t, a.Follow(x.e, []PeerID{b.Self()}))
	a.knows(b, Watched)
	waitFor(t, "the topic", func() bool {
		p, s := b.Audience(x.e)
		l, _ := liar.Audience(x.e)
		return p == 2 && s == 1 && l == 1
	})
	forged := wire.NewUpdate(own.key, x.tag, x.t+1, x.ct).Raw
	ahead := wire.NewUpdate(x.key, x.tag, testClock().Wall.Add(time.Hour), x.ct).Raw
	lies := []struct {
		name  string
		bytes []byte
		cause string
	}{
		{"forged", forged, "rec signature"},
		{"garbage", []byte("garbage"), "rec malformed"},
		{"ahead", ahead, "rec ahead"},
	}
	for _, lie := range lies {
		if err := liar.gossip.publish(t.Context(), x.e, lie.bytes); err != nil {
			t.Fatal(err)
		}
		waitFor(t, lie.name, func() bool { return b.Stats().Refused[lie.cause] == 1 })
	}
	must(t, b.Publish(x.e, x.update()))
	a.wait(t, "the truth", a.hears(x.e, x.t))
	if got := a.stamps(x.e, ViaTopic, ViaStream); len(got) != 1 {
		t.Errorf("heard %v", got)
	}
	if got := a.Stats().Refused; len(got) != 0 {
		t.Errorf("lies came through to a: %v", got)
	}
}

// SPEC 4.7, as bare routers see it: what is published goes to every topic peer at once, in the mesh or not; it has no author, no
// number and no signature of gossipsub's; and who is put out of a mesh is told of nobody else.
func TestGossipOnTheWire(t *testing.T) {
	b := run(t, "b")
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	type seen struct {
		update   *pb.Message
		promised bool // by IHAVE, before it came
		pruned   []*pb.ControlPrune
	}
	var mu sync.Mutex
	readers := make([]seen, 12) // and a mesh has eight at most
	count := func(has func(seen) bool) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range readers {
			if has(r) {
				n++
			}
		}
		return n
	}
	for i := range readers {
		h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.DisableRelay())
		must(t, err)
		t.Cleanup(func() { _ = h.Close() })
		ps, err := pubsub.NewGossipSub(t.Context(), h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
			pubsub.WithAppSpecificRpcInspector(func(_ peer.ID, rpc *pubsub.RPC) error {
				mu.Lock()
				defer mu.Unlock()
				r := &readers[i]
				for _, m := range rpc.GetPublish() {
					r.update = m
				}
				r.promised = r.promised || r.update == nil && len(rpc.GetControl().GetIhave()) > 0
				r.pruned = append(r.pruned, rpc.GetControl().GetPrune()...)
				return nil
			}))
		must(t, err)
		topic, err := ps.Join(wire.TopicName(x.e))
		must(t, err)
		_, err = topic.Subscribe()
		must(t, err)
		reach(t, h, b.info())
	}
	waitFor(t, "the audience", func() bool { p, _ := b.Audience(x.e); return p == len(readers) })
	waitFor(t, "a full mesh", func() bool { return count(func(r seen) bool { return r.pruned != nil }) >= 4 })
	must(t, b.Publish(x.e, x.update()))
	waitFor(t, "the update", func() bool { return count(func(r seen) bool { return r.update != nil }) == len(readers) })
	mu.Lock()
	defer mu.Unlock()
	for i, r := range readers {
		if m := r.update; m.From != nil || m.Seqno != nil || m.Signature != nil || m.Key != nil || m.GetTopic() != wire.TopicName(x.e) {
			t.Errorf("reader %d read %v", i, m)
		}
		if r.promised {
			t.Errorf("reader %d had to ask for it", i)
		}
		for _, p := range r.pruned {
			if len(p.GetPeers()) != 0 {
				t.Errorf("reader %d was told of %d others", i, len(p.GetPeers()))
			}
		}
	}
}

func TestPublishRefuses(t *testing.T) {
	b := run(t, "b")
	x, other := newEpoch(t.Name()), newEpoch("other")
	if err := b.Publish(x.e, x.update()); !errors.Is(err, ErrNotServed) {
		t.Errorf("a key that is not served: %v", err)
	}
	if err := b.Serve(PublicKey{1}, far()); !errors.Is(err, ErrBadKey) {
		t.Errorf("a key that is none: %v", err)
	}
	must(t, b.Serve(x.e, far()))
	last := x.update()
	must(t, b.Publish(x.e, last)) // that nobody hears is no error
	tests := []struct {
		name string
		r    wire.Rec
	}{
		{"the same t again", last},
		{"signed by another", wire.NewUpdate(other.key, x.tag, x.t+1, x.ct)},
		{"from the future", wire.NewUpdate(x.key, x.tag, far(), x.ct)},
		{"nothing", wire.Rec{}},
		{"larger than a topic takes", wire.NewUpdate(x.key, x.tag, x.t+1, make([]byte, 28+8192))},
	}
	for _, tt := range tests {
		if err := b.Publish(x.e, tt.r); !errors.Is(err, ErrBadRec) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	must(t, b.Serve(x.e, testClock().Wall.Add(-time.Hour)))
	if err := b.Publish(x.e, x.update()); !errors.Is(err, ErrNotServed) {
		t.Errorf("an epoch that is over: %v", err)
	}
	b.gossip.sweep()
	if got := b.Stats().Topics; got != 0 {
		t.Errorf("still on %d topics", got)
	}
}

// I20: the connection is cut again and again while the presentity publishes: the last Rec always
// arrives, none twice on the live paths, in order.
func TestFlapping(t *testing.T) {
	b, a := run(t, "b"), run(t, "a")
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	must(t, a.Follow(x.e, []PeerID{b.Self()}))
	a.knows(b, Watched)
	for flap := range 4 {
		for range 3 {
			must(t, b.Publish(x.e, x.update()))
		}
		a.wait(t, fmt.Sprint("the last update, cut ", flap), a.hears(x.e, x.t))
		if flap == 3 {
			break
		}
		if flap%2 == 0 {
			must(t, a.host.Network().ClosePeer(b.Self().id()))
		} else {
			must(t, b.host.Network().ClosePeer(a.Self().id()))
		}
		must(t, b.Publish(x.e, x.update()))
	}
	live := a.stamps(x.e, ViaTopic, ViaStream)
	for i := 1; i < len(live); i++ {
		if live[i] <= live[i-1] {
			t.Errorf("heard live %v", live)
		}
	}
}
