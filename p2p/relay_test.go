package p2p

import (
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
)

// Attack 8 in small: A and B have nothing but a limited circuit. Everything works but gossip, and a
// direct connection is taken when there is one.
func TestLimitedRelay(t *testing.T) {
	relay, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.EnableRelayService(), libp2p.ForceReachabilityPublic())
	must(t, err)
	t.Cleanup(func() { relay.Close() })
	b, a := run(t, "b"), run(t, "a")
	info := peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()}
	reach(t, b.host, info)
	waitFor(t, "a reservation", func() bool {
		_, err := client.Reserve(t.Context(), b.host, info)
		return err == nil
	})
	circuit := ma.Join(relay.Addrs()[0], ma.StringCast("/p2p/"+relay.ID().String()+"/p2p-circuit"))
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	must(t, a.Follow(x.e, []PeerID{b.Self()}))
	a.Keep(b.Self(), [][]byte{circuit.Bytes()}, Watched)
	a.wait(t, "the watch", func() bool { return a.Path(x.e).Up })
	if up, limited := a.Connected(b.Self()); !up || !limited {
		t.Fatalf("connected %v, limited %v", up, limited)
	}
	a.wait(t, "the handler to be told", func() bool {
		a.fake.mu.Lock()
		defer a.fake.mu.Unlock()
		return a.links[b.Self()] == link{up: true, limited: true}
	})
	for range 3 {
		must(t, b.Publish(x.e, x.update()))
		a.wait(t, "an update", a.hears(x.e, x.t))
	}
	if s, _, err := a.Send(t.Context(), b.Self(), parcelOf(1, testKid)); err != nil || s != wire.OK {
		t.Errorf("send: %v, %v", s, err)
	}
	if !b.Push(a.Self(), parcelOf(2, testKid)) {
		t.Error("push: no stream")
	}
	if got := a.Path(x.e); got != (PathState{Stream, true}) {
		t.Errorf("path %v", got)
	}
	if n := len(a.stamps(x.e, ViaTopic)); n != 0 {
		t.Errorf("%d recs by gossip over a limited circuit", n)
	}

	a.Keep(b.Self(), b.Addrs(), Watched) // B has told a new Reach
	a.wait(t, "the direct connection", func() bool { up, limited := a.Connected(b.Self()); return up && !limited })
	a.wait(t, "the topic", func() bool { return a.Path(x.e).Mode == Both && len(a.gossip.peers(x.e)) == 1 })
	for range 3 {
		must(t, b.Publish(x.e, x.update()))
		a.wait(t, "an update", a.hears(x.e, x.t))
		time.Sleep(10 * time.Millisecond)
	}
	st := a.streams.get(b.Self(), protoParcel, 0)
	if s, _, err := a.Send(t.Context(), b.Self(), parcelOf(1, testKid)); err != nil || s != wire.OK {
		t.Errorf("send: %v, %v", s, err)
	}
	if cur := st.current(); cur == nil || cur.s.Conn().Stat().Limited {
		t.Error("parcels still go over the circuit")
	}
}

// The relay of a community carries conversations: more than the library's 128 KiB, and nobody is refused.
func TestRelayOfACommunity(t *testing.T) {
	c := config(t.Name() + "relay")
	c.Hub, c.Relay = true, true
	relay := start(t, c, &fake{})
	b, a := run(t, "b"), run(t, "a")
	waitFor(t, "a reservation", func() bool {
		_, err := client.Reserve(t.Context(), b.host, relay.info())
		return err == nil
	})
	at := multiaddrs(relay.Addrs())[0]
	circuit := ma.Join(at, ma.StringCast("/p2p/"+relay.Self().String()+"/p2p-circuit"))
	a.Keep(b.Self(), [][]byte{circuit.Bytes()}, Watched)
	a.wait(t, "the circuit", func() bool { up, limited := a.Connected(b.Self()); return up && limited })
	big := wire.Parcel{Suite: 1, Wraps: []wire.Wrap{{Kid: testKid, Sealed: []byte{1}}}, CT: make([]byte, 150<<10)}.Append(nil)
	for range 8 {
		if s, _, err := a.Send(t.Context(), b.Self(), big); err != nil || s != wire.OK {
			t.Fatalf("send: %v, %v", s, err)
		}
	}
	b.wait(t, "1.2 MiB over the circuit", func() bool { parcels, _ := b.counts(); return parcels == 8 })
	if up, limited := a.Connected(b.Self()); !up || !limited {
		t.Errorf("connected %v, limited %v: the circuit was cut", up, limited)
	}
	relay.wait(t, "one circuit to be counted, and what passed through it", func() bool {
		got := relay.Stats().Relayed
		return got.Slots == 1 && got.Circuits == 1 && got.Opened == 1 && got.Bytes >= 8*150<<10
	})
	if got := relay.Stats().Relayed; got.Bytes > 4<<20 {
		t.Errorf("the relay counts %+v", got)
	}
	a.Forget(b.Self())
	must(t, a.host.Network().ClosePeer(b.host.ID()))
	relay.wait(t, "the circuit to be counted no more", func() bool { return relay.Stats().Relayed.Circuits == 0 })
	must(t, b.host.Network().ClosePeer(relay.host.ID()))
	relay.wait(t, "the slot to be counted no more", func() bool { return relay.Stats().Relayed.Slots == 0 })
}

// A relay says the limits that it was told to keep, and a circuit more than one peer may have is refused.
func TestLimitsOfARelay(t *testing.T) {
	c := config(t.Name() + "relay")
	c.Hub, c.Relay, c.Circuits = true, true, Circuits{Last: 2 * time.Hour, Data: 128 << 20, Each: 1}
	relay := start(t, c, &fake{})
	b, a, x := run(t, "b"), run(t, "a"), run(t, "x")
	var told *client.Reservation
	waitFor(t, "a reservation", func() (done bool) {
		var err error
		told, err = client.Reserve(t.Context(), b.host, relay.info())
		return err == nil
	})
	if told.LimitDuration != c.Circuits.Last || told.LimitData != uint64(c.Circuits.Data) {
		t.Errorf("the relay says %v and %d bytes", told.LimitDuration, told.LimitData)
	}
	circuit := ma.Join(multiaddrs(relay.Addrs())[0], ma.StringCast("/p2p/"+relay.Self().String()+"/p2p-circuit"))
	to := peer.AddrInfo{ID: b.host.ID(), Addrs: []ma.Multiaddr{circuit}}
	reach(t, a.host, to)
	err := x.host.Connect(t.Context(), to)
	if err == nil || !strings.Contains(err.Error(), "RESOURCE_LIMIT_EXCEEDED") {
		t.Errorf("the second circuit of b: %v", err)
	}
	// A relay counts what it refused once it has said so: whoever was refused may look before that.
	relay.wait(t, "one circuit, and one refused", func() bool {
		got := relay.Stats().Relayed
		return got.Circuits == 1 && got.Denied == 1
	})
}
