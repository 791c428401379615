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
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// requested takes a SubRequest: a first one, a poll or a renewal (SPEC 4.8). Every answer leaves one
// second after the request came, whatever it is, so that nobody learns from its time who made it.
func (n *Node) requested(ctx context.Context, a arrival) {
	r, err := wire.ParseSubRequest(a.signed.Body)
	if err != nil {
		n.refuseLater(a, identity.Address{}, wire.ReasonMalformed)
		return
	}
	if a.signed.Verify() != nil {
		n.refuseLater(a, r.From, wire.ReasonBadSignature)
		return
	}
	attached := readRecords(r.From, a.attached)
	again := func(ctx context.Context) { n.requested(ctx, a) }
	if n.fetchNewer(a.peer, claim{from: r.From, arSeq: r.ArSeq, has: attached.seq()}, a.signed.Key, again) {
		return
	}
	var out verdict
	err = n.update(func(t *txn) error {
		out, err = n.takeRequest(t, a, r, attached)
		return err
	})
	switch {
	case err != nil:
		n.log.Warn("a request was not saved, so it was not answered; it comes again", "err", err)
	case out.reason != wire.ReasonNone:
		n.refuseLater(a, r.From, out.reason)
	case out.ans.Kind == presence.Refuse:
		n.refuseLater(a, r.From, out.ans.Reason)
	case out.ans.Kind == presence.Silent:
		n.count(wire.ReasonReplay.String())
	default:
		n.answerLater(a, func(ctx context.Context) {
			if !n.superseded(out.row) {
				n.tellWatcher(ctx, out.row, &out.pin, a.peer)
			}
		})
	}
}

// answerLater does what answers a request one second after it came, if the node lives so long.
func (n *Node) answerLater(a arrival, answer func(context.Context)) {
	n.spawn(func(ctx context.Context) {
		sleep(ctx, wire.AnswerDelay-(n.now().Mono-a.at.Mono))
		if ctx.Err() == nil {
			answer(ctx)
		}
	})
}

func (n *Node) refuseLater(a arrival, to identity.Address, reason wire.Reason) {
	n.answerLater(a, func(ctx context.Context) { n.refuse(ctx, a, to, reason) })
}

// superseded reports whether a newer SubState than that of w was signed: whoever did it sends it.
func (n *Node) superseded(w presence.Watcher) (newer bool) {
	_ = n.view(func(t *txn) error {
		now, ok, err := find[presence.Watcher](t, store.Watcher(w.Who, w.Sub))
		newer = ok && now.Seq != w.Seq
		return err
	})
	return newer
}

// A verdict is what became of a request or of its end: an answer about row, for the devices that pin
// lists, or the reason why it was not even judged.
type verdict struct {
	row    presence.Watcher
	pin    identity.Pin
	ans    presence.Answer
	reason wire.Reason
}

func (n *Node) takeRequest(t *txn, a arrival, r wire.SubRequest, attached records) (out verdict, err error) {
	p, changed, reason, err := n.vouch(t, a, claim{from: r.From, to: r.To, stamp: r.At, arSeq: r.ArSeq}, attached)
	out.pin, out.reason = p.Pin, reason
	if err != nil || reason != wire.ReasonNone {
		return out, err
	}
	row, known, err := find[presence.Watcher](t, store.Watcher(r.From, r.Sub))
	if err != nil {
		return out, err
	}
	facts, seat, err := n.requestFacts(t, a, r, known)
	if err != nil {
		return out, err
	}
	var old *presence.Watcher
	if known {
		old = &row
	}
	out.row, out.ans = presence.Request(t.now, old, r, identity.DeviceIDOf(a.signed.Key), facts)
	if out.ans.Kind == presence.Silent && !out.ans.Keep {
		return out, nil
	}
	n.hearContact(t, r.From, r.At)
	if out.ans.Keep && changed {
		if err := n.savePin(t, r.From, p); err != nil {
			return out, err
		}
	}
	if out.ans.Keep && !known {
		if err := errors.Join(n.makeRoom(t, out.row), n.sit(t, out.row, seat)); err != nil {
			return out, err
		}
	}
	return out, n.applyAnswer(t, &out.row, out.ans, presence.CauseUser, row.State)
}

