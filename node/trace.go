package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// step is one row of a message's trace on this node.
type step struct {
	At     time.Time
	Step   string
	Peer   string
	Detail string
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
func (t *txn) trace(id wire.MID, what, peer, detail string) {
	t.addStep(id, step{t.now.Wall.Go(), what, peer, detail})
}

func (t *txn) addStep(id wire.MID, s step) {
	next := uint32(0)
	for t.Has(store.Trace(id, next)) { // a few looks are cheaper than a scan
		if next++; next >= tracesKept {
			return
		}
	}
	_ = put(t, store.Trace(id, next), s) // a failed write fails the pass
}

// Trace is what this node knows of a message's way.
func (n *Node) Trace(_ context.Context, id string) (out []TraceStep, err error) {
	mid, err := n.anyMessage(id)
	if err != nil {
		return nil, err
	}
	err = n.view(func(t *txn) error {
		first, last, err := n.ownSteps(t, mid)
		if err != nil {
			return err
		}
		out = append(out, first...)
		if err := rows(t, store.TraceOf(mid), store.ScanOptions{}, func(_ store.Key, s step) (bool, error) {
			out = append(out, TraceStep(s))
			return true, nil
		}); err != nil {
			return err
		}
		out = append(out, last...)
		slices.SortStableFunc(out, func(a, b TraceStep) int { return a.At.Compare(b.At) })
		return nil
	})
	return out, err
}

// ownSteps are the steps that the row of a message tells: that it was queued or received, and the ack that
// settled it.
func (n *Node) ownSteps(t *txn, id wire.MID) (first, last []TraceStep, err error) {
	if row, ok, err := n.inboxRow(t, id[:]); ok || err != nil {
		return []TraceStep{{row.Received.Go(), "received", n.nameOf(row), "on this disk, acknowledged"}}, nil, err
	}
	e, ok, err := find[message.Entry](t, store.Outbox(id))
	if !ok || err != nil || e.Copied {
		return nil, nil, err
	}
	first = []TraceStep{{e.Sent.Go(), "queued", "", "on this disk"}}
	if !e.ResendOf.IsZero() {
		first[0].Detail += ", in place of " + e.ResendOf.String()
	}
	if s, ok := n.ackStep(t, e); ok {
		last = []TraceStep{TraceStep(s)}
	}
	return first, last, nil
}

// ackStep is the ack that settled a message, if one has.
func (n *Node) ackStep(t *txn, e message.Entry) (s step, ok bool) {
	raw, err := t.whole(e.To, e.AckRaw)
	if err != nil {
		return s, false
	}
	signed, err := wire.ParseSigned(raw)
	if err != nil {
		return s, false
	}
	ack, err := wire.ParseAck(signed.Body)
	return step{e.Settled.Go(), "acked", n.name(e.To), outcomeOf(ack)}, err == nil
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
