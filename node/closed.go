package node

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/store"
)

// closedPrefix begins the names of the views that show nothing (SPEC 4.9): one for each address that is
// politely blocked, and one for all those of a class who ask once, so that strangers make no views.
const closedPrefix = "closed/"

func closedView(a identity.Address) string { return closedPrefix + a.String() }

func closedClass(c policy.Class) string { return closedPrefix + c.String() }

func isClosedView(name string) bool { return strings.HasPrefix(name, closedPrefix) }

// fetching are the classes of those who ask once: a Fetch claims neither a pseudonym nor a name.
var fetching = []policy.Class{policy.Known, policy.Unknown}

// shutFetcher begins what somebody is shown who is politely blocked and may ask once: now, so that its date
// is that of the block and not that of his question.
func (n *Node) shutFetcher(t *txn, a identity.Address) error {
	name, _, err := n.fetchRule(t, a)
	if err != nil || name != closedView(a) {
		return err
	}
	row, known, err := find[presence.Fetcher](t, store.Fetcher(a))
	old := &row
	if !known {
		old = nil
	}
	return cmp.Or(err, n.shutView(t, name, seenBefore(old, name)))
}

// shutClasses is shutFetcher for those who are politely blocked by the default of their class.
func (n *Node) shutClasses(t *txn) error {
	book, err := bookOf(t)
	for _, c := range fetching {
		if d := book.Defaults[c]; err == nil && d.Asking() == policy.PoliteBlock {
			err = n.shutView(t, closedClass(c), cmp.Or(d.View, presence.DefaultView))
		}
	}
	return err
}

// shutView has a closed view speak, unless it does.
func (n *Node) shutView(t *txn, name, before string) error {
	view, pub, err := n.loadView(t, name)
	if err != nil || !view.Vacant {
		return err
	}
	return n.openClosed(t, &view, &pub, before)
}

// openClosed has the view of those who are politely blocked, and ask once, speak as any other: its document
// is signed anew when those of others are, and goes on from the version that was shown in the view before.
func (n *Node) openClosed(t *txn, view *presence.View, pub *presence.Publisher, before string) error {
	seen, shown, err := n.loadView(t, before)
	if err != nil {
		return err
	}
	view.Leave(presence.CauseUser) // what was said in it when it was open last is over
	if err := n.enterView(t, view, *pub); err != nil {
		return err
	}
	pub.Follow(t.now, *view, shown, seen)
	return n.publishDue(t, *view, pub)
}

// markClosed marks the views of those who are politely blocked, and may ask once: by name, or by the default
// of their class.
func (n *Node) markClosed(t *txn, in map[string]bool) error {
	book, err := bookOf(t)
	for _, c := range fetching {
		in[closedClass(c)] = book.Defaults[c].Asking() == policy.PoliteBlock
	}
	return errors.Join(err, rows(t, store.AllRules(), store.ScanOptions{}, func(k store.Key, r policy.Rule) (bool, error) {
		if !r.Polite && !(r.WatchingSet && r.Watching == policy.PoliteBlock) && !(r.FetchingSet && r.Fetching == policy.PoliteBlock) {
			return true, nil
		}
		name, _, err := n.fetchRule(t, k.Address())
		in[name] = in[name] || isClosedView(name)
		return true, err
	}))
}

// dropClosed forgets the closed view of an address of which no subscription is kept any more, unless a rule
// for it has it shown to him: so strangers leave no more of them behind than there are rows.
func (n *Node) dropClosed(t *txn, a identity.Address) error {
	name := closedView(a)
	view, ok, err := find[presence.View](t, viewRow(name))
	if err != nil || !ok {
		return err
	}
	of, err := all[presence.Watcher](t, store.WatchersOf(a))
	if err != nil || slices.ContainsFunc(of, func(w presence.Watcher) bool { return w.InView() == name }) {
		return err
	}
	book, c, err := n.bookFor(t, a, 0, "")
	if d := book.Fetch(a, c); err != nil || d.Handling == policy.PoliteBlock && d.By != policy.ByDefault {
		return err
	}
	return errors.Join(n.forget(t, view.Epochs, nil), n.dropView(t, name))
}
