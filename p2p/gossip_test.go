package p2p

import (
	"errors"
	"fmt"
	"testing"
	"time"

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
