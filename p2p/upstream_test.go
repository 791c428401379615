package p2p

import (
	"errors"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A member watches, and asks for, what another community's anchor keeps, at his own, which alone he is connected to.
func TestUpstream(t *testing.T) {
	c, theirs := anchor(t, "theirs")
	d, _ := anchor(t, "mine")
	b, a := run(t, "b"), run(t, "a")
	b.knows(c, Watched)
	a.knows(d, Watched)
	ctx, x := t.Context(), newEpoch(t.Name())
	until := testClock().Wall.Add(time.Hour)
	must(t, b.AskHost(ctx, c.Self(), wire.HostRequest{Key: x.e, Until: until, Token: []byte("member")}))
	put := func(r wire.Rec) {
		t.Helper()
		must(t, b.Put(ctx, c.Self(), wire.PutRequest{Ctx: wire.ContextTopic, Key: x.e, Rec: r.Raw}))
	}
	first := x.update()
	put(first)
	up := Upstream{At: wire.Endpoint{Peer: []byte(c.Self()), Addrs: c.Addrs()}, Token: []byte("member")}

	if _, _, err := a.GetThrough(ctx, d.Self(), x.e, Upstream{At: up.At, Token: []byte("nobody")}); !errors.Is(err, ErrRefused) {
		t.Errorf("asked for whoever is no member: %v", err)
	}
	if recs, _, err := a.GetThrough(ctx, d.Self(), x.e, up); err != nil || len(recs) != 1 || recs[0].T != first.T {
		t.Errorf("got through my own anchor: %v, %v", recs, err)
	}
	k := identity.NewSigningKey([32]byte{44})
	theirs.HandlePut(wire.ContextSlot, k.Public(), wire.NewKept(wire.ContextSlot, k, testClock().Wall, []byte("slot")).Raw)
	if r, err := a.GetKeptThrough(ctx, d.Self(), k.Public(), up); err != nil || string(r.CT) != "slot" {
		t.Errorf("a slot through my own anchor: %v, %v", r, err)
	}
	must(t, a.FollowThrough(x.e, []PeerID{d.Self()}, &up))
	a.wait(t, "what was there before", a.hears(x.e, first.T))
	next := x.update()
	put(next)
	a.wait(t, "what is put now", a.hears(x.e, next.T))
	if up, _ := a.Connected(c.Self()); up {
		t.Error("the watcher is connected to the anchor of the other community")
	}
	a.Unfollow(x.e, 0)
	a.wait(t, "nobody watches it", func() bool { return d.door.audience(x.e) == 0 })
	d.custody.up.mu.Lock()
	d.custody.up.m[x.e].used -= upstreamIdle
	d.custody.up.mu.Unlock()
	d.custody.sweepUpstream()
	if _, _, err := a.Get(ctx, d.Self(), x.e); !errors.Is(err, ErrNotFound) {
		t.Errorf("asked for what nobody watches any more: %v", err)
	}
}
