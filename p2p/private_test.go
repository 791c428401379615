package p2p

import (
	"context"
	"crypto/ed25519"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func somebody(t *testing.T, seed byte) peer.ID {
	t.Helper()
	k, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// noResolver counts what it is asked for.
type noResolver struct{ asked []string }

func (r *noResolver) ResolveDNSAddr(_ context.Context, _ peer.ID, a ma.Multiaddr, _, _ int) ([]ma.Multiaddr, error) {
	r.asked = append(r.asked, a.String())
	return []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.7/tcp/443")}, nil
}

func (r *noResolver) ResolveDNSComponent(_ context.Context, a ma.Multiaddr, _ int) ([]ma.Multiaddr, error) {
	return r.ResolveDNSAddr(context.Background(), "", a, 0, 0)
}

// The gate of private mode: what a stranger says of where somebody is, and be it of an own node, makes this node dial
// nobody and look up no name.
func TestPrivateGate(t *testing.T) {
	own, bob, other := somebody(t, 1), somebody(t, 2), somebody(t, 3)
	names := &noResolver{}
	h := newHiding()
	h.names = names
	n := &Net{hide: h}
	n.Own(PeerID(own), [][]byte{ma.StringCast("/ip4/192.0.2.1/tcp/4866").Bytes(), ma.StringCast("/dns4/d.example/tcp/443").Bytes()})
	g, err := newGater(nil, h, &counters{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		who  peer.ID
		at   string
		may  bool
	}{
		{"an own node", own, "/ip4/192.0.2.1/tcp/4866", true},
		{"an own node where a stranger says it is", own, "/ip4/203.0.113.66/tcp/4866", false},
		{"an own node by a name that a stranger tells", own, "/dns4/evil.example/tcp/443", false},
		{"somebody else", bob, "/ip4/192.0.2.9/tcp/4866", false},
		{"somebody else where an own node is", bob, "/ip4/192.0.2.1/tcp/4866", false},
		{"through an own node", bob, "/ip4/192.0.2.1/tcp/4866/p2p/" + own.String() + "/p2p-circuit", true},
		{"through an own node, said to be elsewhere", bob, "/ip4/203.0.113.66/tcp/1/p2p/" + own.String() + "/p2p-circuit", true}, // see places
		{"through another's node", bob, "/ip4/192.0.2.2/tcp/4866/p2p/" + other.String() + "/p2p-circuit", false},
		{"through nobody", bob, "/p2p-circuit", false},
		{"through another's, then an own one", bob, "/ip4/192.0.2.2/tcp/1/p2p/" + other.String() + "/p2p-circuit/p2p/" + own.String() + "/p2p-circuit", false},
	}
	for _, tt := range tests {
		a := ma.StringCast(tt.at)
		if got := g.InterceptAddrDial(tt.who, a); got != tt.may {
			t.Errorf("%s: %v", tt.name, got)
		}
		for _, p := range h.places(tt.who, []ma.Multiaddr{a}) {
			if isCircuit(p) && p.String() != "/p2p/"+own.String()+"/p2p-circuit" {
				t.Errorf("%s: kept as %s", tt.name, p)
			}
		}
	}
	if _, err := h.ResolveDNSAddr(t.Context(), bob, ma.StringCast("/dns4/evil.example/tcp/443"), 1, 1); err == nil {
		t.Error("a name of somebody else is looked up")
	}
	if _, err := h.ResolveDNSAddr(t.Context(), own, ma.StringCast("/dns4/evil.example/tcp/443"), 1, 1); err == nil {
		t.Error("a name that a stranger gives an own node is looked up")
	}
	if len(names.asked) != 0 {
		t.Errorf("asked for %v", names.asked)
	}
	if _, err := h.ResolveDNSAddr(t.Context(), own, ma.StringCast("/dns4/d.example/tcp/443"), 1, 1); err != nil || !g.InterceptAddrDial(own, ma.StringCast("/ip4/192.0.2.7/tcp/443")) {
		t.Errorf("what an own name stands for is not dialled: %v", err)
	}
	if h.isOwn(bob) || !h.isOwn(own) || !(*hiding)(nil).may(bob, ma.StringCast("/ip4/192.0.2.9/tcp/4866")) {
		t.Error("whose node is own")
	}
}
