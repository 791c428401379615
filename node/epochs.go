package node

import (
	"io"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/store"
)

// turnEpochs leads the view through what is due, and tells every watcher who must know.
func (n *Node) turnEpochs() (pause time.Duration, err error) {
	if n.self.Services&identity.Presentity == 0 {
		return look, nil
	}
	for range 4 { // one turn may make another due
		var turn presence.Turn
		if err := n.view(func(t *txn) error {
			view, pub, err := n.loadView(t)
			turn, pause = view.Due(t.now, &pub), view.Wake(t.now, &pub)
			return err
		}); err != nil || turn == presence.TurnNone {
			return pause, err
		}
		if err := n.turn(); err != nil {
			return retryAfter, err
		}
	}
	return 0, nil
}

func (n *Node) turn() error {
	var fresh [64]byte
	if _, err := io.ReadFull(n.cfg.Rand, fresh[:]); err != nil {
		return err
	}
	return n.update(func(t *txn) error {
		view, pub, err := n.loadView(t)
		if err != nil {
			return err
		}
		before := slices.Clone(view.Epochs)
		switch view.Due(t.now, &pub) {
		case presence.TurnNone:
			return nil
		case presence.TurnNext:
			view.Renew(t.now, fresh)
		case presence.TurnChange:
			view.Change(t.now, fresh)
		case presence.TurnRetire:
			view.Retire(t.now)
		}
		t.after(func() {
			for _, e := range before { // also those that a clock made which ran ahead
				if !slices.ContainsFunc(view.Epochs, func(x presence.Epoch) bool { return x.E == e.E }) {
					n.net.Unserve(e.E)
				}
			}
		})
		if err := n.saveView(t, view); err != nil {
			return err
		}
		return n.tellEpochs(t, view)
	})
}

// tellEpochs signs a new SubState for every watcher who has not been told of an epoch; then the document
// is published in it at once (SPEC 4.2).
func (n *Node) tellEpochs(t *txn, view presence.View) error {
	grant, next := view.Grants(t.now)
	var untold []presence.Watcher
	err := rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if w.Untold(grant, next) {
			untold = append(untold, w)
		}
		return true, nil
	})
	for _, w := range untold {
		if err != nil {
			return err
		}
		if err = n.signWatcher(t, &w); err != nil {
			return err
		}
		err = n.saveWatcher(t, w)
		n.notify(t, w, 0)
	}
	t.after(n.publish.nudge)
	return err
}

// leave notes that a watcher left, so that a new epoch begins without him.
func (n *Node) leave(t *txn, cause presence.Cause) error {
	view, _, err := n.loadView(t)
	if err != nil {
		return err
	}
	view.Leave(cause)
	t.after(n.serving.nudge)
	return n.saveView(t, view)
}
