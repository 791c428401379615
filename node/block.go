package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// rules is the book of rules as it stands; it is replaced, never changed.
func (n *Node) rules() policy.Book {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.book
}

func (n *Node) loadRules(t *txn) error {
	n.book = policy.NewBook()
	for k, b := range t.Scan(store.AllRules(), store.ScanOptions{}) {
		r, err := decode[policy.Rule](k, b)
		if err != nil {
			return err
		}
		n.book.Put(k.Address(), r)
	}
	return nil
}

// setRule writes the rule for an address and has it hold from the commit on.
func (n *Node) setRule(t *txn, a identity.Address, r policy.Rule) error {
	t.after(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		book := policy.NewBook()
		book.Default = n.book.Default
		for other, rule := range n.book.Rules {
			book.Put(other, rule)
		}
		book.Put(a, r)
		n.book = book
	})
	var err error
	if r.IsZero() {
		err = t.Delete(store.Rule(a))
	} else {
		err = put(t, store.Rule(a), r)
	}
	if err != nil {
		return err
	}
	return n.share(t, wire.SyncRule, a[:])
}

func (n *Node) rule(t *txn, a identity.Address) (policy.Rule, error) {
	r, _, err := find[policy.Rule](t, store.Rule(a))
	return r, err
}

// Block refuses somebody: his messages are answered with a refusal, his subscription ends and he is told
// so, and what is published from now on he cannot read. Scope is both, im or presence.
func (n *Node) Block(_ context.Context, who, scope string) (BlockEntry, error) {
	a, s, err := n.blockArgs(who, scope)
	if err != nil {
		return BlockEntry{}, err
	}
	var rule policy.Rule
	err = n.update(func(t *txn) error {
		if rule, err = n.rule(t, a); err != nil {
			return err
		}
		rule = rule.Block(t.now, s)
		if err := n.setRule(t, a, rule); err != nil {
			return err
		}
		if s == policy.IM {
			return nil
		}
		return n.refuseWatcher(t, a)
	})
	n.serving.nudge()
	return n.blockFace(a, rule), saveError(n.cfg.Home, err)
}

// Unblock takes somebody off the block list; he may ask and write again.
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
		return n.setRule(t, a, rule.Unblock(t.now, policy.Both))
	})
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
	return BlockEntry{Address: a, Petname: n.petname(a), Mode: "block", Scope: s.String(), Since: r.Since.Go()}
}
