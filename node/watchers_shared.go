package node

import (
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// sharedWatcher is what my devices tell each other of a subscription to me. What each has signed and who has
// acked it is its own, and so are the stamps that keep replays out.
type sharedWatcher struct {
	Device        identity.DeviceID
	Want, Flags   uint32
	Text, Name    string
	LifetimeS     uint64
	View          string
	State, Before wire.SubStateCode
	Event         presence.Event
	Since, Began  identity.Time
	Reason        wire.Reason
	Expires       identity.Time
	Ended         bool
}

func watcherKey(a identity.Address, sub wire.SubID) []byte { return append(a[:], sub[:]...) }

func watcherRow(key []byte) (store.Key, error) {
	if len(key) != 48 {
		return store.Key{}, errBadValue
	}
	return store.Watcher(identity.Address(key[:32]), [16]byte(key[32:])), nil
}

func watcherName(k store.Key) []byte { return watcherKey(k.Address(), wire.SubID(k.Sub())) }

func (n *Node) watcherValue(t *txn, key []byte) ([]byte, bool, error) {
	k, err := watcherRow(key)
	if err != nil {
		return nil, false, err
	}
	w, ok, err := find[presence.Watcher](t, k)
	if !ok {
		return nil, false, err
	}
	return encoded(sharedWatcher{Device: w.Device, Want: w.Want, Flags: w.Flags, Text: w.Text, Name: w.Name, LifetimeS: w.LifetimeS, View: w.View,
		State: w.State, Before: w.Before, Event: w.Event, Since: w.Since, Began: w.Began, Reason: w.Reason, Expires: w.Expires, Ended: w.Ended})
}

// applyWatcher takes what became of a subscription on another device of mine. That it expired there counts
// only if it has expired here too: whoever was away has missed its renewals.
func (n *Node) applyWatcher(t *txn, key, value []byte) error {
	k, err := watcherRow(key)
	if err != nil {
		return err
	}
	before, known, err := find[presence.Watcher](t, k)
	if err != nil {
		return err
	}
	if value == nil {
		if !known {
			return nil
		}
		t.after(func() { n.noteWatcher(before.Who) })
		return n.deleteWatcher(t, before)
	}
	v, err := decoded[sharedWatcher](value)
	if err != nil {
		return err
	}
	if known && v.State == wire.SubExpired && before.State == wire.SubActive && before.Expires > t.now.Wall {
		t.again = append(t.again, syncItem{kind: wire.SyncWatcher, key: key})
		return nil
	}
	w := v.into(before, n.self.Address, k)
	if !known && w.Due(t.now) == presence.Drop { // it was over so long ago that it went by age
		return nil
	}
	if known && isClosedView(w.View) { // he is told nothing, and his epochs have gone there with him
		return n.saveWatcher(t, w)
	}
	if before.Reads() && (!w.Reads() || w.InView() != before.InView()) {
		if err := n.leftElsewhere(t, w, before.InView()); err != nil {
			return err
		}
	}
	if known && !w.LostSeat() && (w.State != before.State || w.View != before.View || w.Reason != before.Reason) {
		w.Raw = nil
		if err := n.signWatcher(t, &w); err != nil {
			return err
		}
		n.notify(t, w, otherFirst)
	}
	return n.saveWatcher(t, w)
}

// otherFirst is how long a device leaves it to the one that decided to tell a watcher.
const otherFirst = 2 * time.Second

// into lays what another device says over what this one keeps.
func (v sharedWatcher) into(w presence.Watcher, me identity.Address, k store.Key) presence.Watcher {
	w.Me, w.Who, w.Sub = me, k.Address(), wire.SubID(k.Sub())
	w.Device, w.Want, w.Flags, w.Text, w.Name, w.LifetimeS, w.View = v.Device, v.Want, v.Flags, v.Text, v.Name, v.LifetimeS, v.View
	w.State, w.Before, w.Event, w.Since, w.Began = v.State, v.Before, v.Event, v.Since, v.Began
	w.Reason, w.Expires, w.Ended = v.Reason, v.Expires, v.Ended || w.Ended
	w.Asked = max(w.Asked, v.Began, v.Since) // a request is given up when it was last heard 30 days ago
	return w
}

// leftElsewhere has the epochs change for a watcher who left on another device, unless they have.
func (n *Node) leftElsewhere(t *txn, w presence.Watcher, from string) error {
	view, _, err := n.loadView(t, from)
	if err != nil || n.stillActive(t, w, from) || view.Excludes(t.now, w) {
		return err
	}
	cause := presence.CauseUser
	switch {
	case w.Reason == wire.ReasonUnsubscribed:
		cause = presence.CauseUnsub
	case w.State == wire.SubExpired:
		cause = presence.CauseExpiry
	}
	return n.leave(t, from, cause, w.Who)
}

// redecideShared has the subscriptions of those whose rows came follow their rules, once all have come: those
// of everybody if what holds for a class has.
func (n *Node) redecideShared(t *txn, items []wire.Item) error {
	var who []identity.Address
	for _, x := range items {
		if _, class := classOf(x.Key); class && x.Kind == wire.SyncRule {
			return n.applyRulesToAll(t)
		}
		if (x.Kind == wire.SyncRule || x.Kind == wire.SyncWatcher) && len(x.Key) >= 32 {
			who = append(who, identity.Address(x.Key[:32]))
		}
	}
	slices.SortFunc(who, func(a, b identity.Address) int { return slices.Compare(a[:], b[:]) })
	for _, a := range slices.Compact(who) {
		if r, err := n.rule(t, a); err != nil {
			return err
		} else if r.IsZero() { // nobody has said anything of him, so what stands, stands
			continue
		}
		if err := n.applyRules(t, a); err != nil {
			return err
		}
	}
	return nil
}
