package p2p

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/ports"
)

func TestOpen(t *testing.T) {
	a := run(t, "a")
	tests := []struct {
		name string
		edit func(*Config)
		err  error
	}{
		{"tcp port taken", func(c *Config) { c.Listen = []string{tcpOf(a)} }, ErrPortTaken},
		{"udp port taken", func(c *Config) { c.Listen = []string{udpOf(a)} }, ErrPortTaken},
		{"one of two taken", func(c *Config) { c.Listen = []string{loopback[0], tcpOf(a)} }, ErrPortTaken},
		{"no multiaddr", func(c *Config) { c.Listen = []string{"localhost:1"} }, ErrBadAddr},
		{"banned nonsense", func(c *Config) { c.Banned = []string{"somebody"} }, nil},
		{"no clock", func(c *Config) { c.Clock = nil }, nil},
	}
	for _, tt := range tests {
		c := config(t.Name() + tt.name)
		tt.edit(&c)
		n, err := Open(c)
		if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if n != nil {
			n.Close()
		}
	}
	if l := a.Listening(); len(l) != 2 || !strings.HasSuffix(l[0], "/p2p/"+a.Self().String()) {
		t.Errorf("listening on %v", l)
	}
	if got := a.Addrs(); len(got) != 2 {
		t.Errorf("%d addresses", len(got))
	}
}

func tcpOf(n *node) string { return listenOf(n, "/tcp/") }
func udpOf(n *node) string { return listenOf(n, "/udp/") }
func listenOf(n *node, proto string) string {
	for _, l := range n.Listening() {
		if strings.Contains(l, proto) {
			_, addr, _ := ParseDial(l)
			return AddrText(addr)
		}
	}
	return ""
}

func TestNothingLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("world", func(t *testing.T) {
		b, a := run(t, "b"), run(t, "a")
		x := newEpoch(t.Name())
		must(t, b.Serve(x.e, far()))
		must(t, a.Follow(x.e, []PeerID{b.Self()}))
		a.knows(b, Watched)
		must(t, b.Publish(x.e, x.update()))
		a.wait(t, "the update", a.hears(x.e, x.t))
		a.Send(t.Context(), b.Self(), parcelOf(1, testKid))
		b.Ack(t.Context(), a.Self(), wire.AckBox{Tag: [16]byte{1}, Box: make([]byte, 284)}.Append(nil))
		a.stop()
		if err := a.Run(t.Context(), a.fake); !errors.Is(err, ErrClosed) {
			t.Errorf("run twice: %v", err)
		}
		if _, _, err := a.Send(t.Context(), b.Self(), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("send after close: %v", err)
		}
		if err := a.Follow(x.e, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("follow after close: %v", err)
		}
		if err := a.Serve(newEpoch("y").e, far()); err == nil {
			t.Error("served after close")
		}
		b.stop()
	})
	unrun, err := Open(config("never run"))
	must(t, err)
	must(t, unrun.Close())
	var stacks []byte
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if runtime.NumGoroutine() <= before+2 { // libp2p keeps one or two of its own per process
			return
		}
	}
	stacks = make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

// Run returns with streams and workers in full use, none left behind.
func TestRunEnds(t *testing.T) {
	f := &fake{block: make(chan struct{})}
	b := start(t, config(t.Name()+"b"), f)
	a := run(t, "a")
	a.knows(b, Watched)
	for i := range 80 {
		if _, _, err := a.Send(t.Context(), b.Self(), parcelOf(i, testKid)); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() { b.stop(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Run does not return")
	}
	if _, running := f.parallel(); running != 0 {
		t.Errorf("%d handlers run after Run", running)
	}
}

// B is killed and started again at the same place: whoever watches is back in seconds, by streams
// that were dead and are opened anew.
func TestRestart(t *testing.T) {
	cb := config(t.Name() + "b")
	port := ports.Free(t)
	cb.Listen = []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port), fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", port)}
	b := start(t, cb, &fake{})
	a := run(t, "a")
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	must(t, a.Follow(x.e, []PeerID{b.Self()}))
	a.knows(b, Watched)
	a.wait(t, "the watch", func() bool { return a.Path(x.e).Up })
	if _, _, err := a.Send(t.Context(), b.Self(), parcelOf(1, testKid)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.stop()
		a.wait(t, "the loss", func() bool { up, _ := a.Connected(b.Self()); return !up })
		b = start(t, cb, &fake{})
		must(t, b.Serve(x.e, far()))
		last := x.update()
		must(t, b.Publish(x.e, last))
		a.wait(t, "the update after the restart", a.hears(x.e, last.T))
		if s, _, err := a.Send(t.Context(), b.Self(), parcelOf(1, testKid)); err != nil || s != wire.OK {
			t.Errorf("send: %v, %v", s, err)
		}
	}
}

// A can dial nobody: B comes to him, and all of it works over the connection that B made.
func TestUndialable(t *testing.T) {
	a := run(t, "a")
	cb := config(t.Name() + "b")
	cb.Listen = []string{}
	b := start(t, cb, &fake{})
	b.knows(a, Watching)
	a.Keep(b.Self(), nil, Watched)
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	must(t, a.Follow(x.e, []PeerID{b.Self()}))
	must(t, b.Publish(x.e, x.update()))
	a.wait(t, "the update", a.hears(x.e, x.t))
	if s, _, err := a.Send(t.Context(), b.Self(), parcelOf(1, testKid)); err != nil || s != wire.OK {
		t.Errorf("send: %v, %v", s, err)
	}
}

func TestBanned(t *testing.T) {
	a := run(t, "a")
	for _, ban := range []string{"127.0.0.0/8", "127.0.0.1", a.Self().String()} {
		c := config(t.Name() + "b")
		c.Banned = []string{ban}
		b := start(t, c, &fake{})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		a.Keep(b.Self(), b.Addrs(), Watched)
		if _, _, err := a.Send(ctx, b.Self(), parcelOf(1, testKid)); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: sent: %v", ban, err)
		}
		cancel()
		waitFor(t, ban+" to be counted", func() bool { return b.Stats().Refused["banned"] > 0 })
		a.Forget(b.Self())
		b.stop()
	}
}

