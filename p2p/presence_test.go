package p2p

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// An epoch makes Recs for tests.
type epoch struct {
	key identity.SigningKey
	e   PublicKey
	tag wire.Tag
	ct  []byte
	t   Time
}

func newEpoch(name string) *epoch {
	k := identity.NewSigningKey(sha256.Sum256([]byte(name)))
	return &epoch{key: k, e: k.Public(), tag: wire.Tag{1}, ct: make([]byte, 28+256), t: testClock().Wall - 1000}
}

func (x *epoch) update() wire.Rec {
	x.t++
	return wire.NewUpdate(x.key, x.tag, x.t, x.ct)
}

func (x *epoch) beacon(base Time) wire.Rec {
	x.t++
	return wire.NewBeacon(x.key, x.tag, x.t, base)
}

func far() Time { return testClock().Wall.Add(time.Hour) }

// stamps returns the t of what came of e by the given paths.
func (f *fake) stamps(e PublicKey, paths ...RecPath) (ts []Time) {
	for _, h := range f.heard() {
		if h.e == e && (len(paths) == 0 || slices.Contains(paths, h.path)) {
			ts = append(ts, h.r.T)
		}
	}
	return ts
}

func (f *fake) hears(e PublicKey, t Time) func() bool {
	return func() bool { return slices.Contains(f.stamps(e), t) }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	b, a := run(t, "b"), run(t, "a")
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	first := x.update()
	must(t, b.Publish(x.e, first))

	must(t, a.Follow(x.e, []PeerID{b.Self()}))
	a.knows(b, Watched)
	a.wait(t, "the snapshot", a.hears(x.e, first.T))
	if h := a.heard()[0]; h.path != ViaSnapshot || h.from != b.Self() {
		t.Errorf("first rec came by path %d", h.path)
	}
	a.wait(t, "both paths", func() bool { return a.Path(x.e) == PathState{Both, true} })
	b.wait(t, "the audience", func() bool { p, s := b.Audience(x.e); return p == 1 && s == 1 })
	for range 5 {
		r := x.update()
		must(t, b.Publish(x.e, r))
		a.wait(t, "an update", a.hears(x.e, r.T))
	}
	a.wait(t, "the mesh", func() bool { return a.Path(x.e) == PathState{Mesh, true} })
	b.wait(t, "the end of the watch", func() bool { p, s := b.Audience(x.e); return p == 1 && s == 0 })
	r := x.beacon(x.t)
	must(t, b.Publish(x.e, r))
	a.wait(t, "a beacon by the topic alone", a.hears(x.e, r.T))
	if live := a.stamps(x.e, ViaTopic, ViaStream); len(live) != 6 || !slices.IsSorted(live) {
		t.Errorf("heard live %v, want six rising, each once", live)
	}

	recs, now, err := a.Get(t.Context(), b.Self(), x.e)
	if err != nil || len(recs) != 2 || !recs[1].IsBeacon() || now == 0 {
		t.Errorf("get: %d recs, now %d, %v", len(recs), now, err)
	}
	if _, _, err := a.Get(t.Context(), b.Self(), newEpoch("nobody").e); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of an unknown key: %v", err)
	}
	c := run(t, "c")
	c.knows(b, Watched)
	must(t, c.Serve(x.e, far()))
	must(t, c.Copy(t.Context(), b.Self(), x.e))
	if got := c.Held(x.e); len(got) != 2 || got[0].T != recs[0].T || got[1].T != recs[1].T {
		t.Errorf("c, which serves it too, holds %d of the records", len(got))
	}
	must(t, c.Publish(x.e, x.update()))
	must(t, c.Copy(t.Context(), b.Self(), x.e))
	if got := c.Held(x.e); len(got) != 1 || got[0].T <= recs[0].T {
		t.Errorf("what is older took the place of what is newer: %d records", len(got))
	}
	b.Unserve(x.e)
	if err := b.Publish(x.e, x.update()); !errors.Is(err, ErrNotServed) {
		t.Errorf("publish after unserve: %v", err)
	}
	a.Unfollow(x.e, 0)
	if got := a.Path(x.e); got != (PathState{}) {
		t.Errorf("path after unfollow: %v", got)
	}
	a.wait(t, "the topic to be left", func() bool { return a.Stats().Topics == 0 })
}

// Attack 9: whenever an update falls between registering and OK of a WATCH, it is seen. One WATCH has
// 250 keys, whose updates fall at all instants around it.
func TestSnapshotRace(t *testing.T) {
	b := run(t, "b")
	for round := range 4 {
		a := run(t, fmt.Sprint("a", round))
		var xs []*epoch
		for i := range 250 {
			x := newEpoch(fmt.Sprint(t.Name(), round, i))
			must(t, b.Serve(x.e, far()))
			must(t, b.Publish(x.e, x.update()))
			must(t, a.Follow(x.e, []PeerID{b.Self()}))
			xs = append(xs, x)
		}
		a.knows(b, Watched)
		for _, x := range xs {
			must(t, b.Publish(x.e, x.update()))
		}
		for _, x := range xs {
			a.wait(t, "the last update", a.hears(x.e, x.t))
		}
		kinds := map[RecPath]int{}
		for _, h := range a.heard() {
			kinds[h.path]++
		}
		t.Logf("round %d: %d by snapshot, %d by stream, %d by topic", round, kinds[ViaSnapshot], kinds[ViaStream], kinds[ViaTopic])
		for _, x := range xs {
			b.Unserve(x.e)
		}
		a.stop()
	}
}
