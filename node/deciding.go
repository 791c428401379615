package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Approve lets somebody watch: now if he has asked, and whenever he asks. He is shown the view that the rules
// put him in.
func (n *Node) Approve(ctx context.Context, who string) (Subscription, error) {
	return n.ApproveIn(ctx, who, "")
}

// ApproveIn is Approve, and has him shown a view that is named, if it is.
func (n *Node) ApproveIn(_ context.Context, who, view string) (Subscription, error) {
	if err := n.checkOwn("decide who watches"); err != nil {
		return Subscription{}, err
	}
	return n.decide(who, func(t *txn, a identity.Address, r policy.Rule) (policy.Rule, error) {
		scope := policy.Presence
		if n.wroteFirst(t, a) {
			scope = policy.Both // it is his messages that wait
		}
		r = r.Approve(t.now, scope)
		if view == "" {
			return r, nil
		}
		return r.Shown(t.now, view), n.mustBeView(t, view)
	})
}

// Deny refuses somebody's request, and those to come. Whoever waits for the answer is told reason, one of
// policy (also ""), refused, closed, auth-required and refused-anonymous.
func (n *Node) Deny(_ context.Context, who, reason string) (s Subscription, err error) {
	if err := n.checkOwn("decide who watches"); err != nil {
		return s, err
	}
	why, err := denial(reason)
	if err != nil {
		return s, err
	}
	return n.decideAsked(who, why, func(t *txn, a identity.Address, r policy.Rule) policy.Rule {
		if n.wroteFirst(t, a) {
			return r.Deny(t.now, policy.Both)
		}
		return r.Deny(t.now, policy.Presence)
	})
}

// Drop ends somebody's subscription; he is told, and may ask again.
func (n *Node) Drop(_ context.Context, who string) (Subscription, error) {
	if err := n.checkOwn("decide who watches"); err != nil {
		return Subscription{}, err
	}
	return n.decideAsked(who, 0, func(t *txn, _ identity.Address, r policy.Rule) policy.Rule { return r.Reset(t.now, policy.Presence) })
}

// decide changes the rule for somebody, and has every subscription of his follow it.
func (n *Node) decide(who string, rule func(*txn, identity.Address, policy.Rule) (policy.Rule, error)) (Subscription, error) {
	return n.ruled(who, func(t *txn, a identity.Address, r policy.Rule) error {
		r, err := rule(t, a, r)
		if err != nil {
			return err
		}
		if err := n.setRule(t, a, r); err != nil {
			return err
		}
		return n.applyRules(t, a)
	})
}

// decideAsked changes the rule for somebody who has asked, and ends what he has; why is what he is told.
func (n *Node) decideAsked(who string, why wire.Reason, rule func(*txn, identity.Address, policy.Rule) policy.Rule) (Subscription, error) {
	return n.ruled(who, func(t *txn, a identity.Address, r policy.Rule) error {
		of, err := all[presence.Watcher](t, store.WatchersOf(a))
		if err == nil && len(of) == 0 && !n.askedOnce(t, a) && !n.wroteFirst(t, a) {
			err = &Error{Kind: KindUsage, Code: "no-request", Message: n.name(a) + " has not asked to watch you", Advice: "see hum requests and hum watchers"}
		}
		if err == nil {
			err = n.setRule(t, a, rule(t, a, r))
		}
		for _, w := range of {
			if err == nil {
				err = n.redecide(t, &w, presence.Block, "", why)
			}
		}
		if err == nil {
			err = n.settleAsked(t, a, presence.Block, why)
		}
		return err
	})
}

// ruled leads somebody and the rule for him through do, and returns what stands for him then in lists.
func (n *Node) ruled(who string, do func(*txn, identity.Address, policy.Rule) error) (Subscription, error) {
	a, err := n.asker(who)
	if err != nil {
		return Subscription{}, err
	}
	s := Subscription{Address: a, Petname: n.petname(a), State: "none"}
	err = n.update(func(t *txn) error {
		every, err := n.writers(t)
		if err != nil {
			return err
		}
		r, err := n.rule(t, a)
		if err != nil {
			return err
		}
		if err := do(t, a, r); err != nil {
			return err
		}
		if s, err = n.watcherOf(t, a); s.State == "" {
			s.State = "none"
		}
		for _, w := range every {
			if w.Address == a {
				s.Messages, s.Claimed = w.Messages, cmp.Or(s.Claimed, w.Claimed)
			}
		}
		return err
	})
	n.serving.nudge()
	if s.State != "none" {
		s.Proof = n.proofs.get(a)
	}
	return s, saveError(n.cfg.Home, err)
}

// applyRules has everything that somebody asked for follow the rules as they now are (RFC 5025, section 3.2.1): who
// is blocked is told, who is to be confirmed waits again, and who is shown another view gets the key of that.
func (n *Node) applyRules(t *txn, a identity.Address) error {
	of, err := all[presence.Watcher](t, store.WatchersOf(a))
	if err != nil {
		return err
	}
	for _, w := range of {
		j, err := n.judge(t, a, w.Flags, w.Name)
		if err == nil && j.Handling == policy.PoliteBlock {
			err = n.shut(t, w)
		} else if err == nil {
			err = n.redecide(t, &w, handling(j.Handling), j.View, j.refusal)
		}
		if err != nil {
			return err
		}
	}
	if err := n.shutFetcher(t, a); err != nil {
		return err
	}
	j, err := n.judge(t, a, 0, "")
	if err != nil || j.Handling == policy.Confirm {
		return err
	}
	return n.settleAsked(t, a, handling(j.Handling), j.refusal)
}

// applyRulesToAll has everybody follow the rules as they now are.
func (n *Node) applyRulesToAll(t *txn) error {
	if err := n.shutClasses(t); err != nil {
		return err
	}
	var who []identity.Address
	err := rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if !ended(w) && !slices.Contains(who[max(0, len(who)-1):], w.Who) { // their keys are in order
			who = append(who, w.Who)
		}
		return true, nil
	})
	for _, a := range who {
		if err == nil {
			err = n.applyRules(t, a)
		}
	}
	return err
}

// redecide applies a new handling, and the view that goes with it, to one subscription; its watcher is told,
// and why if it ends, 0 if he may ask again.
func (n *Node) redecide(t *txn, w *presence.Watcher, h presence.Handling, view string, why wire.Reason) error {
	before := *w
	ans := w.Decide(t.now, h, view)
	if ans.Kind == presence.Silent {
		if w.View != before.View {
			return n.saveWatcher(t, *w)
		}
		return nil
	}
	if ended(*w) {
		if why == 0 {
			w.Event = presence.Deactivated // he may ask again
		}
		w.Reason = cmp.Or(why, w.Reason)
	}
	if err := n.applyAnswer(t, w, ans, presence.CauseUser, before.State); err != nil {
		return err
	}
	n.notify(t, *w, ans.Wait)
	return nil
}

// asker is who for requests: somebody may also be called by the name that his request or message claims, if
// nobody else claims it and no contact has it.
func (n *Node) asker(who string) (identity.Address, error) {
	a, err := n.address(who)
	if err == nil && a == n.self.Address {
		return a, &Error{Kind: KindUsage, Code: "self", Message: "that is your own address"}
	}
	if err == nil || isAddressLike(who) {
		return a, err
	}
	found := n.claimants(who)
	switch len(found) {
	case 0:
		return a, err
	case 1:
		return found[0], nil
	}
	return a, &Error{Kind: KindUsage, Code: "ambiguous", Message: fmt.Sprintf("%d addresses call themselves %q", len(found), clip(who)), Advice: "use the address: hum requests"}
}
