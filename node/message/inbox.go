package message

import (
	"strings"
	"unicode/utf8"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// Admission is what policy answers for the sender of a message; the values are those of package policy,
// which converts into it.
type Admission uint8

const (
	Refuse       Admission = iota // Ack forbidden(refused)
	Drop                          // remembered and acked as delivered, not kept
	FirstContact                  // into the box of those whom I do not know
	Accept
)

// An Arrival is what is known of a Parcel that opened to an IM. Its zero value is refused.
type Arrival struct {
	ID  wire.MID
	IM  wire.IM     // as far as Bad is zero
	Bad wire.Reason // malformed or too-large if the body does not parse, else zero

	Signed  bool // the signature holds, and device is the id of its key
	Known   bool // a valid record of the sender is pinned, or was attached
	Beyond  bool // if not, one was attached that requires what this version does not understand
	Listed  bool // the record lists the device with the inbox role, before its end
	Mine    bool // To is an address of this node
	Clear   bool // nothing was sealed (SPEC 8, suite 0)
	ClearOK bool // the owner takes what is not sealed, or not signed (SPEC 8)
	Contact bool // the sender is a contact

	Seen       *Seen // of (From, ID), or nil; read in the transaction that commits
	SeenResend *Seen // of (From, ResendOf), or nil; likewise

	Service     bool        // this address takes instant messages
	Admission   Admission   // by policy
	Closed      bool        // what the sender sees of me is CLOSED by my own choice (SPEC 5.2)
	Hold        bool        // what comes then waits until it is not (closed_hold)
	IsHeld      bool        // this message does
	HeldOf      int         // messages of this sender that wait
	HeldInAll   int         // messages that wait, of contacts or of others, as this sender is one or the other
	FromHim     int         // messages of this sender in the first-contact box
	InAll       int         // messages in the first-contact box
	Unsupported bool        // crit or an ext requires what we do not know
	Content     wire.Reason // what is wrong with the content itself, none if nothing is
	Invited     bool        // the sender shows an invite of mine, and so has one of the places that are kept for such
	Gateway     bool        // what is taken here is handed on (SPEC 8)
	TypeOK      bool        // a content type other than text/plain is accepted
	MaxIM       uint32      // bytes that my Policy takes, 0 is the limit of SPEC 3.9
}

// Kind is what to do with an arrival.
type Kind uint8

const (
	Reject   Kind = iota // answer Reason; remember it if Remember
	Repeat               // answer the stored Ack, change nothing
	Keep                 // commit the row, answer delivered
	Discard              // commit seen alone, answer delivered
	Suppress             // the same, since an earlier sending of it is here
	Hold                 // keep it until the sender sees me OPEN, and answer nothing before
	Ignore               // there is no room to hold it; its sender tries again, as he was not answered
)

func (k Kind) String() string {
	if k > Ignore {
		return "unknown"
	}
	return [...]string{"reject", "repeat", "keep", "discard", "suppress", "hold", "ignore"}[k]
}

// A Verdict says what to do with an arrival, what to answer, and what to remember.
type Verdict struct {
	Kind        Kind
	Disposition wire.Disposition
	Reason      wire.Reason
	RetryAfterS uint64     // of a retryable refusal
	Stored      []byte     // of Repeat: the Signed Ack, to be sent byte for byte
	MIDs        []wire.MID // what the ack names
	Remember    []wire.MID // put into seen with the ack, in the transaction of the row
	Until       wire.Time  // how long seen is kept
}

// firstContactRetry is what a full first-contact box asks strangers to wait, in seconds: it empties
// when its owner looks.
const firstContactRetry = 3600

// Receive decides on an arrival, in the order of SPEC 5.4 and 9.1. It is called inside the transaction
// that commits its outcome, since Seen must be the word of that instant. Seen comes before time and
// rules: a message once delivered stays so, whatever holds now.
func Receive(now identity.Now, a Arrival) Verdict {
	a = a.unvouched()
	if r := a.stranger(); r != wire.ReasonNone {
		return a.refuse(r, false)
	}
	if a.Seen != nil {
		return Verdict{Kind: Repeat, Stored: a.Seen.Ack}
	}
	if r := a.timely(now); r != wire.ReasonNone {
		return a.refuse(r, true)
	}
	switch r := a.rules(); {
	case r == wire.ReasonClosed && a.Hold:
		return Verdict{Kind: a.hold()}
	case r != wire.ReasonNone:
		return a.refuse(r, true)
	case a.Admission == Drop:
		return a.accept(Discard)
	case a.resent():
		return a.accept(Suppress)
	}
	return a.accept(Keep)
}

// unvouched is an arrival whose author does not sign, or names nobody, as what it is: nobody's. The name that it bears gives it no
// place but that of strangers, stands for no earlier message, and is told nothing: what the owner has blocked
// goes as if it were taken, since anybody could ask in that name.
func (a Arrival) unvouched() Arrival {
	if !a.IM.Unsigned() && !a.IM.From.IsZero() {
		return a
	}
	a.Contact, a.IM.ResendOf, a.SeenResend = false, wire.MID{}, nil
	switch {
	case a.Admission == Refuse && !a.IM.From.IsZero():
		a.Admission = Drop
	case a.Admission == Accept:
		a.Admission = FirstContact
	}
	return a
}

// resent reports whether an earlier sending was taken. One that was refused does not count: to answer
// delivered for it would be a lie, so the message is judged afresh, as the new one that it is.
func (a Arrival) resent() bool { return a.SeenResend != nil && !a.SeenResend.Refused }

// stranger returns why the message cannot be laid to anybody's name, or is not for me. What leaves
// nothing in seen comes first: seen is keyed by an authenticated sender.
func (a Arrival) stranger() wire.Reason {
	switch {
	case a.Bad != wire.ReasonNone:
		return a.Bad
	case a.Clear && !a.ClearOK && !a.IM.Unsigned():
		return wire.ReasonNoCommonSuite
	case !a.Signed:
		return wire.ReasonBadSignature
	case a.IM.From.IsZero() && a.Admission == Refuse:
		return wire.ReasonRefusedAnonymous
	case !a.Mine && (a.IM.Unsigned() || a.IM.From.IsZero()):
		return wire.ReasonRecipientMismatch
	case a.IM.From.IsZero():
		return wire.ReasonNone
	case a.IM.Unsigned() && !a.ClearOK:
		return wire.ReasonSignatureRequired
	case a.IM.Unsigned():
		return wire.ReasonNone
	case !a.Known && a.Beyond:
		return wire.ReasonUnsupportedRequired
	case !a.Known:
		return wire.ReasonStaleRecord
	case !a.Listed:
		return wire.ReasonBadSignature
	case !a.Mine:
		return wire.ReasonRecipientMismatch
	}
	return wire.ReasonNone
}

// timely returns why no commit may happen now: no service, or no time left (SPEC 5.4).
func (a Arrival) timely(now identity.Now) wire.Reason {
	switch {
	case now.Ahead(a.IM.Sent):
		return wire.ReasonTime
	case !a.Service:
		return wire.ReasonNoIMService
	case now.Late(a.IM.Expires), a.IM.Expires > a.IM.Sent.Add(wire.IMMaxLife):
		return wire.ReasonExpired
	}
	return wire.ReasonNone
}

// rules returns why the owner does not take the message (SPEC 5.2), or cannot (SPEC 3.3, 5.1).
func (a Arrival) rules() wire.Reason {
	switch {
	case a.Admission == Refuse:
		return wire.ReasonRefused
	case a.Admission == Drop:
		return wire.ReasonNone
	case a.Closed:
		return wire.ReasonClosed
	case a.Unsupported:
		return wire.ReasonUnsupportedRequired
	case len(a.IM.Content) > a.most():
		return wire.ReasonTooLarge
	case a.Gateway && a.IM.Hops() == 0:
		return wire.ReasonTooManyHops
	case a.Admission == FirstContact:
		return a.firstContact()
	case !a.TypeOK && !IsText(a.IM.ContentType):
		return wire.ReasonUnsupportedType
	case a.Content != wire.ReasonNone:
		return a.Content
	}
	return wire.ReasonNone
}

// most returns how many bytes of content are taken.
func (a Arrival) most() int {
	if a.Admission == FirstContact {
		return wire.MaxFirstContent
	}
	if a.MaxIM != 0 {
		return int(min(a.MaxIM, wire.MaxContent))
	}
	return wire.MaxContent
}

// firstContact holds the bounds of the first-contact box (SPEC 5.2): text only, 20 of an address, 200
// in all. A full box is retryable, as its owner may empty it.
func (a Arrival) firstContact() wire.Reason {
	switch {
	case !IsText(a.IM.ContentType) || !utf8.Valid(a.IM.Content):
		return wire.ReasonUnsupportedType
	case a.FromHim >= wire.MaxFirstPerPeer || a.InAll >= a.mostFirst():
		return wire.ReasonRateLimited
	}
	return wire.ReasonNone
}

// keptForInvited is how many places more the first-contact box has for those who show an invite.
const keptForInvited = 100

func (a Arrival) mostFirst() int {
	if a.Invited {
		return wire.MaxFirstContact + keptForInvited
	}
	return wire.MaxFirstContact
}

// Bounds of the messages that are held while I am CLOSED; those of strangers are those of the first-contact box.
const (
	maxHeldOf = 100   // of one contact
	maxHeld   = 1_000 // of all of them
)

// hold finds room for a message that waits.
func (a Arrival) hold() Kind {
	of, all := maxHeldOf, maxHeld
	if !a.Contact {
		of, all = wire.MaxFirstPerPeer, wire.MaxFirstContact
	}
	if !a.IsHeld && (a.HeldOf >= of || a.HeldInAll >= all) {
		return Ignore
	}
	return Hold
}

// IsText reports whether a MIME type is text/plain, parameters and case aside (SPEC 5.1).
func IsText(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(t), "text/plain")
}

