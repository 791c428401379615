package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Cancel takes back a message that nobody has taken (SPEC 5.5). A try of it that runs comes to its end first,
// since it may hand the message over; what may have been taken goes on, so that its fate is learnt.
func (n *Node) Cancel(ctx context.Context, id string) (out Sent, err error) {
	sent, err := n.Outbox(ctx, id)
	if err != nil {
		return Sent{}, err
	}
	mid := sent[0].ID
	resting, release := n.mail.hold(mid)
	defer n.outbox.nudge()
	defer release()
	select {
	case <-resting:
	case <-ctx.Done():
		return sent[0], ctx.Err()
	}
	var no error
	err = n.editEntry(mid, func(t *txn, e *message.Entry) (changed bool, err error) {
		switch no = e.Cancel(t.now); {
		case e.Copied && !e.State.Final():
			no = errElsewhere
		case no == nil:
			n.emitSent(t, *e)
		}
		out = n.sentFace(*e)
		return no == nil, nil
	})
	if err != nil {
		return Sent{}, saveError(n.cfg.Home, err)
	}
	return out, n.notCancelled(no, out)
}

var errElsewhere = errors.New("another device sends it")

// notCancelled says why a message was not taken back.
func (n *Node) notCancelled(no error, s Sent) error {
	to := s.ToName
	if to == "" {
		to = s.To.String()
	}
	watch := "hum outbox " + s.ID.String()[:8] + " tells what becomes of it"
	switch {
	case errors.Is(no, errElsewhere):
		return &Error{Code: "elsewhere", Message: "another of your devices sends it: cancel it there"}
	case errors.Is(no, message.ErrHanded):
		return &Error{Code: "handed", Message: fmt.Sprintf("%s has it: it cannot be taken back", to), Advice: watch}
	case errors.Is(no, message.ErrDoubt):
		return &Error{Code: "handed", Message: fmt.Sprintf("%s may have it, as a try ended without an answer: it is not taken back", to), Advice: watch}
	case errors.Is(no, message.ErrFinal):
		return &Error{Code: "settled", Message: fmt.Sprintf("it is %s already: there is nothing to take back", s.State)}
	}
	return no
}

// Resend sends a message again that ended without a word of its recipient. It names the first sending, so that
// whoever has that shows neither twice (SPEC 5.4, 5.5). A lifetime of 0 is that of the message.
func (n *Node) Resend(ctx context.Context, id string, life time.Duration) (Sent, error) {
	sent, err := n.Outbox(ctx, id)
	if err != nil {
		return Sent{}, err
	}
	var e message.Entry
	if err := n.peekEntry(sent[0].ID, func(found message.Entry) error { e = found; return nil }); err != nil {
		return Sent{}, err
	}
	if e.Unsigned || e.Anonymous { // nobody remembers it by its author, so that it would be shown twice (SPEC 14.7)
		return Sent{}, &Error{Code: "unsigned", Message: "it was not signed, so nobody could tell that it is the same message: it might be shown twice", Advice: "hum send --unsigned writes a new one"}
	}
	im, err := n.again(e, life)
	if err != nil {
		return Sent{}, err
	}
	now := n.now()
	im.Sent, im.Expires = now.Wall, now.Wall.Add(im.Expires.Sub(im.Sent))
	if im, err = e.Resend(now, im); err != nil {
		return Sent{}, notResent(e, now)
	}
	if err := n.underWay(e); err != nil {
		return Sent{}, err
	}
	if _, frozen := n.moves.frozen(e.To); frozen {
		return Sent{}, n.errFrozen(e.To)
	}
	im.To = n.moves.current(e.To)
	return n.queue(now, identity.Card{Address: im.To}, im, func(next *message.Entry) {
		next.Follows(e)
		next.ShowAck, next.Dial, next.Clear = e.ShowAck, e.Dial, e.Clear
	})
}

// again is the body of a message that is sent once more, with a nonce of its own.
func (n *Node) again(e message.Entry, life time.Duration) (im wire.IM, err error) {
	s, err := wire.ParseSigned(e.Signed)
	if err != nil {
		return im, err
	}
	if im, err = wire.ParseIM(s.Body); err != nil {
		return im, err
	}
	if life > 0 {
		im.Expires = im.Sent.Add(life)
	}
	im.From, im.Device = n.self.Address, n.self.Device
	_, err = io.ReadFull(n.cfg.Rand, im.Nonce[:])
	return im, err
}

// underWay is the error if another sending of the same message is under way, or was delivered.
func (n *Node) underWay(e message.Entry) error {
	return n.view(func(t *txn) error {
		return rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, o message.Entry) (bool, error) {
			if o.ID == e.ID || o.First() != e.First() || o.State == message.Failed {
				return true, nil
			}
			return false, &Error{Code: "resent", Message: fmt.Sprintf("it was sent again already, as %v, which is %v", o.ID, o.State)}
		})
	})
}

// notResent says why a message is not sent again.
func notResent(e message.Entry, now identity.Now) error {
	bad := func(code, format string, args ...any) error {
		return &Error{Code: code, Message: fmt.Sprintf(format, args...), Advice: "hum send writes a new one"}
	}
	switch {
	case !e.State.Final():
		return bad("under-way", "it is %v, and is tried until it expires: there is nothing to send again", e.State)
	case e.State != message.Failed:
		return bad("settled", "it is %v", e.State)
	case now.Late(e.ResendUntil):
		return bad("too-late", "it ended too long ago: nobody would know that it is the same message, and it might be shown twice")
	}
	return bad("settled", "its fate is known: %v", e.Reason)
}
