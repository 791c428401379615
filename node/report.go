package node

import (
	"context"
	"errors"

	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Report tells the author of a message that this gateway has handed on what became of it behind the gateway: it was
// delivered, or it failed (SPEC 8). It is said once, and kept until he has heard it, or cannot open it any more.
func (n *Node) Report(_ context.Context, id string, failed bool) (Received, error) {
	row, err := n.received(id)
	if err != nil {
		return Received{}, err
	}
	outcome, reason := wire.Delivered, wire.ReasonNone
	if failed {
		outcome, reason = wire.Failed, wire.ReasonGateway
	}
	err = n.update(func(t *txn) error {
		key := store.Inbox(row.Sent, row.ID)
		if row, err = get[message.Row](t, key); err != nil {
			return err
		}
		cek, ok := row.Report(t.now)
		if !ok || row.Author().IsZero() {
			return noReport(row)
		}
		report := n.signAck(row.From, []wire.MID{row.ID}, outcome, reason, 0).Append(nil)
		if err := n.answerWith(t, row, report); err != nil {
			return err
		}
		t.trace(row.ID, "reported", n.name(row.From), outcome.String(), "signed by this device, committed before you were told")
		return errors.Join(put(t, key, row), n.owe(t, owedDisplay{To: row.From, ID: row.ID, CEK: cek, Until: row.Expires.Add(wire.ResendWindow), Report: report}))
	})
	if err != nil {
		return Received{}, saveError(n.cfg.Home, err)
	}
	return n.receivedFace(row), nil
}

// answerWith has whoever sends the message again hear the report, and no more that nothing is known.
func (n *Node) answerWith(t *txn, row message.Row, report []byte) error {
	old, err := n.seen(t, row.From, row.ID)
	if err != nil || old == nil {
		return err
	}
	return remember(t, row.From, row.ID, old, message.Seen{Ack: report, Until: old.Until})
}

func noReport(row message.Row) error {
	e := &Error{Kind: KindUsage, Code: "no-report"}
	switch {
	case !row.Gateway:
		e.Message, e.Advice = "this message was not taken by a gateway: its author knows what became of it", "gateway = true in config.toml makes this home one"
	case row.Author().IsZero():
		e.Message = "it names no author, so that nobody can be told"
	case row.CEK == [32]byte{}:
		e.Message, e.Advice = "it was reported before, and that is said once", "see: hum trace "+shortID(row.ID)
	default:
		e.Message = "it expired more than 7 days ago: its author cannot hear of it any more"
	}
	return e
}
