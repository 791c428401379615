package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// The rows of my own presence. The choice is the user's and goes into a backup; the epochs and what this
// device has said in them are its own.
var (
	viewRow      = store.Epoch(presence.DefaultView, 0)
	publisherRow = store.Stamp("publisher")
	choiceRow    = store.Meta("choice")
)

// loadView returns the view and its publisher as they are kept, or as they begin.
func (n *Node) loadView(t *txn) (presence.View, presence.Publisher, error) {
	view, ok, err := find[presence.View](t, viewRow)
	if err != nil {
		return view, presence.Publisher{}, err
	}
	ttl := uint64(n.cfg.TTL / time.Second)
	if !ok {
		view = presence.NewView(presence.DefaultView, ttl)
	}
	view.TTL = ttl
	pub, ok, err := find[presence.Publisher](t, publisherRow)
	if err != nil {
		return view, pub, err
	}
	if !ok || pub.Device != n.self.Device {
		pub, err = n.newPublisher(t, ttl)
	}
	pub.TTL = ttl
	return view, pub, err
}

// newPublisher begins the publisher of this device with the choice of the user, if there is one.
func (n *Node) newPublisher(t *txn, ttl uint64) (presence.Publisher, error) {
	contact := ""
	if n.self.Services&identity.Inbox != 0 {
		contact = n.self.Address.IM()
	}
	pub := presence.NewPublisher(t.now, n.self.Address, n.self.Device, contact, ttl)
	choice, ok, err := find[presence.Choice](t, choiceRow)
	if err != nil || !ok {
		return pub, err
	}
	_, err = pub.Choose(t.now, choice)
	return pub, err
}

func (n *Node) saveView(t *txn, v presence.View) error {
	t.after(func() { n.serve(v) })
	return put(t, viewRow, v)
}

func (n *Node) savePublisher(t *txn, p presence.Publisher) error {
	closed := p.IMClosed()
	t.after(func() { n.presence.closed.Store(closed) })
	return put(t, publisherRow, p)
}

// serve has the network answer for the epochs of the view.
func (n *Node) serve(v presence.View) {
	for _, e := range v.Serving(n.now()) {
		i := slices.IndexFunc(v.Epochs, func(x presence.Epoch) bool { return x.E == e })
		if err := n.net.Serve(e, v.Epochs[i].NotAfter); err != nil {
			n.log.Warn("an epoch is not served", "err", err)
		}
	}
}

// closedByChoice reports whether the user has closed his inbox (SPEC 5.2).
func (n *Node) closedByChoice() bool { return n.presence.closed.Load() }

// Set changes what the user is seen as, saves it, and publishes it: at once, or when the bucket of SPEC
// 4.4 allows it, the newest then.
func (n *Node) Set(_ context.Context, c Change) (Published, error) {
	return n.choose(func(choice *presence.Choice) {
		choice.Offline = false
		set(&choice.Basic, c.Basic)
		set(&choice.IM, c.IM)
		set(&choice.Note, c.Note)
		set(&choice.Lang, c.Lang)
		set(&choice.Contacts, c.Contacts)
		if c.Activity != nil {
			choice.Status = activity(*c.Activity)
		}
		if c.Basic != nil && *c.Basic == wire.Closed && c.IM == nil {
			choice.IM = 0
		}
		if c.Basic == nil && c.IM != nil {
			choice.Basic = wire.Open // available, busy, away …: each says that the inbox is open
		}
	})
}

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

func activity(a string) []wire.Status {
	if a == "" {
		return nil
	}
	return []wire.Status{{Name: "activities", Value: a}}
}

// Offline signs off in every view, while the node goes on; it is saved.
func (n *Node) Offline(context.Context) (Published, error) {
	return n.choose(func(c *presence.Choice) { c.Offline = true })
}

func (n *Node) choose(edit func(*presence.Choice)) (Published, error) {
	if n.self.Services&identity.Presentity == 0 {
		return Published{}, &Error{Kind: KindUsage, Code: wire.ReasonNoPresenceService.String(), Message: "this address is for messages only: it publishes no presence"}
	}
	out := Published{Views: []string{presence.DefaultView}}
	err := n.update(func(t *txn) error {
		view, pub, err := n.loadView(t)
		if err != nil {
			return err
		}
		choice := pub.Choice
		choice.Contacts = slices.Clone(choice.Contacts)
		edit(&choice)
		changed, err := pub.Choose(t.now, choice)
		if err != nil {
			return &Error{Kind: KindUsage, Code: wire.ReasonTooLarge.String(), Message: fmt.Sprintf("that cannot be published: %v", err), Advice: "make the note shorter"}
		}
		if changed {
			t.emit(Event{Kind: "presence", Address: n.self.Address, Name: "me", State: choiceWord(choice), Text: choice.Note})
		}
		if err := put(t, choiceRow, choice); err != nil {
			return err
		}
		if err := n.publishDue(t, view, pub); err != nil {
			return err
		}
		out.Sequence = uint64(n.lastSaid(t))
		return nil
	})
	n.publish.nudge()
	return out, saveError(n.cfg.Home, err)
}

