package p2p

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

// A hiding keeps the place of this node from everybody but the nodes of its own communities (SPEC 7.6). Nothing is
// listened on, so that others come through relays alone; and whatever is dialled, for whatever reason, passes its
// gate: an own node, at the addresses that its invite named, or somebody else through an own node. An address that
// a stranger tells of an own node does not count, nor is a name looked up that a stranger told: he would see who
// comes.
type hiding struct {
	names network.MultiaddrDNSResolver

	mu       sync.Mutex
	own      map[peer.ID][]ma.Multiaddr
	resolved map[peer.ID][]ma.Multiaddr // what names among them stand for
}

func newHiding() *hiding {
	return &hiding{names: swarm.ResolverFromMaDNS{Resolver: madns.DefaultResolver}, own: map[peer.ID][]ma.Multiaddr{}, resolved: map[peer.ID][]ma.Multiaddr{}}
}

// Own names a node of a community of mine, and where it is: in private mode nobody else is dialled.
func (n *Net) Own(p PeerID, addrs [][]byte) {
	if h := n.hide; h != nil {
		h.mu.Lock()
		h.own[p.id()] = multiaddrs(addrs)
		h.mu.Unlock()
	}
}

// Disown takes back what Own said, and ends the connection to p in private mode.
func (n *Net) Disown(p PeerID) {
	if h := n.hide; h != nil {
		h.mu.Lock()
		delete(h.own, p.id())
		delete(h.resolved, p.id())
		h.mu.Unlock()
		_ = n.host.Network().ClosePeer(p.id())
	}
}

// isOwn reports whether p may be dialled; without private mode everybody may.
func (h *hiding) isOwn(p peer.ID) bool {
	if h == nil {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.own[p] != nil
}

// may reports whether p may be dialled at a.
func (h *hiding) may(p peer.ID, a ma.Multiaddr) bool {
	if h == nil {
		return true
	}
	if isCircuit(a) {
		return h.isOwn(relayIn(a))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return holds(h.own[p], a) || holds(h.resolved[p], a)
}

func holds(list []ma.Multiaddr, a ma.Multiaddr) bool { return slices.ContainsFunc(list, a.Equal) }

// relayIn is the relay that a circuit leads through, the last before it; "" if there is none.
func relayIn(a ma.Multiaddr) (relay peer.ID) {
	for _, c := range a {
		switch c.Protocol().Code {
		case ma.P_P2P:
			relay, _ = peer.IDFromBytes(c.RawValue())
		case ma.P_CIRCUIT:
			return relay
		}
	}
	return ""
}

// places are those of addrs at which p may be dialled. Of a circuit the relay alone is left: where it is is known.
func (h *hiding) places(p peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	if h == nil {
		return addrs
	}
	var out []ma.Multiaddr
	for _, a := range addrs {
		if !h.may(p, a) {
			continue
		}
		if isCircuit(a) {
			a = ma.StringCast("/p2p/" + relayIn(a).String() + "/p2p-circuit")
		}
		if !holds(out, a) {
			out = append(out, a)
		}
	}
	return out
}

var errNotOwn = errors.New("not the name of a node of an own community")

// ResolveDNSAddr implements network.MultiaddrDNSResolver.
func (h *hiding) ResolveDNSAddr(ctx context.Context, p peer.ID, a ma.Multiaddr, recursion, limit int) ([]ma.Multiaddr, error) {
	return h.resolve(p, a, func() ([]ma.Multiaddr, error) { return h.names.ResolveDNSAddr(ctx, p, a, recursion, limit) })
}

// ResolveDNSComponent implements network.MultiaddrDNSResolver; it is asked for addresses without a peer.
func (h *hiding) ResolveDNSComponent(ctx context.Context, a ma.Multiaddr, limit int) ([]ma.Multiaddr, error) {
	h.mu.Lock()
	var p peer.ID
	for own, addrs := range h.own {
		if holds(addrs, a) {
			p = own
		}
	}
	h.mu.Unlock()
	return h.resolve(p, a, func() ([]ma.Multiaddr, error) { return h.names.ResolveDNSComponent(ctx, a, limit) })
}

func (h *hiding) resolve(p peer.ID, a ma.Multiaddr, ask func() ([]ma.Multiaddr, error)) ([]ma.Multiaddr, error) {
	h.mu.Lock()
	ok := holds(h.own[p], a)
	h.mu.Unlock()
	if !ok {
		return nil, errNotOwn
	}
	found, err := ask()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && h.own[p] != nil {
		h.resolved[p] = found
	}
	return found, err
}

// Private reports whether this node keeps its place to itself.
func (n *Net) Private() bool { return n.hide != nil }
