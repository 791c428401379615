package node

import (
	"cmp"
	"context"
	"errors"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// requested takes a SubRequest: a first one, a poll or a renewal (SPEC 4.8).
func (n *Node) requested(ctx context.Context, a arrival) {
	r, err := wire.ParseSubRequest(a.signed.Body)
	n.inquired(ctx, inquiry{a, r.From, r.ArSeq, err, func(t *txn, attached records) (ruling, error) {
		out, err := n.takeRequest(t, a, r, attached)
		return n.rulingOf(out, a), err
	}})
}

// An inquiry is a SubRequest or a Fetch, as it is judged: take does so in one pass.
type inquiry struct {
	arrival
	from  identity.Address
	arSeq identity.Stamp
	bad   error // its body is not strict
	take  func(t *txn, attached records) (ruling, error)
}

// A ruling is what becomes of an inquiry: the reason why it is refused, else how it is answered, nil for not
// at all.
type ruling struct {
	reason wire.Reason
	answer func(context.Context)
}

// inquired leads an inquiry to its ruling. Every answer leaves one second after the inquiry came, whatever it
// is, so that nobody learns from its time who made it.
func (n *Node) inquired(ctx context.Context, q inquiry) {
	if n.delegated() { // who decides nothing
		n.count("not-for-a-delegate")
		return
	}
	if q.bad != nil {
		n.refuseLater(q.arrival, identity.Address{}, unparsed(q.bad))
		return
	}
	if q.signed.Verify() != nil {
		n.refuseLater(q.arrival, q.from, wire.ReasonBadSignature)
		return
	}
	attached := readRecords(q.from, q.attached)
	again := func(ctx context.Context) { n.inquired(ctx, q) }
	if n.fetchNewer(q.peer, claim{from: q.from, arSeq: q.arSeq, has: attached.seq()}, q.signed.Key, again) {
		return
	}
	var out ruling
	err := n.update(func(t *txn) (err error) {
		out, err = q.take(t, attached)
		return err
	})
	switch {
	case err != nil:
		n.log.Warn("a request was not saved, so it was not answered; it comes again", "err", err)
	case out.reason != wire.ReasonNone:
		n.refuseLater(q.arrival, q.from, out.reason)
	case out.answer == nil:
		n.count(wire.ReasonReplay.String())
	default:
		n.answerLater(q.arrival, out.answer)
	}
}

// rulingOf is how a SubRequest is answered, of which v became.
func (n *Node) rulingOf(v verdict, a arrival) (out ruling) {
	switch {
	case v.reason != wire.ReasonNone:
		out.reason = v.reason
	case v.ans.Kind == presence.Refuse:
		out.reason = v.ans.Reason
	case v.ans.Kind != presence.Silent:
		out.answer = func(ctx context.Context) {
			if !n.superseded(v.row) {
				n.tellWatcher(ctx, v.row, &v.pin, a.peer)
			}
		}
	}
	return out
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
	flags := r.Flags
	if known {
		flags = row.Flags
	}
	seated := known && !row.LostSeat()
	if known && !seated {
		row = row.Anew()
	}
	facts, seat, came, err := n.requestFacts(t, a, r, flags, seated)
	if err != nil {
		return out, err
	}
	var old *presence.Watcher
	if known {
		old = &row
	}
	out.row, out.ans = presence.Request(t.now, old, r, identity.DeviceIDOf(a.signed.Key), facts)
	if out.ans.Kind == presence.Silent && (!out.ans.Keep || !seated) {
		return out, nil
	}
	n.hearContact(t, r.From, r.At)
	if out.ans.Keep && changed {
		if err := n.savePin(t, r.From, p); err != nil {
			return out, err
		}
	}
	if out.ans.Keep && !seated {
		if err := errors.Join(n.makeRoom(t, out.row), n.sit(t, out.row, seat), n.settleWaiting(t, r.From, r.Sub, presence.GiveUp)); err != nil {
			return out, err
		}
	}
	ruled, err := n.admitInvited(t, r, out, row, came, seat)
	if err := cmp.Or(err, n.applyAnswer(t, &out.row, out.ans, presence.CauseUser, row.State)); err != nil || !ruled {
		return out, err
	}
	return out, n.applyRules(t, r.From) // also to what else he asked for
}

// admitInvited notes an invite that was used, if its request waits or stands by it now; ruled says that there is
// a new rule for him by it.
func (n *Node) admitInvited(t *txn, r wire.SubRequest, out verdict, before presence.Watcher, came invitation, s seat) (ruled bool, err error) {
	if !came.ok || !out.ans.Keep || out.row.State != wire.SubPending && out.row.State != wire.SubActive || before.State == wire.SubActive {
		return false, nil
	}
	if out.row.State == wire.SubPending && before.State == wire.SubPending { // it had a common place until now
		s.from, _, _ = find[source](t, store.Meta(sourceName(out.row)))
		s.from.Invited = true
		if err := put(t, store.Meta(sourceName(out.row)), s.from); err != nil {
			return false, err
		}
	}
	return n.useInvite(t, r.From, r.Invite, came.Invite, came.rule)
}

// An invitation is an invite that admits the sender of a request or message, and what the rule for him becomes by it.
type invitation struct {
	policy.Invite
	rule policy.Rule
	ok   bool
}

// requestFacts is what the rules need to know about a request, and the seat it would take. Flags are those of
// the first request of its sub.
func (n *Node) requestFacts(t *txn, a arrival, r wire.SubRequest, flags uint32, seated bool) (f presence.Facts, s seat, came invitation, err error) {
	f = presence.Facts{Contact: n.isContact(r.From), PlaceFree: true,
		Unsupported: wire.Required(r.Crit, r.Ext, wire.TypeSubRequest.Knows) != nil}
	f.Service = n.self.Services&identity.Presentity != 0
	if r.Want == wire.WantIM {
		f.Service = n.self.Services&identity.Inbox != 0
	}
	j, err := n.judge(t, r.From, flags, r.Name)
	if err != nil {
		return f, s, came, err
	}
	if came.Invite, came.ok, err = n.invited(t, r.From, r.Invite); err != nil {
		return f, s, came, err
	}
	if came.ok {
		rule, err := n.rule(t, r.From)
		if err != nil {
			return f, s, came, err
		}
		j.Decision, came.rule = came.Decide(t.now, j.Decision, rule)
		j.View = viewFor(r.From, j.Decision)
		came.ok = j.By != policy.ByBlock
	}
	f.Handling, f.View, f.Refusal = handling(j.Handling), j.View, j.refusal
	view, _, err := n.loadView(t, j.View)
	if err != nil {
		return f, s, came, err
	}
	f.Grant, f.Next = view.Grants(t.now)
	if !seated {
		s, err = n.findSeat(t, a, r, &f, came.ok)
	}
	return f, s, came, err
}

// unsubscribed takes an Unsub: the subscription ends for good, and its sender is told (SPEC 4.8).
func (n *Node) unsubscribed(ctx context.Context, a arrival) {
	u, err := wire.ParseUnsub(a.signed.Body)
	if err != nil {
		n.refuse(ctx, a, identity.Address{}, unparsed(err))
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
