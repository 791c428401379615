package node

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// An anonymous message names no author, is signed by a key that is used once, and leaves by a host that lives for one
// try (SPEC 8): nothing that its recipient obtains is of its author but what it says, and the network address that it
// came from, unless that is a relay's or a mailbox's. It is off by default, and who takes it is shown that it is nobody's.

// anonymousName stands where the name of an author would. No petname can be this, and nobody claims it.
const anonymousName = "(anonymous)"

// takesAnonymous reports whether the record of an address says that it takes what names no author.
func takesAnonymous(p *identity.Pin) bool {
	return p != nil && p.Record.Policy != nil && p.Record.Policy.Flags&identity.AnonIMOK != 0
}

// mayHide refuses at once what the recipient's record refuses.
func (n *Node) mayHide(a identity.Address, d Draft) error {
	if !d.Anonymous {
		return nil
	}
	if d.Clear || d.Unsigned || d.Displayed || d.InReplyTo != "" || d.Hops != nil {
		return &Error{Kind: KindUsage, Code: "bad-flags", Message: "an anonymous message is sealed, answers none, and hears of no opening",
			Advice: "leave out --clear, --unsigned, --reply, --hops and --ack displayed"}
	}
	if pin := n.pins.get(a); pin != nil && !pin.Expired(n.now()) && !takesAnonymous(pin) {
		return &Error{Kind: KindRefused, Code: wire.ReasonRefusedAnonymous.String(), Message: n.name(a) + " takes no anonymous messages", Advice: "say who you are"}
	}
	return nil
}

// hide takes out of a message whatever is of its author.
func hide(im *wire.IM, d Draft) {
	im.From, im.Device, im.ArSeq, im.Reply, im.Contact = identity.Address{}, identity.DeviceID{}, 0, nil, d.Contact
}

// A mask is a host of one try: its key was just drawn, it listens nowhere, and it knows nobody.
type mask struct {
	*p2p.Net
	end func()
}

func (n *Node) mask() (m mask, err error) {
	c := n.cfg.Net
	if _, err := io.ReadFull(n.cfg.Rand, c.Transport[:]); err != nil {
		return m, err
	}
	c.Clock, c.Rand, c.Log = n.now, n.cfg.Rand, n.log
	c.Mute, c.Light, c.MDNS, c.NoPortMap, c.Listen, c.Announce, c.Moved = true, true, false, true, nil, nil, nil
	c.Relay, c.Web, c.Custodian, c.Naming, c.DHT, c.Hub, c.Pair = false, false, nil, nil, false, false, nil
	if m.Net, err = p2p.Open(c); err != nil {
		return m, err
	}
	run, stop := context.WithCancel(n.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.Run(run, masked{n}); err != nil {
			n.log.Debug("the host of an anonymous message ended", "err", err)
		}
	}()
	select {
	case <-m.Ready():
	case <-ended:
	}
	m.end = func() {
		stop()
		<-ended
		if err := m.Close(); err != nil {
			n.log.Debug("the host of an anonymous message was not closed", "err", err)
		}
	}
	return m, nil
}

// ackFor is how long the host of a try waits for the ack once its message was taken.
const ackFor = 20 * time.Second

// tryHidden is one attempt to hand an anonymous message over: it asks for the recipient's keys, leaves the message with
// his devices, or else in his mailboxes, and waits for the answer, all by one mask. In private mode it is left in a
// mailbox alone, through a node of a community of mine.
func (n *Node) tryHidden(ctx context.Context, e message.Entry) error {
	places := n.places(e.To)
	for _, d := range e.Dial {
		if p, ok := placeOf(d); ok {
			places = join(places, p)
		}
	}
	leave, m := n.depositOnce, mask{end: func() {}}
	if !n.net.Private() {
		var err error
		if m, err = n.mask(); err != nil {
			return err
		}
		leave = func(ctx context.Context, box wire.Endpoint, d wire.Deposit) error {
			m.Meet(p2p.PeerID(box.Peer), box.Addrs)
			_, err := m.Deposit(ctx, p2p.PeerID(box.Peer), d)
			return err
		}
		n.renewHidden(ctx, m, e.To, places)
	}
	defer m.end()
	to := n.knownTargets(e.To, n.now())
	if len(to) == 0 {
		return n.noTarget(e.ID, errNoKeys)
	}
	l, err := n.entryLetter(e.ID, to)
	if err != nil || l == nil {
		return err
	}
	parcel, err := n.hiddenParcel(l, to)
	if err != nil {
		return err
	}
	r := result{err: errNoPlace(n.name(e.To))}
	if m.Net != nil && len(places) > 0 {
		r = m.handAll(ctx, places, parcel)
	}
	if !r.taken && r.status == 0 {
		n.leaveHidden(ctx, leave, e, parcel)
	}
	err = n.tried(ctx, e.ID, r)
	if r.taken && err == nil {
		n.settlesWithin(ctx, e.ID, ackFor)
	}
	return err
}

