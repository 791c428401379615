package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// step is one row of a message's trace on this node.
type step struct {
	At       time.Time
	Step     string
	Peer     string
	Detail   string
	Evidence string    `cbor:",omitempty"` // what shows it
	Times    int       `cbor:",omitzero"`  // how often it happened again, right after
	Last     time.Time `cbor:",omitzero"`  // when it last did
}

// again reports whether o is the same that happened once more, and counts it.
func (s *step) again(o step) bool {
	if s.Step != o.Step || s.Peer != o.Peer || s.Detail != o.Detail || s.Evidence != o.Evidence {
		return false
	}
	s.Times, s.Last = s.Times+1, o.At
	return true
}

func (s step) face(id wire.MID) TraceStep {
	return TraceStep{ID: id, At: s.At, Last: s.Last, Times: s.Times + 1, Step: s.Step, Peer: s.Peer, Detail: s.Detail, Evidence: s.Evidence}
}

// plain is an error for a person to read: of a peer that was not reached only that. Where it was looked
// for, by peer id and multiaddr, is for the log.
func plain(err error) string {
	if errors.Is(err, p2p.ErrUnreachable) {
		return p2p.ErrUnreachable.Error()
	}
	return err.Error()
}

// tracesKept bounds the steps of one message: the first ones tell most.
const tracesKept = 64

// trace adds a step to the trace of a message; a failure to do so fails the pass, as every write does. What the
// row of the message tells by itself is no step of its own: see ownSteps.
func (t *txn) trace(id wire.MID, what, peer, detail, evidence string) {
	t.addStep(id, step{At: t.now.Wall.Go(), Step: what, Peer: peer, Detail: detail, Evidence: evidence})
}

func (t *txn) addStep(id wire.MID, s step) {
	next := uint32(0)
	for t.Has(store.Trace(id, next)) { // a few looks are cheaper than a scan
		next++
	}
	if next > 0 {
		if last, ok, err := find[step](t, store.Trace(id, next-1)); ok && err == nil && last.again(s) {
			s, next = last, next-1
		}
	}
	if next < tracesKept {
		_ = put(t, store.Trace(id, next), s) // a failed write fails the pass
	}
}

// Trace is what this node knows of a message's way. Nobody in between keeps a record of it (SPEC 3.8).
func (n *Node) Trace(_ context.Context, id string) (out []TraceStep, err error) {
	err = n.view(func(t *txn) error {
		mid, from, err := n.traceable(t, id)
		if err != nil {
			return err
		}
		kept, err := all[step](t, store.TraceOf(mid))
		if err != nil {
			return err
		}
		first, last, err := n.ownSteps(t, mid, from, kept)
		for _, s := range slices.Concat(first, kept, n.turned.of(mid), last) {
			out = append(out, s.face(mid))
		}
		slices.SortStableFunc(out, func(a, b TraceStep) int { return a.At.Compare(b.At) })
		return err
	})
	return out, err
}

// traceable finds a message that was sent or received here, or of which there is only a trace: then From is who
// sent it, if that is remembered.
func (n *Node) traceable(t *txn, typed string) (id wire.MID, from identity.Address, err error) {
	id, err = findID(t, typed)
	var e *Error
	if err == nil || errors.As(err, &e) && e.Code != unknownIDCode {
		return id, from, err
	}
	found := n.turned.like(typed)
	for _, k := range seenLike(t, typed) {
		if s, ok, err := find[message.Seen](t, k); err != nil || ok && (s.Refused || t.Has(store.Trace(k.MID(), 0))) {
			from = k.Address()
			if !slices.Contains(found, wire.MID(k.MID())) {
				found = append(found, k.MID())
			}
		}
	}
	id, err = oneID(typed, found)
	return id, from, err
}

// copied marks what another device of mine sent or received: no ack of it left from here.
const copied = "copied"

// ownSteps are the steps that the row of a message tells: that it was queued or received, and what settled it.
func (n *Node) ownSteps(t *txn, id wire.MID, from identity.Address, kept []step) (first, last []step, err error) {
	row, ok, err := n.inboxRow(t, id[:])
	if err != nil {
		return nil, nil, err
	}
	if ok {
		return n.receivedSteps(t, row, slices.ContainsFunc(kept, func(s step) bool { return s.Step == copied })), openedStep(row), nil
	}
	if s, ok, err := find[message.Seen](t, store.Seen(from, id)); ok || err != nil {
		return nil, n.refusedStep(t, from, s), err
	}
	e, ok, err := find[message.Entry](t, store.Outbox(id))
	if !ok || err != nil {
		return nil, nil, err
	}
	s := step{At: e.Sent.Go(), Step: "queued", Detail: "on this disk", Evidence: "signed by this device, committed before you were told"}
	if e.Copied {
		s.Step, s.Detail, s.Evidence = copied, "sent by another of my devices", "its own copy"
	}
	if e.Unsigned {
		s.Evidence = "not signed; committed before you were told"
	}
	if e.Anonymous {
		s.Evidence = "signed by a key that is used once; committed before you were told"
	}
	if !e.ResendOf.IsZero() {
		s.Detail += ", in place of " + e.ResendOf.String()
	}
	return []step{s}, n.ends(t, e), nil
}

