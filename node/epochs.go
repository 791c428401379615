package node

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// turnEpochs leads every view through what is due, and tells every watcher who must know.
func (n *Node) turnEpochs() (pause time.Duration, err error) {
	if n.self.Services&identity.Presentity == 0 || n.revoked() {
		return look, nil
	}
	var names []string
	if err := n.view(func(t *txn) error {
		names, err = n.viewNames(t)
		return err
	}); err != nil {
		return retryAfter, err
	}
	if len(names) > 1 && !n.delegated() {
		err = n.occupy(names)
	}
	pause = look
	for _, name := range names {
		if isClosedView(name) {
			err = errors.Join(err, n.releaseView(name))
		}
		wait, failed := n.turnView(name)
		pause, err = min(pause, wait), errors.Join(err, failed)
	}
	return pause, err
}

func (n *Node) turnView(name string) (pause time.Duration, err error) {
	for range 4 { // one turn may make another due
		var turn presence.Turn
		urgent := false
		if err := n.view(func(t *txn) error {
			view, pub, err := n.loadView(t, name)
			turn, pause, urgent = view.Due(t.now, &pub), view.Wake(t.now, &pub), view.Urgent(t.now)
			return err
		}); err != nil || turn == presence.TurnNone {
			n.sync.made(name)
			return pause, err
		}
		if turn != presence.TurnRetire && turn != presence.TurnShut { // which is about this device alone
			if n.delegated() { // which holds epochs, and makes none
				return look, nil
			}
			if wait := n.leaveToOthers(name, urgent); wait > 0 {
				return wait, nil
			}
		}
		if err := n.turn(name); err != nil {
			return retryAfter, err
		}
	}
	return 0, nil
}

// fresh draws what the keys of an epoch are made of.
func (n *Node) fresh() (b [64]byte, err error) {
	_, err = io.ReadFull(n.cfg.Rand, b[:])
	return b, err
}

func (n *Node) turn(name string) error {
	fresh, err := n.fresh()
	if err != nil {
		return err
	}
	return n.update(func(t *txn) error {
		view, pub, err := n.loadView(t, name)
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
		case presence.TurnShut:
			view.Shut()
		}
		if err := n.forget(t, before, view.Epochs); err != nil {
			return err
		}
		if view.Vacant && len(view.Epochs) == 0 {
			return n.dropView(t, name)
		}
		if err := n.saveView(t, view); err != nil {
			return err
		}
		return n.tellEpochs(t, view, nil)
	})
}

// forget ends what the network answers for the epochs that are gone, also those that a clock made which ran
// ahead.
func (n *Node) forget(t *txn, before, now []presence.Epoch) error {
	var err error
	for _, e := range before {
		if !slices.ContainsFunc(now, func(x presence.Epoch) bool { return x.E == e.E }) {
			t.after(func() { n.net.Unserve(e.E) })
			err = errors.Join(err, t.Delete(store.Said(e.E)))
		}
	}
	return err
}

// keepSaid keeps what is held of the epochs of a view that have ended early: nobody says it again, and who
// left them can still read it.
func (n *Node) keepSaid(t *txn, v presence.View) error {
	var err error
	for _, e := range v.Epochs {
		if e.EndedAt == 0 || t.Has(store.Said(e.E)) {
			continue
		}
		said := [][]byte{}
		for _, r := range n.net.Held(e.E) {
			if !r.IsBeacon() {
				said = append(said, r.Raw)
			}
		}
		err = errors.Join(err, put(t, store.Said(e.E), said))
	}
	return err
}

// said is what was said last in an epoch, by any device of mine, as far as it is kept.
func (n *Node) said(t *txn, e presence.Epoch) (out []wire.Rec, err error) {
	if e.EndedAt == 0 {
		return n.net.Held(e.E), nil
	}
	raw, _, err := find[[][]byte](t, store.Said(e.E))
	for _, b := range raw {
		if r, err := wire.ParseRec(b); err == nil {
			out = append(out, r)
		}
	}
	return out, err
}

// tellEpochs signs a new SubState for every watcher who has not been told of an epoch of his view; then the
// document is published in it at once (SPEC 4.2). Those in but are left to what becomes of their subscription.
func (n *Node) tellEpochs(t *txn, view presence.View, but []identity.Address) error {
	grant, next := view.Grants(t.now)
	var untold []presence.Watcher
	err := rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if w.InView() == view.Name && w.Untold(grant, next) && !slices.Contains(but, w.Who) {
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

// occupy notes which of the views nobody watches any more: nothing is made or said in them.
func (n *Node) occupy(names []string) error {
	var stale []string
	if err := n.view(func(t *txn) (err error) {
		stale, err = n.misjudged(t, names)
		return err
	}); err != nil || len(stale) == 0 {
		return err
	}
	return n.update(func(t *txn) error {
		stale, err := n.misjudged(t, stale)
		for _, name := range stale {
			if err != nil {
				return err
			}
			var view presence.View
			if view, _, err = n.loadView(t, name); err == nil {
				view.Vacant = !view.Vacant
				err = n.saveView(t, view)
			}
		}
		return err
	})
}

// misjudged are the views that are vacant and should not be, or the reverse. A closed view begins with what
// it is to say, see openClosed.
func (n *Node) misjudged(t *txn, names []string) (out []string, err error) {
	watched, err := n.watched(t)
	for _, name := range names {
		view, ok, failed := find[presence.View](t, viewRow(name))
		vacant := !ok || view.Vacant
		if err = errors.Join(err, failed); vacant == watched[name] && !(vacant && isClosedView(name)) {
			out = append(out, name)
		}
	}
	return out, err
}

// watched are the views that somebody has the keys of, the default view, the public one, and those that are shown to somebody
// who is politely blocked and asks once. With several devices each view that the user made is one, so that
// every device can tell who asks once what the others show in it.
func (n *Node) watched(t *txn) (map[string]bool, error) {
	in := map[string]bool{presence.DefaultView: true}
	public, err := publicView(t)
	if in[public] = true; public == "" {
		delete(in, public)
	}
	if n.hasOthers() {
		for k := range t.Scan(store.AllViews(), store.ScanOptions{KeysOnly: true}) {
			in[k.Name()] = true
		}
	}
	err = errors.Join(err, rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if w.Reads() {
			in[w.InView()] = true
		}
		return true, nil
	}))
	return in, errors.Join(err, n.markClosed(t, in))
}

// leaveAllOf has every view change its epoch because of one who left them all.
func (n *Node) leaveAllOf(t *txn, cause presence.Cause, who identity.Address) error {
	names, err := n.viewNames(t)
	for _, name := range names {
		err = errors.Join(err, n.leave(t, name, cause, who))
	}
	return err
}

// leave notes that a watcher left a view, so that a new epoch begins without him.
func (n *Node) leave(t *txn, name string, cause presence.Cause, who identity.Address) error {
	view, _, err := n.loadView(t, name)
	if err != nil {
		return err
	}
	view.Leave(cause, who)
	t.after(n.serving.nudge)
	return n.saveView(t, view)
}
