package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Watch asks to subscribe to somebody's presence; the wish is on the disk when it returns, and is
// repeated until it is answered. A subscription that stands already is returned as it is.
func (n *Node) Watch(ctx context.Context, who, text string, lifetime time.Duration) (Subscription, error) {
	return n.WatchAs(ctx, who, text, lifetime, false)
}

// WatchAs is Watch, and says if this address is a pseudonym: by it nobody is to know who asks (SPEC 4.8).
func (n *Node) WatchAs(_ context.Context, who, text string, lifetime time.Duration, pseudonym bool) (Subscription, error) {
	if err := n.checkOwn("watch anybody"); err != nil {
		return Subscription{}, err
	}
	card, err := n.who(who)
	if err != nil {
		return Subscription{}, asPresentity(err)
	}
	if err := n.checkWatch(card.Address, text, lifetime); err != nil {
		return Subscription{}, err
	}
	sub, err := n.newSub()
	if err != nil {
		return Subscription{}, err
	}
	var w presence.Watching
	err = n.update(func(t *txn) error {
		if err := put(t, wishRow(card.Address), wish{text, uint64(lifetime / time.Second)}); err != nil {
			return err
		}
		c, err := n.addContact(t, card, "")
		if err != nil {
			return err
		}
		old, ok, err := n.watchingOf(t, card.Address)
		if err != nil {
			return err
		}
		switch {
		case ok && old.State != presence.Ending && live(old.State):
			if w = old; w.Invited(t.now, c.Invite) {
				return n.saveWatching(t, w, false)
			}
			return nil
		case ok:
			if err := t.Delete(store.Watching(old.Of, old.Sub)); err != nil {
				return err
			}
			if old.State == presence.Ending { // its row goes, so it is said once more; what comes of it later is disowned
				u := old.Unsub(t.now, n.jitter())
				n.sendLater(t, old, wire.Sign(n.keys.Device(), wire.TypeUnsub, u.Append(nil)))
			}
			w = old
			w.Text, w.LifetimeS = text, uint64(lifetime/time.Second)
			w.Again(t.now, sub, n.jitter())
		default:
			w = presence.Subscribe(t.now, n.self.Address, card.Address, sub, wire.WantPresence, text, n.self.Name, uint64(lifetime/time.Second))
		}
		w.Invited(t.now, c.Invite)
		w.Flags = 0
		if pseudonym {
			w.Flags = wire.FlagPseudonym
		}
		return n.saveWatching(t, w, true)
	})
	if err != nil {
		return Subscription{}, saveError(n.cfg.Home, err)
	}
	n.watching.nudge()
	return n.watchingFace(w), nil
}

