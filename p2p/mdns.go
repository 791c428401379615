package p2p

import (
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

const mdnsService = "_hum._udp"

type mdnsNotifee struct{ n *Net }

// HandlePeerFound takes whom the local network shows; only kept peers matter.
func (m mdnsNotifee) HandlePeerFound(p peer.AddrInfo) { m.n.keeper.found(PeerID(p.ID), p.Addrs) }

// startMDNS looks for kept peers on the local network, if the user wants it, and returns how to stop.
// A machine without multicast has no peers there, which is no error.
func (n *Net) startMDNS() (stop func()) {
	if !n.cfg.MDNS {
		return func() {}
	}
	s := mdns.NewMdnsService(n.host, mdnsService, mdnsNotifee{n})
	if err := s.Start(); err != nil {
		n.log.Warn("no discovery on the local network", "err", err)
		return func() {}
	}
	return func() { s.Close() }
}
