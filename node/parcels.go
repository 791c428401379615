package node

import (
	"context"
	"errors"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store/crash"
)

// arrival is a Parcel that opened: who is on the other end of the stream, the key that its answer is
// sealed under, and what was inside.
type arrival struct {
	peer     p2p.PeerID
	cek      [32]byte
	kid      identity.KeyID // the prekey that it was sealed to
	signed   wire.Signed
	id       wire.MID
	attached []wire.Signed
	at       identity.Now
	clear    bool // nothing of it was sealed

	author identity.Address // of what came by a mailbox or a slot, if it is acked; zero: by a stream of his
	reply  *wire.Endpoint   // where he said that its ack may be left
	stored bool             // it came so
}

// openParcel opens a Parcel and leads what is inside to its room. Any Parcel that opens is answered; one
// that does not is counted and dropped: the sender's retry with fresh records heals it (SPEC 5.3).
func (n *Node) openParcel(ctx context.Context, from p2p.PeerID, p wire.Parcel, in *wire.Session) {
	var o wire.Opened
	var err error
	if in != nil {
		o, err = in.Open(p)
	} else {
		o, err = wire.OpenParcel(p, n.self.Address, n.self.Device, n.keys.PreKey)
	}
	if err != nil {
		n.count(causeOf(err))
		return
	}
	crash.Point("parcel: taken, not judged")
	n.dispatch(ctx, arrival{peer: from, cek: o.CEK, kid: o.Kid, signed: o.Inner.Signed, id: o.Inner.Signed.ID(), attached: o.Inner.Attached,
		at: n.now(), clear: p.Suite == wire.SuiteClear})
}

// dispatch leads what was inside to its room.
func (n *Node) dispatch(ctx context.Context, a arrival) {
	switch {
	case a.clear && a.signed.Type != wire.TypeIM: // keys are in them
		n.refuse(ctx, a, identity.Address{}, wire.ReasonNoCommonSuite)
		return
	}
	switch a.signed.Type {
	case wire.TypeIM:
		n.receive(ctx, a)
	case wire.TypeSubRequest:
		n.requested(ctx, a)
	case wire.TypeSubState:
		n.answered(ctx, a)
	case wire.TypeUnsub:
		n.unsubscribed(ctx, a)
	case wire.TypeSuccessor:
		n.succeeded(ctx, a)
	case wire.TypeAck: // goes in a box, and is never acked
		n.count(wire.ReasonMalformed.String())
	case wire.TypeFetch:
		n.fetchAsked(ctx, a)
	case wire.TypeFetchReply:
		n.fetchAnswered(ctx, a)
	case wire.TypeSync:
		n.synchronised(ctx, a)
	default: // nothing that a Parcel carries (SPEC 3.7)
		n.refuse(ctx, a, identity.Address{}, wire.ReasonMalformed)
	}
}

func causeOf(err error) string {
	switch {
	case errors.Is(err, wire.ErrNoKey):
		return "no-key"
	case errors.Is(err, wire.ErrUndecryptable):
		return wire.ReasonUndecryptable.String()
	case errors.Is(err, wire.ErrTooLarge):
		return wire.ReasonTooLarge.String()
	case errors.Is(err, wire.ErrUnsupported):
		return wire.ReasonNoCommonSuite.String()
	}
	return wire.ReasonMalformed.String()
}

// unparsed is the reason to refuse what a Parcel carries with, if its body does not parse (SPEC 3.9, 9.1).
func unparsed(err error) wire.Reason {
	if errors.Is(err, wire.ErrTooLarge) {
		return wire.ReasonTooLarge
	}
	return wire.ReasonMalformed
}

// claim is what the body of an arrival says of its author.
type claim struct {
	from, to identity.Address
	role     identity.Roles    // what the signing device must be; 0: any of the address's own
	device   identity.DeviceID // named in the body; zero: not named
	stamp    identity.Stamp    // must not lie in the future
	arSeq    identity.Stamp
	has      identity.Stamp // the seq of the address record that came with it, 0 if none
}

// vouch checks an arrival's signature and its author's certificate chain in the order of SPEC 9.1, and
// returns the reason to refuse it with, or none. p is the author's pin, with what was attached accepted;
// changed says that keeping it would write something new.
func (n *Node) vouch(t *txn, a arrival, c claim, r records) (p pinned, changed bool, reason wire.Reason, err error) {
	p, changed, verdict := n.accept(t, c.from, r)
	if verdict != nil && !isVerdict(verdict) {
		return p, false, 0, verdict
	}
	switch {
	case p.Pin.Record.Address != c.from || p.Pin.Expired(t.now):
		return p, false, r.lacking(), nil
	case c.device != (identity.DeviceID{}) && c.device != identity.DeviceIDOf(a.signed.Key),
		p.Pin.Authorise(t.now, a.signed.Key, c.role) != nil:
		return p, changed, wire.ReasonBadSignature, nil
	case c.to != n.self.Address:
		return p, changed, wire.ReasonRecipientMismatch, nil
	case t.now.Ahead(c.stamp):
		return p, changed, wire.ReasonTime, nil
	}
	return p, n.hasMine(a, &p) || changed, wire.ReasonNone, nil
}

