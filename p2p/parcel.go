package p2p

import (
	"context"
	"fmt"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// serveParcel answers a stream of /hum/parcel/1 (SPEC 3.6).
func (n *Net) serveParcel(st *inStream) server {
	return server{
		request: func(f wire.Frame) (wire.FrameStatus, []byte) {
			switch f.Op {
			case wire.OpParcel:
				return n.takeParcel(st.peer, f.Payload, st.wrapped)
			case wire.OpRecords:
				return n.giveRecords(st.peer, f.Payload)
			case wire.OpPair:
				return n.pair(st.peer, f.Payload)
			case wire.OpSession:
				return n.takeSession(st, f.Payload)
			}
			return wire.UNKNOWN_OP, nil
		},
		oneWay: func(f wire.Frame) {
			if f.Op == wire.OpAckBox { // a one-way PARCEL is the acceptor's alone
				n.takeAck(st.peer, f.Payload)
			}
		},
		idle:   func() time.Duration { return acceptorIdle },
		closed: func() {},
	}
}

// takeParcel answers TAKEN if a Parcel is well formed, sealed to a key of ours, and queued. Session finds
// the session of its stream that it is wrapped by.
func (n *Net) takeParcel(from PeerID, payload []byte, session func(wire.Parcel) *wire.Session) (wire.FrameStatus, []byte) {
	h, ok := n.up()
	if !ok {
		return wire.BUSY, busy(time.Second)
	}
	if wait := time.Until(time.Unix(0, n.pause.Load())); wait > 0 {
		n.stats.refuse("parcel while paused")
		return wire.BUSY, busy(wait)
	}
	contact := h.IsContact(from)
	if !contact && !n.inbound.allowParcel(from) {
		return wire.BUSY, busy(time.Second)
	}
	p, err := wire.ParseParcel(payload)
	if err != nil {
		return wire.MALFORMED, nil
	}
	in := session(p)
	if in == nil && !hasKey(h, p) {
		return wire.NO_KEY, nil
	}
	if !n.inbound.parcel(from, contact, p, in, len(payload)) {
		return wire.BUSY, busy(time.Second)
	}
	return wire.OK, nil
}

// Pause has Parcels answered BUSY for so long: what they hold could not be kept, and TAKEN would have their
// senders wait for an ack.
func (n *Net) Pause(d time.Duration) { n.pause.Store(time.Now().Add(d).UnixNano()) }

// noSession is for what the acceptor pushes: a session is its opener's alone.
func noSession(wire.Parcel) *wire.Session { return nil }

func hasKey(h Handler, p wire.Parcel) bool {
	if p.Suite == wire.SuiteClear { // needs none
		return true
	}
	for _, w := range p.Wraps {
		if h.HasKey(w.Kid) {
			return true
		}
	}
	return false
}

func (n *Net) giveRecords(from PeerID, payload []byte) (wire.FrameStatus, []byte) {
	if !n.inbound.allowRecords(from) {
		return wire.BUSY, busy(3 * time.Second)
	}
	req, err := wire.ParseRecordsRequest(payload)
	if err != nil {
		return wire.MALFORMED, nil
	}
	if h, ok := n.up(); ok {
		if bundle, ok := h.HandleRecords(req.Address); ok {
			return wire.OK, bundle
		}
	}
	return wire.NOT_FOUND, nil
}

// pair asks whoever waits to become a device; a node that does not is as one that knows no PAIR.
func (n *Net) pair(from PeerID, payload []byte) (wire.FrameStatus, []byte) {
	if n.cfg.Pair == nil {
		return wire.UNKNOWN_OP, nil
	}
	if !n.inbound.allowRecords(from) {
		return wire.BUSY, busy(3 * time.Second)
	}
	return n.cfg.Pair(from, payload)
}

func (n *Net) takeAck(from PeerID, payload []byte) {
	h, ok := n.up()
	if !ok {
		return
	}
	contact := h.IsContact(from)
	if !contact && !n.inbound.allowAck(from) {
		n.stats.refuse("ackbox over the rate")
		return
	}
	b, err := wire.ParseAckBox(payload)
	if err != nil {
		n.stats.refuse("ackbox malformed")
		return
	}
	if !n.inbound.ack(from, contact, b) {
		n.stats.refuse("ackbox queue full")
	}
}

// takeOneWay takes what the acceptor of our stream sends by itself: Parcels and AckBoxes. Nobody is
// told that a Parcel was refused here; its sender tries again.
func (n *Net) takeOneWay(from PeerID, f wire.Frame) {
	switch f.Op {
	case wire.OpParcel:
		if status, _ := n.takeParcel(from, f.Payload, noSession); status != wire.OK {
			n.stats.refuse("pushed parcel " + status.String())
		}
	case wire.OpAckBox:
		n.takeAck(from, f.Payload)
	}
}

// Send sends a Parcel to p, dialling if needed, and returns how p answered: OK is TAKEN and says that
// p holds it in memory, nothing more. retryAfter is told with BUSY. The error is [ErrUnreachable] if
// there is no route, or no answer by the end of ctx or within 30 s; [wire.ErrTooLarge] if it would be
// refused for its size.
func (n *Net) Send(ctx context.Context, p PeerID, parcel []byte) (status wire.FrameStatus, retryAfter time.Duration, err error) {
	if len(parcel) > wire.MaxParcel {
		return 0, 0, fmt.Errorf("send: %w: %d bytes", wire.ErrTooLarge, len(parcel))
	}
	f, err := n.streams.get(p, protoParcel, 0).request(ctx, wire.OpParcel, parcel, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("send: %w", err)
	}
	return f.Status, wait(f), nil
}

// wait is how long a BUSY asks to wait.
func wait(f wire.Frame) time.Duration {
	if f.Status != wire.BUSY {
		return 0
	}
	b, err := wire.ParseBusyReply(f.Payload)
	if err != nil {
		return wire.BusyDefaultSeconds * time.Second
	}
	return b.Wait()
}

// Push sends a Parcel one-way on a stream that p opened to us; false if there is none, or if it is
// blocked. True does not say that p has it.
func (n *Net) Push(p PeerID, parcel []byte) bool {
	return len(parcel) <= wire.MaxParcel && n.pushFrame(p, wire.Frame{Op: wire.OpParcel, Payload: parcel})
}

// PushAck sends an AckBox one-way on a stream that p opened to us; false if there is none, or if it is
// blocked.
func (n *Net) PushAck(p PeerID, box []byte) bool {
	return n.pushFrame(p, wire.Frame{Op: wire.OpAckBox, Payload: box})
}

func (n *Net) pushFrame(p PeerID, f wire.Frame) bool {
	st := n.inbound.newest(p, protoParcel)
	return st != nil && st.out.put(f)
}

// Ack sends an AckBox one-way: on a stream that p opened to us, else on ours, opening one. A nil
// error does not say that p has it: a lost ack is repaired by the sender's next try.
func (n *Net) Ack(ctx context.Context, p PeerID, box []byte) error {
	f := wire.Frame{Op: wire.OpAckBox, Payload: box}
	if n.pushFrame(p, f) {
		return nil
	}
	st, _, err := n.streams.get(p, protoParcel, 0).stream(ctx)
	if err != nil {
		return fmt.Errorf("ack: %w", err)
	}
	st.touch()
	if !st.out.put(f) {
		return fmt.Errorf("ack: %w", ErrBusy)
	}
	return nil
}

// Records asks p for the records of a. Their signatures are not verified here. Errors:
// [ErrUnreachable], [ErrNotFound], [ErrBusy], [ErrRefused].
func (n *Net) Records(ctx context.Context, p PeerID, a wire.Address) (wire.Bundle, error) {
	req := wire.RecordsRequest{Address: a}
	f, err := n.streams.get(p, protoParcel, 0).request(ctx, wire.OpRecords, req.Append(nil), nil)
	if err == nil {
		err = statusError(f.Status)
	}
	if err != nil {
		return wire.Bundle{}, fmt.Errorf("records: %w", err)
	}
	b, err := wire.ParseBundle(f.Payload)
	if err != nil {
		return wire.Bundle{}, fmt.Errorf("records: %w: %v", ErrRefused, err)
	}
	return b, nil
}

// Pair asks p, at addrs if it is not connected, to become a device of ours (SPEC 14, "Pairing"). Errors:
// [ErrUnreachable], [ErrBusy], [ErrRefused] (also by a node that waits for nobody).
func (n *Net) Pair(ctx context.Context, p PeerID, addrs [][]byte, r wire.PairRequest) (wire.PairReply, error) {
	if l := n.peers.link(p); !l.up {
		if err := n.connect(ctx, p, multiaddrs(addrs)); err != nil {
			return wire.PairReply{}, fmt.Errorf("pair: %w", ErrUnreachable)
		}
	}
	f, err := n.streams.get(p, protoParcel, 0).request(ctx, wire.OpPair, r.Append(nil), nil)
	if err == nil {
		err = statusError(f.Status)
	}
	if err != nil {
		return wire.PairReply{}, fmt.Errorf("pair: %w", err)
	}
	reply, err := wire.ParsePairReply(f.Payload)
	if err != nil {
		return wire.PairReply{}, fmt.Errorf("pair: %w: %v", ErrRefused, err)
	}
	return reply, nil
}

// statusError returns nil for OK.
func statusError(s wire.FrameStatus) error {
	switch s {
	case wire.OK:
		return nil
	case wire.NOT_FOUND:
		return ErrNotFound
	case wire.BUSY, wire.QUOTA:
		return ErrBusy
	case wire.STALE:
		return ErrStale
	case wire.UNKNOWN_OP:
		return ErrUnknownOp
	}
	return fmt.Errorf("%w: %v", ErrRefused, s)
}
