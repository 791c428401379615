package node

import (
	"slices"

	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/store"
)

// shut puts a subscription into the view that shows nothing, so that its watcher does not notice (SPEC 4.9). The
// epochs whose keys he has become his own: all others get new ones, and once they have them, these show that I
// am offline. Nothing is told to him. Who only waits for an answer is told yes.
func (n *Node) shut(t *txn, w presence.Watcher) error {
	name := closedView(w.Who)
	if !w.Reads() || w.InView() == name {
		return n.redecide(t, &w, presence.PoliteBlock, name, 0)
	}
	of, err := all[presence.Watcher](t, store.WatchersOf(w.Who))
	if err != nil {
		return err
	}
	there := slices.ContainsFunc(of, func(x presence.Watcher) bool { return x.Reads() && x.InView() == name })
	if !there { // it was not done for another device of his
		if err := n.split(t, w.InView(), name); err != nil {
			return err
		}
	}
	w.Stay(name)
	return n.saveWatcher(t, w)
}

// split makes the live epochs of a view those of the closed view called to, unless they close.
func (n *Node) split(t *txn, name, to string) error {
	view, pub, err := n.loadView(t, name)
	if err != nil {
		return err
	}
	closed, _, err := n.loadView(t, to)
	if err != nil {
		return err
	}
	closed = view.Split(t.now, closed)
	if !pub.Spoke(closed) { // he has seen nothing yet, so there is nothing to go on with
		closed.Shut()
	}
	if err := n.saveView(t, view); err != nil {
		return err
	}
	t.after(n.serving.nudge)
	if err := n.saveView(t, closed); err != nil {
		return err
	}
	return n.savePublisher(t, to, pub.Adopt(closed))
}

// othersGone reports whether everybody who shared the epochs of a closed view holds a newer one.
func (n *Node) othersGone(t *txn, closed presence.View) (bool, error) {
	view, _, err := n.loadView(t, closed.From)
	if err != nil {
		return false, err
	}
	grant, _ := view.Grants(t.now)
	all := true // also if he was the only one there, so that nothing follows
	err = rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if w.Reads() && w.InView() == view.Name && (w.Unacked || grant == nil || w.Grant != grant.E) {
			all = false
		}
		return all, nil
	})
	return all, err
}

// releaseView has a closed view show nothing from now on, if nobody else reads in its epochs any more.
func (n *Node) releaseView(name string) error {
	var ready bool
	if err := n.view(func(t *txn) error {
		view, _, err := n.loadView(t, name)
		if err == nil && view.Held != 0 {
			ready, err = n.othersGone(t, view)
		}
		return err
	}); err != nil || !ready {
		return err
	}
	return n.update(func(t *txn) error {
		view, _, err := n.loadView(t, name)
		if err != nil {
			return err
		}
		view.Shut()
		t.after(n.publish.nudge)
		return n.saveView(t, view)
	})
}
