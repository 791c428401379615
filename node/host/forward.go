package host

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

const (
	forwardTimeout = 20 * time.Second
	forwardsAtOnce = 128 // over all members
)

// forward leaves an item at another mailbox for a member, who is then not seen there, and returns that one's reply
// (SPEC 7.3, FORWARD).
func (h *Host) forward(ctx context.Context, payload []byte) (wire.FrameStatus, []byte) {
	r, err := wire.ParseForwardRequest(payload)
	if err != nil {
		return h.status(err), nil
	}
	if _, err := wire.ParseDeposit(r.Deposit); err != nil {
		return h.status(err), nil
	}
	if !h.HandleMember(r.Token) {
		return wire.DENIED, nil
	}
	if p2p.PeerID(r.To.Peer) == h.net.Self() {
		receipt, err := h.deposit(r.Deposit)
		return h.status(err), receipt
	}
	select {
	case h.forwards <- struct{}{}:
		defer func() { <-h.forwards }()
	default:
		return h.status(community.ErrForwards), nil
	}
	ctx, done := context.WithTimeout(ctx, forwardTimeout)
	defer done()
	s, reply, err := h.net.PassOn(ctx, r.To, r.Deposit)
	if err != nil {
		h.log.Debug("a deposit was not passed on", "err", err)
		return h.status(community.ErrAway), nil
	}
	return s, reply
}
