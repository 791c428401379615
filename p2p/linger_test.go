package p2p

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A light node hears everything on the stream, joins no topic, ever, and still serves its own.
func TestLight(t *testing.T) {
	b := run(t, "b")
	c := config(t.Name() + "light")
	c.Light = true
	a := start(t, c, &fake{})
	x, own := newEpoch(t.Name()), newEpoch("own")
	must(t, b.Serve(x.e, far()))
	must(t, a.Follow(x.e, []PeerID{b.Self()}))
	a.knows(b, Watched)
	a.wait(t, "the watch", func() bool { return a.Path(x.e) == PathState{Stream, true} })
	for range 8 {
		r := x.update()
		must(t, b.Publish(x.e, r))
		a.wait(t, "an update", a.hears(x.e, r.T))
		a.follows.step(a.follows.take(true))
	}
	if got := a.stamps(x.e, ViaTopic, ViaStream); len(got) != 8 {
		t.Errorf("heard %v, want eight, each once", got)
	}
	if topics, streams := b.Audience(x.e); topics != 0 || streams != 1 || a.Stats().Topics != 0 || a.Path(x.e) != (PathState{Stream, true}) {
		t.Errorf("%d on the topic, %d on streams; %d topics joined, %v", topics, streams, a.Stats().Topics, a.Path(x.e))
	}
	a.Linger(x.e, far())
	if got := a.Stats().Topics; got != 0 {
		t.Errorf("a light node lingers on %d topics", got)
	}
	must(t, a.Serve(own.e, far()))
	if got := a.Stats().Topics; got != 1 {
		t.Errorf("on %d topics, want its own", got)
	}
}

// Who stops to follow stays on the topic until everybody leaves, also across a start, and also if the topic
// was about to be joined; and passes on what others say there, which it cannot read.
func TestLinger(t *testing.T) {
	b := run(t, "b")
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	clock := &setClock{now: testClock()}
	c := config(t.Name() + "a")
	c.Clock = clock.read
	a := start(t, c, &fake{})
	on := func(what string, n int) {
		t.Helper()
		b.wait(t, what, func() bool { p, _ := b.Audience(x.e); return p == n })
	}
	end := clock.now.Wall.Add(time.Hour)
	a.knows(b, Watched)
	must(t, a.Follow(x.e, []PeerID{b.Self()}))
	a.Unfollow(x.e, end) // before the WATCH can have had its OK
	on("a stays", 1)
	a.stop()
	on("a is off", 0)

	a = start(t, c, &fake{})
	a.Linger(x.e, end)
	a.knows(b, Watched)
	on("a is back", 1)
	r := x.update()
	must(t, b.Publish(x.e, r))
	a.wait(t, "the record to be passed on", func() bool {
		a.door.mu.Lock()
		defer a.door.mu.Unlock()
		k := a.door.keys[x.e]
		return k != nil && len(k.holds()) == 1
	})
	if got := a.stamps(x.e); len(got) != 0 {
		t.Errorf("who lingers is told of %v", got)
	}
	clock.pass(time.Hour - time.Second)
	a.gossip.sweep()
	on("a second before", 1)
	clock.pass(2 * time.Second)
	a.gossip.sweep()
	on("the end", 0)
	a.Linger(x.e, end)
	if got := a.Stats().Topics; got != 0 {
		t.Errorf("after the end a is on %d topics", got)
	}
}

// A stamp that a clock kept which ran ahead is lowered once: what comes later is newer, though it is never
// above the now of its arrival.
func TestStampsAheadAreLoweredOnce(t *testing.T) {
	base := Time(1_800_000_000_000)
	up := func(x *epoch, t Time) wire.Rec { return wire.NewUpdate(x.key, x.tag, t, x.ct) }
	for _, tt := range []struct {
		name string
		news func(n *Net, x *epoch, r wire.Rec) bool
	}{
		{"relaying", func(n *Net, x *epoch, r wire.Rec) bool {
			_, v := n.door.take(x.e, r.Raw)
			return v == accept
		}},
		{"publishing", func(n *Net, x *epoch, r wire.Rec) bool {
			if n.door.mayPublish(x.e, r) != nil {
				return false
			}
			n.door.own(x.e, r)
			return n.door.keys[x.e].tags[x.tag].update.T == r.T
		}},
		{"handing up", func(n *Net, x *epoch, r wire.Rec) bool { return n.follows.fresh(ViaStream, x.e, r) }},
		{"looking at what is pushed", func(n *Net, x *epoch, r wire.Rec) bool {
			known, _ := n.follows.known(x.e, r)
			return !known && n.follows.fresh(ViaStream, x.e, r)
		}},
	} {
		c := &setClock{now: identity.Now{Wall: base.Add(24 * time.Hour)}}
		x := newEpoch("ahead")
		n := &Net{cfg: Config{Clock: c.read}, stats: &counters{}}
		n.door, n.follows = newDoor(n), newFollows(n)
		n.door.serve(x.e, base.Add(48*time.Hour))
		n.follows.m[x.e] = &follow{e: x.e, delivered: map[wire.Tag]*tops{}}
		if !tt.news(n, x, up(x, c.now.Wall)) {
			t.Errorf("%s: nothing is news to a clock that runs ahead", tt.name)
		}
		c.now.Wall = base // set right
		news := 0
		for range 10 {
			c.pass(10 * time.Second)
			if tt.news(n, x, up(x, c.now.Wall-50)) { // it was under way for 50 ms
				news++
			}
		}
		if news < 9 { // the first may be older than the lowering
			t.Errorf("%s: %d of 10 were news after the clock was set right", tt.name, news)
		}
	}
}
