package p2p

import (
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A gater refuses what an operator bans. It never serves to block a person: that is a rule above the
// streams, which answers as SPEC 4.9 says; a refused connection would betray it.
type gater struct {
	nets  []netip.Prefix
	peers map[peer.ID]bool
	hide  *hiding // nil without private mode
	stats *counters
}

func newGater(banned []string, hide *hiding, stats *counters) (*gater, error) {
	g := &gater{peers: map[peer.ID]bool{}, hide: hide, stats: stats}
	for _, b := range banned {
		if pfx, err := netip.ParsePrefix(b); err == nil {
			g.nets = append(g.nets, pfx.Masked())
		} else if ip, err := netip.ParseAddr(b); err == nil {
			g.nets = append(g.nets, netip.PrefixFrom(ip, ip.BitLen()))
		} else if id, err := peer.Decode(b); err == nil {
			g.peers[id] = true
		} else {
			return nil, fmt.Errorf("banned %q: neither network, address nor peer id", b)
		}
	}
	return g, nil
}

func (g *gater) peer(p peer.ID) bool { return g.count(!g.peers[p]) }

func (g *gater) addr(a ma.Multiaddr) bool {
	if len(g.nets) == 0 {
		return true
	}
	raw, err := manet.ToIP(a)
	if err != nil {
		return true
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return true
	}
	for _, n := range g.nets {
		if n.Contains(ip.Unmap()) {
			return g.count(false)
		}
	}
	return true
}

func (g *gater) count(allow bool) bool {
	if !allow {
		g.stats.refuse("banned")
	}
	return allow
}

func (g *gater) InterceptPeerDial(p peer.ID) bool { return g.peer(p) }
func (g *gater) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	return g.hide.may(p, a) && g.addr(a)
}
func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool { return g.addr(c.RemoteMultiaddr()) }
func (g *gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.peer(p)
}
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// CheckBanned finds what Config.Banned cannot be.
func CheckBanned(banned []string) error {
	_, err := newGater(banned, nil, nil)
	return err
}
