package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

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
		if h == presence.Block && len(of) == 0 && !n.askedOnce(t, a) {
			return &Error{Kind: KindUsage, Code: "no-request", Message: n.name(a) + " has not asked to watch you", Advice: "see hum requests and hum watchers"}
		}
		if err := n.setRule(t, a, rule(r, t.now, policy.Presence)); err != nil {
			return err
		}
		view, _, err := n.viewOf(t, a)
		if err != nil {
			return err
		}
		for _, w := range of {
			if err := n.redecide(t, &w, h, view, why); err != nil {
				return err
			}
		}
		if err := n.settleAsked(t, a, h, why); err != nil {
			return err
		}
		if s, err = n.watcherOf(t, a); s.State == "" {
			s.State = "none"
		}
		return err
	})
	n.serving.nudge()
	return s, saveError(n.cfg.Home, err)
}

// redecide applies a new handling, and the view that goes with it, to one subscription; its watcher is told,
// and why if it ends, 0 if he may ask again.
func (n *Node) redecide(t *txn, w *presence.Watcher, h presence.Handling, view string, why wire.Reason) error {
	before := w.State
	ans := w.Decide(t.now, h, view)
	if ans.Kind == presence.Silent {
		return nil
	}
	if ended(*w) {
		if why == 0 {
			w.Event = presence.Deactivated // he may ask again
		}
		w.Reason = cmp.Or(why, w.Reason)
	}
	if err := n.applyAnswer(t, w, ans, presence.CauseUser, before); err != nil {
		return err
	}
	n.notify(t, *w, ans.Wait)
	return nil
}

// refuseWatcher ends every subscription of somebody who was blocked.
func (n *Node) refuseWatcher(t *txn, a identity.Address) error {
	of, err := all[presence.Watcher](t, store.WatchersOf(a))
	for _, w := range of {
		err = errors.Join(err, n.redecide(t, &w, presence.Block, "", wire.ReasonPolicy))
	}
	return errors.Join(err, n.settleAsked(t, a, presence.Block, wire.ReasonPolicy))
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