// requestFacts is what the rules need to know about a request, and the seat it would take.
func (n *Node) requestFacts(t *txn, a arrival, r wire.SubRequest, known bool) (f presence.Facts, s seat, err error) {
	f = presence.Facts{View: presence.DefaultView, Contact: n.isContact(r.From), PlaceFree: true,
		Unsupported: wire.Required(r.Crit, r.Ext, wire.TypeSubRequest.Knows) != nil}
	f.Service = n.self.Services&identity.Presentity != 0
	if r.Want == wire.WantIM {
		f.Service = n.self.Services&identity.Inbox != 0
	}
	h, err := n.watchRule(t, r.From)
	if err != nil {
		return f, s, err
	}
	f.Handling = handling(h)
	view, _, err := n.loadView(t)
	if err != nil {
		return f, s, err
	}
	f.Grant, f.Next = view.Grants(t.now)
	if !known {
		s, err = n.findSeat(t, a, r, &f)
	}
	return f, s, err
}

// watchRule is the handling that the rows say, since the book in memory follows a commit: between the two
// nobody who was just blocked may get in.
func (n *Node) watchRule(t *txn, a identity.Address) (policy.Handling, error) {
	r, err := n.rule(t, a)
	book := policy.Book{Default: n.rules().Default}
	book.Put(a, r)
	return book.Watch(a), err
}

// A seat is a place in the list of pending requests, and those who give way for it (SPEC 3.9).
type seat struct {
	from    source
	replace []presence.Watcher
}

// findSeat looks for a place; nothing is changed until the request is kept.
func (n *Node) findSeat(t *txn, a arrival, r wire.SubRequest, f *presence.Facts) (s seat, err error) {
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
		held = append(held, policy.Pending{Who: w.Who, Device: w.Device, Peer: string(from.Peer), Prefix: from.Prefix, Reserved: n.isContact(w.Who), At: w.Asked})
		who = append(who, w)
		return true, err
	})
	if err != nil {
		return s, err
	}
	s.from = source{[]byte(a.peer), policy.Prefix(n.net.RemoteIP(a.peer))}
	place := policy.Seat(held, policy.Pending{Who: r.From, Device: identity.DeviceIDOf(a.signed.Key),
		Peer: string(s.from.Peer), Prefix: s.from.Prefix, Reserved: f.Contact, At: t.now.Wall})
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
		if err := n.deleteWatcher(t, gone); err != nil {
			return err
		}
	}
	return put(t, store.Meta(sourceName(w)), s.from)
}

// ended reports whether a subscription is over, and kept only so that no request of it is replayed.
func ended(w presence.Watcher) bool {
	return w.State == wire.SubDenied || w.State == wire.SubTerminated || w.State == wire.SubExpired
}

// source is where a pending request came from. A peer id is binary, and so no text.
type source struct {
	Peer   []byte
	Prefix string
}

func sourceName(w presence.Watcher) string { return "source/" + w.Who.String() + "/" + w.Sub.String() }

func (n *Node) deleteWatcher(t *txn, w presence.Watcher) error {
	return errors.Join(t.Delete(store.Watcher(w.Who, w.Sub)), t.Delete(store.Meta(sourceName(w))))
}

func handling(h policy.Handling) presence.Handling {
	switch h {
	case policy.Allow:
		return presence.Allow
	case policy.Confirm:
		return presence.Confirm
	case policy.PoliteBlock:
		return presence.PoliteBlock
	}
	return presence.Block
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

// boundEnded deletes the oldest ended subscription of the address that has most, if there are too many.
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
		return cmp.Or(cmp.Compare(count[b.Who], count[a.Who]), cmp.Compare(a.LastAt, b.LastAt))
	}))
}

