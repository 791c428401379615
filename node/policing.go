package node

import (
	"context"
	"fmt"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
)

// A PolicyLine is what happens to the requests of one class of people, or of one person.
type PolicyLine struct {
	Class   string           // known, unknown, pseudonymous, anonymous
	Address identity.Address // if it is about one person
	Petname string
	Watch   string // handling: block, confirm, polite-block, allow
	Fetch   string
	// Messages is accept, first-contact, refuse or discard; of those who hide behind a pseudonym none, as messages
	// claim none; of the anonymous first-contact, refuse or discard.
	Messages string
	Closed   string // what becomes of messages while I am closed: refuse, hold
	Acks     string // what senders are told of their messages: all, or refusals alone
	// Displayed is tell if a sender who asks is told that I have opened his message, else keep.
	Displayed string
	Clear     string // what becomes of those that are not sealed, or not signed: refuse, take
	View      string // that he is shown, if he is shown any
	Group     string // of one person: the view whose member he is
	By        string // of one person: what decides: block, address, group, default
}

// A PolicyEdit changes what it names: nil fields stay as they are. Fetch "same" handles a fetch as a
// subscription; View "" is the default view, and of one person that of his group or class.
type PolicyEdit struct {
	Class              string // if Who is empty
	Who                string
	Watch, Fetch, View *string
	Messages           *string // accept, first-contact, refuse, discard; of one person also default
	Closed             *string // refuse or hold, for everybody and alone: neither Class nor Who
	Clear              *string // refuse or take, likewise
	Acks               *string // all or refusals, likewise
	Displayed          *string // tell, keep or default
}

// Policy is what happens to those for whom there is no rule, by class; or with who, what the rules say of him.
func (n *Node) Policy(_ context.Context, who string) (out []PolicyLine, err error) {
	if err := n.checkOwn("set rules"); err != nil {
		return nil, err
	}
	var a identity.Address
	if who != "" {
		if a, err = n.asker(who); err != nil {
			return nil, err
		}
	}
	err = n.view(func(t *txn) error {
		if who != "" {
			var l PolicyLine
			l, err = n.policyOf(t, a)
			out = []PolicyLine{l}
			return err
		}
		book, err := bookOf(t)
		for _, c := range policy.Classes() {
			l := n.lineOf(book, identity.Address{}, c)
			if l.Messages, l.Displayed = "", ""; c == policy.Known || c == policy.Unknown {
				l.Messages, l.Displayed = book.Admits(c).String(), n.telling(book.Tells(identity.Address{}, c))
			} else if c == policy.Anonymous {
				l.Messages = book.Admits(c).String()
			}
			out = append(out, l)
		}
		return err
	})
	return out, err
}

func (n *Node) lineOf(book policy.Book, a identity.Address, c policy.Class) PolicyLine {
	w, closed, clear := book.Watch(a, c), "refuse", "refuse"
	if n.holds() {
		closed = "hold"
	}
	if clearOK(n.pins.get(n.self.Address)) {
		clear = "take"
	}
	return PolicyLine{Acks: n.acks(), Displayed: n.telling(book.Tells(a, n.classOfSender(a))), Messages: book.Message(a, n.isContact(a)).String(), Closed: closed, Clear: clear,
		Class: c.String(), Watch: w.Handling.String(), Fetch: book.Fetch(a, c).Handling.String(), View: viewFor(a, w), By: w.By.String()}
}

func (n *Node) policyOf(t *txn, a identity.Address) (PolicyLine, error) {
	book, c, err := n.bookFor(t, a, 0, "")
	l := n.lineOf(book, a, c)
	l.Address, l.Petname, l.Group = a, n.petname(a), book.Rule(a).Group
	return l, err
}