// lastSaid is the stamp of the newest update.
func (n *Node) lastSaid(t *txn) (last identity.Stamp) {
	pub, _, _ := find[presence.Publisher](t, publisherRow)
	for _, tr := range pub.Tracks {
		last = max(last, tr.Update)
	}
	return last
}

func choiceWord(c presence.Choice) string {
	switch {
	case c.Offline:
		return "offline"
	case c.Basic != wire.Open:
		return "closed"
	case c.IM != 0:
		return "open " + c.IM.String()
	}
	return "open"
}

// publishDue draws what is to be said now, saves the stamps, and leaves the records to be published.
func (n *Node) publishDue(t *txn, view presence.View, pub presence.Publisher) error {
	o := n.own.Load()
	pub.Records(o.AddressSeq, o.Reach)
	if view.Due(t.now, &pub) == presence.TurnChange {
		t.after(n.serving.nudge) // what cannot be said until then is said in the new epoch
	}
	return n.say(t, pub.Publish(t.now, view, n.jitter()), pub)
}

func (n *Node) say(t *txn, what []presence.Publication, pub presence.Publisher) error {
	t.after(func() {
		for _, p := range what {
			if err := n.net.Publish(p.Epoch.E, p.Rec(n.cfg.Rand)); err != nil {
				n.log.Warn("a record was not published", "err", err)
			}
		}
	})
	return n.savePublisher(t, pub)
}

// workPublish says what is due: what was held back, an update in a new epoch, or a beacon.
func (n *Node) workPublish(context.Context) (time.Duration, error) {
	if !n.resumed {
		if err := n.resumePresence(); err != nil {
			return retryAfter, err
		}
	}
	if n.self.Services&identity.Presentity == 0 {
		return look, nil
	}
	var pause time.Duration
	if err := n.view(func(t *txn) error {
		view, pub, err := n.loadView(t)
		pause = pub.Wake(t.now, view)
		return err
	}); err != nil || pause > 0 {
		return pause, err
	}
	err := n.update(func(t *txn) error {
		view, pub, err := n.loadView(t)
		if err != nil {
			return err
		}
		return n.publishDue(t, view, pub)
	})
	return 0, err
}

// republish says the document again under new records of mine.
func (n *Node) republish() {
	err := n.update(func(t *txn) error {
		view, pub, err := n.loadView(t)
		if err != nil {
			return err
		}
		return n.publishDue(t, view, pub)
	})
	if err != nil {
		n.log.Warn("the new place was not published", "err", err)
	}
	n.publish.nudge()
}

// resumePresence begins again where the node ended: the epochs are served, the saved choice is said in a
// new update, and those I watch are followed.
func (n *Node) resumePresence() error {
	err := n.update(func(t *txn) error {
		view, pub, err := n.loadView(t)
		if err != nil {
			return err
		}
		pub.Restart()
		if n.self.Services&identity.Presentity == 0 {
			return nil
		}
		return errors.Join(n.saveView(t, view), n.savePublisher(t, pub))
	})
	n.resumed = err == nil
	for _, w := range n.presence.allWatching() {
		n.refollow(w.Of)
		n.rejoin(w)
	}
	return err
}

// signOffPause is how long a node that ends waits for its last word to leave.
const signOffPause = 200 * time.Millisecond

// signOff says that I am gone. Nobody relies upon it: if it is lost, my lease lapses (RFC 2779, 3.2.5).
func (n *Node) signOff() {
	said := false
	err := n.update(func(t *txn) error {
		view, pub, err := n.loadView(t)
		if err != nil {
			return err
		}
		what := pub.SignOff(t.now, view)
		said = len(what) > 0
		closed := n.closedByChoice()
		t.after(func() { n.presence.closed.Store(closed) })
		return n.say(t, what, pub)
	})
	if err != nil {
		n.log.Warn("the sign-off was not said", "err", err)
	}
	if said {
		sleep(context.Background(), signOffPause)
	}
}