// applyAnswer signs what is to be said, writes the row if it is kept, and has the epochs change if
// somebody left. before is the state in which the row was.
func (n *Node) applyAnswer(t *txn, w *presence.Watcher, ans presence.Answer, cause presence.Cause, before wire.SubStateCode) error {
	if ans.Left && !n.stillActive(t, *w) {
		if err := n.leave(t, cause); err != nil {
			return err
		}
	}
	if ans.Kind == presence.Sign {
		if err := n.signWatcher(t, w); err != nil {
			return err
		}
	}
	if !ans.Keep {
		return nil
	}
	if w.State != before {
		t.emit(n.watcherEvent(*w))
	}
	if ended(*w) && !ended(presence.Watcher{State: before}) {
		if err := n.boundEnded(t); err != nil {
			return err
		}
	}
	return n.saveWatcher(t, *w)
}

// stillActive reports whether another subscription of the same address gives it the keys: two devices are
// one watcher.
func (n *Node) stillActive(t *txn, w presence.Watcher) bool {
	of, err := all[presence.Watcher](t, store.WatchersOf(w.Who))
	return err == nil && slices.ContainsFunc(of, func(o presence.Watcher) bool {
		return o.Sub != w.Sub && o.State == wire.SubActive && o.Want != wire.WantIM
	})
}

// signWatcher signs the SubState that tells where a subscription stands now.
func (n *Node) signWatcher(t *txn, w *presence.Watcher) error {
	view, _, err := n.loadView(t)
	if err != nil {
		return err
	}
	grant, next := view.Grants(t.now)
	st := w.Sign(t.now, grant, next, n.own.Load().AddressSeq)
	s := wire.Sign(n.keys.Device(), wire.TypeSubState, st.Append(nil))
	w.Signed(s.Append(nil), s.ID())
	return nil
}

func (n *Node) saveWatcher(t *txn, w presence.Watcher) error {
	t.after(func() {
		n.noteWatcher(w.Who)
		n.serving.nudge()
	})
	return put(t, store.Watcher(w.Who, w.Sub), w)
}

