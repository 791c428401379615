package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/store/crash"
)

// Send queues a message durably and returns; delivery goes on by itself, across restarts, until the
// recipient's word or the message's own expiry settles it.
func (n *Node) Send(ctx context.Context, d Draft) (Sent, error) {
	if err := n.checkOwn("send messages"); err != nil {
		return Sent{}, err
	}
	card, err := n.who(d.To)
	if err != nil {
		return Sent{}, err
	}
	reply, err := n.replyTo(d.InReplyTo)
	if err != nil {
		return Sent{}, err
	}
	return n.send(ctx, card, d, reply)
}

// Reply answers a message in the inbox; no address needs to be known (RFC 2779, 5.4.4).
func (n *Node) Reply(ctx context.Context, id string, d Draft) (Sent, error) {
	row, err := n.received(id)
	if err != nil {
		return Sent{}, err
	}
	if row.From.IsZero() {
		return Sent{}, &Error{Kind: KindFailed, Code: "anonymous", Message: "it names no author, so that nobody can answer it"}
	}
	return n.send(ctx, identity.Card{Address: row.From}, d, row.ID)
}

func (n *Node) replyTo(id string) (wire.MID, error) {
	if id == "" {
		return wire.MID{}, nil
	}
	return n.anyMessage(id)
}

func (n *Node) send(_ context.Context, to identity.Card, d Draft, reply wire.MID) (Sent, error) {
	if err := n.checkListed(); err != nil {
		return Sent{}, err
	}
	d.Expires = cmp.Or(d.Expires, wire.IMLife)
	if now := n.moves.current(to.Address); now != to.Address { // the sender of an old message may have moved
		to = identity.Card{Address: now}
	}
	if _, frozen := n.moves.frozen(to.Address); frozen {
		return Sent{}, n.errFrozen(to.Address)
	}
	im, err := n.compose(to.Address, d, reply)
	if err != nil {
		return Sent{}, err
	}
	if err := errors.Join(n.mayClear(to.Address, d), n.mayHide(to.Address, d)); err != nil {
		return Sent{}, err
	}
	if d.Hops != nil {
		im.Ext = append(im.Ext, wire.Ext{Name: wire.ExtHops, Value: []byte{*d.Hops}})
	}
	if i := n.shownIn(to); i != nil && !d.Unsigned && !d.Clear && !d.Anonymous { // which is for him alone to see
		im.Ext = append(im.Ext, wire.Ext{Name: wire.ExtInvite, Value: i})
	}
	if d.Unsigned {
		im.Ext = append(im.Ext, wire.Ext{Name: wire.ExtUnsigned})
	}
	if err := n.introducing(&im, d); err != nil {
		return Sent{}, err
	}
	var once *message.Once
	if d.Anonymous {
		hide(&im, d)
		if once, err = n.oneTime(&im, d); err != nil {
			return Sent{}, err
		}
	}
	now := n.now()
	im.Sent, im.Expires = now.Wall, now.Wall.Add(d.Expires)
	face, err := n.queue(now, to, im, func(e *message.Entry) { e.ShowAck, e.Dial, e.Clear, e.Once = !d.Quiet, to.Dial, d.Clear, once })
	face.Warning = cmp.Or(face.Warning, n.unacked(to.Address), wordless(d))
	return face, err
}

// queue signs and seals a message, and saves it with what mark adds; from then on it is under way.
func (n *Node) queue(now identity.Now, to identity.Card, im wire.IM, mark func(*message.Entry)) (Sent, error) {
	if !im.From.IsZero() {
		im.ArSeq = n.own.Load().AddressSeq
	}
	if !im.Unsigned() && !im.From.IsZero() { // where its ack comes to while I am away
		im.Reply = n.replyBox(to.Address)
	}
	key, err := n.signer(&im)
	if err != nil {
		return Sent{}, err
	}
	s := wire.Sign(key, wire.TypeIM, im.Append(nil))
	e, err := message.New(now, s.ID(), im, s.Append(nil))
	if err != nil {
		return Sent{}, badExpiry(err)
	}
	mark(&e)
	e.Unsigned = im.Unsigned()
	at := n.knownTargets(to.Address, now)
	sealed, err := n.sealEntry(&e, at) // here, since every other pass would wait for it
	if err != nil {
		return Sent{}, err
	}
	first, err := n.firstTry(now, &e, at, sealed.gave)
	if err != nil {
		return Sent{}, err
	}
	wrapped := n.wrapFirst(first)
	crash.Point("send: sealed, not saved")
	err = n.update(func(t *txn) error {
		if len(to.Dial) > 0 && n.onRoster(to.Address) && !e.Anonymous {
			if _, err := n.addContact(t, to, ""); err != nil {
				return err
			}
		}
		if err := sealed.save(t); err != nil {
			return err
		}
		return n.saveEntry(t, e)
	})
	<-wrapped
	if err != nil {
		return Sent{}, saveError(n.cfg.Home, err)
	}
	crash.Point("send: saved, the user not told")
	if j, begun := n.mail.launch(e.ID, first); begun {
		n.startTry(j)
	} else {
		n.outbox.nudge()
	}
	n.log.Debug("message queued", "id", e.ID.String(), "to", n.name(e.To))
	return n.sentFace(e), nil
}

