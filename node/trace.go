package node

import (
	"context"
	"errors"
	"time"

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

// trace adds a step to the trace of a message; a failure to do so fails the pass, as every write does.
func (t *txn) trace(id wire.MID, what, peer, detail string) {
	next := uint32(0)
	for t.Has(store.Trace(id, next)) { // a few looks are cheaper than a scan
		if next++; next >= tracesKept {
			return
		}
	}
	_ = put(t, store.Trace(id, next), step{t.now.Wall.Go(), what, peer, detail}) // a failed write fails the pass
}

// Trace is what this node knows of a message's way.
func (n *Node) Trace(_ context.Context, id string) (out []TraceStep, err error) {
	mid, err := n.anyMessage(id)
	if err != nil {
		return nil, err
	}
	err = n.view(func(t *txn) error {
		return rows(t, store.TraceOf(mid), store.ScanOptions{}, func(_ store.Key, s step) (bool, error) {
			out = append(out, TraceStep(s))
			return true, nil
		})
	})
	return out, err
}

// anyMessage finds a message that was sent or received here.
func (n *Node) anyMessage(id string) (mid wire.MID, err error) {
	err = n.view(func(t *txn) error {
		mid, err = findID(t, id)
		return err
	})
	return mid, err
}
