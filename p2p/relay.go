package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
)

// The limits of the circuits that a community's relay gives (SPEC 7.6): long enough for conversations, where the
// library's two minutes and 128 KiB are enough for a hole punch.
const (
	relayDuration     = time.Hour
	relayData         = 64 << 20 // bytes each way
	relayReservations = 2000
	relayCircuits     = 16 // to one peer
	relayPerIP        = 64 // reservations: many users stand behind one NAT
)

// relayService gives circuits to whoever asks. No ACL: a denial of one would be told apart from "no reservation",
// and would say that somebody is blocked (SPEC 7.7).
func relayService() libp2p.Option {
	r := relay.DefaultResources()
	r.Limit = &relay.RelayLimit{Duration: relayDuration, Data: relayData}
	r.MaxReservations, r.MaxCircuits = relayReservations, relayCircuits
	r.MaxReservationsPerIP, r.MaxReservationsPerASN = relayPerIP, relayReservations
	return libp2p.EnableRelayService(relay.WithResources(r))
}
