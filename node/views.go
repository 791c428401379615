package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// face is what the user says of a view: what it shows. It goes into a backup; the epochs of the view, and
// what this device has said in them, are its own.
type face struct {
	Filter presence.Filter
	Own    *presence.Choice // instead of the choice of all views
	Public bool             // everybody may read it, see public.go
}

// The rows of a view: its epochs, and what this device says in it. choiceRow is the choice of all views that
// have none of their own.
func viewRow(name string) store.Key { return store.Epoch(name, 0) }

func publisherRow(name string) store.Key {
	if name == presence.DefaultView {
		return store.Stamp("publisher")
	}
	return store.Stamp("publisher/" + name)
}

var choiceRow = store.Meta("choice")

// defaultChoice is what is shown before the user chose anything.
func defaultChoice() presence.Choice { return presence.Choice{Basic: wire.Open, IM: wire.Available} }

// baseChoice is the choice of all views that have none of their own.
func baseChoice(t *txn) (presence.Choice, error) {
	choice, ok, err := find[presence.Choice](t, choiceRow)
	if err == nil && !ok {
		choice = defaultChoice()
	}
	return choice, err
}

// viewNames are all views that there are, the default view first: those that the user made, and those that
// have epochs.
func (n *Node) viewNames(t *txn) ([]string, error) {
	var names []string
	for _, table := range []store.Prefix{store.AllViews(), store.AllEpochs()} {
		for k := range t.Scan(table, store.ScanOptions{KeysOnly: true}) {
			if name := k.Name(); name != presence.DefaultView {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Insert(slices.Compact(names), 0, presence.DefaultView), nil
}

// loadView returns a view and this device's publisher in it as they are kept, or as they begin, and as the
// user's choice now makes them. A choice that does not fit is not taken, see checkChoice.
func (n *Node) loadView(t *txn, name string) (presence.View, presence.Publisher, error) {
	ttl := uint64(n.cfg.TTL / time.Second)
	view, ok, err := find[presence.View](t, viewRow(name))
	if err != nil {
		return view, presence.Publisher{}, err
	}
	if !ok {
		view = presence.NewView(name, ttl)
		if isClosedView(name) {
			view.Kind = presence.Shut
		}
	}
	view.TTL = ttl
	pub, ok, err := find[presence.Publisher](t, publisherRow(name))
	if err == nil && (!ok || pub.Device != n.self.Device) {
		pub = n.newPublisher(t, view)
	}
	if err != nil {
		return view, pub, err
	}
	pub.TTL, pub.Scope = ttl, n.scope()
	choice, filter, err := n.choiceOf(t, view, pub)
	if err == nil {
		_, _ = pub.Show(t.now, choice, filter)
	}
	if view.Kind != presence.Shut {
		pub.Quiet(t.now, n.silence())
	}
	return view, pub, err
}

// checkChoice errs if what the rows have a view show does not fit into its document.
func (n *Node) checkChoice(t *txn, view presence.View, pub presence.Publisher) error {
	choice, filter, err := n.choiceOf(t, view, pub)
	if err != nil {
		return err
	}
	if _, err := pub.Show(t.now, choice, filter); err != nil {
		return &Error{Kind: KindUsage, Code: wire.ReasonTooLarge.String(), Message: fmt.Sprintf("that cannot be published: %v", err), Advice: "make the note shorter"}
	}
	return nil
}

// choiceOf returns what the user wants a view to show. Who is politely blocked sees what he saw, until all
// others have left his epochs; then nothing.
func (n *Node) choiceOf(t *txn, view presence.View, pub presence.Publisher) (presence.Choice, presence.Filter, error) {
	if view.Kind == presence.Shut && view.Held != 0 {
		return pub.Choice, pub.Filter, nil
	}
	if view.Kind == presence.Shut {
		return presence.Choice{Offline: true}, presence.Filter{}, nil
	}
	base, err := baseChoice(t)
	if err != nil {
		return base, pub.Filter, err
	}
	f, made, err := find[face](t, store.ViewNamed(view.Name))
	if !made && view.Name != presence.DefaultView && !n.delegated() { // who is given epochs in which he may speak
		f.Filter.Limited = true // nobody has said what may be seen in it
	}
	if f.Own != nil {
		f.Own.Offline = f.Own.Offline || base.Offline
		base = *f.Own
	}
	return base, f.Filter, err
}

// newPublisher begins the publisher of this device in a view.
func (n *Node) newPublisher(t *txn, view presence.View) presence.Publisher {
	contact := ""
	if n.self.Services&identity.Inbox != 0 {
		contact = n.self.Address.IM()
	}
	return presence.NewPublisher(t.now, n.self.Address, n.self.Device, contact, view.TTL)
}

func (n *Node) saveView(t *txn, v presence.View) error {
	t.after(func() { n.serve(v) })
	if err := errors.Join(n.keepSaid(t, v), put(t, viewRow(v.Name), v)); err != nil {
		return err
	}
	return n.shareEpochs(t, v)
}

func (n *Node) savePublisher(t *txn, name string, p presence.Publisher) error {
	closed := p.IMClosed()
	t.after(func() {
		if n.presence.setClosed(name, closed) && !closed {
			n.chores.nudge() // what was held may come in
		}
	})
	return put(t, publisherRow(name), p)
}

// dropView forgets a view that nobody reads any more.
func (n *Node) dropView(t *txn, name string) error {
	t.after(func() { n.presence.dropClosed(name) })
	if err := t.Delete(publisherRow(name)); err != nil {
		return err
	}
	return t.Delete(viewRow(name))
}

// closedTo reports whether what an address sees of me is CLOSED by my own choice (SPEC 5.2). For those who
// watch in no view the default view decides.
func (n *Node) closedTo(a identity.Address) bool { return n.presence.closedIn(n.viewShown(a)) }

// viewShown is the view that an address sees, "" if none.
func (n *Node) viewShown(a identity.Address) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	view, class := n.watchers[a], policy.Unknown
	if _, known := n.contacts[a]; known {
		class = policy.Known
	}
	if view == "" && n.book.Watch(a, class).Handling == policy.PoliteBlock {
		view = closedView(a)
	}
	return view
}

// setClosed notes whether a view shows me as closed, and reports whether that is new.
func (s *presenceState) setClosed(view string, closed bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.closed[view]
	s.closed[view] = closed
	return !known || before != closed
}

func (s *presenceState) dropClosed(view string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.closed, view)
}

// closedIn reports whether my inbox is closed for those who are shown a view, "" being no view.
func (s *presenceState) closedIn(view string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if view == "" {
		view = presence.DefaultView
	}
	if closed, known := s.closed[view]; known {
		return closed
	}
	return isClosedView(view)
}

// loadClosed takes the saved choice of every view, before any Parcel is read (SPEC 5.2).
func (n *Node) loadClosed(t *txn) error {
	names, err := n.viewNames(t)
	for _, name := range names {
		if err != nil {
			return err
		}
		var pub presence.Publisher
		_, pub, err = n.loadView(t, name)
		n.presence.closed[name] = pub.IMClosed()
	}
	return err
}

// enterView has a view ready for a watcher: one that nobody watched gets an epoch whose key nobody holds
// who left.
func (n *Node) enterView(t *txn, view *presence.View, pub presence.Publisher) error {
	if !view.Vacant {
		return nil
	}
	view.Vacant = false
	if view.Due(t.now, &pub) == presence.TurnChange {
		fresh, err := n.fresh()
		if err != nil {
			return err
		}
		view.Change(t.now, fresh)
	}
	t.after(func() {
		n.serving.nudge()
		n.publish.nudge()
	})
	return n.saveView(t, *view)
}
