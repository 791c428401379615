package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// applyAnswer signs what is to be said, writes the row if it is kept, and has the epochs change if
// somebody left. before is the state in which the row was.
func (n *Node) applyAnswer(t *txn, w *presence.Watcher, ans presence.Answer, cause presence.Cause, before wire.SubStateCode) error {
	if ans.Left != "" && !n.stillActive(t, *w, ans.Left) {
		if err := n.leave(t, ans.Left, cause, w.Who); err != nil {
			return err
		}
	}
	if ans.Kind == presence.Sign {
		if err := n.signWatcher(t, w); err != nil {
			return err
		}
		w.Unacked = !ans.Once
	}
	if !ans.Keep {
		return nil
	}
	if w.State != before {
		w.News = !n.tellWatcherNews(t, n.watcherEvent(*w))
	}
	if ended(*w) && !ended(presence.Watcher{State: before}) {
		if err := n.boundEnded(t); err != nil {
			return err
		}
	}
	return n.saveWatcher(t, *w)
}

// stillActive reports whether another subscription of the same address gives it the keys of a view: two
// devices are one watcher.
func (n *Node) stillActive(t *txn, w presence.Watcher, view string) bool {
	of, err := all[presence.Watcher](t, store.WatchersOf(w.Who))
	return err == nil && slices.ContainsFunc(of, func(o presence.Watcher) bool {
		return o.Sub != w.Sub && o.Reads() && o.InView() == view
	})
}

// signWatcher signs the SubState that tells where a subscription stands now.
func (n *Node) signWatcher(t *txn, w *presence.Watcher) error {
	var grant, next *wire.Grant
	if w.Reads() {
		view, pub, err := n.loadView(t, w.InView())
		if err := cmp.Or(err, n.enterView(t, &view, pub)); err != nil {
			return err
		}
		grant, next = view.Grants(t.now)
	}
	waits := &wire.Grant{} // who waits for my decision learns where it will lie if I am away then
	if err := n.tellOf(t, *w, grant, next, waits); err != nil {
		return err
	}
	st := w.Sign(t.now, grant, next, n.own.Load().AddressSeq)
	if st.State == wire.SubPending && waits.Slot != (wire.PublicKey{}) {
		st.Grant = waits
	}
	s := wire.Sign(n.keys.Device(), wire.TypeSubState, st.Append(nil))
	w.Signed(s.Append(nil), s.ID())
	return nil
}

func (n *Node) saveWatcher(t *txn, w presence.Watcher) error {
	t.after(func() {
		n.noteWatcher(w.Who)
		n.serving.nudge()
		n.joined.stir()
	})
	if err := put(t, store.Watcher(w.Who, w.Sub), w); err != nil {
		return err
	}
	return n.share(t, wire.SyncWatcher, watcherKey(w.Who, w.Sub))
}

// noteWatcher brings the set of active watchers in memory up to date.
func (n *Node) noteWatcher(a identity.Address) {
	view := ""
	_ = n.view(func(t *txn) error {
		return rows(t, store.WatchersOf(a), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			if w.State == wire.SubActive {
				view = w.InView()
			}
			return view == "", nil
		})
	})
	n.mu.Lock()
	if view != "" {
		n.watchers[a] = view
	} else {
		delete(n.watchers, a)
	}
	n.mu.Unlock()
	n.locate(a)
}

// watcherEvent tells what happened to a subscription of somebody: a request that waits for the user, or
// a step of RFC 3857.
func (n *Node) watcherEvent(w presence.Watcher) Event {
	return Event{Kind: "request", Address: w.Who, Name: n.name(w.Who), ID: w.Sub.String(), State: w.State.String(),
		Reason: w.Reason, Text: w.Text}
}

// anyDevice are the roles of which a watcher's device has one; what it may do was checked when it asked.
const anyDevice = identity.RoleAdmin | identity.RoleInbox | identity.RolePublisher

// tellWatcher sends the SubState of a row: first on a stream that came from the peer by which the request
// came, else to the device's Reach (SPEC 4.8). Pin is what is known of the watcher, kept or not.
func (n *Node) tellWatcher(ctx context.Context, w presence.Watcher, pin *identity.Pin, came p2p.PeerID) {
	s, err := wire.ParseSigned(w.Raw)
	if err != nil || pin == nil {
		return
	}
	l := &letter{to: w.Who, role: anyDevice, device: w.Device, signed: s, reply: w.Reply}
	n.sendBack(ctx, l, pin, came)
}

// sendBack sends an answer to the device that asked: first on a stream that came from the peer by which the
// question came, else to the device's Reach. Pin is what is known of its address, kept or not.
func (n *Node) sendBack(ctx context.Context, l *letter, pin *identity.Pin, came p2p.PeerID) {
	to := targetsOf(pin, n.now(), l.role, l.device, 0)
	if came != "" && len(to) == 1 && n.seal(l) == nil && n.back(l, to[0], came) {
		return
	}
	r := result{}
	if n.pins.get(l.to) != nil {
		r = n.sendControl(ctx, l)
	} else if err := n.seal(l); err == nil {
		r = n.deliver(ctx, l, to)
	}
	if !r.taken {
		n.log.Debug("who asked was not reached", "err", r.err)
	}
	if !r.taken && r.status == 0 && l.signed.Type == wire.TypeSubState {
		n.leaveLetter(ctx, l, to, string(l.signed.Sig[:]))
	}
}

