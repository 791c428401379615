package p2p

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// The rate at which one peer may ask a mailbox node, before any public-key operation.
const (
	mboxRate  = 50 // a second
	mboxBurst = 200
)

// waitPatience is how long the reply to a WAIT may take: the node answers before (SPEC 14.95).
const waitPatience = 6 * time.Minute

const protoMbox protocol.ID = wire.MboxProtocol

// serveMbox answers a stream of /hum/mbox/1 (SPEC 7.3). Its requests are answered as they are done, so that
// deposits which come together are committed together.
func (n *Net) serveMbox(st *inStream) server {
	var nonce wire.Nonce
	if err := n.random(nonce[:]); err != nil {
		n.log.Error("no nonce for a stream", "err", err)
	}
	return server{
		request: func(f wire.Frame) (wire.FrameStatus, []byte) {
			switch {
			case !n.inbound.allowMbox(st.peer):
				return wire.BUSY, busy(time.Second)
			case f.Op < wire.OpReg || f.Op > wire.OpOnce:
				return wire.UNKNOWN_OP, nil
			case (f.Op == wire.OpList || f.Op == wire.OpWait) && len(f.Payload) == 0:
				return wire.DENIED, wire.NonceReply{Nonce: nonce}.Append(nil)
			}
			return st.later(f, func(ctx context.Context) (wire.FrameStatus, []byte) {
				return n.cfg.Custodian.HandleMbox(ctx, st.peer, nonce, f)
			})
		},
		oneWay: func(wire.Frame) {},
		idle:   func() time.Duration { return acceptorIdle },
		closed: func() {},
	}
}

func (n *Net) random(b []byte) error {
	n.randMu.Lock()
	defer n.randMu.Unlock()
	_, err := io.ReadFull(n.cfg.Rand, b)
	return err
}

func (in *inbound) allowMbox(p PeerID) bool {
	return in.allow(p, func(x *inPeer) *bucket { return &x.mbox }, mboxBurst, mboxRate)
}

// AskMbox sends REG, CAP, COMMIT or ONCE, a Signed, to the mailbox node p. Errors: [ErrUnreachable], [ErrBusy] (also
// over a quota), [ErrStale], [ErrNotFound] if there is no such mailbox, [ErrUnknownOp], [ErrRefused].
func (n *Net) AskMbox(ctx context.Context, p PeerID, op uint32, s wire.Signed) error {
	_, err := n.mbox(ctx, p, 0, op, func(*outStream) ([]byte, error) { return s.Append(nil), nil })
	return err
}

func (n *Net) mbox(ctx context.Context, p PeerID, lane int, op uint32, payload func(*outStream) ([]byte, error)) (wire.Frame, error) {
	f, err := n.streams.get(p, protoMbox, lane).requestOn(ctx, op, payload, nil)
	if err == nil {
		err = statusError(f.Status)
	}
	if err != nil {
		return wire.Frame{}, fmt.Errorf("mailbox: %w", err)
	}
	return f, nil
}

// Deposit leaves an item in a mailbox at p, and returns the receipt once it has been verified: it names this item
// and is signed by p (SPEC 14.95). Errors: those of AskMbox.
func (n *Net) Deposit(ctx context.Context, p PeerID, d wire.Deposit) (wire.MboxReceipt, error) {
	f, err := n.mbox(ctx, p, 0, wire.OpDeposit, func(*outStream) ([]byte, error) { return d.Append(nil), nil })
	if err != nil {
		return wire.MboxReceipt{}, err
	}
	r, err := receiptOf(p, d, f.Payload)
	if err != nil {
		n.stats.refuse("bad receipt")
		return wire.MboxReceipt{}, fmt.Errorf("mailbox: %w: %v", ErrRefused, err)
	}
	return r, nil
}

// receiptOf reads and verifies what p answered to d.
func receiptOf(p PeerID, d wire.Deposit, payload []byte) (r wire.MboxReceipt, err error) {
	s, err := wire.ParseSigned(payload)
	if err != nil {
		return r, err
	}
	if key, ok := p.Key(); !ok || s.Key != key || s.Type != wire.TypeMboxReceipt {
		return r, fmt.Errorf("receipt: %w: not of this node", wire.ErrBadSignature)
	}
	if err := s.Verify(); err != nil {
		return r, err
	}
	if r, err = wire.ParseMboxReceipt(s.Body); err != nil {
		return r, err
	}
	if r.Mbox != d.Mbox || r.Digest != d.Item.Digest() {
		return r, fmt.Errorf("receipt: %w: of another item", wire.ErrMalformed)
	}
	return r, nil
}

// A MboxAsk is signed by a reader for the nonce of one stream at p.
type MboxAsk func(nonce wire.Nonce) wire.Signed

// List asks p for what waits in a mailbox; with wait it is answered once something does, or after some minutes
// with nothing. Errors: those of AskMbox.
func (n *Net) List(ctx context.Context, p PeerID, wait bool, sign MboxAsk) (wire.MboxListing, error) {
	op, lane := wire.OpList, 0
	if wait {
		op, lane = wire.OpWait, 1 // so that nothing else waits for it
	}
	f, err := n.mbox(ctx, p, lane, op, func(st *outStream) ([]byte, error) {
		nonce, err := st.nonce(ctx)
		if err != nil {
			return nil, err
		}
		return sign(nonce).Append(nil), nil
	})
	if err != nil {
		return wire.MboxListing{}, err
	}
	l, err := wire.ParseMboxListing(f.Payload)
	if err == nil && len(l.Items) != len(l.Until) {
		err = fmt.Errorf("listing: %w: not one until for each item", wire.ErrMalformed)
	}
	if err != nil {
		n.stats.refuse("bad listing")
		return wire.MboxListing{}, fmt.Errorf("mailbox: %w: %v", ErrRefused, err)
	}
	return l, nil
}

// nonce asks for the nonce of the stream.
func (st *outStream) nonce(ctx context.Context) (wire.Nonce, error) {
	f, err := st.call(ctx, wire.OpList, nil, nil)
	if err != nil {
		return wire.Nonce{}, err
	}
	if f.Status != wire.DENIED {
		return wire.Nonce{}, statusError(f.Status)
	}
	r, err := wire.ParseNonceReply(f.Payload)
	if err != nil {
		return wire.Nonce{}, fmt.Errorf("%w: %v", ErrRefused, err)
	}
	return r.Nonce, nil
}

// replyWithin is how long the reply to a request on a stream of proto may take.
func replyWithin(proto protocol.ID, op uint32) time.Duration {
	if proto == protoMbox && op == wire.OpWait {
		return waitPatience
	}
	return requestTimeout
}