// firstTry is the try that follows at once, noted in the entry before that is saved, so that nothing
// more needs to be saved before it; nil if the recipient's keys are not known.
func (n *Node) firstTry(now identity.Now, e *message.Entry, to []target, gave told) (*offer, error) {
	if len(to) == 0 || e.Anonymous || !n.mail.mayOffer() {
		return nil, nil
	}
	l, err := letterOf(*e, gave)
	if err != nil {
		return nil, err
	}
	e.Attempted(now, n.jitter())
	return &offer{l, to}, nil
}

// wrapFirst wraps the key of the letter while its message is being saved: neither waits for the other. In a
// session there is nothing to wait for, and for somebody who is away nothing to wrap yet.
func (n *Node) wrapFirst(o *offer) (done <-chan struct{}) {
	if o == nil || o.l.clear || len(o.to) != 1 || o.to[0].home == nil {
		return closed
	}
	peer := o.to[0].home.peer
	if up, _ := n.net.Connected(peer); !up || n.net.InSession(peer, o.to[0].to) {
		return closed
	}
	wrapped := make(chan struct{})
	go func() {
		defer close(wrapped)
		to := o.to[0].to
		if w, err := o.l.wraps([]wire.Recipient{to}); err == nil { // else it is told when it is sent
			o.l.early = map[identity.DeviceID]wire.Wrap{to.Device: w[0]}
		}
	}()
	return wrapped
}

// compose makes the body of a message from a draft.
func (n *Node) compose(to identity.Address, d Draft, reply wire.MID) (im wire.IM, err error) {
	bad := func(code wire.Reason, format string, args ...any) (wire.IM, error) {
		return im, &Error{Kind: KindUsage, Code: code.String(), Message: fmt.Sprintf(format, args...)}
	}
	if n.self.Services&identity.Inbox == 0 {
		return bad(wire.ReasonNoIMService, "this address is for presence only: it sends no messages")
	}
	if to == n.self.Address {
		return bad(wire.ReasonRefused, "that is your own address")
	}
	if d.Expires < time.Second || d.Expires > wire.IMMaxLife {
		return bad(wire.ReasonExpired, "a message lives from 1 s to 14 days")
	}
	if n.takesNoMail(to) {
		return im, &Error{Kind: KindRefused, Code: wire.ReasonNoIMService.String(), Message: n.name(to) + " is there for presence only: no message can be sent"}
	}
	if d, err = n.content(to, d); err != nil {
		return im, err
	}
	im = wire.IM{From: n.self.Address, To: to, Device: n.self.Device, ContentType: d.Type, Content: d.Content,
		InReplyTo: reply, Contact: n.introduce(to, d.Contact), Lang: d.Lang}
	if d.Displayed {
		im.Report = message.ReportDisplayed
	}
	if _, err = io.ReadFull(n.cfg.Rand, im.Nonce[:]); err != nil {
		return im, err
	}
	im.Sent, im.Expires, im.ArSeq = 1, 1, 1
	if _, err := wire.ParseIM(im.Append(nil)); err != nil { // what its reader would refuse is not sent
		return bad(wire.ReasonMalformed, "this cannot be a message: %v", err)
	}
	return im, nil
}

func badExpiry(err error) error {
	if errors.Is(err, message.ErrExpiry) {
		return &Error{Kind: KindUsage, Code: wire.ReasonExpired.String(), Message: "a message lives from 1 s to 14 days"}
	}
	return err
}

// saveError says that what a user asked for is not on the disk, and so will not happen.
func saveError(home string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	return storeError(home, err)
}

// knownTargets are the inbox devices of an address by what is pinned now.
func (n *Node) knownTargets(a identity.Address, now identity.Now) []target {
	pin := n.pins.get(a)
	if pin == nil || pin.Expired(now) {
		return nil
	}
	return targetsOf(pin, now, identity.RoleInbox, identity.DeviceID{}, 0)
}

// A sealing is what came of sealing a message: the row of its new key, and the keys of the same message
// that it pushed out.
type sealing struct {
	fresh bool // else it was sealed so already
	id    wire.MID
	tag   [16]byte
	gave  told // the records that are attached
	gone  []message.CEK
}

// save writes the new key, to be saved together with its message.
func (s sealing) save(t *txn) error {
	if !s.fresh {
		return nil
	}
	for _, old := range s.gone {
		if err := t.Delete(store.CEK(old.Tag)); err != nil {
			return err
		}
	}
	return put(t, store.CEK(s.tag), s.id)
}

