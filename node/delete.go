package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// deletesMost bounds how many messages one pass deletes.
const deletesMost = 1000

// Delete deletes messages from the inbox, and those of mine whose fate is known, on all my devices: all that are
// named, or none. What is remembered of their ids stays, so that none of them is ever shown again (SPEC 5.4).
func (n *Node) Delete(_ context.Context, ids []string) (gone []wire.MID, err error) {
	if len(ids) > deletesMost {
		return nil, &Error{Kind: KindUsage, Code: wire.ReasonTooLarge.String(), Message: fmt.Sprintf("at most %d messages are deleted at once", deletesMost)}
	}
	err = n.update(func(t *txn) error {
		gone = nil
		for _, typed := range ids {
			id, err := n.deleteOne(t, typed)
			if err != nil {
				return err
			}
			gone = append(gone, id)
		}
		return nil
	})
	if err != nil {
		return nil, saveError(n.cfg.Home, err)
	}
	return gone, nil
}

func (n *Node) deleteOne(t *txn, typed string) (wire.MID, error) {
	id, err := findID(t, typed)
	if err != nil {
		return id, err
	}
	if row, ok, err := n.inboxRow(t, id[:]); ok || err != nil {
		return id, errors.Join(err, n.deleteRow(t, row))
	}
	e, err := get[message.Entry](t, store.Outbox(id))
	if err == nil && !e.State.Final() {
		err = &Error{Code: "under-way", Message: "message " + id.String() + " is still going out", Advice: "take it back first: hum cancel " + shortID(id)}
	}
	if err != nil {
		return id, err
	}
	return id, n.deleteEntry(t, e)
}

// deleteRow deletes a message of the inbox, and its trace.
func (n *Node) deleteRow(t *txn, row message.Row) error {
	if row.Displayed == 0 {
		if err := leaveFirstContact(t, row); err != nil {
			return err
		}
	}
	t.after(func() { n.turned.forget(row.ID) })
	t.emit(Event{Kind: "message", Address: row.From, Name: n.name(row.From), ID: row.ID.String(), State: "deleted"})
	if err := errors.Join(t.Delete(store.Inbox(row.Sent, row.ID)), t.Delete(store.InboxAt(row.ID)),
		t.Delete(store.Talk(row.Author(), row.Sent, row.ID)), deleteAll(t, store.TraceOf(row.ID))); err != nil {
		return err
	}
	return n.share(t, wire.SyncReceived, row.ID[:])
}

// deleteEntry deletes a message of mine, and the keys by which a late ack of it could be read.
func (n *Node) deleteEntry(t *txn, e message.Entry) error {
	for _, c := range e.CEKs {
		if err := t.Delete(store.CEK(c.Tag)); err != nil {
			return err
		}
	}
	t.after(func() { n.mail.track(e.ID, e.To, 0, true) })
	t.emit(Event{Kind: "message", Address: e.To, Name: n.name(e.To), ID: e.ID.String(), State: "deleted"})
	if err := errors.Join(t.leaveAck(e.To, e.AckRaw, e.ID), t.Delete(store.Outbox(e.ID)), t.Delete(store.Talk(e.To, e.Sent, e.ID)), deleteAll(t, store.TraceOf(e.ID))); err != nil {
		return err
	}
	return n.share(t, wire.SyncSent, e.ID[:])
}

// wasDeleted reports whether a message that only now comes here was deleted on another device.
func wasDeleted(t *txn, id wire.MID) bool {
	r, ok, err := find[sharedRow](t, store.Shared(uint32(wire.SyncReceived), id[:]))
	return err == nil && ok && r.Deleted
}