func (n *Node) checkWatch(a identity.Address, text string, lifetime time.Duration) error {
	bad := func(code, format string, args ...any) error {
		return &Error{Kind: KindUsage, Code: code, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case a == n.self.Address:
		return bad("self", "that is your own address")
	case len([]rune(text)) > wire.MaxRequestText:
		return bad(wire.ReasonTooLarge.String(), "the text of a request has at most %d characters", wire.MaxRequestText)
	case lifetime < 0 || lifetime > wire.SubscriptionLife:
		return bad("bad-duration", "a subscription lasts up to %v", wire.SubscriptionLife)
	}
	if pin := n.pins.get(a); pin != nil && !pin.Expired(n.now()) && pin.Record.Services&identity.Presentity == 0 {
		return &Error{Kind: KindRefused, Code: wire.ReasonNoPresenceService.String(), Message: n.name(a) + " takes messages only: there is no presence to watch"}
	}
	return nil
}

func (n *Node) newSub() (sub wire.SubID, err error) {
	_, err = io.ReadFull(n.cfg.Rand, sub[:])
	return sub, err
}

func live(s presence.WatchState) bool {
	return s == presence.Requested || s == presence.Pending || s == presence.Active || s == presence.Ending
}

// watchingOf finds my subscription to an address; there is one row at most.
func (n *Node) watchingOf(t *txn, a identity.Address) (w presence.Watching, ok bool, err error) {
	err = rows(t, store.WatchingOf(a), store.ScanOptions{}, func(_ store.Key, row presence.Watching) (bool, error) {
		w, ok = row, true
		return false, nil
	})
	return w, ok, err
}

// saveWatching writes a subscription of mine; tell says that its state is news.
func (n *Node) saveWatching(t *txn, w presence.Watching, tell bool) error {
	if tell {
		t.emit(Event{Kind: "subscription", Address: w.Of, Name: n.name(w.Of), ID: w.Sub.String(), State: w.State.String(), Reason: w.Reason})
	}
	if len(w.Grants()) == 0 {
		if err := t.deleteAll(store.PresenceOf(w.Of), store.NoticesOf(w.Of)); err != nil {
			return err
		}
	}
	t.after(func() {
		n.presence.setWatching(t.now, w)
		n.locate(w.Of)
		n.refollow(w.Of) // also what lingers, when nobody there is worth a connection any more
		n.reading.nudge()
	})
	if err := put(t, store.Watching(w.Of, w.Sub), w); err != nil {
		return err
	}
	return n.share(t, wire.SyncContact, w.Of[:])
}

func (n *Node) dropWatching(t *txn, w presence.Watching) error {
	t.after(func() {
		n.presence.dropWatching(w.Of)
		n.locate(w.Of)
	})
	return t.Delete(store.Watching(w.Of, w.Sub))
}

// Unwatch ends my subscription: the key is erased at once, and the presentity is told until he answers.
func (n *Node) Unwatch(_ context.Context, who string) (Subscription, error) {
	a, err := n.address(who)
	if err != nil {
		return Subscription{}, err
	}
	var w presence.Watching
	err = n.update(func(t *txn) error {
		var ok bool
		if w, ok, err = n.watchingOf(t, a); err != nil {
			return err
		}
		if _, wants, err := n.wishFor(t, a); err != nil || !wants && (!ok || w.State == presence.None) {
			return cmp.Or(err, error(&Error{Kind: KindUsage, Code: "not-watching", Message: "you do not watch " + n.name(a), Advice: "see hum watching"}))
		}
		if w.Of = a; !ok || w.State == presence.None { // it was given up here, and goes on elsewhere
			return n.dropWish(t, a)
		}
		return n.end(t, &w)
	})
	n.watching.nudge()
	return n.watchingFace(w), saveError(n.cfg.Home, err)
}

func (n *Node) end(t *txn, w *presence.Watching) error {
	w.End(t.now, n.jitter())
	t.after(n.watching.nudge)
	if err := t.Delete(wishRow(w.Of)); err != nil {
		return err
	}
	return n.saveWatching(t, *w, true)
}

// endWatching ends my subscription to somebody, if there is one.
func (n *Node) endWatching(t *txn, a identity.Address) error {
	w, ok, err := n.watchingOf(t, a)
	switch {
	case err != nil:
		return err
	case !ok || !wished(w):
		return n.dropWish(t, a)
	}
	return n.end(t, &w)
}

// Watching is the list of my subscriptions.
func (n *Node) Watching(context.Context) (out []Subscription, err error) {
	for _, w := range n.presence.allWatching() {
		if w.State != presence.None {
			out = append(out, n.watchingFace(w))
		}
	}
	slices.SortFunc(out, func(a, b Subscription) int {
		return strings.Compare(a.Petname+a.Address.String(), b.Petname+b.Address.String())
	})
	return out, nil
}

func (n *Node) watchingFace(w presence.Watching) Subscription {
	return Subscription{Address: w.Of, Petname: n.petname(w.Of), ID: w.Sub, State: w.State.String(), Reason: w.Reason,
		Text: w.Text, Since: w.Since.Go(), At: w.Asked.Go(), Expires: w.Expires.Go(), Heard: w.Answered.Go()}
}

// WaitWatching returns when a subscription of mine has been decided, or what it has come to when ctx ends.
func (n *Node) WaitWatching(ctx context.Context, who string) (s Subscription, err error) {
	a, err := n.address(who)
	if err != nil {
		return s, err
	}
	err = n.wait(ctx, func() (bool, error) {
		w, ok := n.presence.watchingOf(a)
		if !ok {
			return true, nil
		}
		s = n.watchingFace(w)
		return w.State != presence.Requested && w.State != presence.Pending, nil
	})
	return s, err
}

// workWatching does what is due for each of my subscriptions.
func (n *Node) workWatching(context.Context) (time.Duration, error) {
	pause, now := look, n.now()
	for _, w := range n.presence.allWatching() {
		if due := w.Wake(now); due > 0 {
			pause = min(pause, due)
			continue
		}
		if err := n.actWatching(w.Of); err != nil {
			return retryAfter, err
		}
		pause = 0
	}
	return pause, nil
}

// actWatching takes the one step that is due for a subscription: saved first, then sent.
func (n *Node) actWatching(a identity.Address) error {
	sub, err := n.newSub()
	if err != nil {
		return err
	}
	return n.update(func(t *txn) error {
		w, ok, err := n.watchingOf(t, a)
		if err != nil || !ok {
			return err
		}
		switch w.Due(t.now) {
		case presence.SendRequest:
			r := w.Request(t.now, n.own.Load().AddressSeq, n.jitter())
			r.Reply = n.replyBox(w.Of)
			n.sendLater(t, w, wire.Sign(n.keys.Device(), wire.TypeSubRequest, r.Append(nil)))
			return n.saveWatching(t, w, false)
		case presence.SendUnsub:
			u := w.Unsub(t.now, n.jitter())
			n.sendLater(t, w, wire.Sign(n.keys.Device(), wire.TypeUnsub, u.Append(nil)))
			return n.saveWatching(t, w, w.State == presence.None)
		case presence.Expire:
			w.Expire(t.now, n.jitter())
			return n.saveWatching(t, w, true)
		case presence.AskAgain:
			if err := t.Delete(store.Watching(w.Of, w.Sub)); err != nil {
				return err
			}
			w.Again(t.now, sub, n.jitter())
			return n.saveWatching(t, w, true)
		case presence.Drop:
			return n.dropWatching(t, w)
		}
		t.after(func() { n.presence.setWatching(t.now, w) }) // after a commit that failed halfway, memory may lag
		return nil
	})
}

// sendLater sends a request or its end once the pass is durable.
func (n *Node) sendLater(t *txn, w presence.Watching, s wire.Signed) {
	role := identity.RolePublisher
	if w.Want == wire.WantIM {
		role = identity.RoleInbox
	}
	t.after(func() {
		n.spawn(func(ctx context.Context) {
			n.pollSlot(ctx, w)
			l := &letter{to: w.Of, role: role, sub: w.Sub, signed: s}
			r := n.sendControl(ctx, l)
			if !r.taken && r.status == 0 {
				n.leaveRequest(ctx, l, w)
			}
			n.noteBinding(w.Of, r.err)
			n.noteService(w)
		})
	})
}

// leaveRequest leaves what nobody has taken in the presentity's mailboxes, where he finds it when he is back; an
// active subscription is renewed by what lies in its slot. That it waits there is told once.
func (n *Node) leaveRequest(ctx context.Context, l *letter, w presence.Watching) {
	if w.State == presence.Active || w.State == presence.Pending {
		n.readSlot(ctx, w)
		return
	}
	to, err := n.targets(ctx, l.to, l.role, l.device)
	if err != nil {
		return
	}
	n.leaveLetter(ctx, l, to, string(w.Of[:])+string(w.Sub[:])+l.signed.Type.String())
}

// noteService ends a request to somebody whose record, as it is now known, offers no presence: he has no
// device that could answer, and the record is his word (SPEC 2.3).
func (n *Node) noteService(w presence.Watching) {
	pin := n.pins.get(w.Of)
	if w.Want == wire.WantIM || pin == nil || pin.Expired(n.now()) || pin.Record.Services&identity.Presentity != 0 {
		return
	}
	err := n.update(func(t *txn) error {
		now, ok, err := n.watchingOf(t, w.Of)
		if err != nil || !ok || now.Sub != w.Sub || now.State != presence.Requested && now.State != presence.Pending {
			return err
		}
		now.Unserved(t.now, wire.ReasonNoPresenceService, n.jitter())
		return n.saveWatching(t, now, true)
	})
	if err != nil {
		n.log.Warn("a subscription was not ended; it is tried again", "err", err)
	}
}

// noteBinding tells the user when the node at a card's place is not the one that the card names.
func (n *Node) noteBinding(a identity.Address, err error) {
	var e *Error
	if !errors.As(err, &e) || e.Code != wire.ReasonBindingInvalid.String() {
		return
	}
	if err := n.update(func(t *txn) error {
		t.emit(Event{Kind: "node", Address: a, Name: n.name(a), State: "binding-invalid", Reason: wire.ReasonBindingInvalid, Text: e.Message})
		return nil
	}); err != nil {
		n.log.Warn("an event was not saved", "err", err)
	}
}

// watchingConnected polls a presentity who has just come into reach.
func (n *Node) watchingConnected(a identity.Address) {
	if !n.watches(a) {
		return
	}
	n.editWatching(a, func(t *txn, w *presence.Watching) { w.Connected(t.now) })
}

// editWatching brings what my subscription to an address does next forward, which is no news.
func (n *Node) editWatching(a identity.Address, edit func(*txn, *presence.Watching)) {
	err := n.update(func(t *txn) error {
		w, ok, err := n.watchingOf(t, a)
		if err != nil || !ok {
			return err
		}
		send, retry := w.NextSend, w.RetryAfter
		if edit(t, &w); w.NextSend == send && w.RetryAfter == retry {
			return nil
		}
		t.after(n.watching.nudge)
		return n.saveWatching(t, w, false)
	})
	if err != nil {
		n.log.Warn("a subscription was not brought forward", "err", err)
	}
}

// watches reports whether I have a subscription to a that is not over.
func (n *Node) watches(a identity.Address) bool {
	w, ok := n.presence.watchingOf(a)
	return ok && live(w.State)
}

// refollow has the network follow the topics of a presentity at the places where he is now.
func (n *Node) refollow(a identity.Address) {
	w, ok := n.presence.watchingOf(a)
	if !ok {
		return
	}
	n.keepAnchors(a)
	for _, g := range w.Grants() {
		at, up := n.followedAt(g.E)
		if err := n.net.FollowThrough(g.E, at, up); err != nil {
			n.log.Warn("a topic is not followed", "err", err)
		}
	}
	for _, l := range w.Linger {
		if len(n.presence.granters(l.E)) == 0 { // else it was granted again, or is another's
			n.net.Unfollow(l.E, l.Until)
		}
	}
}

// rejoin is back, after a start, on the topics that are to be left when everybody leaves them: one who stays
// away would show when his subscription changed (SPEC 4.2, "Linger").
func (n *Node) rejoin(w presence.Watching) {
	for _, l := range w.Linger {
		if len(n.presence.granters(l.E)) == 0 {
			n.net.Linger(l.E, l.Until)
		}
	}
}

// followedAt are the peers of whoever granted a topic; up is whom they ask in my place, nil if they are where he is
// heard himself.
func (n *Node) followedAt(e wire.PublicKey) (at []p2p.PeerID, up *p2p.Upstream) {
	var others []place
	for _, a := range n.presence.granters(e) {
		for _, p := range n.places(a) {
			switch {
			case !n.mayCall(p.peer) && !n.isConnected(p.peer):
				others = append(others, p)
			case !slices.Contains(at, p.peer):
				at = append(at, p.peer)
			}
		}
		for _, p := range n.anchorsOf(a) {
			switch {
			case !n.mayCall(p.peer):
				others = append([]place{p}, others...)
			case !slices.Contains(at, p.peer):
				at = append(at, p.peer)
			}
		}
	}
	if len(at) > 0 || len(others) == 0 {
		return at, nil
	}
	via, up := n.through(others[0].endpoint(), wire.RoleAnchor)
	return []p2p.PeerID{via}, up
}
