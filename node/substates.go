package node

import (
	"context"
	"errors"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// answered takes a SubState (SPEC 4.8): it counts only for a live subscription of mine, and is acked.
func (n *Node) answered(ctx context.Context, a arrival) {
	st, err := wire.ParseSubState(a.signed.Body)
	if err != nil {
		n.refuse(ctx, a, identity.Address{}, unparsed(err))
		return
	}
	if a.signed.Verify() != nil {
		n.refuse(ctx, a, st.From, wire.ReasonBadSignature)
		return
	}
	r := readRecords(st.From, a.attached)
	again := func(ctx context.Context) { n.answered(ctx, a) }
	if n.fetchNewer(a.peer, claim{from: st.From, role: subStateRoles, arSeq: st.ArSeq, has: r.seq()}, a.signed.Key, again) {
		return
	}
	var reason wire.Reason
	ack := false
	err = n.update(func(t *txn) error {
		reason, ack, err = n.takeSubState(t, a, st, r)
		return err
	})
	switch {
	case err != nil:
		n.log.Warn("a subscription's state was not saved; it comes again", "err", err)
	case reason != wire.ReasonNone:
		n.refuse(ctx, a, st.From, reason)
	case ack:
		n.acknowledge(ctx, a, n.signAck(st.From, []wire.MID{a.id}, wire.Delivered, wire.ReasonNone, 0))
	}
}

// subStateRoles are the roles of which a SubState's signer needs one (SPEC 2.5).
const subStateRoles = identity.RolePublisher

func (n *Node) takeSubState(t *txn, a arrival, st wire.SubState, r records) (wire.Reason, bool, error) {
	w, known, err := find[presence.Watching](t, store.Watching(st.From, st.Sub))
	if err != nil {
		return 0, false, err
	}
	role := subStateRoles
	if known && w.Want == wire.WantIM {
		role = identity.RoleInbox
	}
	p, changed, reason, err := n.vouch(t, a, claim{from: st.From, to: st.To, role: role, stamp: st.Seq, arSeq: st.ArSeq}, r)
	if err != nil || reason != wire.ReasonNone {
		return reason, false, err
	}
	if wire.Required(st.Crit, st.Ext, wire.TypeSubState.Knows) != nil || beyond(st.Grant) || beyond(st.Next) {
		return wire.ReasonUnsupportedRequired, false, nil
	}
	if changed && n.isContact(st.From) {
		if err := n.savePin(t, st.From, p); err != nil {
			return 0, false, err
		}
	}
	if !known {
		n.count("unknown-subscription")
		n.disown(t, st)
		return 0, false, nil
	}
	return n.applySubState(t, w, st, p, a.signed)
}

// beyond reports whether a grant requires what this version does not understand (SPEC 3.3).
func beyond(g *wire.Grant) bool {
	return g != nil && wire.Required(g.Crit, g.Ext, wire.GrantKnows) != nil
}

// applySubState moves a subscription of mine as the presentity says.
func (n *Node) applySubState(t *txn, w presence.Watching, st wire.SubState, p pinned, signed wire.Signed) (wire.Reason, bool, error) {
	state, reason := w.State, w.Reason
	out, err := w.Answer(t.now, st, n.jitter())
	switch {
	case errors.Is(err, presence.ErrNotLive):
		n.disown(t, st)
		return 0, false, nil
	case errors.Is(err, presence.ErrAhead):
		return wire.ReasonTime, false, nil
	case errors.Is(err, presence.ErrState):
		return wire.ReasonUnsupportedRequired, false, nil
	case errors.Is(err, presence.ErrGrant):
		return wire.ReasonMalformed, false, nil
	case err != nil:
		n.count(wire.ReasonReplay.String())
		return 0, false, nil
	}
	n.hearContact(t, st.From, st.Seq)
	if w.State == presence.Active {
		w.Raw = signed.Append(nil)
	}
	if gave, ok := n.letters.lastTo(st.From, wire.TypeSubRequest); ok {
		if err := n.heardBack(t, st.From, p, gave, wire.ReasonNone); err != nil {
			return 0, false, err
		}
	}
	t.after(n.watching.nudge)
	news := w.State != state || w.Reason != reason // a new epoch is none to the user
	if err := n.saveWatching(t, w, news); err != nil {
		return 0, false, err
	}
	if w.State == presence.Active && state != presence.Active {
		n.fetchLater(t, w)
	}
	return 0, out.Ack, n.recall(t, w, func(h []presence.Heard) {
		t.after(func() { n.presence.recalled(t.now, w.Of, h) })
	})
}

// fetchLater asks for the newest records of every topic that was just granted. A new topic brings them by
// its WATCH too; one that was granted before, and is still followed, would not.
func (n *Node) fetchLater(t *txn, w presence.Watching) {
	for _, g := range w.Grants() {
		t.after(func() { n.spawn(func(ctx context.Context) { n.fetchPresence(ctx, w.Of, g.E, "") }) })
	}
}

// disown answers a subscription that I do not know with its end, so that nobody is listed as a watcher
// after losing his state; for contacts only, and once a day (SPEC 4.8).
func (n *Node) disown(t *txn, st wire.SubState) {
	if (st.State != wire.SubPending && st.State != wire.SubActive) || !n.isContact(st.From) || !n.disowned.take(st.From, t.now) {
		return
	}
	u := wire.Unsub{From: n.self.Address, To: st.From, Sub: st.Sub, At: t.now.Wall}
	n.sendLater(t, presence.Watching{Of: st.From}, wire.Sign(n.keys.Device(), wire.TypeUnsub, u.Append(nil)))
}
