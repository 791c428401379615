package p2p

import (
	"bufio"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestHundredsOfWatchers: a personal node, with the limits that it really has, holds 500 watchers from 500
// addresses on streams of both protocols, and each hears what is published (RFC 2779, 2.2.5); another holds
// connections of its own to as many who are kept (2.2.4).
func TestHundredsOfWatchers(t *testing.T) {
	const watchers = 500
	c := config(t.Name() + "b")
	c.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	b := start(t, c, &fake{})
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	all, hosts := make([]*watchStream, watchers), make([]host.Host, watchers)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var err error
			if hosts[i], all[i], err = watchFrom(t, b, fmt.Sprintf("127.0.%d.%d", 1+i/250, 1+i%250), x.e); err != nil {
				t.Errorf("watcher %d: %v", i, err)
				return
			}
			b.host.ConnManager().Protect(hosts[i].ID(), keptTag) // as a node does with who watches it
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if _, streams := b.Audience(x.e); streams != watchers {
		t.Errorf("%d watch", streams)
	}
	r := x.update()
	must(t, b.Publish(x.e, r))
	for i, s := range all {
		s.SetDeadline(time.Now().Add(patience))
		f, err := wire.ReadFrame(s.r)
		if err != nil {
			t.Fatalf("watcher %d: %v", i, err)
		}
		if p, err := wire.ParseRecPush(f.Payload); err != nil || string(p.Rec) != string(r.Raw) {
			t.Errorf("watcher %d heard something else: %v", i, err)
		}
	}
	a := start(t, config(t.Name()+"a"), &fake{})
	for _, h := range hosts {
		var addrs [][]byte
		for _, x := range h.Addrs() {
			addrs = append(addrs, x.Bytes())
		}
		a.Keep(PeerID(h.ID()), addrs, Watched)
	}
	waitFor(t, "connections to all", func() bool {
		for _, h := range hosts {
			if up, _ := a.Connected(PeerID(h.ID())); !up {
				return false
			}
		}
		return true
	})
}

type watchStream struct{ rawStream }

// watchFrom watches e at b from an address of its own, with a stream of each protocol open.
func watchFrom(t *testing.T, b *node, ip string, e PublicKey) (host.Host, *watchStream, error) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/"+ip+"/tcp/0"), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { h.Close() })
	w, err := openWatch(t.Context(), t, h, b, e)
	return h, w, err
}

func openWatch(ctx context.Context, t *testing.T, h host.Host, b *node, e PublicKey) (*watchStream, error) {
	reach(t, h, b.info())
	p, err := h.NewStream(ctx, b.Self().id(), protoParcel)
	if err != nil {
		return nil, err
	}
	if _, err := p.Write(wire.AppendFrame(nil, wire.Frame{ID: 1, Op: wire.OpRecords, Payload: wire.RecordsRequest{Address: wire.Address{1}}.Append(nil)})); err != nil {
		return nil, err
	}
	s, err := h.NewStream(ctx, b.Self().id(), protoPresence)
	if err != nil {
		return nil, err
	}
	w := &watchStream{rawStream{s, bufio.NewReader(s), t}}
	s.SetDeadline(time.Now().Add(patience))
	if _, err := s.Write(wire.AppendFrame(nil, wire.Frame{ID: 1, Op: wire.OpWatch, Payload: wire.WatchRequest{Keys: []PublicKey{e}}.Append(nil)})); err != nil {
		return nil, err
	}
	f, err := wire.ReadFrame(w.r)
	if err == nil && f.Status != wire.OK {
		err = fmt.Errorf("WATCH: %v", f.Status)
	}
	return w, err
}
