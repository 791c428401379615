package p2p

import (
	"context"
	"fmt"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// claim answers CLAIM, if this node keeps names.
func (w *watcher) claim(f wire.Frame) (wire.FrameStatus, []byte) {
	take := w.d.n.cfg.Claims
	if take == nil {
		return wire.UNKNOWN_OP, nil
	}
	if !w.d.n.inbound.allowMbox(w.st.peer) {
		return wire.BUSY, busy(time.Second)
	}
	c, err := wire.ParseClaim(f.Payload)
	if err != nil {
		return wire.MALFORMED, nil
	}
	return w.st.later(f, func(context.Context) (wire.FrameStatus, []byte) {
		v, s := take(w.st.peer, c)
		if s != wire.OK {
			return s, nil
		}
		return wire.OK, v.Append(nil)
	})
}

// Claim asks the handle host at p to say that a name is that of a record's address. Errors: [ErrUnreachable],
// [ErrBusy], [ErrRefused] for who is no member, [ErrStale].
func (n *Net) Claim(ctx context.Context, p PeerID, c wire.Claim) (wire.ClaimVerdict, error) {
	f, err := n.streams.get(p, protoPresence, 0).request(ctx, wire.OpClaim, c.Append(nil), nil)
	if err == nil {
		err = statusError(f.Status)
	}
	if err != nil {
		return 0, fmt.Errorf("claim: %w", err)
	}
	v, err := wire.ParseClaimReply(f.Payload)
	if err != nil {
		return 0, fmt.Errorf("claim: %w: %v", ErrRefused, err)
	}
	return v, nil
}
