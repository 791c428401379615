package node

import (
	"context"
	"fmt"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/store"
)

// renumbered is why the safety number of a contact is another than before, until the new one is compared.
type renumbered struct {
	Since    identity.Time
	Old      identity.Address // whose address it was; my own, if it is I who moved
	Mine     bool
	Compared bool // the number before was
	Reason   identity.MoveReason
}

// words say what has changed, for people.
func (c renumbered) words(name string) string {
	why := ""
	switch c.Reason {
	case identity.MovedCompromised:
		why = ", as the key of the old one was stolen"
	case identity.MovedLost:
		why = ", as the key of the old one was lost"
	}
	if c.Mine {
		return "you have a new address since " + day(c.Since) + why
	}
	return name + " has a new address since " + day(c.Since) + why
}

func day(t identity.Time) string { return t.Go().Format(time.DateOnly) }

// SafetyQuery asks for the safety number shared with somebody, or decides about it. At most one of Confirm,
// Keep and Accept is set.
type SafetyQuery struct {
	Who     string
	Confirm bool   // it was compared, and is the same on both screens
	Keep    bool   // of two successors the first one counts
	Accept  string // of two successors this one counts: an address
}

// Safety is what two people compare to know that nobody stands between them (SPEC 2.8).
type Safety struct {
	Address  identity.Address
	Petname  string
	Number   string // 60 digits, the same on both screens
	Verified bool   // it was compared
	Compared time.Time
	Changed  time.Time        // since when it is another than before; zero: not known to have changed
	Previous identity.Address // whose it was before, if it changed
	Warning  string           // what the user must know before he trusts it, or ""
	Choices  []identity.Address
}

// Safety shows the number, and remembers that it was compared. Of somebody with two successors it takes the
// user's decision.
func (n *Node) Safety(_ context.Context, q SafetyQuery) (Safety, error) {
	a, err := n.address(q.Who)
	if err != nil {
		return Safety{}, err
	}
	if a == n.self.Address {
		return Safety{}, &Error{Kind: KindUsage, Code: "self", Message: "a safety number is shared by two: name a contact", Advice: "see hum contacts"}
	}
	switch {
	case q.Keep || q.Accept != "":
		a, err = n.chooseSuccessor(a, q)
	case q.Confirm:
		err = n.confirm(a)
	}
	if err != nil {
		return Safety{}, saveError(n.cfg.Home, err)
	}
	return n.safetyFace(a), nil
}

// confirm remembers that the present number was compared.
func (n *Node) confirm(a identity.Address) error {
	if _, frozen := n.moves.frozen(a); frozen {
		return n.errFrozen(a)
	}
	return n.update(func(t *txn) error {
		c, ok, err := find[contact](t, store.Contact(a))
		if err != nil {
			return err
		}
		if !ok {
			return &Error{Kind: KindUsage, Code: "unknown-name", Message: short(a) + " is not on the roster", Advice: "hum add " + a.String() + " --as NAME"}
		}
		c.Verified, c.Compared, c.Changed = true, t.now.Wall, nil
		t.emit(Event{Kind: "node", Address: a, Name: n.name(a), State: "verified", Text: "the safety number was compared"})
		return n.saveContact(t, c)
	})
}

// chooseSuccessor has one of two successors count. The other is a stranger from then on.
func (n *Node) chooseSuccessor(a identity.Address, q SafetyQuery) (identity.Address, error) {
	old, frozen := n.moves.frozen(a)
	if !frozen {
		return a, &Error{Kind: KindUsage, Code: "nothing-to-decide", Message: n.name(a) + " has not two successors: there is nothing to decide", Advice: "hum safety " + n.name(a)}
	}
	pick := a
	if q.Accept != "" {
		card, err := identity.ParseWho(q.Accept)
		if err != nil {
			return a, badAddress(q.Accept, err)
		}
		pick = card.Address
	}
	err := n.update(func(t *txn) error {
		p, err := get[pinned](t, store.Pin(old))
		if err != nil {
			return err
		}
		if !p.Pin.Choose(pick) {
			return &Error{Kind: KindUsage, Code: "bad-address", Message: short(pick) + " is none of the two successors", Advice: "hum safety " + n.name(a) + " shows them"}
		}
		if err := n.saveMoved(t, p); err != nil {
			return err
		}
		if err := n.hold(t, a, false); err != nil || pick == a {
			return err
		}
		m := p.Pin.Moved[0]
		return n.moveContact(t, a, pick, renumbered{Since: t.now.Wall, Old: old, Reason: m.Record.Reason})
	})
	return pick, err
}

func (n *Node) safetyFace(a identity.Address) Safety {
	n.mu.RLock()
	c := n.contacts[a]
	n.mu.RUnlock()
	s := Safety{Address: a, Petname: c.Petname, Number: identity.SafetyNumber(n.self.Address, a), Verified: c.Verified,
		Compared: c.Compared.Go(), Warning: n.warning(a)}
	if c.Changed != nil {
		s.Changed, s.Previous = c.Changed.Since.Go(), c.Changed.Old
	}
	if old, frozen := n.moves.frozen(a); frozen {
		s.Verified = false
		if p := n.pins.get(old); p != nil {
			for _, m := range p.Moved {
				s.Choices = append(s.Choices, m.Record.New)
			}
		}
	}
	return s
}

// warning is what must be said wherever somebody is shown or written to, or "": that his safety number has
// changed and was not compared since, or that two claim to be him.
func (n *Node) warning(a identity.Address) string {
	n.mu.RLock()
	c := n.contacts[a]
	n.mu.RUnlock()
	name := n.name(a)
	if _, frozen := n.moves.frozen(a); frozen {
		return fmt.Sprintf("two successors of %s contradict each other, and nothing of either counts: ask him by another way which is his, then: hum safety %s", name, name)
	}
	if c.Changed == nil {
		return n.conflictOf(a)
	}
	before := ""
	if c.Changed.Compared {
		before = " that you had compared"
	}
	return fmt.Sprintf("the safety number%s has changed: %s; compare the new one: hum safety %s", before, c.Changed.words(name), name)
}

func (n *Node) errFrozen(a identity.Address) error {
	return &Error{Kind: KindFailed, Code: "frozen", Message: n.warning(a)}
}
