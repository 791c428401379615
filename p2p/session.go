package p2p

import (
	"context"
	"fmt"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// The bounds of sessions that strangers open, all of them together: each costs a public-key operation,
// before which SPEC 3.9 wants its rates. Contacts have none.
const (
	strangerSessions = 50 // at once
	sessionsPerS     = 20
)

// A held session is what both ends of a stream know of its session, in memory alone (SPEC 3.10).
type held struct {
	wire.Session
	begun time.Duration // by Mono
	wraps int
}

// use counts one Wrap; false says that the session is over.
func (h *held) use(now time.Duration) bool {
	if h.Session == (wire.Session{}) || now-h.begun >= wire.SessionLife || h.wraps >= wire.SessionWraps {
		return false
	}
	h.wraps++
	return true
}

// An offer is the session of a stream that we opened, as far as it has come.
type offer struct {
	to      wire.KeyID // the prekey of the device that it is for
	device  wire.DeviceID
	parcels int  // that went to the device without a session
	asked   bool // no second time on this stream, for this prekey
	held
}

// wrapping returns the session by which a Parcel to one device may be wrapped on st; nil until there is one.
// It is offered when a second Parcel goes to the device: a stream that carries a single one needs none.
func (st *outStream) wrapping(to wire.Recipient) *wire.Session {
	now := st.c.n.now().Mono
	st.mu.Lock()
	defer st.mu.Unlock()
	o := &st.offer
	if o.to != to.Kid || o.device != to.Device {
		*o = offer{to: to.Kid, device: to.Device}
	}
	if o.use(now) {
		s := o.Session
		return &s
	}
	if o.Session != (wire.Session{}) { // over: another may follow
		*o = offer{to: to.Kid, device: to.Device, parcels: 1}
	}
	if o.parcels++; o.parcels > 1 && !o.asked {
		o.asked = st.c.n.spawn(func(ctx context.Context) { st.offerSession(ctx, to) })
	}
	return nil
}

// offerSession asks for a session with a device; whatever the answer but OK, the stream goes on without.
func (st *outStream) offerSession(ctx context.Context, to wire.Recipient) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, req, err := wire.OfferSession(st.c.n.cfg.Rand, to)
	if err != nil {
		return
	}
	f, err := st.call(ctx, wire.OpSession, req.Append(nil), nil)
	if err != nil || f.Status != wire.OK {
		st.c.n.log.Debug("no session", "peer", st.c.key.peer, "status", f.Status, "err", err)
		return
	}
	now := st.c.n.now().Mono
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.offer.to == to.Kid && st.offer.device == to.Device {
		st.offer.held = held{Session: s, begun: now}
	}
}

// unwrap forgets a session that the other end does not know any more.
func (st *outStream) unwrap(s *wire.Session) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.offer.ID == s.ID {
		st.offer = offer{}
	}
}

// SendTo is [Net.Send] of a Parcel to one device, wrapped for the stream that it goes on: wrap is called
// with the session of the stream, or with nil, then it wraps by the device's prekey (SPEC 3.7, 3.10).
func (n *Net) SendTo(ctx context.Context, p PeerID, to wire.Recipient, wrap func(*wire.Session) ([]byte, error)) (status wire.FrameStatus, retryAfter time.Duration, err error) {
	for {
		var session *wire.Session
		var on *outStream
		f, err := n.streams.get(p, protoParcel, 0).requestOn(ctx, wire.OpParcel, func(st *outStream) ([]byte, error) {
			on, session = st, st.wrapping(to)
			b, err := wrap(session)
			if err == nil && len(b) > wire.MaxParcel {
				err = fmt.Errorf("%w: %d bytes", wire.ErrTooLarge, len(b))
			}
			return b, err
		}, nil)
		switch {
		case err != nil:
			return 0, 0, fmt.Errorf("send: %w", err)
		case f.Status == wire.NO_KEY && session != nil:
			on.unwrap(session) // and once more, by the prekey
		default:
			return f.Status, wait(f), nil
		}
	}
}

// EndSession ends the session in which Parcels to one device go to p; another is offered in its time.
func (n *Net) EndSession(p PeerID, to wire.Recipient) {
	st := n.streams.get(p, protoParcel, 0).current()
	if st == nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.offer.device == to.Device && st.offer.Session != (wire.Session{}) {
		st.offer = offer{}
	}
}

// InSession reports whether a Parcel to one device would go to p in a session, so that no Wrap for the
// prekey need be made.
func (n *Net) InSession(p PeerID, to wire.Recipient) bool {
	st := n.streams.get(p, protoParcel, 0).current()
	if st == nil {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.offer.to == to.Kid && st.offer.device == to.Device && st.offer.Session != (wire.Session{})
}

// takeSession answers SESSION: the newest one of a stream counts.
func (n *Net) takeSession(st *inStream, payload []byte) (wire.FrameStatus, []byte) {
	h, ok := n.up()
	if !ok || !h.IsContact(st.peer) && !n.inbound.allowSession(st.peer) {
		return wire.BUSY, busy(time.Second)
	}
	r, err := wire.ParseSessionRequest(payload)
	if err != nil {
		return wire.MALFORMED, nil
	}
	s, err := h.HandleSession(r)
	if err != nil {
		return wire.NO_KEY, nil
	}
	st.session = held{Session: s, begun: n.now().Mono}
	return wire.OK, nil
}

// wrapped returns the session that a Parcel on st is wrapped by, nil if by none.
func (st *inStream) wrapped(p wire.Parcel) *wire.Session {
	if len(p.Wraps) != 1 || p.Wraps[0].Kid != st.session.ID || !st.session.use(st.n.now().Mono) {
		return nil
	}
	s := st.session.Session
	return &s
}