// isVerdict tells what the rules say of a record from a failing store.
func isVerdict(err error) bool {
	for _, v := range []error{errNoPin, identity.ErrStaleRecord, identity.ErrFork, identity.ErrRecoveryChanged,
		identity.ErrRecordExpired, identity.ErrAhead, identity.ErrBinding, identity.ErrMoved} {
		if errors.Is(err, v) {
			return true
		}
	}
	return false
}

// fetchNewer asks for the author's newest record if his body names a newer one than is pinned, or what is
// pinned has expired, and neither came with it; at most once per 10 min and address (SPEC 2.5). True says
// that nothing can be said of the author's device without it: then again is called once it is here, or was
// not to be had. Whoever calls goes on to others meanwhile, since the answer may be long in coming.
func (n *Node) fetchNewer(peer p2p.PeerID, c claim, key identity.PublicKey, again func(context.Context)) bool {
	pin, now := n.pins.get(c.from), n.now()
	if pin == nil || now.Ahead(c.arSeq) || c.arSeq <= pin.Record.Seq && !pin.Expired(now) || c.has > 0 && c.has >= c.arSeq {
		return false
	}
	if !n.fetches.take(c.from, now) {
		return false
	}
	known := pin.Authorise(now, key, c.role) == nil
	n.spawn(func(ctx context.Context) {
		asking, done := context.WithTimeout(ctx, handTimeout)
		at := n.places(c.from)
		if peer != "" && !n.keepsForOthers(peer) { // a custodian learns no address (SPEC 7)
			at = append([]place{{peer: peer}}, at...)
		}
		_, _ = n.askRecords(asking, c.from, at)
		if done(); !known {
			again(ctx)
		}
	})
	return !known
}

// hasMine notes that the sender of a Parcel that was sealed to my newest prekey has my records (SPEC 3.7).
func (n *Node) hasMine(a arrival, p *pinned) (changed bool) {
	o, before := n.own.Load(), p.Told
	if a.kid == o.Kid && len(o.Others.Devices) == 0 { // of my other devices it proves nothing
		p.Told.Address, p.Told.Device = o.AddressSeq, o.DeviceSeq
	}
	return p.Told != before
}

// refuse answers an arrival with a negative ack, and counts it.
func (n *Node) refuse(ctx context.Context, a arrival, to identity.Address, reason wire.Reason) {
	n.count(reason.String())
	n.acknowledge(ctx, a, n.signAck(to, []wire.MID{a.id}, reason.Disposition(), reason, 0))
}

// signAck signs an ack with this device (SPEC 5.3).
func (n *Node) signAck(to identity.Address, ids []wire.MID, d wire.Disposition, reason wire.Reason, after time.Duration) wire.Signed {
	ack := wire.Ack{From: n.self.Address, To: to, Device: n.self.Device, MIDs: ids, Disposition: d, Reason: reason,
		At: n.now().Wall, ArSeq: n.own.Load().AddressSeq, RetryAfterS: uint64(after / time.Second)}
	return wire.Sign(n.keys.Device(), wire.TypeAck, ack.Append(nil))
}

// acknowledge seals a signed ack under the key of the Parcel that it answers, and sends it on the stream
// of that Parcel, else to the sender's Reach. A lost one is repaired by the sender's retry. A stranger
// whose stream has gone holds up nobody but those like him.
func (n *Node) acknowledge(ctx context.Context, a arrival, ack wire.Signed) {
	b := wire.SealAck(n.cfg.Rand, a.cek, ack).Append(nil)
	dial := func(ctx context.Context) {
		if err := n.net.Ack(ctx, a.peer, b); err != nil {
			n.log.Debug("ack not sent", "to", a.peer.String(), "err", err)
		}
	}
	switch {
	case !a.author.IsZero():
		n.ackAuthor(a, b)
	case a.stored && a.reply != nil && a.reply.Mbox != ([32]byte{}): // who it is from, it does not say
		n.leaveAck(*a.reply, b)
	case a.stored:
	case n.net.PushAck(a.peer, b):
	case door{n}.IsContact(a.peer):
		dial(ctx)
	case n.calls.Add(1) <= maxCalls:
		n.spawn(func(ctx context.Context) {
			defer n.calls.Add(-1)
			dial(ctx)
		})
	default:
		n.calls.Add(-1)
	}
}

