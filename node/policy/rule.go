package policy

import "github.com/hum-presence/hum/identity"

// Handling is what policy does with a watcher who asks to subscribe (SPEC 4.9; RFC 5025, section 3.2.1).
type Handling uint8

const (
	Block       Handling = iota // refuse, and say so; the zero value is the safe one
	Confirm                     // hold until the presentity answers
	PoliteBlock                 // accept, then only ever show Closed [C1]
	Allow
)

func (h Handling) String() string {
	switch h {
	case Confirm:
		return "confirm"
	case PoliteBlock:
		return "polite-block"
	case Allow:
		return "allow"
	}
	return "block"
}

// Admission is what policy does with an instant message (SPEC 5.2).
type Admission uint8

const (
	Refuse       Admission = iota // Ack forbidden(refused)
	Discard                       // acked as delivered, remembered, not kept
	FirstContact                  // accept into the bounded box for those whom I do not know
	Accept
)

func (a Admission) String() string {
	switch a {
	case Discard:
		return "discard"
	case FirstContact:
		return "first-contact"
	case Accept:
		return "accept"
	}
	return "refuse"
}

// Scope says which service a rule change is about.
type Scope uint8

const (
	Both Scope = iota
	IM
	Presence
)

func (s Scope) String() string {
	switch s {
	case IM:
		return "im"
	case Presence:
		return "presence"
	}
	return "both"
}

func (s Scope) im() bool       { return s != Presence }
func (s Scope) presence() bool { return s != IM }

// A Rule is what the user said about one address. The answer to a request (Watching, Messages) and the
// block stand beside each other, so that lifting a block brings the answer back that was there before.
type Rule struct {
	Watching        Handling // counts only if WatchingSet
	WatchingSet     bool
	Messages        Admission // counts only if MessagesSet
	MessagesSet     bool
	BlockedPresence bool
	BlockedIM       bool
	Since           identity.Time // of the last change
}

// IsZero reports whether r says nothing, so that its row can be deleted.
func (r Rule) IsZero() bool {
	return !r.WatchingSet && !r.MessagesSet && !r.BlockedPresence && !r.BlockedIM
}

// Blocked returns what is blocked; ok is false if nothing is.
func (r Rule) Blocked() (s Scope, ok bool) {
	switch {
	case r.BlockedIM && r.BlockedPresence:
		return Both, true
	case r.BlockedIM:
		return IM, true
	}
	return Presence, r.BlockedPresence
}

// Block returns r with s blocked (SPEC 4.9, Block).
func (r Rule) Block(now identity.Now, s Scope) Rule { return r.block(now, s, true) }

// Unblock returns r with the block of s lifted; what else was said of the address holds again.
func (r Rule) Unblock(now identity.Now, s Scope) Rule { return r.block(now, s, false) }

func (r Rule) block(now identity.Now, s Scope, on bool) Rule {
	old := r
	if s.im() {
		r.BlockedIM = on
	}
	if s.presence() {
		r.BlockedPresence = on
	}
	return r.since(now, old)
}

// Approve returns r with requests for s allowed: the user's yes, which lifts a block of s as well.
func (r Rule) Approve(now identity.Now, s Scope) Rule {
	return r.Unblock(now, s).answer(now, s, Allow, Accept)
}

// Deny returns r with requests for s refused from now on: the user's no to what was asked. Unlike a
// block it stands on no block list, and the next yes replaces it.
func (r Rule) Deny(now identity.Now, s Scope) Rule { return r.answer(now, s, Block, Refuse) }

// Discard returns r with messages taken, acked as delivered and thrown away (SPEC 5.2).
func (r Rule) Discard(now identity.Now) Rule { return r.answer(now, IM, Block, Discard) }

func (r Rule) answer(now identity.Now, s Scope, h Handling, a Admission) Rule {
	old := r
	if s.im() {
		r.Messages, r.MessagesSet = a, true
	}
	if s.presence() {
		r.Watching, r.WatchingSet = h, true
	}
	return r.since(now, old)
}

// Reset returns r without the answer given for s, so that the default holds again; a block stays.
func (r Rule) Reset(now identity.Now, s Scope) Rule {
	old := r
	if s.im() {
		r.Messages, r.MessagesSet = Refuse, false
	}
	if s.presence() {
		r.Watching, r.WatchingSet = Block, false
	}
	return r.since(now, old)
}

// since dates r if it differs from old.
func (r Rule) since(now identity.Now, old Rule) Rule {
	if r != old {
		r.Since = now.Wall
	}
	return r
}