// The pauses of SPEC 4.7, "Who dials".
func TestPauses(t *testing.T) {
	n := &Net{cfg: Config{Rand: lockedRand{rand.NewChaCha8(sha256.Sum256(nil))}}}
	k := newKeeper(n)
	tests := []struct {
		role  KeepRole
		fails int
		want  time.Duration
	}{
		{Watched, -3, time.Second}, {Watched, -2, 5 * time.Second}, {Watched, -1, 20 * time.Second},
		{Watched, 0, time.Minute}, {Watched, 1, 2 * time.Minute}, {Watched, 2, 4 * time.Minute},
		{Watched, 3, 8 * time.Minute}, {Watched, 4, 15 * time.Minute}, {Watched, 50, 15 * time.Minute},
	}
	for _, tt := range tests {
		for range 100 {
			if got := k.pause(&kept{role: tt.role, fails: tt.fails}); got < tt.want*8/10 || got > tt.want*12/10 {
				t.Errorf("after %d failures: %v, want %v ±20 %%", tt.fails, got, tt.want)
			}
		}
	}
	for fails := range 10 {
		if got := k.pause(&kept{role: Watching, fails: fails}); got < minWatching {
			t.Errorf("watching, after %d failures: %v", fails, got)
		}
	}
}

// 40 leaves know only one hub; two devices publish through it, and each leaf hears each Rec by gossip.
func TestStar(t *testing.T) {
	const leaves = 40
	ch := config(t.Name() + "hub")
	ch.Hub = true
	hub := start(t, ch, &fake{})
	x := newEpoch(t.Name())
	must(t, hub.Serve(x.e, far()))
	device := run(t, "device")
	must(t, device.Serve(x.e, far()))
	device.knows(hub, Watched)
	var all []*node
	for i := range leaves {
		l := run(t, fmt.Sprint("leaf", i))
		must(t, l.Follow(x.e, []PeerID{hub.Self()}))
		l.knows(hub, Watched)
		all = append(all, l)
	}
	waitFor(t, "everybody to join", func() bool { p, s := hub.Audience(x.e); return p == leaves+1 && s == leaves })
	waitFor(t, "the device to see the hub", func() bool { p, _ := device.Audience(x.e); return p == 1 })
	// Beside a WATCH, which may skip what is superseded, gossip alone must bring all.
	said := time.Time{} // the last word: whoever was not grafted when it was said needs another
	waitFor(t, "all in the mesh", func() bool {
		if time.Since(said) > time.Second {
			must(t, device.Publish(x.e, x.update()))
			said = time.Now()
		}
		_, s := hub.Audience(x.e)
		return s == 0
	})
	var sent []Time
	for i := range 100 {
		x.tag = wire.Tag{2, byte(i % 10)}
		from := device
		if i%2 == 1 {
			from = hub
		}
		r := x.update()
		must(t, from.Publish(x.e, r))
		sent = append(sent, r.T)
	}
	for i, l := range all {
		for _, ts := range sent {
			l.wait(t, fmt.Sprint("leaf ", i), l.hears(x.e, ts))
		}
		if got := l.stamps(x.e, ViaTopic); len(got) < len(sent) {
			t.Errorf("leaf %d: %d of %d by gossip", i, len(got), len(sent))
		}
	}
}