// ackAgain are the pauses after which the ack of an anonymous message, which nobody asks for again, is left once more.
var ackAgain = []time.Duration{time.Minute, 10 * time.Minute}

// leaveAck leaves an ack where the author of an anonymous message said that it may be left.
func (n *Node) leaveAck(at wire.Endpoint, box []byte) {
	left := func(ctx context.Context) bool {
		return n.leaveItem(ctx, []wire.Endpoint{at}, wire.MboxItem{AckBox: box})
	}
	n.spawn(func(ctx context.Context) {
		if left(ctx) {
			return
		}
		defer n.unleft.Add(-1)
		if n.unleft.Add(1) > maxCalls {
			return
		}
		for _, pause := range ackAgain {
			if sleep(ctx, pause); ctx.Err() != nil || left(ctx) {
				return
			}
		}
	})
}

// maxCalls bounds the acks for strangers that wait for a connection, and those that are to be left once more.
const maxCalls = 64

// openAckBox opens an ack by the key of the letter that it answers, and settles what it names.
func (n *Node) openAckBox(ctx context.Context, from p2p.PeerID, box wire.AckBox) {
	l, ok := n.letters.get(box.Tag)
	if !ok {
		if l, ok = n.mailLetter(box.Tag); !ok {
			n.count("unknown-ack")
			return
		}
	}
	s, err := wire.OpenAck(l.cek, box)
	if err == nil {
		err = s.Verify()
	}
	if err != nil || s.Type != wire.TypeAck {
		n.count("bad-ack")
		return
	}
	ack, err := wire.ParseAck(s.Body)
	if err != nil || ack.From != l.to || ack.Device != identity.DeviceIDOf(s.Key) || !(ack.To == n.self.Address || ack.To.IsZero()) {
		n.count("bad-ack")
		return
	}
	again := func(ctx context.Context) { n.openAckBox(ctx, from, box) }
	if !l.hidden && n.fetchNewer(from, claim{from: ack.From, role: ackRole(l.kind), arSeq: ack.ArSeq}, s.Key, again) {
		return
	}
	n.log.Debug("ack opened", "id", l.id)
	n.settle(l, ack, s, n.viaRelay(from))
}

// ackRole is the role that an ack's signer needs (SPEC 2.5).
func ackRole(kind wire.Type) identity.Roles {
	if kind == wire.TypeIM {
		return identity.RoleInbox
	}
	return 0
}

// settle acts on an ack, in one pass: what it acks, and what its signer is now known to have of mine.
func (n *Node) settle(l sentLetter, ack wire.Ack, s wire.Signed, via string) {
	crash.Point("ack: heard, not saved")
	err := n.update(func(t *txn) error {
		p, ok, err := n.pinRow(t, l.to)
		if err != nil {
			return err
		}
		role := ackRole(l.kind)
		if _, is := n.isDelegate(ack.Device); is && l.kind == wire.TypeSync && l.to == n.self.Address {
			role = identity.RoleDelegate
		}
		if !ok || p.Pin.Expired(t.now) || p.Pin.Authorise(t.now, s.Key, role) != nil {
			n.count("bad-ack")
			return nil
		}
		if err := n.heardBack(t, l.to, p, l.gave, ack.Reason); err != nil {
			return err
		}
		if l.kind == wire.TypeIM {
			return n.settleMail(t, ack, s, p.Pin.Raw, via)
		}
		return n.settleControl(t, l, ack)
	})
	crash.Point("ack: saved")
	if err != nil {
		n.log.Warn("an ack was not saved; it comes again", "err", err)
	}
}

// heardBack notes that a peer answered a letter that gave him records of mine, or that he lacks them. What
// an answer to an older letter gave is no news.
func (n *Node) heardBack(t *txn, a identity.Address, p pinned, gave told, reason wire.Reason) error {
	has, o := p.Told, n.own.Load()
	newest := o.told()
	if gave.Address == newest.Address {
		has.Address = gave.Address
	}
	if gave.Device == newest.Device {
		has.Device = gave.Device
	}
	if gave.Reach == newest.Reach {
		has.Reach = gave.Reach
	}
	if reason == wire.ReasonStaleRecord {
		has = told{}
	}
	if p.Told == has || a == n.self.Address { // own devices are given everything, each time
		return nil
	}
	p.Told = has
	return n.savePin(t, a, p)
}