// receivedSteps say how a message came into the inbox.
func (n *Node) receivedSteps(t *txn, r message.Row, byAnother bool) []step {
	s := step{At: r.Received.Go(), Step: "received", Peer: n.nameOf(r), Detail: "on this disk", Evidence: "signed by device " + r.Device.String()}
	switch {
	case r.From.IsZero():
		s.Evidence = "signed by a key that is used once: nobody answers for it"
	case r.Unsigned:
		s.Evidence = "not signed: it is a claim that it is from " + n.name(r.From)
	}
	if seen, err := n.seen(t, r.From, r.ID); err == nil && seen != nil && !byAnother {
		if signed, ack, ok := t.ackIn(r.From, seen.Ack); ok {
			s.Detail += ", with the answer: " + outcomeOf(ack)
			s.Evidence += "; committed with " + ackWord(signed, ack)
		}
	}
	return []step{s}
}

func openedStep(r message.Row) []step {
	if r.Displayed == 0 {
		return nil
	}
	return []step{{At: r.Displayed.Go(), Step: "opened", Detail: "by you", Evidence: "marked on this disk"}}
}

// refusedStep is what is remembered of a message that was refused for good.
func (n *Node) refusedStep(t *txn, from identity.Address, s message.Seen) []step {
	signed, ack, ok := t.ackIn(from, s.Ack)
	if !ok || !s.Refused {
		return nil
	}
	return []step{{At: ack.At.Go(), Step: "refused", Peer: n.name(from), Detail: outcomeOf(ack), Evidence: ackWord(signed, ack)}}
}

// ends is the step that ended a message: the ack that settled it, or what this node found itself.
func (n *Node) ends(t *txn, e message.Entry) []step {
	if _, _, ok := t.ackIn(e.To, e.AckRaw); e.State == message.Failed && !ok {
		s := step{At: e.Settled.Go(), Step: "failed", Detail: e.Reason.String(), Evidence: endWords[e.Reason]}
		if e.Reason == wire.ReasonCancelled {
			s.Step, s.Detail = s.Detail, "nobody had taken it"
		}
		return []step{s}
	}
	if signed, ack, ok := t.ackIn(e.To, e.AckRaw); ok {
		s := step{At: e.Settled.Go(), Step: "acked", Peer: n.name(e.To), Detail: outcomeOf(ack), Evidence: ackWord(signed, ack)}
		if e.Via != "" {
			s.Detail += ", " + e.Via
		}
		return []step{s}
	}
	return nil
}

// endWords are what shows why a message failed of which its recipient has said nothing.
var endWords = map[wire.Reason]string{
	wire.ReasonUnreachable: "this machine's clock: its time ran out, and no node of his is known to have taken it",
	wire.ReasonUnconfirmed: "this machine's clock: its time ran out, and nobody has said what became of it",
	wire.ReasonNoKeys:      "this machine's clock: its time ran out, and there was no key to seal it to",
	wire.ReasonCancelled:   "your word",
	wire.ReasonNoSuchInbox: "his successor's word: he has left that address",

	wire.ReasonNoIMService:       hisRecord,
	wire.ReasonNoCommonSuite:     hisRecord,
	wire.ReasonSignatureRequired: hisRecord,
}

const hisRecord = "his own signed record"

// ackIn reads an ack that is kept about a message of or to somebody.
func (t *txn) ackIn(about identity.Address, kept []byte) (s wire.Signed, ack wire.Ack, ok bool) {
	raw, err := t.whole(about, kept)
	if err != nil {
		return s, ack, false
	}
	s, err = wire.ParseSigned(raw)
	if err != nil {
		return s, ack, false
	}
	ack, err = wire.ParseAck(s.Body)
	return s, ack, err == nil
}

// ackWord names an ack, and who answers for it.
func ackWord(s wire.Signed, ack wire.Ack) string {
	return "ack " + s.ID().String() + ", signed by device " + ack.Device.String() + " at " + ack.At.Go().UTC().Format(time.RFC3339)
}

func outcomeOf(a wire.Ack) string {
	if a.Reason == wire.ReasonNone {
		return a.Disposition.String()
	}
	return a.Disposition.String() + " (" + a.Reason.String() + ")"
}

// anyMessage finds a message that was sent or received here.
func (n *Node) anyMessage(id string) (mid wire.MID, err error) {
	err = n.view(func(t *txn) error {
		mid, err = findID(t, id)
		return err
	})
	return mid, err
}