// SetPolicy changes what happens to a class, or to one person, and has everybody follow it who watches or waits.
func (n *Node) SetPolicy(ctx context.Context, e PolicyEdit) (out []PolicyLine, err error) {
	if err := n.checkOwn("set rules"); err != nil {
		return nil, err
	}
	var a identity.Address
	if e.Who != "" {
		if a, err = n.asker(e.Who); err != nil {
			return nil, err
		}
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	if e.Closed != nil {
		if err := n.announce(identity.ClosedHold, *e.Closed == "hold"); err != nil {
			return nil, err
		}
		return n.Policy(ctx, "")
	}
	if e.Clear != nil {
		if err := n.announce(identity.ClearOK, *e.Clear == "take"); err != nil {
			return nil, err
		}
		return n.Policy(ctx, "")
	}
	if e.Acks != nil {
		if err := n.announce(identity.NoAcks, *e.Acks == "refusals"); err != nil {
			return nil, err
		}
		return n.Policy(ctx, "")
	}
	if e.Messages != nil && e.Who == "" && e.Class == policy.Anonymous.String() {
		if err := n.announce(identity.AnonIMOK, *e.Messages != policy.Refuse.String()); err != nil {
			return nil, err
		}
	}
	err = n.update(func(t *txn) error {
		if e.View != nil && *e.View != "" {
			if err := n.mustBeView(t, *e.View); err != nil {
				return err
			}
		}
		if e.Who != "" {
			return n.setPersonal(t, a, e)
		}
		return n.setClass(t, e)
	})
	n.serving.nudge()
	if err != nil {
		return nil, saveError(n.cfg.Home, err)
	}
	return n.Policy(ctx, e.Who)
}

func (n *Node) setPersonal(t *txn, a identity.Address, e PolicyEdit) error {
	r, err := n.rule(t, a)
	if err != nil {
		return err
	}
	if e.Watch != nil {
		h, _ := policy.ParseHandling(*e.Watch)
		r = r.Handle(t.now, h)
	}
	if e.Fetch != nil {
		h, set := policy.ParseHandling(*e.Fetch)
		r = r.Fetch(t.now, h, set)
	}
	if e.View != nil {
		r = r.Shown(t.now, *e.View)
	}
	if e.Messages != nil {
		m, set := policy.ParseAdmission(*e.Messages)
		r = r.Admit(t.now, m, set)
	}
	if e.Displayed != nil {
		r.Displayed, _ = policy.ParseTelling(*e.Displayed)
	}
	if err := n.setRule(t, a, r); err != nil {
		return err
	}
	return n.applyRules(t, a)
}

func (n *Node) setClass(t *txn, e PolicyEdit) error {
	book, err := bookOf(t)
	if err != nil {
		return err
	}
	c, _ := classCalled(e.Class)
	d := book.Defaults[c]
	if e.Watch != nil {
		d.Watch, _ = policy.ParseHandling(*e.Watch)
	}
	if e.Fetch != nil {
		d.Fetch, d.FetchSet = policy.ParseHandling(*e.Fetch)
	}
	if e.View != nil {
		d.View = *e.View
	}
	if e.Messages != nil {
		d.Messages, d.MessagesSet = policy.ParseAdmission(*e.Messages)
	}
	if e.Displayed != nil {
		d.Displayed, _ = policy.ParseTelling(*e.Displayed)
	}
	if err := n.setDefault(t, c, d); err != nil {
		return err
	}
	return n.applyRulesToAll(t)
}

func classCalled(word string) (policy.Class, bool) {
	for _, c := range policy.Classes() {
		if c.String() == word {
			return c, true
		}
	}
	return policy.Unknown, false
}

// check errs if a word of the edit says nothing.
func (e PolicyEdit) check() error {
	bad := func(what, word, advice string) error {
		return &Error{Kind: KindUsage, Code: "bad-word", Message: fmt.Sprintf("there is no %s %q", what, clip(word)), Advice: advice}
	}
	if e.Closed != nil {
		if *e.Closed != "refuse" && *e.Closed != "hold" {
			return bad("way", *e.Closed, "it is refuse or hold")
		}
		if e != (PolicyEdit{Closed: e.Closed}) {
			return bad("class for that", e.Class+e.Who, "what becomes of messages while you are closed is one setting for everybody: hum policy set --closed hold")
		}
		return nil
	}
	if e.Clear != nil {
		if *e.Clear != "refuse" && *e.Clear != "take" {
			return bad("way", *e.Clear, "it is refuse or take")
		}
		if e != (PolicyEdit{Clear: e.Clear}) {
			return bad("class for that", e.Class+e.Who, "what becomes of messages that are not protected is one setting for everybody: hum policy set --clear take")
		}
		return nil
	}
	if e.Acks != nil {
		if *e.Acks != "all" && *e.Acks != "refusals" {
			return bad("way", *e.Acks, "it is all or refusals")
		}
		if e != (PolicyEdit{Acks: e.Acks}) {
			return bad("class for that", e.Class+e.Who, "what senders are told is one setting for everybody: hum policy set --acks refusals")
		}
		return nil
	}
	if e.Displayed != nil {
		if _, ok := policy.ParseTelling(*e.Displayed); !ok {
			return bad("way", *e.Displayed, "it is tell, keep or default")
		}
	}
	if _, ok := classCalled(e.Class); e.Who == "" && !ok {
		return bad("class", e.Class, "it is known, unknown, pseudonymous or anonymous")
	}
	if e.Watch != nil {
		if _, ok := policy.ParseHandling(*e.Watch); !ok {
			return bad("handling", *e.Watch, "it is block, confirm, polite-block or allow")
		}
	}
	if e.Fetch != nil && *e.Fetch != "same" {
		if _, ok := policy.ParseHandling(*e.Fetch); !ok {
			return bad("handling", *e.Fetch, "it is block, confirm, polite-block, allow or same")
		}
	}
	if e.Messages == nil {
		return nil
	}
	switch _, ok := policy.ParseAdmission(*e.Messages); {
	case e.Who != "" && *e.Messages == "default":
	case !ok:
		return bad("way", *e.Messages, "it is accept, first-contact, refuse or discard, and for one person default")
	case e.Class == policy.Pseudonymous.String():
		return bad("message from class", e.Class, "a message claims no pseudonym: say it of known, unknown or anonymous people")
	case e.Class == policy.Anonymous.String() && *e.Messages == policy.Accept.String():
		return bad("way for class anonymous", *e.Messages, "it is first-contact, refuse or discard: they stay apart from those of people you know")
	case e.Class == policy.Known.String() && *e.Messages == policy.FirstContact.String():
		return bad("first contact of class", e.Class, "the first-contact box is for those you do not know: accept, refuse or discard")
	}
	return nil
}
