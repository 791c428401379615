package p2p

import (
	"net/netip"

	manet "github.com/multiformats/go-multiaddr/net"
)

// RemoteIP returns the IP address by which p is connected; not valid if he is not, or by a relay only.
func (n *Net) RemoteIP(p PeerID) netip.Addr {
	for _, c := range n.host.Network().ConnsToPeer(p.id()) {
		if c.Stat().Limited {
			continue
		}
		if ip, err := manet.ToIP(c.RemoteMultiaddr()); err == nil {
			if addr, ok := netip.AddrFromSlice(ip); ok {
				return addr.Unmap()
			}
		}
	}
	return netip.Addr{}
}
