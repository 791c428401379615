package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
)

// Circuits are the limits of the circuits that a relay gives (SPEC 7.6): by default long enough for conversations,
// where the library's two minutes and 128 KiB are enough for a hole punch.
type Circuits struct {
	Last time.Duration // 1 h
	Data int64         // bytes each way; 64 MiB
}

const (
	relayDuration     = time.Hour
	relayData         = 64 << 20
	relayReservations = 2000
	relayCircuits     = 128 // to or from one peer
	relayPerIP        = 64  // reservations: many users stand behind one NAT
)

// relayService gives circuits to whoever asks. No ACL: a denial of one would be told apart from "no reservation",
// and would say that somebody is blocked (SPEC 7.7).
func relayService(c Circuits) libp2p.Option {
	r := relay.DefaultResources()
	r.Limit = &relay.RelayLimit{Duration: relayDuration, Data: relayData}
	if c.Last > 0 {
		r.Limit.Duration = c.Last
	}
	if c.Data > 0 {
		r.Limit.Data = c.Data
	}
	r.MaxReservations, r.MaxCircuits = relayReservations, relayCircuits
	r.MaxReservationsPerIP, r.MaxReservationsPerASN = relayPerIP, relayReservations
	return libp2p.EnableRelayService(relay.WithResources(r))
}

// forRelays makes room for the streams of circuits: one from the dialling peer and one to the dialled one for each.
func forRelays(c *rcmgr.PartialLimitConfig, conns int) {
	all := rcmgr.ResourceLimits{Streams: rcmgr.LimitVal(8 * conns), StreamsInbound: rcmgr.LimitVal(4 * conns),
		StreamsOutbound: rcmgr.LimitVal(4 * conns), Memory: rcmgr.LimitVal64(int64(conns) * reservedEach / 2)}
	each := rcmgr.ResourceLimits{Streams: 2 * relayCircuits, StreamsInbound: relayCircuits, StreamsOutbound: relayCircuits, Memory: 64 << 20}
	c.Service = map[string]rcmgr.ResourceLimits{relay.ServiceName: all}
	c.ServicePeer = map[string]rcmgr.ResourceLimits{relay.ServiceName: each}
	for _, p := range []protocol.ID{circuit.ProtoIDv2Hop, circuit.ProtoIDv2Stop} {
		c.Protocol[p], c.ProtocolPeer[p] = all, each
	}
}