// handAll hands a Parcel over at the first of some places that takes it.
func (m mask) handAll(ctx context.Context, places []place, parcel []byte) (r result) {
	for _, p := range places {
		at, done := context.WithTimeout(ctx, handTimeout)
		m.Meet(p.peer, p.addrs)
		status, after, err := m.Send(at, p.peer, parcel)
		done()
		next := result{status: status, after: after, err: err, sent: errors.Is(err, p2p.ErrUnanswered), via: "from a host that is used once"}
		switch {
		case err == nil && status == wire.OK:
			next.taken, next.status = true, 0
		case err == nil:
			next.err = errors.New("it answered " + status.String())
		}
		if r = r.or(next); r.taken {
			break
		}
	}
	return r
}

// renewHidden asks for the recipient's records where he may be, unless they are known and good for a while.
func (n *Node) renewHidden(ctx context.Context, m mask, a identity.Address, places []place) {
	if len(n.knownTargets(a, n.now())) > 0 {
		return
	}
	for _, p := range places {
		at, done := context.WithTimeout(ctx, handTimeout)
		m.Meet(p.peer, p.addrs)
		b, err := m.Records(at, p.peer, a)
		done()
		if err == nil {
			if _, err = n.pinBundle(a, b, p); err == nil {
				return
			}
		}
		n.log.Debug("keys for an anonymous message were not to be had", "err", err)
	}
}

// hiddenParcel wraps a letter for all devices of its recipient; whichever opens it, it bears nothing else.
func (n *Node) hiddenParcel(l *letter, to []target) ([]byte, error) {
	var every []wire.Recipient
	for _, t := range to {
		every = append(every, t.to)
	}
	wraps, err := wire.WrapFor(identity.Suite1, l.cek, l.ct, every)
	if err != nil {
		return nil, err
	}
	return wire.Parcel{Suite: identity.Suite1, Wraps: wraps, CT: l.ct, ExpiresS: wire.ParcelExpiry(l.until)}.Append(nil), nil
}

// leaveHidden leaves an anonymous message in a mailbox of its recipient, as a stranger does.
func (n *Node) leaveHidden(ctx context.Context, leave func(context.Context, wire.Endpoint, wire.Deposit) error, e message.Entry, parcel []byte) {
	pin := n.pins.get(e.To)
	if pin == nil || e.State == message.Stored {
		return
	}
	opened := false
	for _, box := range pin.Record.Mailboxes {
		if len(box.Peer) == 0 || box.Mbox == ([32]byte{}) {
			continue
		}
		if !opened {
			n.openOnce(ctx, e)
			opened = true
		}
		box.Cap = [32]byte{}
		if err := n.depositBy(ctx, leave, box, wire.MboxItem{Parcel: parcel}); err != nil {
			n.log.Debug("a mailbox did not take an anonymous message", "err", err)
			continue
		}
		if err := n.noteStored(e.ID); err != nil {
			n.log.Warn("that a message is stored was not saved", "err", err)
		}
		return
	}
}

// masked answers for a mask: acks alone are for it.
type masked struct{ n *Node }

var _ p2p.Handler = masked{}

func (masked) HasKey(wire.KeyID) bool { return false }
func (masked) HandleSession(wire.SessionRequest) (wire.Session, error) {
	return wire.Session{}, wire.ErrNoKey
}
func (masked) HandleParcel(context.Context, p2p.PeerID, wire.Parcel, *wire.Session) {}
func (h masked) HandleAckBox(ctx context.Context, _ p2p.PeerID, b wire.AckBox) {
	h.n.openAckBox(ctx, "", b)
}
func (masked) HandleRecords(wire.Address) ([]byte, bool)                   { return nil, false }
func (masked) HandleRec(p2p.PeerID, p2p.RecPath, wire.PublicKey, wire.Rec) {}
func (masked) HandleFault(p2p.PeerID, wire.PublicKey, string)              {}
func (masked) HandleClock(p2p.PeerID, wire.Time)                           {}
func (masked) HandlePeer(p2p.PeerID, bool, bool)                           {}
func (masked) IsContact(p2p.PeerID) bool                                   { return true }
