package message

import (
	"errors"
	"fmt"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// State is where a message in the outbox stands (SPEC 5.5). A queued or sending message becomes handed
// when a device of the recipient takes it, and ends delivered or failed.
type State uint8

const (
	Queued    State = iota + 1 // persisted; no route has answered yet
	Sending                    // a route answered
	Handed                     // TAKEN, which promises nothing
	Stored                     // in a mailbox [C2]
	Delivered                  // final: a verified ack said so
	Displayed                  // final: delivered, and shown to its reader
	Failed                     // final but for a late ack; Reason says why
)

func (s State) String() string {
	if s < Queued || s > Failed {
		return "unknown"
	}
	return [...]string{"queued", "sending", "handed", "stored", "delivered", "displayed", "failed"}[s-Queued]
}

// Final reports whether s is left no more, except from Failed by a late ack (SPEC 5.5).
func (s State) Final() bool { return s >= Delivered }

var (
	// ErrNotAwaited is wrapped when an ack does not settle the entry it was given to.
	ErrNotAwaited = errors.New("not an ack of this message")
	// ErrHanded says that a message cannot be taken back any more: it waits for its ack (SPEC 5.5).
	ErrHanded = errors.New("already handed over")
	// ErrDoubt says that a message cannot be taken back, as nobody knows whether a try of it was taken.
	ErrDoubt = errors.New("perhaps handed over")
	// ErrFinal says that a message has its final state already.
	ErrFinal = errors.New("already settled")
	// ErrNoResend says that sending again could show the message twice (SPEC 5.5).
	ErrNoResend = errors.New("cannot be sent again")
	// ErrExpiry says that a message would expire before it is sent, or later than 14 d after.
	ErrExpiry = errors.New("bad expiry")
)

// A CEK is the content key of one sealing, with the tag its AckBox will carry (SPEC 5.3).
type CEK struct {
	Key [32]byte
	Tag [16]byte
}

// maxCEKs is how many sealings of one message can still be answered (SPEC 5.5).
const maxCEKs = 4

// An Entry is one message of the outbox. It is saved after every call that says it changed; most fields are
// zero most of the time, and a zero field takes no room on the disk.
type Entry struct {
	ID       wire.MID
	From, To wire.Address
	State    State
	Reason   wire.Reason `cbor:",omitzero"` // of Failed: why; before: the last retryable refusal, for the screen
	Signed   []byte      // the Signed IM, the same for every try

	CEKs      []CEK    `cbor:",omitempty"` // newest first, at most 4; none once no ack can come any more
	CT        []byte   `cbor:",omitempty"` // of the newest CEK; none once nothing is sent any more
	SealedFor [32]byte `cbor:",omitzero"`  // the caller's digest of the prekeys and attachments that CT was made for
	Keyless   bool     `cbor:",omitzero"`  // no usable key of the recipient is known
	NoSuite   bool     `cbor:",omitzero"`  // those that are known are of other suites

	Sent, Expires wire.Time // of the IM
	Settled       wire.Time `cbor:",omitzero"` // when it became final; 0 before

	Attempts     int       `cbor:",omitzero"`
	Unanswered   int       `cbor:",omitzero"` // tries TAKEN in a row, without an ack
	CountedTry   int       `cbor:",omitzero"` // the try that Unanswered counted last
	NextTry      wire.Time // by the schedule
	NotBefore    wire.Time `cbor:",omitzero"` // asked for by the recipient
	Touched      wire.Time // when NextTry and NotBefore were computed
	Trying       bool      `cbor:",omitzero"` // a try has begun, and what became of it is not noted
	Doubt        bool      `cbor:",omitzero"` // what became of one is not known: somebody may have taken it
	Again        bool      `cbor:",omitzero"` // one more try at once
	Extra        bool      `cbor:",omitzero"` // the last try was such a one
	FetchRecords bool      `cbor:",omitzero"` // ask RECORDS before the next try
	Attach       bool      `cbor:",omitzero"` // the recipient has no valid record of mine: attach it

	Dial []string `cbor:",omitempty"` // places on the card that the message was addressed by

	WantDisplayed bool `cbor:",omitzero"` // the IM asks for a displayed ack
	ShowAck       bool `cbor:",omitzero"` // the user wants to see what became of it
	Handed        bool `cbor:",omitzero"` // some device or mailbox ever took it

	Clear     bool `cbor:",omitzero"` // it is not sealed
	Unsigned  bool `cbor:",omitzero"` // nor signed by a device of mine
	Anonymous bool `cbor:",omitzero"` // it names no author (SPEC 8)

	Once *Once `cbor:",omitempty"` // where the ack of an anonymous one may come to; nil: nowhere, or no more

	Copied bool `cbor:",omitzero"` // another device of mine sends it, and tells what becomes of it

	AckRaw    []byte `cbor:",omitempty"` // the Signed Ack that settled it
	Via       string `cbor:",omitempty"` // the way the first ack came; "" is a direct one
	AckRecord []byte `cbor:",omitempty"` // the Signed address record by which its signer was believed
	Record    []byte `cbor:",omitempty"` // the Signed address record of mine that held then

	DisplayedRaw    []byte        `cbor:",omitempty"` // the Signed Ack displayed that came after it
	DisplayedRecord []byte        `cbor:",omitempty"` // the Signed address record by which its signer was believed
	AckedBy         wire.DeviceID `cbor:",omitzero"`
	AckedAt         wire.Time     `cbor:",omitzero"` // by the recipient's clock
	DisplayedAt     wire.Time     `cbor:",omitzero"` // by the recipient's clock

	ResendOf    wire.MID  `cbor:",omitzero"` // the first of a chain of resends, zero if this is the first
	ResendUntil wire.Time // nothing of the chain may expire later
}

// New returns the queued entry of im, whose id is id and whose encoding is signed. It is to be saved,
// sealed if a key is known, before the user is told "queued". ErrExpiry if im is dead already or lives
// longer than 14 d.
func New(now identity.Now, id wire.MID, im wire.IM, signed []byte) (Entry, error) {
	if im.Expires <= now.Wall || im.Expires > im.Sent.Add(wire.IMMaxLife) {
		return Entry{}, fmt.Errorf("message from %d to %d: %w", im.Sent, im.Expires, ErrExpiry)
	}
	return Entry{
		ID: id, From: im.From, To: im.To, State: Queued, Signed: signed, Anonymous: im.From.IsZero(),
		Sent: im.Sent, Expires: im.Expires,
		NextTry: now.Wall, Touched: now.Wall,
		WantDisplayed: im.Report&ReportDisplayed != 0, ShowAck: true,
		ResendOf: im.ResendOf, ResendUntil: resendUntil(im),
	}, nil
}

// Copy returns the entry of a message that another device of this address has sent (SPEC 5.7): it is shown
// and neither tried nor settled here.
func Copy(now identity.Now, id wire.MID, im wire.IM, signed []byte) Entry {
	return Entry{
		ID: id, From: im.From, To: im.To, State: Queued, Signed: signed, Anonymous: im.From.IsZero(), Sent: im.Sent, Expires: im.Expires,
		Touched: now.Wall, WantDisplayed: im.Report&ReportDisplayed != 0, ShowAck: true, Copied: true,
		ResendOf: im.ResendOf, ResendUntil: resendUntil(im),
	}
}

// resendUntil is the end of the chain of resends that im begins. Of one that continues a chain the end is not
// in it: it is no earlier than that of im.
func resendUntil(im wire.IM) wire.Time {
	if im.ResendOf.IsZero() {
		return im.Expires.Add(wire.ResendWindow)
	}
	return im.Expires
}

// ReportDisplayed in the report field of an IM asks for a displayed ack (SPEC 5.1).
const ReportDisplayed uint32 = 1

// Resend makes im the user's "send again" of e: it sets resend_of to the first mid of the chain and
// cuts expires so that the recipient still remembers that mid when im arrives last (SPEC 5.5).
// ErrNoResend unless e ended without word of its recipient, at most 7 d after the first one's expires, and
// was sent from the address that im is from: who left it since is another sender to those who remember.
func (e *Entry) Resend(now identity.Now, im wire.IM) (wire.IM, error) {
	silent := e.Reason == wire.ReasonUnconfirmed || e.Reason == wire.ReasonUnreachable
	if e.State != Failed || !silent || im.From != e.From || now.Late(e.ResendUntil) {
		return im, ErrNoResend
	}
	im.To, im.ResendOf = e.To, e.First()
	im.Expires = min(im.Expires, e.ResendUntil)
	return im, nil
}

// First is the message that e is a sending of: itself, unless it was sent again for another.
func (e *Entry) First() wire.MID {
	if e.ResendOf.IsZero() {
		return e.ID
	}
	return e.ResendOf
}

// Follows joins e, just made by [New] of what o's [Entry.Resend] returned, to the chain of o, so that it
// can be sent again in turn.
func (e *Entry) Follows(o Entry) { e.ResendUntil = o.ResendUntil }

// Seal records that the message was sealed anew under c, for the prekeys and attachments that digest
// stands for; ct is sent from now on. It returns the keys whose acks can no longer be opened.
func (e *Entry) Seal(c CEK, ct []byte, digest [32]byte) (dropped []CEK) {
	keys := append([]CEK{c}, e.CEKs...)
	kept := min(len(keys), maxCEKs)
	e.CEKs, e.CT, e.SealedFor, e.Keyless = keys[:kept:kept], ct, digest, false
	return keys[kept:]
}

// SealedAs reports whether the newest sealing was made for digest, so that CT goes out as it is.
func (e *Entry) SealedAs(digest [32]byte) bool { return len(e.CEKs) > 0 && e.SealedFor == digest }

// NoUsableKey records that there is nothing to seal to (SPEC 3.7, "Which prekey"); noSuite says that there are
// keys, of suites that this version does not have (SPEC 3.5).
func (e *Entry) NoUsableKey(noSuite bool) (changed bool) {
	changed = !e.Keyless || e.NoSuite != noSuite
	e.Keyless, e.NoSuite = true, noSuite
	return changed
}

// Orphan ends a message whose signer is no device of this address any more. What became of it meanwhile
// is not known, so it may be sent again like any that ended unconfirmed (SPEC 5.5, 5.6).
func (e *Entry) Orphan(now identity.Now) {
	if !e.State.Final() {
		e.fail(now, wire.ReasonUnconfirmed)
	}
}

// NotTaken ends a message of which the recipient's own record says that he does not take such: any at all (SPEC
// 2.3), or what is not sealed or not signed (SPEC 8). What was handed over before may have arrived, and waits
// for its ack.
func (e *Entry) NotTaken(now identity.Now, why wire.Reason) (changed bool) {
	if e.State.Final() || e.Handed {
		return false
	}
	e.fail(now, why)
	return true
}

// Moved ends a message whose recipient has left his address: no word of it counts any more (SPEC 2.6). What
// was handed over before may have arrived.
func (e *Entry) Moved(now identity.Now) (changed bool) {
	switch {
	case e.State.Final():
		return false
	case e.Handed:
		e.fail(now, wire.ReasonUnconfirmed)
	default:
		e.fail(now, wire.ReasonNoSuchInbox)
	}
	return true
}

// Forget erases the keys of a settled message once no ack can come any more, and returns them so
// that their index goes with them: past expires + 7 d by both clocks (SPEC 5.5). To erase is final.
func (e *Entry) Forget(now identity.Now) (dropped []CEK) {
	if !e.State.Final() || !now.Past(e.Expires.Add(wire.ResendWindow)) {
		return nil
	}
	dropped, e.CEKs, e.CT = e.CEKs, nil, nil
	return dropped
}

// unconfirmedAfter is how long after expires an ack of what was handed over is waited for (SPEC 5.5).
const unconfirmedAfter = 2 * identity.Skew

// ends returns the instant after which e fails for want of an ack.
func (e *Entry) ends() wire.Time {
	if e.State == Handed || e.State == Stored {
		return e.Expires.Add(unconfirmedAfter)
	}
	return e.Expires
}

// Tick ends a message whose time is over (SPEC 5.5). Outbox entries end by the system clock alone, so
// that a clock of a contact that runs ahead fails nothing here (SPEC 1).
func (e *Entry) Tick(now identity.Now) (changed bool) {
	if e.State.Final() || now.Wall <= e.ends() {
		return false
	}
	switch {
	case e.State == Handed || e.State == Stored:
		e.fail(now, wire.ReasonUnconfirmed)
	case e.Keyless && e.NoSuite:
		e.fail(now, wire.ReasonNoCommonSuite)
	case e.Keyless:
		e.fail(now, wire.ReasonNoKeys)
	default:
		e.fail(now, wire.ReasonUnreachable)
	}
	return true
}

// Cancel takes the message back: ErrHanded or ErrDoubt if some device holds it or may, ErrFinal if it is
// settled. No try of it may be running.
func (e *Entry) Cancel(now identity.Now) error {
	switch {
	case e.State.Final():
		return ErrFinal
	case e.Handed:
		return ErrHanded
	case e.Doubt, e.Trying:
		return ErrDoubt
	}
	e.fail(now, wire.ReasonCancelled)
	return nil
}

func (e *Entry) fail(now identity.Now, r wire.Reason) { e.end(now, Failed, r) }

// end gives e a final state. Nothing is sent of it any more, so the octets that were go.
func (e *Entry) end(now identity.Now, s State, r wire.Reason) {
	e.State, e.Reason, e.Settled = s, r, now.Wall
	e.CT, e.SealedFor = nil, [32]byte{}
}

// maxHold bounds how long a recipient can ask us to wait: no message lives longer.
const maxHold = wire.IMMaxLife

// hold delays every further try by d.
func (e *Entry) hold(now identity.Now, d time.Duration) {
	e.touch(now)
	e.NotBefore = max(e.NotBefore, now.Wall.Add(min(max(d, 0), maxHold)))
}

// touch dates the schedule. Instants that were computed while the clock stood in what is now an
// impossible future count as now, so that a clock set right again holds no message back (SPEC 1).
func (e *Entry) touch(now identity.Now) {
	if now.Ahead(e.Touched) {
		e.NextTry, e.NotBefore = now.Wall, 0
	}
	e.Touched = now.Wall
}