// sealEntry seals a message under a fresh key, unless it is sealed for these devices and records already
// (SPEC 5.5). Without a target it is sealed all the same: the key, not the recipient, makes the octets.
func (n *Node) sealEntry(e *message.Entry, to []target) (out sealing, err error) {
	attached, gave := n.own.Load().attachments(n.pins.told(e.To))
	if e.Attach {
		attached, gave = n.own.Load().attachments(told{})
	}
	if e.Anonymous {
		attached, gave = nil, told{}
	}
	digest := sealedFor(to, gave, len(attached))
	if e.SealedAs(digest) {
		return sealing{gave: gave}, nil
	}
	s, err := wire.ParseSigned(e.Signed)
	if err != nil {
		return out, err
	}
	inner := wire.Inner{Signed: s, Attached: attached}
	if e.Clear {
		ct, cek, err := wire.ClearInner(inner)
		if err != nil {
			return out, err
		}
		c := message.CEK{Key: cek, Tag: wire.AckTag(cek)}
		return sealing{true, e.ID, c.Tag, gave, e.Seal(c, ct, digest)}, nil
	}
	var c message.CEK
	if _, err := io.ReadFull(n.cfg.Rand, c.Key[:]); err != nil {
		return out, err
	}
	c.Tag = wire.AckTag(c.Key)
	ct, err := wire.SealInner(n.cfg.Rand, c.Key, inner)
	if err != nil {
		return out, err
	}
	gone := e.Seal(c, ct, digest)
	return sealing{true, e.ID, c.Tag, gave, gone}, nil
}

// sealedFor is a digest of the prekeys and attachments that a sealing is made for.
func sealedFor(to []target, gave told, attached int) [32]byte {
	h := sha256.New()
	for _, t := range to {
		h.Write(t.to.Kid[:])
	}
	if attached > 0 {
		fmt.Fprint(h, gave, attached)
	}
	return [32]byte(h.Sum(nil))
}

// saveEntry writes an entry, and has the outbox know when it is due next.
func (n *Node) saveEntry(t *txn, e message.Entry) error {
	n.trackEntry(t, e)
	if err := putEntry(t, e); err != nil {
		return err
	}
	return n.shareEntry(t, e)
}

// trackEntry has the outbox know when an entry is due next. Its recipient is kept in reach as long as
// something is under way to him.
func (n *Node) trackEntry(t *txn, e message.Entry) {
	if e.Copied {
		return
	}
	wake := e.Wake(t.now)
	t.after(func() {
		whose := tryOf(e)
		before := n.mail.owed(whose)
		n.mail.track(e.ID, whose, wake, e.State.Final())
		n.hint(e)
		n.onces.note(e)
		if n.mail.owed(whose) != before {
			n.locate(whose)
		}
	})
}

// tryOf is by whom the tries of an entry are counted: its recipient, for whom this node then keeps itself connected.
// Those of anonymous messages go one by one, and nothing else of this node comes near their recipients for them.
func tryOf(e message.Entry) identity.Address {
	if e.Anonymous {
		return identity.Address{}
	}
	return e.To
}

func (n *Node) sentFace(e message.Entry) Sent {
	s := Sent{ID: e.ID, To: e.To, ToName: n.name(e.To), State: e.State.String(), Sent: e.Sent.Go(), Expires: e.Expires.Go(),
		AckedAt: e.AckedAt.Go(), Attempts: e.Attempts, Warning: n.warning(n.moves.current(e.To))}
	if e.State == message.Failed || e.Reason == wire.ReasonGateway {
		s.Reason = e.Reason
	}
	if signed, err := wire.ParseSigned(e.Signed); err == nil {
		if im, err := wire.ParseIM(signed.Body); err == nil {
			s.Type, s.Content, s.InReplyTo = im.ContentType, im.Content, im.InReplyTo
		}
	}
	return s
}

// Outbox is what I sent and what became of it, oldest first; one message if its id or the beginning of it is given.
func (n *Node) Outbox(_ context.Context, id string) (out []Sent, err error) {
	if id != "" {
		e, err := n.entry(id)
		if err != nil {
			return nil, err
		}
		return []Sent{n.sentFace(e)}, nil
	}
	err = n.view(func(t *txn) error {
		return rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
			out = append(out, n.sentFace(e))
			return true, nil
		})
	})
	sortSent(out)
	return out, err
}

const unknownIDCode = "unknown-id"

func unknownID(id string) error {
	if len(id) < leastID {
		return &Error{Kind: KindUsage, Code: unknownIDCode, Message: fmt.Sprintf("%q is too little of an id: %d letters at least", clip(id), leastID), Advice: "see hum outbox and hum inbox"}
	}
	return &Error{Kind: KindUsage, Code: unknownIDCode, Message: fmt.Sprintf("no message here has the id %q", clip(id)), Advice: "see hum outbox and hum inbox"}
}

// WaitSent returns when a message is settled, or with what it has come to when ctx ends.
func (n *Node) WaitSent(ctx context.Context, id string) (Sent, error) {
	var last Sent
	err := n.wait(ctx, func() (bool, error) {
		out, err := n.Outbox(ctx, id)
		if err != nil {
			return false, err
		}
		last = out[0]
		return last.State == "delivered" || last.State == "displayed" || last.State == "failed", nil
	})
	return last, err
}
