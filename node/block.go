package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
)

// Block refuses somebody: his messages are answered with a refusal, his subscription ends and he is told
// so, and what is published from now on he cannot read. Scope is both, im or presence.
func (n *Node) Block(_ context.Context, who, scope string) (BlockEntry, error) {
	if err := n.checkOwn("block anybody"); err != nil {
		return BlockEntry{}, err
	}
	a, s, err := n.blockArgs(who, scope)
	if err != nil {
		return BlockEntry{}, err
	}
	return n.block(a, func(t *txn, r policy.Rule) policy.Rule { return r.Block(t.now, s) })
}

// PoliteBlock refuses somebody without telling him: what he sees is that I am offline and my inbox closed (SPEC
// 4.9).
func (n *Node) PoliteBlock(_ context.Context, who string) (BlockEntry, error) {
	if err := n.checkOwn("block anybody"); err != nil {
		return BlockEntry{}, err
	}
	a, _, err := n.blockArgs(who, "")
	if err != nil {
		return BlockEntry{}, err
	}
	return n.block(a, func(t *txn, r policy.Rule) policy.Rule { return r.PoliteBlock(t.now) })
}

// block changes the rule for somebody, and has what he has follow it.
func (n *Node) block(a identity.Address, change func(*txn, policy.Rule) policy.Rule) (BlockEntry, error) {
	var rule policy.Rule
	err := n.update(func(t *txn) error {
		old, err := n.rule(t, a)
		if err != nil {
			return err
		}
		rule = change(t, old)
		if err := n.setRule(t, a, rule); err != nil {
			return err
		}
		return n.applyRules(t, a)
	})
	n.serving.nudge()
	return n.blockFace(a, rule), saveError(n.cfg.Home, err)
}

// Unblock takes somebody off the block list; he may ask and write again. Who was blocked politely is shown what
// the other rules say.
func (n *Node) Unblock(_ context.Context, who string) (BlockEntry, error) {
	a, err := n.asker(who)
	if err != nil {
		return BlockEntry{}, err
	}
	var entry BlockEntry
	err = n.update(func(t *txn) error {
		rule, err := n.rule(t, a)
		if err != nil {
			return err
		}
		entry = n.blockFace(a, rule)
		if _, blocked := rule.Blocked(); !blocked {
			return &Error{Kind: KindUsage, Code: "not-blocked", Message: n.name(a) + " is not blocked", Advice: "see hum blocks"}
		}
		if err := n.setRule(t, a, rule.Unblock(t.now, policy.Both)); err != nil {
			return err
		}
		return n.applyRules(t, a)
	})
	n.serving.nudge()
	return entry, saveError(n.cfg.Home, err)
}

// Blocks is the block list.
func (n *Node) Blocks(context.Context) (out []BlockEntry, err error) {
	for a, r := range n.rules().Rules {
		if _, blocked := r.Blocked(); blocked {
			out = append(out, n.blockFace(a, r))
		}
	}
	slices.SortFunc(out, func(a, b BlockEntry) int { return strings.Compare(a.Address.String(), b.Address.String()) })
	return out, nil
}

func (n *Node) blockArgs(who, scope string) (identity.Address, policy.Scope, error) {
	a, err := n.asker(who)
	if err != nil {
		return a, 0, err
	}
	for _, s := range []policy.Scope{policy.Both, policy.IM, policy.Presence} {
		if scope == s.String() || scope == "" && s == policy.Both {
			return a, s, nil
		}
	}
	return a, 0, &Error{Kind: KindUsage, Code: "bad-scope", Message: fmt.Sprintf("%q is no scope: im, presence or both", clip(scope))}
}

func (n *Node) blockFace(a identity.Address, r policy.Rule) BlockEntry {
	s, _ := r.Blocked()
	mode := policy.Block
	if r.Polite {
		mode = policy.PoliteBlock
	}
	return BlockEntry{Address: a, Petname: n.petname(a), Mode: mode.String(), Scope: s.String(), Since: r.Since.Go()}
}