// refuse answers r. A final refusal of a contact is remembered, so that a changed rule does not
// deliver later what the sender was told had failed; a retryable one leaves nothing (SPEC 5.4).
func (a Arrival) refuse(r wire.Reason, authentic bool) Verdict {
	v := Verdict{Kind: Reject, Disposition: r.Disposition(), Reason: r, MIDs: []wire.MID{a.ID}}
	if r == wire.ReasonRateLimited {
		v.RetryAfterS = firstContactRetry
	}
	if authentic && a.Contact && remembered(r) {
		v.Remember, v.Until = v.MIDs, seenUntil(a.IM)
	}
	return v
}

// accept answers delivered. A resend stands for the first sending too: whichever of the two comes
// later finds itself in seen (SPEC 5.4).
func (a Arrival) accept(k Kind) Verdict {
	v := Verdict{Kind: k, Disposition: wire.Delivered, MIDs: []wire.MID{a.ID}, Until: seenUntil(a.IM)}
	if k != Suppress && !a.IM.ResendOf.IsZero() && !a.resent() {
		v.MIDs = append(v.MIDs, a.IM.ResendOf)
	}
	if v.Remember = v.MIDs; a.Gateway {
		v.Reason = wire.ReasonGateway // what becomes of it is not known here
	}
	return v
}

// Elsewhere is the verdict on a message that another device of this address has taken (SPEC 4.11): it is
// remembered as delivered, whatever the rules here say of it now.
func Elsewhere(a Arrival) Verdict { return a.unvouched().accept(Keep) }

// remembered reports whether a refusal for r is final whatever the clocks say.
func remembered(r wire.Reason) bool { return !r.Retryable() && r != wire.ReasonExpired }
