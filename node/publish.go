package node

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// serve has the network answer for the epochs of the view.
func (n *Node) serve(v presence.View) {
	for _, e := range v.Serving(n.now()) {
		i := slices.IndexFunc(v.Epochs, func(x presence.Epoch) bool { return x.E == e })
		if err := n.net.Serve(e, v.Epochs[i].NotAfter); err != nil {
			n.log.Warn("an epoch is not served", "err", err)
		}
	}
}

// Set changes what the user is seen as, saves it, and publishes it: at once, or when the bucket of SPEC
// 4.4 allows it, the newest then.
func (n *Node) Set(_ context.Context, c Change) (Published, error) {
	if err := errors.Join(checkMeasures(c.Measures), n.checkScope(c)); err != nil {
		return Published{}, err
	}
	if c.Basic != nil || c.IM != nil {
		n.userSpoke()
	}
	return n.choose(c.View, func(choice *presence.Choice) {
		choice.Offline = false
		set(&choice.Basic, c.Basic)
		set(&choice.IM, c.IM)
		set(&choice.Note, c.Note)
		set(&choice.Lang, c.Lang)
		set(&choice.Contacts, c.Contacts)
		if c.Activity != nil {
			choice.Status = activity(*c.Activity)
		}
		set(&choice.Bare, c.Bare)
		if c.Measures != nil {
			choice.Own = statusOf(*c.Measures)
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
func (n *Node) Offline(ctx context.Context) (Published, error) { return n.OfflineIn(ctx, "") }

// OfflineIn is Offline for one view, if it is named.
func (n *Node) OfflineIn(_ context.Context, view string) (Published, error) {
	n.userSpoke()
	return n.choose(view, func(c *presence.Choice) { c.Offline = true })
}

// choose edits the choice of one view, or that of all views that have none of their own, and publishes what has
// changed.
func (n *Node) choose(view string, edit func(*presence.Choice)) (out Published, err error) {
	if n.self.Services&identity.Presentity == 0 {
		return out, &Error{Kind: KindUsage, Code: wire.ReasonNoPresenceService.String(), Message: "this address is for messages only: it publishes no presence"}
	}
	if err := n.checkListed(); err != nil {
		return out, err
	}
	err = n.update(func(t *txn) error {
		out = Published{}
		if view != "" {
			err = n.chooseOwn(t, view, edit)
		} else {
			err = n.chooseAll(t, edit)
		}
		if err != nil {
			return err
		}
		return n.sayAll(t, &out)
	})
	n.publish.nudge()
	if view != "" {
		out.Views = []string{view}
	}
	return out, saveError(n.cfg.Home, err)
}

// chooseAll edits the choice of all views that have none of their own.
func (n *Node) chooseAll(t *txn, edit func(*presence.Choice)) error {
	choice, err := baseChoice(t)
	if err != nil {
		return err
	}
	before := choice
	choice.Contacts = slices.Clone(choice.Contacts)
	edit(&choice)
	was, _, err := find[presence.Publisher](t, publisherRow(presence.DefaultView))
	if err != nil {
		return err
	}
	now := presence.Publisher{Choice: choice, Silent: n.silence()}
	if !reflect.DeepEqual(choice, before) || was.Idle() && !now.Idle() {
		t.emit(Event{Kind: "presence", Address: n.self.Address, Name: "me", State: publishedWord(now), Text: choice.Note})
	}
	return put(t, choiceRow, choice)
}

// chooseOwn edits the choice of one view; one that had none begins with that of all.
func (n *Node) chooseOwn(t *txn, view string, edit func(*presence.Choice)) error {
	if err := n.mustBeView(t, view); err != nil {
		return err
	}
	f, _, err := find[face](t, store.ViewNamed(view))
	if err != nil {
		return err
	}
	base, err := baseChoice(t)
	if err != nil {
		return err
	}
	if f.Own == nil {
		f.Own = &base
		f.Own.Offline = false
	}
	f.Own.Contacts = slices.Clone(f.Own.Contacts)
	edit(f.Own)
	return n.saveFace(t, view, f)
}

// sayAll publishes in every view what the rows now make it show, and adds to out what became of it.
func (n *Node) sayAll(t *txn, out *Published) error {
	names, err := n.viewNames(t)
	for _, name := range names {
		if err != nil {
			return err
		}
		var view presence.View
		var pub presence.Publisher
		if view, pub, err = n.loadView(t, name); err == nil {
			err = n.checkChoice(t, view, pub)
		}
		if err != nil {
			return err
		}
		if err = n.publishDue(t, view, &pub); !isClosedView(name) {
			out.Views = append(out.Views, name)
			out.Sequence = max(out.Sequence, uint64(pub.Said()))
		}
	}
	return err
}

// publishedWord is what I am shown as: my word, or idle where that stands in for it.
func publishedWord(p presence.Publisher) string {
	if p.Idle() {
		return wire.Open.String() + " " + wire.Idle.String()
	}
	return choiceWord(p.Choice)
}

func choiceWord(c presence.Choice) string {
	switch {
	case c.Offline:
		return "offline"
	case c.Basic != wire.Open:
		return "closed"
	case c.IM != 0 && !c.Bare:
		return "open " + c.IM.String()
	}
	return "open"
}

// publishDue draws what is to be said now in a view, saves the stamps, and leaves the records to be published.
func (n *Node) publishDue(t *txn, view presence.View, pub *presence.Publisher) error {
	o := n.own.Load()
	reach := o.Reach
	if public, err := isPublic(t, view.Name); err != nil {
		return err
	} else if public { // where I am is told to nobody whom I do not know
		reach = nil
	}
	pub.Records(o.AddressSeq, reach)
	if view.Due(t.now, pub) == presence.TurnChange {
		t.after(n.serving.nudge) // what cannot be said until then is said in the new epoch
	}
	return n.say(t, view.Name, pub.Publish(t.now, view, n.jitter()), *pub)
}

func (n *Node) say(t *txn, view string, what []presence.Publication, pub presence.Publisher) error {
	t.after(func() {
		for _, p := range what {
			r := p.Rec(n.cfg.Rand, n.signs())
			if err := n.net.Publish(p.Epoch.E, r); err != nil {
				n.log.Warn("a record was not published", "err", err)
			}
			n.anchorRec(p.Epoch, r.Raw)
		}
	})
	return n.savePublisher(t, view, pub)
}

// workPublish says what is due: what was held back, an update in a new epoch, or a beacon.
func (n *Node) workPublish(context.Context) (time.Duration, error) {
	if !n.resumed {
		if err := n.resumePresence(); err != nil {
			return retryAfter, err
		}
	}
	if n.self.Services&identity.Presentity == 0 || n.revoked() {
		return look, nil
	}
	pause, due := look, []string(nil)
	if err := n.eachView(n.view, func(t *txn, view presence.View, pub presence.Publisher) error {
		if wake := pub.Wake(t.now, view); wake > 0 {
			pause = min(pause, wake)
		} else {
			due = append(due, view.Name)
		}
		return nil
	}); err != nil || len(due) == 0 {
		return pause, err
	}
	return 0, n.update(func(t *txn) (err error) {
		for _, name := range due {
			view, pub, failed := n.loadView(t, name)
			if err = errors.Join(err, failed); err == nil {
				err = n.publishDue(t, view, &pub)
			}
		}
		return err
	})
}

// eachView leads every view through do in one pass of the store, which through begins.
func (n *Node) eachView(through func(func(*txn) error) error, do func(*txn, presence.View, presence.Publisher) error) error {
	return through(func(t *txn) error {
		names, err := n.viewNames(t)
		for _, name := range names {
			view, pub, failed := n.loadView(t, name)
			if err = errors.Join(err, failed); err == nil {
				err = do(t, view, pub)
			}
		}
		return err
	})
}

// republish says the documents again under new records of mine.
func (n *Node) republish() {
	if err := n.eachView(n.update, func(t *txn, view presence.View, pub presence.Publisher) error {
		return n.publishDue(t, view, &pub)
	}); err != nil {
		n.log.Warn("the new place was not published", "err", err)
	}
	n.publish.nudge()
}

// resumePresence begins again where the node ended: the epochs are served, the saved choices are said in a
// new update, and those I watch are followed.
func (n *Node) resumePresence() error {
	err := n.eachView(n.update, func(t *txn, view presence.View, pub presence.Publisher) error {
		pub.Restart()
		view.Shut()
		if n.self.Services&identity.Presentity == 0 {
			return nil
		}
		return errors.Join(n.saveView(t, view), n.savePublisher(t, view.Name, pub))
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
	if n.revoked() {
		return
	}
	said := false
	err := n.eachView(n.update, func(t *txn, view presence.View, pub presence.Publisher) error {
		what := pub.SignOff(t.now, view)
		said = said || len(what) > 0
		return n.say(t, view.Name, what, pub)
	})
	if err != nil {
		n.log.Warn("the sign-off was not said", "err", err)
	}
	if said {
		sleep(context.Background(), signOffPause)
	}
}