// noteWatcher brings the set of active watchers in memory up to date.
func (n *Node) noteWatcher(a identity.Address) {
	active := false
	_ = n.view(func(t *txn) error {
		return rows(t, store.WatchersOf(a), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			active = active || w.State == wire.SubActive
			return !active, nil
		})
	})
	n.mu.Lock()
	if active {
		n.watchers[a] = true
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
	l := &letter{to: w.Who, role: anyDevice, device: w.Device, signed: s}
	to := targetsOf(pin, n.now(), l.role, l.device, 0)
	if came != "" && len(to) == 1 && n.seal(l) == nil && n.back(l, to[0], came) {
		return
	}
	r := result{}
	if n.pins.get(w.Who) != nil {
		r = n.sendControl(ctx, l)
	} else if err := n.seal(l); err == nil {
		r = n.deliver(ctx, l, to)
	}
	if !r.taken {
		n.log.Debug("a watcher was not reached", "err", r.err)
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

// unsubscribed takes an Unsub: the subscription ends for good, and its sender is told (SPEC 4.8).
func (n *Node) unsubscribed(ctx context.Context, a arrival) {
	u, err := wire.ParseUnsub(a.signed.Body)
	if err != nil {
		n.refuse(ctx, a, identity.Address{}, wire.ReasonMalformed)
		return
	}
	if a.signed.Verify() != nil {
		n.refuse(ctx, a, u.From, wire.ReasonBadSignature)
		return
	}
	r := readRecords(u.From, a.attached)
	var out verdict
	err = n.update(func(t *txn) error {
		out, err = n.takeUnsub(t, a, u, r)
		return err
	})
	switch {
	case err != nil:
		n.log.Warn("an unsubscription was not saved; it comes again", "err", err)
	case out.reason != wire.ReasonNone:
		n.refuse(ctx, a, u.From, out.reason)
	case out.ans.Kind == presence.Refuse:
		n.refuse(ctx, a, u.From, out.ans.Reason)
	case out.ans.Kind != presence.Silent:
		n.tellWatcher(ctx, out.row, &out.pin, a.peer)
	}
}

func (n *Node) takeUnsub(t *txn, a arrival, u wire.Unsub, r records) (out verdict, err error) {
	p, _, reason, err := n.vouch(t, a, claim{from: u.From, to: u.To, stamp: u.At}, r)
	if out.pin, out.reason = p.Pin, reason; err != nil || reason != wire.ReasonNone {
		return out, err
	}
	if wire.Required(u.Crit, u.Ext, wire.TypeUnsub.Knows) != nil {
		out.reason = wire.ReasonUnsupportedRequired
		return out, nil
	}
	row, known, err := find[presence.Watcher](t, store.Watcher(u.From, u.Sub))
	if err != nil {
		return out, err
	}
	var old *presence.Watcher
	if known {
		old = &row
	}
	out.row, out.ans = presence.Unsub(t.now, old, u, identity.DeviceIDOf(a.signed.Key), n.isContact(u.From))
	n.hearContact(t, u.From, u.At)
	return out, n.applyAnswer(t, &out.row, out.ans, presence.CauseUnsub, row.State)
}

// settleControl takes the ack of a control letter.
func (n *Node) settleControl(t *txn, l sentLetter, ack wire.Ack) error {
	if !slices.Contains(ack.MIDs, l.id) {
		return nil
	}
	if l.kind != wire.TypeSubState {
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
	if err != nil || !ok {
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

// Approve lets somebody watch: now if he has asked, and whenever he asks. Deny refuses him likewise; Drop
// ends what he has, and he may ask again.
func (n *Node) Approve(_ context.Context, who string) (Subscription, error) {
	return n.decide(who, policy.Rule.Approve, presence.Allow, 0)
}

// Deny refuses somebody's request, and those to come. Whoever waits for the answer is told reason, one of
// policy (also ""), refused, closed, auth-required and refused-anonymous.
func (n *Node) Deny(_ context.Context, who, reason string) (Subscription, error) {
	why, err := denial(reason)
	if err != nil {
		return Subscription{}, err
	}
	return n.decide(who, policy.Rule.Deny, presence.Block, why)
}

// Drop ends somebody's subscription; he is told, and may ask again.
func (n *Node) Drop(_ context.Context, who string) (Subscription, error) {
	return n.decide(who, func(r policy.Rule, now identity.Now, s policy.Scope) policy.Rule { return r.Reset(now, s) }, presence.Block, 0)
}

// decide has every subscription of somebody follow a new rule; why is what those are told that it ends, 0
// being what the rules say.
func (n *Node) decide(who string, rule func(policy.Rule, identity.Now, policy.Scope) policy.Rule, h presence.Handling, why wire.Reason) (Subscription, error) {
	a, err := n.asker(who)
	if err != nil {
		return Subscription{}, err
	}
	s := Subscription{Address: a, Petname: n.petname(a), State: "none"}
	err = n.update(func(t *txn) error {
		r, err := n.rule(t, a)
		if err != nil {
			return err
		}
		of, err := all[presence.Watcher](t, store.WatchersOf(a))
		if err != nil {
			return err
		}
		if h == presence.Block && len(of) == 0 {
			return &Error{Kind: KindUsage, Code: "no-request", Message: n.name(a) + " has not asked to watch you", Advice: "see hum requests and hum watchers"}
		}
		if err := n.setRule(t, a, rule(r, t.now, policy.Presence)); err != nil {
			return err
		}
		for _, w := range of {
			if err := n.redecide(t, &w, h, why); err != nil {
				return err
			}
		}
		if w, ok := presence.Represent(of); ok {
			w, _, err = find[presence.Watcher](t, store.Watcher(w.Who, w.Sub))
			s = n.watcherFace(w)
		}
		return err
	})
	n.serving.nudge()
	return s, saveError(n.cfg.Home, err)
}

// redecide applies a new handling to one subscription; its watcher is told, and why if it ends.
func (n *Node) redecide(t *txn, w *presence.Watcher, h presence.Handling, why wire.Reason) error {
	before := w.State
	ans := w.Decide(t.now, h)
	if ans.Kind == presence.Silent {
		return nil
	}
	if ended(*w) {
		w.Reason = cmp.Or(why, w.Reason)
	}
	if err := n.applyAnswer(t, w, ans, presence.CauseUser, before); err != nil {
		return err
	}
	n.notify(t, *w, ans.Wait)
	return nil
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

// refuseWatcher ends every subscription of somebody who was blocked.
func (n *Node) refuseWatcher(t *txn, a identity.Address) error {
	of, err := all[presence.Watcher](t, store.WatchersOf(a))
	for _, w := range of {
		err = errors.Join(err, n.redecide(t, &w, presence.Block, 0))
	}
	return err
}

// asker is who for requests: somebody may also be called by the name that his request claims, if nobody
// else claims it and no contact has it.
func (n *Node) asker(who string) (identity.Address, error) {
	a, err := n.address(who)
	if err == nil && a == n.self.Address {
		return a, &Error{Kind: KindUsage, Code: "self", Message: "that is your own address"}
	}
	if err == nil || isAddressLike(who) {
		return a, err
	}
	var found []identity.Address
	_ = n.view(func(t *txn) error {
		return rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			if strings.EqualFold(w.Name, who) && !slices.Contains(found, w.Who) {
				found = append(found, w.Who)
			}
			return true, nil
		})
	})
	switch len(found) {
	case 0:
		return a, err
	case 1:
		return found[0], nil
	}
	return a, &Error{Kind: KindUsage, Code: "ambiguous", Message: fmt.Sprintf("%d addresses call themselves %q", len(found), clip(who)), Advice: "use the address: hum requests"}
}

// Requests are those who wait for my decision.
func (n *Node) Requests(ctx context.Context) ([]Subscription, error) {
	every, err := n.Watchers(ctx)
	return slices.DeleteFunc(every, func(s Subscription) bool { return s.State != wire.SubPending.String() }), err
}

// Watchers is everybody who watches me or asked to, once each, and what became of it (RFC 3857).
func (n *Node) Watchers(context.Context) (out []Subscription, err error) {
	err = n.view(func(t *txn) error {
		every, err := all[presence.Watcher](t, store.AllWatchers())
		for len(every) > 0 { // in the order of their addresses
			next := slices.IndexFunc(every, func(w presence.Watcher) bool { return w.Who != every[0].Who })
			if next < 0 {
				next = len(every)
			}
			w, _ := presence.Represent(every[:next])
			out, every = append(out, n.watcherFace(w)), every[next:]
		}
		return err
	})
	return out, err
}

func (n *Node) watcherFace(w presence.Watcher) Subscription {
	if w.State == wire.SubPending || w.State == wire.SubActive { // before the yes, what it would show him
		w.View = cmp.Or(w.View, presence.DefaultView)
	}
	return Subscription{Address: w.Who, Petname: n.petname(w.Who), Claimed: w.Name, ID: w.Sub, State: w.State.String(), Event: eventOf(w),
		Reason: w.Reason, Text: w.Text, View: w.View, Since: w.Since.Go(), At: w.Asked.Go(), Expires: w.Expires.Go(),
		Heard: w.LastAt.Go(), Proof: w.Who.Fingerprint()}
}

// eventOf is the event of RFC 3857, section 4.7.1, that led to the state.
func eventOf(w presence.Watcher) string {
	switch {
	case w.State == wire.SubPending:
		return "subscribe"
	case w.State == wire.SubActive:
		return "approved"
	case w.State == wire.SubDenied:
		return "rejected"
	case w.State == wire.SubExpired:
		return "timeout"
	case w.Reason == wire.ReasonNoPresenceService || w.Reason == wire.ReasonNoIMService:
		return "noresource"
	}
	return "deactivated"
}

// workServing does what is due for those who watch me, and for the epochs that they read.
func (n *Node) workServing(context.Context) (time.Duration, error) {
	pause, err := n.turnEpochs()
	if err != nil {
		return retryAfter, err
	}
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
