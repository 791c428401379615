package p2p

import (
	"cmp"
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
	Each int           // at once, to or from one peer; 128
}

// DefaultCircuits are also the least that private mode is promised of Last and Data (SPEC 7.6).
var DefaultCircuits = Circuits{Last: time.Hour, Data: 64 << 20, Each: 128}

const (
	relayReservations = 2000
	relayPerIP        = 64 // reservations: many users stand behind one NAT
)

// filled takes the defaults for what is not said.
func (c Circuits) filled() Circuits {
	return Circuits{cmp.Or(c.Last, DefaultCircuits.Last), cmp.Or(c.Data, DefaultCircuits.Data), cmp.Or(c.Each, DefaultCircuits.Each)}
}

// relayService gives circuits to whoever asks. No ACL: a denial of one would be told apart from "no reservation",
// and would say that somebody is blocked (SPEC 7.7).
func relayService(c Circuits) libp2p.Option {
	r, c := relay.DefaultResources(), c.filled()
	r.Limit = &relay.RelayLimit{Duration: c.Last, Data: c.Data}
	r.MaxReservations, r.MaxCircuits = relayReservations, c.Each
	r.MaxReservationsPerIP, r.MaxReservationsPerASN = relayPerIP, relayReservations
	return libp2p.EnableRelayService(relay.WithResources(r))
}

// forRelays makes room for the streams of circuits, perPeer of them to or from one peer: one from the dialling peer
// and one to the dialled one for each.
func forRelays(c *rcmgr.PartialLimitConfig, conns, perPeer int) {
	all := rcmgr.ResourceLimits{Streams: rcmgr.LimitVal(8 * conns), StreamsInbound: rcmgr.LimitVal(4 * conns),
		StreamsOutbound: rcmgr.LimitVal(4 * conns), Memory: rcmgr.LimitVal64(int64(conns) * reservedEach / 2)}
	n := rcmgr.LimitVal(perPeer)
	each := rcmgr.ResourceLimits{Streams: 2 * n, StreamsInbound: n, StreamsOutbound: n, Memory: 64 << 20}
	c.PeerDefault.StreamsInbound = max(c.PeerDefault.StreamsInbound, 64+n)
	c.Service = map[string]rcmgr.ResourceLimits{relay.ServiceName: all}
	c.ServicePeer = map[string]rcmgr.ResourceLimits{relay.ServiceName: each}
	for _, p := range []protocol.ID{circuit.ProtoIDv2Hop, circuit.ProtoIDv2Stop} {
		c.Protocol[p], c.ProtocolPeer[p] = all, each
	}
}
