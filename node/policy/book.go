package policy

import (
	"maps"

	"github.com/hum-presence/hum/identity"
)

// Class says what is known of somebody before any rule names him.
type Class uint8

const (
	Unknown      Class = iota
	Known              // a contact: the user put him on the roster
	Pseudonymous       // he says that the address is a pseudonym, and gives it a name (SPEC 4.8, flag 1)
	Anonymous          // the same, without a name
	classes
)

func (c Class) String() string {
	switch c {
	case Known:
		return "known"
	case Pseudonymous:
		return "pseudonymous"
	case Anonymous:
		return "anonymous"
	}
	return "unknown"
}

// Classes are all classes there are.
func Classes() []Class { return []Class{Known, Unknown, Pseudonymous, Anonymous} }

// A Default is what happens to those of a class for whom there is no rule. The zero value blocks.
type Default struct {
	Watch    Handling
	Fetch    Handling // counts only if FetchSet; else it is Watch
	FetchSet bool
	View     string // "": the default view

	Messages    Admission // counts only if MessagesSet, see Admits
	MessagesSet bool

	Displayed Telling
}

// Asking is what happens to those who ask once.
func (d Default) Asking() Handling {
	if d.FetchSet {
		return d.Fetch
	}
	return d.Watch
}

// Admits is what happens to the instant messages of a class (SPEC 5.2). They claim no pseudonym, so the
// classes are Known for contacts, Unknown for all others who sign, and Anonymous for what names no author.
func (b Book) Admits(c Class) Admission {
	switch d := b.Defaults[c%classes]; {
	case d.MessagesSet:
		return d.Messages
	case c == Known:
		return Accept
	case c == Anonymous:
		return Refuse
	}
	return FirstContact
}

// A Book holds the rules of all addresses. Its zero value blocks whoever has no rule; [NewBook] asks.
type Book struct {
	Defaults [classes]Default
	Rules    map[identity.Address]Rule
}

// NewBook returns a book without rules that holds every request until the user answers (SPEC 4.9). Whoever
// hides behind a pseudonym needs a yes that was said before: he is refused.
func NewBook() Book {
	b := Book{Rules: make(map[identity.Address]Rule)}
	b.Defaults[Known].Watch, b.Defaults[Unknown].Watch = Confirm, Confirm
	return b
}

// Clone returns a copy of b that shares nothing with it.
func (b Book) Clone() Book {
	if b.Rules = maps.Clone(b.Rules); b.Rules == nil {
		b.Rules = make(map[identity.Address]Rule)
	}
	return b
}

// Put makes r the rule of a; a rule that says nothing is dropped.
func (b *Book) Put(a identity.Address, r Rule) {
	if r.IsZero() {
		delete(b.Rules, a)
		return
	}
	if b.Rules == nil {
		b.Rules = make(map[identity.Address]Rule)
	}
	b.Rules[a] = r
}

// Rule returns what the user said about a, the zero Rule if nothing.
func (b Book) Rule(a identity.Address) Rule { return b.Rules[a] }

// Source says which of the user's words decided (SPEC 4.10), the strongest first.
type Source uint8

const (
	ByBlock   Source = iota
	ByRule           // for the very address
	ByGroup          // that the address is in
	ByDefault        // for its class
)

func (s Source) String() string { return [...]string{"block", "address", "group", "default"}[s] }

// A Decision is what happens to a request, and which view its sender is shown if he is shown any; "" is the
// default view. Who is politely blocked has a view of his own.
type Decision struct {
	Handling Handling
	View     string
	By       Source
}

// Watch returns what happens to a subscription of a: first match of block, rule for the address, group, and
// default (SPEC 4.10). That a is a contact of mine says whom I watch, not who may watch me.
func (b Book) Watch(a identity.Address, c Class) Decision {
	r, d := b.Rules[a], b.Defaults[c%classes]
	out := Decision{View: r.View}
	if out.View == "" {
		out.View = r.Group
	}
	switch {
	case r.BlockedPresence:
		out.Handling = Block
	case r.Polite:
		out.Handling = PoliteBlock
	case r.WatchingSet:
		out.Handling, out.By = r.Watching, ByRule
	case r.Group != "":
		out.Handling, out.By = Allow, ByGroup
	default:
		out.Handling, out.By = d.Watch, ByDefault
	}
	if out.View == "" {
		out.View = d.View
	}
	return out
}

// Fetch returns what happens to a Fetch of a: a permission of its own, which is that of subscribing where
// the user said nothing else (SPEC 4.10).
func (b Book) Fetch(a identity.Address, c Class) Decision {
	r, d, out := b.Rules[a], b.Defaults[c%classes], b.Watch(a, c)
	switch {
	case out.By == ByBlock:
	case r.FetchingSet:
		out.Handling, out.By = r.Fetching, ByRule
	case out.By == ByDefault:
		out.Handling = d.Asking()
	}
	return out
}

// Message returns what happens to an instant message whose authenticated sender is a (SPEC 5.2).
// Contact is whether a is on the roster or has an ACTIVE subscription here.
func (b Book) Message(a identity.Address, contact bool) Admission {
	r := b.Rules[a]
	switch {
	case r.BlockedIM:
		return Refuse
	case r.MessagesSet:
		return r.Messages
	case contact:
		return b.Admits(Known)
	}
	return b.Admits(Unknown)
}
