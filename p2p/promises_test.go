package p2p

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/hum-presence/hum/p2p/wire"
)

// A peer that speaks only one of the two security protocols reaches a node over TCP, and each gets the one it speaks.
func TestEitherSecurity(t *testing.T) {
	b := run(t, "b")
	for _, tt := range []struct {
		id  protocol.ID
		opt libp2p.Option
	}{
		{noise.ID, libp2p.Security(noise.ID, noise.New)},
		{libp2ptls.ID, libp2p.Security(libp2ptls.ID, libp2ptls.New)},
	} {
		h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Transport(tcp.NewTCPTransport), tt.opt)
		must(t, err)
		reach(t, h, b.info())
		if c := h.Network().ConnsToPeer(b.Self().id()); len(c) == 0 || c[0].ConnState().Security != tt.id {
			t.Errorf("%s: connected as %v", tt.id, c)
		}
		must(t, h.Close())
	}
}

// No stream is left silent, since the other end resets one that has named no protocol within ten seconds: what is asked goes
// out with the name, before anything has been answered, and a stream that nobody writes on after all says its name alone.
func TestFirstFrameAtOnce(t *testing.T) {
	a := run(t, "a")
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.DisableRelay())
	must(t, err)
	t.Cleanup(func() { _ = h.Close() })
	opened, frames := make(chan protocol.ID, 2), make(chan wire.Frame, 2)
	for _, id := range []protocol.ID{protoParcel, protoPresence} {
		h.SetStreamHandler(id, func(s network.Stream) {
			opened <- id
			_ = readFrames(s, func() time.Duration { return patience }, func(f wire.Frame) bool { frames <- f; return false })
		})
	}
	b := PeerID(h.ID())
	a.Keep(b, [][]byte{h.Addrs()[0].Bytes()}, Watched)
	waitFor(t, "a connection", func() bool { up, _ := a.Connected(b); return up })

	_, _, err = a.streams.get(b, protoPresence, 0).stream(t.Context())
	must(t, err)
	if got := receive(t, opened); got != protoPresence {
		t.Errorf("opened %s", got)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	go a.Send(ctx, b, parcelOf(1, testKid))
	if got := receive(t, opened); got != protoParcel {
		t.Errorf("opened %s", got)
	}
	if f := receive(t, frames); f.Op != wire.OpParcel || !bytes.Equal(f.Payload, parcelOf(1, testKid)) {
		t.Errorf("first came op %d of %d bytes", f.Op, len(f.Payload))
	}
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

// The degrees of gossip are those that the text of SPEC 4.7 gives, word by word.
func TestDegreesAreThoseOfTheSpec(t *testing.T) {
	text, err := os.ReadFile("wire/SPEC-presence.md")
	must(t, err)
	m := regexp.MustCompile(`D=(\d+) Dlo=(\d+) Dhi=(\d+) Dscore=(\d+) Dout=(\d+) Dlazy=(\d+), HistoryGossip (\d+), .* maximum RPC (\d+) MiB`).FindSubmatch(text)
	if m == nil {
		t.Fatal("SPEC 4.7 gives no degrees")
	}
	var want [8]int
	for i := range want {
		want[i], err = strconv.Atoi(string(m[i+1]))
		must(t, err)
	}
	p := degrees(config(t.Name()))
	if got := [8]int{p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout, p.Dlazy, p.HistoryGossip, maxRPC >> 20}; got != want {
		t.Errorf("the router has %v, the SPEC %v", got, want)
	}
	_, most := connLimits(true)
	if hub := degrees(Config{Hub: true}); hub.D != most || hub.Dhi != most {
		t.Errorf("a hub has D %d and Dhi %d, and takes %d connections", hub.D, hub.Dhi, most)
	}
}
