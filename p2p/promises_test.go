package p2p

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
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
