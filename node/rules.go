package node

import (
	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// policyRow is what holds for those for whom there is no rule.
var policyRow = store.Meta("policy")

// defaults are the rows of a book that name no address, by the word of their class.
type defaults map[string]policy.Default

// rules is the book of rules as it stands; it is replaced, never changed.
func (n *Node) rules() policy.Book {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.book
}

func (n *Node) loadRules(t *txn) (err error) {
	if n.book, err = bookOf(t); err != nil {
		return err
	}
	for k, b := range t.Scan(store.AllRules(), store.ScanOptions{}) {
		r, err := decode[policy.Rule](k, b)
		if err != nil {
			return err
		}
		n.book.Put(k.Address(), r)
	}
	return nil
}

// bookOf is the book of the rows, without the rules for addresses.
func bookOf(t *txn) (policy.Book, error) {
	book := policy.NewBook()
	d, _, err := find[defaults](t, policyRow)
	for _, c := range policy.Classes() {
		if set, ok := d[c.String()]; ok {
			book.Defaults[c] = set
		}
	}
	return book, err
}

// setRule writes the rule for an address and has it hold from the commit on.
func (n *Node) setRule(t *txn, a identity.Address, r policy.Rule) error {
	t.after(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		book := n.book.Clone()
		book.Put(a, r)
		n.book = book
	})
	t.after(func() { n.openCapsOf(a) })
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

// setDefault writes what happens to those of a class for whom there is no rule.
func (n *Node) setDefault(t *txn, c policy.Class, to policy.Default) error {
	set, _, err := find[defaults](t, policyRow)
	if err != nil {
		return err
	}
	if set == nil {
		set = defaults{}
	}
	set[c.String()] = to
	t.after(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		now := n.book.Clone()
		now.Defaults[c] = to
		n.book = now
	})
	if err := put(t, policyRow, set); err != nil {
		return err
	}
	return n.share(t, wire.SyncRule, classKey(c))
}

// A judgement is what the rules say of somebody: what becomes of his requests, which view he is shown if he
// is shown any, and as what a refusal is told.
type judgement struct {
	policy.Decision
	refusal wire.Reason
}

// judge asks the rules that the rows hold, since the book in memory follows a commit: between the two nobody
// who was just blocked may get in. Flags and name are those of the request.
func (n *Node) judge(t *txn, a identity.Address, flags uint32, name string) (judgement, error) {
	book, c, err := n.bookFor(t, a, flags, name)
	j := judgement{Decision: book.Watch(a, c), refusal: wire.ReasonPolicy}
	if j.By == policy.ByDefault && (c == policy.Pseudonymous || c == policy.Anonymous) {
		j.refusal = wire.ReasonAuthRequired
	}
	j.View = viewFor(a, j.Decision)
	return j, err
}

// bookFor is the book with the rule for one address, and the class of that address. Who is on the roster is
// known, whatever he calls himself.
func (n *Node) bookFor(t *txn, a identity.Address, flags uint32, name string) (book policy.Book, c policy.Class, err error) {
	if book, err = bookOf(t); err != nil {
		return book, c, err
	}
	r, err := n.rule(t, a)
	if err != nil {
		return book, c, err
	}
	book.Put(a, r)
	_, known, err := find[contact](t, store.Contact(a))
	switch {
	case known:
		c = policy.Known
	case flags&wire.FlagPseudonym == 0:
		c = policy.Unknown
	case name != "":
		c = policy.Pseudonymous
	default:
		c = policy.Anonymous
	}
	return book, c, err
}

// viewFor is the view that a decision puts an address in.
func viewFor(a identity.Address, d policy.Decision) string {
	switch {
	case d.Handling == policy.PoliteBlock:
		return closedView(a)
	case d.View == "":
		return presence.DefaultView
	}
	return d.View
}

// viewNow is the view that a watcher is in, or would be shown after the yes, as the book in memory has it.
func (n *Node) viewNow(w presence.Watcher) string {
	if w.State == wire.SubActive {
		return w.InView()
	}
	c := policy.Unknown
	n.mu.RLock()
	defer n.mu.RUnlock()
	if _, known := n.contacts[w.Who]; known {
		c = policy.Known
	}
	return viewFor(w.Who, n.book.Watch(w.Who, c))
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
