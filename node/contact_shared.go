package node

import (
	"errors"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// sharedContact is a contact, and whether the user wants to watch him: every device subscribes for itself.
type sharedContact struct {
	Contact   contact
	Listed    bool // on the roster
	Watch     bool
	Text      string
	LifetimeS uint64
}

func (n *Node) contactKeys(t *txn) (out [][]byte, err error) {
	for _, p := range []store.Prefix{store.AllContacts(), store.AllWatching()} {
		keys, err := keysOf(p, addressKey)(t)
		if err != nil {
			return nil, err
		}
		out = append(out, keys...)
	}
	slices.SortFunc(out, slices.Compare[[]byte])
	return slices.CompactFunc(out, slices.Equal[[]byte]), nil
}

func (n *Node) contactValue(t *txn, key []byte) ([]byte, bool, error) {
	a, err := addressOf(key)
	if err != nil {
		return nil, false, err
	}
	var v sharedContact
	if v.Contact, v.Listed, err = find[contact](t, store.Contact(a)); err != nil {
		return nil, false, err
	}
	var w wish
	if w, v.Watch, err = n.wishFor(t, a); err != nil {
		return nil, false, err
	}
	v.Text, v.LifetimeS = w.Text, w.LifetimeS
	if !v.Listed && !v.Watch {
		return nil, false, nil
	}
	return encoded(v)
}

func (n *Node) applyContact(t *txn, key, value []byte) error {
	a, err := addressOf(key)
	if err != nil || a == n.self.Address {
		return errBadValue
	}
	if n.moves.current(a) != a { // the device that wrote it has yet to hear of the successor
		return nil
	}
	var v sharedContact
	if value != nil {
		if v, err = decoded[sharedContact](value); err != nil {
			return err
		}
		v.Contact.Address = a
	}
	if v.Listed {
		if err := n.saveContact(t, v.Contact); err != nil {
			return err
		}
	} else if err := n.deleteContact(t, a); err != nil {
		return err
	}
	return n.applyWish(t, a, v)
}

// applyWish begins or ends this device's own subscription, as the user wished on another one.
func (n *Node) applyWish(t *txn, a identity.Address, v sharedContact) error {
	if !v.Watch {
		return n.endWatching(t, a)
	}
	w, ok, err := n.watchingOf(t, a)
	if err = errors.Join(err, put(t, wishRow(a), wish{v.Text, v.LifetimeS})); err != nil || ok && wished(w) {
		return err
	}
	sub, err := n.newSub()
	if err != nil {
		return err
	}
	if ok {
		if err := t.Delete(store.Watching(w.Of, w.Sub)); err != nil {
			return err
		}
		w.Text, w.LifetimeS = v.Text, v.LifetimeS
		w.Again(t.now, sub, n.jitter())
	} else {
		w = presence.Subscribe(t.now, n.self.Address, a, sub, wire.WantPresence, v.Text, n.self.Name, v.LifetimeS)
	}
	w.Invited(t.now, v.Contact.Invite)
	t.after(n.watching.nudge)
	return n.saveWatching(t, w, true)
}

// A wish to watch somebody is the user's, on all his devices; what has become of it on each is the affair of its
// own subscription.
type wish struct {
	Text      string
	LifetimeS uint64
}

func wishRow(a identity.Address) store.Key { return store.Meta("wish/" + a.String()) }

// wishFor reports whether the user wants to watch somebody. In a home from before wishes were kept the
// subscription tells.
func (n *Node) wishFor(t *txn, a identity.Address) (wish, bool, error) {
	v, ok, err := find[wish](t, wishRow(a))
	if ok || err != nil {
		return v, ok, err
	}
	w, ok, err := n.watchingOf(t, a)
	return wish{w.Text, w.LifetimeS}, ok && wished(w), err
}

// wished reports whether a subscription stands for a wish that holds on.
func wished(w presence.Watching) bool {
	return w.State != presence.None && w.State != presence.Ending
}

// moveWish has a wish hold for the successor of whom it was about.
func moveWish(t *txn, from, to identity.Address) error {
	v, ok, err := find[wish](t, wishRow(from))
	if err != nil || !ok {
		return err
	}
	return errors.Join(put(t, wishRow(to), v), t.Delete(wishRow(from)))
}

// dropWish notes that the user does not want to watch somebody any more, for all my devices.
func (n *Node) dropWish(t *txn, a identity.Address) error {
	return errors.Join(t.Delete(wishRow(a)), n.share(t, wire.SyncContact, a[:]))
}
