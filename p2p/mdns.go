package p2p

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

const mdnsService = "_hum._udp"

type mdnsNotifee struct{ n *Net }

// HandlePeerFound takes whom the local network shows; only kept peers matter.
func (m mdnsNotifee) HandlePeerFound(p peer.AddrInfo) { m.n.keeper.found(PeerID(p.ID), p.Addrs) }

// lookAround looks for kept peers on the local network, if the user wants it, and lets them find this node;
// it begins anew when the machine has moved. A machine without multicast has no peers there, which is
// no error.
func (n *Net) lookAround(ctx context.Context) {
	for n.cfg.MDNS && ctx.Err() == nil {
		s := mdns.NewMdnsService(n.host, mdnsService, mdnsNotifee{n})
		err := s.Start()
		if err != nil {
			n.log.Warn("no discovery on the local network", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-n.relocal:
		}
		if err == nil {
			_ = s.Close()
		}
	}
}
