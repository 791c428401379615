package p2p

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	pb "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
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
func relayService(c Circuits, count *relayCounters) libp2p.Option {
	r, c := relay.DefaultResources(), c.filled()
	r.Limit = &relay.RelayLimit{Duration: c.Last, Data: c.Data}
	r.MaxReservations, r.MaxCircuits = relayReservations, c.Each
	r.MaxReservationsPerIP, r.MaxReservationsPerASN = relayPerIP, relayReservations
	return libp2p.EnableRelayService(relay.WithResources(r), relay.WithMetricsTracer(count))
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

// Relayed counts what a relay does for others.
type Relayed struct {
	Slots    int    // reservations, by which others are reached
	Circuits int    // that stand now
	Opened   uint64 // circuits, since the start
	Bytes    uint64 // carried by them, both ways
	Denied   uint64 // circuits and reservations that were asked for and not given
}

// relayCounters are told by the library what a relay does: counts alone, nobody's name.
type relayCounters struct {
	slots, circuits       atomic.Int64
	opened, bytes, denied atomic.Uint64
}

var _ relay.MetricsTracer = (*relayCounters)(nil)

func (c *relayCounters) counts() Relayed {
	return Relayed{Slots: int(c.slots.Load()), Circuits: int(c.circuits.Load()), Opened: c.opened.Load(), Bytes: c.bytes.Load(), Denied: c.denied.Load()}
}

func (c *relayCounters) RelayStatus(bool)                      {}
func (c *relayCounters) ConnectionOpened()                     { c.circuits.Add(1); c.opened.Add(1) }
func (c *relayCounters) ConnectionClosed(time.Duration)        { c.circuits.Add(-1) }
func (c *relayCounters) BytesTransferred(n int)                { c.bytes.Add(uint64(n)) }
func (c *relayCounters) ConnectionRequestHandled(s pb.Status)  { c.handled(s) }
func (c *relayCounters) ReservationRequestHandled(s pb.Status) { c.handled(s) }
func (c *relayCounters) ReservationClosed(n int)               { c.slots.Add(-int64(n)) }

func (c *relayCounters) ReservationAllowed(again bool) {
	if !again {
		c.slots.Add(1)
	}
}

func (c *relayCounters) handled(s pb.Status) {
	if s != pb.Status_OK {
		c.denied.Add(1)
	}
}
