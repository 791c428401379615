package p2p

import (
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A Reachability is what is known of who can dial this node.
type Reachability struct {
	Yes, No []string // public addresses, bare, that a community node has dialled, and those that it could not dial
	Slots   []Slot   // at relays
}

// Reachability says what community nodes found when they dialled back (AutoNAT), and where relays stand in.
func (n *Net) Reachability() (r Reachability) {
	r.Slots = n.Slots()
	if h, ok := n.host.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []ma.Multiaddr)
	}); ok {
		yes, no, _ := h.ConfirmedAddrs()
		r.Yes, r.No = publicTexts(yes), publicTexts(no)
	}
	return r
}

func publicTexts(addrs []ma.Multiaddr) (out []string) {
	for _, a := range addrs {
		if manet.IsPublicAddr(a) {
			out = append(out, a.String())
		}
	}
	return out
}

// Through returns the relay of the circuit by which p is connected; false if he is not, or directly.
func (n *Net) Through(p PeerID) (relay PeerID, ok bool) {
	for _, c := range n.host.Network().ConnsToPeer(p.id()) {
		if !isCircuit(c.RemoteMultiaddr()) {
			return "", false
		}
		relay, ok = relayOf(c), true
	}
	return relay, ok
}

// relayOf returns the relay of a circuit: of one that was dialled it stands in its address.
func relayOf(c network.Conn) PeerID {
	at, _ := ma.SplitFunc(c.RemoteMultiaddr(), func(x ma.Component) bool { return x.Protocol().Code == ma.P_CIRCUIT })
	_, id := peer.SplitAddr(at)
	return PeerID(id)
}
