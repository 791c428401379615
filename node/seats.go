package node

import (
	"cmp"
	"errors"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A seat is a place in the list of pending requests, and those who give way for it (SPEC 3.9).
type seat struct {
	from    source
	replace []presence.Watcher
}

// findSeat looks for a place; nothing is changed until the request is kept.
func (n *Node) findSeat(t *txn, a arrival, r wire.SubRequest, f *presence.Facts, invited bool) (s seat, err error) {
	var held []policy.Pending
	var who []presence.Watcher
	live := 0
	err = rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if !ended(w) {
			live++
		}
		if w.State != wire.SubPending {
			return true, nil
		}
		from, _, err := find[source](t, store.Meta(sourceName(w)))
		held = append(held, policy.Pending{Who: w.Who, Device: w.Device, Peer: string(from.Peer), Prefix: from.Prefix, Reserved: n.isContact(w.Who) || from.Invited, At: w.Asked})
		who = append(who, w)
		return true, err
	})
	if err != nil {
		return s, err
	}
	s.from = source{[]byte(a.peer), policy.Prefix(n.net.RemoteIP(a.peer)), invited}
	place := policy.Seat(held, policy.Pending{Who: r.From, Device: identity.DeviceIDOf(a.signed.Key),
		Peer: string(s.from.Peer), Prefix: s.from.Prefix, Reserved: f.Contact || invited, At: t.now.Wall})
	f.Full, f.PlaceFree = live >= wire.MaxWatchers, place.OK
	for _, i := range place.Replace {
		s.replace = append(s.replace, who[i])
	}
	return s, nil
}

// sit has a request that waits take its seat.
func (n *Node) sit(t *txn, w presence.Watcher, s seat) error {
	if w.State != wire.SubPending {
		return nil
	}
	for _, gone := range s.replace {
		if err := n.unseat(t, gone, w); err != nil {
			return err
		}
	}
	return put(t, store.Meta(sourceName(w)), s.from)
}

// unseat ends a request whose seat w takes. It is listed as given up, unless w is of the same device and stands
// for it.
func (n *Node) unseat(t *txn, gone, w presence.Watcher) error {
	if gone.Who == w.Who && gone.Device == w.Device {
		return n.deleteWatcher(t, gone)
	}
	gone.LoseSeat(t.now)
	gone.News = !n.tellWatcherNews(t, n.watcherEvent(gone))
	return errors.Join(n.boundEnded(t), t.Delete(store.Meta(sourceName(gone))), n.saveWatcher(t, gone))
}

// ended reports whether a subscription is over, and kept only so that no request of it is replayed.
func ended(w presence.Watcher) bool {
	return w.State == wire.SubDenied || w.State == wire.SubTerminated || w.State == wire.SubExpired
}

// source is where a pending request came from. A peer id is binary, and so no text.
type source struct {
	Peer    []byte
	Prefix  string
	Invited bool // it came with an invite, and has one of the places of contacts
}

func sourceName(w presence.Watcher) string { return "source/" + w.Who.String() + "/" + w.Sub.String() }

func (n *Node) deleteWatcher(t *txn, w presence.Watcher) error {
	return errors.Join(t.Delete(store.Watcher(w.Who, w.Sub)), t.Delete(store.Meta(sourceName(w))), n.dropClosed(t, w.Who))
}

// makeRoom has a ninth subscription of one address replace the one longest unpolled (SPEC 3.9).
func (n *Node) makeRoom(t *txn, w presence.Watcher) error {
	if ended(w) {
		return nil
	}
	of, err := all[presence.Watcher](t, store.WatchersOf(w.Who))
	if err != nil {
		return err
	}
	i, full := presence.Ninth(of)
	if !full {
		return nil
	}
	return n.deleteWatcher(t, of[i])
}

// endedKept bounds the rows of subscriptions that are over (SPEC 4.8).
const endedKept = 1000

// boundEnded deletes the oldest ended subscription of the address that has most, if there are too many; of a
// stranger before that of a contact.
func (n *Node) boundEnded(t *txn) error {
	count, over := map[identity.Address]int{}, []presence.Watcher(nil)
	err := rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if ended(w) {
			count[w.Who]++
			over = append(over, w)
		}
		return true, nil
	})
	if err != nil || len(over) < endedKept {
		return err
	}
	return n.deleteWatcher(t, slices.MinFunc(over, func(a, b presence.Watcher) int {
		return cmp.Or(compareBool(n.isContact(a.Who), n.isContact(b.Who)), cmp.Compare(count[b.Who], count[a.Who]), cmp.Compare(a.LastAt, b.LastAt))
	}))
}

// cameInvited reports whether a request that waits came with an invite.
func (n *Node) cameInvited(w presence.Watcher) (yes bool) {
	_ = n.view(func(t *txn) error {
		from, _, err := find[source](t, store.Meta(sourceName(w)))
		yes = from.Invited
		return err
	})
	return yes
}
