package policy

import "github.com/hum-presence/hum/identity"

// A Book holds the rules of all addresses. Its zero value blocks whoever has no rule; [NewBook] asks.
type Book struct {
	Default Handling // for addresses without a rule
	Rules   map[identity.Address]Rule
}

// NewBook returns a book without rules that holds every request until the user answers (SPEC 4.9).
func NewBook() Book {
	return Book{Default: Confirm, Rules: make(map[identity.Address]Rule)}
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

// Watch returns what happens to a subscription of a: the rule for the address, else the default
// (SPEC 4.9). That a is a contact of mine says whom I watch, not who may watch me.
func (b Book) Watch(a identity.Address) Handling {
	r := b.Rules[a]
	switch {
	case r.BlockedPresence:
		return Block
	case r.WatchingSet:
		return r.Watching
	}
	return b.Default
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
		return Accept
	}
	return FirstContact
}