// noticesAtOnce bounds how many watchers are told at the same time what they did not ask for.
const noticesAtOnce = 32

// notify tells a watcher what has changed, after a pause, once the pass is durable.
func (n *Node) notify(t *txn, w presence.Watcher, wait time.Duration) {
	t.after(func() {
		n.spawn(func(ctx context.Context) {
			sleep(ctx, wait)
			select {
			case n.notices <- struct{}{}:
				defer func() { <-n.notices }()
				n.tellWatcher(ctx, w, n.pins.get(w.Who), n.peerOf(w))
			case <-ctx.Done():
			}
		})
	})
}

// settleControl takes the ack of a control letter.
func (n *Node) settleControl(t *txn, l sentLetter, ack wire.Ack) error {
	if !slices.Contains(ack.MIDs, l.id) {
		return nil
	}
	switch l.kind {
	case wire.TypeSubState:
	case wire.TypeSuccessor:
		return n.successionAcked(t, l, ack)
	case wire.TypeFetch:
		n.fetchRefused(t, l, ack)
		return nil
	case wire.TypeSync:
		return n.syncAcked(t, ack.Device, ack.MIDs, ack)
	default:
		return n.requestRefused(t, l, ack)
	}
	return rows(t, store.WatchersOf(l.to), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if w.ID != l.id {
			return true, nil
		}
		var changed bool
		switch {
		case ack.Disposition != wire.Failed || !ack.Reason.Retryable():
			changed = w.Acked(l.id)
		case ack.Reason == wire.ReasonTime || t.now.Apart(ack.At) || n.fetches.take(l.to, t.now):
			changed = w.Refused(t.now, l.id)
		}
		if !changed {
			return false, nil
		}
		return false, n.saveWatcher(t, w)
	})
}

// requestRefused is told that a request of mine could not even be judged (SPEC 9.1). One that lacked my
// record is sent again with it; the rest is for the user to know.
func (n *Node) requestRefused(t *txn, l sentLetter, ack wire.Ack) error {
	w, ok, err := n.watchingOf(t, l.to)
	if err != nil || !ok || w.Sub != l.sub || ack.Disposition != wire.Failed && ack.Disposition != wire.Forbidden {
		return err
	}
	if ack.Reason == wire.ReasonStaleRecord && n.fetches.take(l.to, t.now) {
		w.Connected(t.now)
		t.after(n.watching.nudge)
		return n.saveWatching(t, w, false)
	}
	if w.Refused(t.now, ack.Reason, ack.At) {
		t.emit(Event{Kind: "subscription", Address: l.to, Name: n.name(l.to), ID: w.Sub.String(), State: w.State.String(), Reason: ack.Reason})
	}
	t.after(n.watching.nudge)
	return n.saveWatching(t, w, false)
}

// peerOf is the peer of the device that asked, if its place is known.
func (n *Node) peerOf(w presence.Watcher) p2p.PeerID {
	if pin := n.pins.get(w.Who); pin != nil {
		if d := pin.Device(w.Device); d != nil && d.Reach != nil {
			return p2p.PeerID(d.Reach.Peer)
		}
	}
	return ""
}

// workServing does what is due for those who watch me, and for the epochs that they read.
func (n *Node) workServing(context.Context) (time.Duration, error) {
	pause, err := n.turnEpochs()
	if err != nil {
		return retryAfter, err
	}
	news, err := n.workNews()
	if err != nil {
		return retryAfter, err
	}
	pause = min(pause, news)
	var due []store.Key
	err = n.view(func(t *txn) error {
		return rows(t, store.AllWatchers(), store.ScanOptions{}, func(k store.Key, w presence.Watcher) (bool, error) {
			if wake := w.Wake(t.now); wake > 0 {
				pause = min(pause, wake)
			} else {
				due = append(due, k)
			}
			return true, nil
		})
	})
	for _, k := range due {
		if err == nil {
			err = n.actWatcher(k)
			pause = 0
		}
	}
	return pause, err
}

// actWatcher takes the one step that is due for a subscription to me.
func (n *Node) actWatcher(k store.Key) error {
	return n.update(func(t *txn) error {
		w, ok, err := find[presence.Watcher](t, k)
		if err != nil || !ok {
			return err
		}
		switch w.Due(t.now) {
		case presence.SendState:
			w.Noticed(t.now, n.jitter())
			n.notify(t, w, 0)
			return n.saveWatcher(t, w)
		case presence.SignState:
			if err := n.signWatcher(t, &w); err != nil {
				return err
			}
			n.notify(t, w, 0)
			return n.saveWatcher(t, w)
		case presence.Expire:
			before := w.State
			if err := n.applyAnswer(t, &w, w.Expire(t.now), presence.CauseExpiry, before); err != nil {
				return err
			}
			n.notify(t, w, 0)
		case presence.Drop:
			t.after(func() { n.noteWatcher(w.Who) })
			return n.deleteWatcher(t, w)
		}
		return nil
	})
}

// servingConnected sends what a watcher has not acked, now that he is in reach.
func (n *Node) servingConnected(a identity.Address) {
	err := n.update(func(t *txn) error {
		return rows(t, store.WatchersOf(a), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			if !w.Unacked {
				return true, nil
			}
			w.Contact(t.now)
			return true, n.saveWatcher(t, w)
		})
	})
	if err != nil {
		n.log.Warn("a watcher was not brought forward", "err", err)
	}
}
