package policy

import "github.com/hum-presence/hum/identity"

// Handling is what policy does with a watcher who asks to subscribe (SPEC 4.9; RFC 5025, section 3.2.1).
type Handling uint8

const (
	Block       Handling = iota // refuse, and say so; the zero value is the safe one
	Confirm                     // hold until the presentity answers
	PoliteBlock                 // accept, then only ever show Closed
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

// ParseHandling reads what String writes.
func ParseHandling(s string) (Handling, bool) {
	for _, h := range []Handling{Block, Confirm, PoliteBlock, Allow} {
		if s == h.String() {
			return h, true
		}
	}
	return Block, false
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

// ParseAdmission reads what String writes.
func ParseAdmission(s string) (Admission, bool) {
	for _, a := range []Admission{Refuse, Discard, FirstContact, Accept} {
		if s == a.String() {
			return a, true
		}
	}
	return Refuse, false
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

// A Rule is what the user said about one address. The answer to a request (Watching, Fetching, Messages) and
// the block stand beside each other, so that lifting a block brings the answer back that was there before.
type Rule struct {
	Watching        Handling // counts only if WatchingSet
	WatchingSet     bool
	Fetching        Handling // of one who asks once; counts only if FetchingSet
	FetchingSet     bool
	View            string    // that he is shown; "": that of his group, else of his class
	Group           string    // the view whose members he is one of, "" for none
	Messages        Admission // counts only if MessagesSet
	MessagesSet     bool
	Displayed       Telling
	BlockedPresence bool
	BlockedIM       bool
	Polite          bool          // he is blocked, and is not to notice (SPEC 4.9)
	Since           identity.Time // of the last change
}

// IsZero reports whether r says nothing, so that its row can be deleted.
func (r Rule) IsZero() bool {
	r.Watching, r.Fetching, r.Messages, r.Since = Block, Block, Refuse, 0
	return r == Rule{}
}

// Blocked returns what is blocked; ok is false if nothing is. Who is blocked politely sees an inbox that is
// closed, so that nothing of his gets through either.
func (r Rule) Blocked() (s Scope, ok bool) {
	switch {
	case r.BlockedIM && r.BlockedPresence, r.Polite:
		return Both, true
	case r.BlockedIM:
		return IM, true
	}
	return Presence, r.BlockedPresence
}

// Block returns r with s blocked, and its address told so (SPEC 4.9, Block).
func (r Rule) Block(now identity.Now, s Scope) Rule { return r.block(now, s, true) }

// PoliteBlock returns r with its address blocked so that it does not notice (SPEC 4.9, PoliteBlock).
func (r Rule) PoliteBlock(now identity.Now) Rule {
	old := r
	r.BlockedIM, r.BlockedPresence, r.Polite = false, false, true
	return r.since(now, old)
}

// Unblock returns r with the block of s lifted; what else was said of the address holds again.
func (r Rule) Unblock(now identity.Now, s Scope) Rule { return r.block(now, s, false) }

func (r Rule) block(now identity.Now, s Scope, on bool) Rule {
	old := r
	if s.im() {
		r.BlockedIM = on
	}
	if s.presence() {
		r.BlockedPresence, r.Polite = on, false
	}
	return r.since(now, old)
}

// Approve returns r with requests for s allowed: the user's yes, which lifts a block of s as well. The view is
// that of r.
func (r Rule) Approve(now identity.Now, s Scope) Rule {
	return r.Unblock(now, s).answer(now, s, Allow, Accept)
}

// Deny returns r with requests for s refused from now on: the user's no to what was asked. Unlike a
// block it stands on no block list, and the next yes replaces it.
func (r Rule) Deny(now identity.Now, s Scope) Rule {
	old := r
	r = r.answer(now, s, Block, Refuse)
	r.Polite = r.Polite && !s.presence() // he is told now
	return r.since(now, old)
}

// Handle returns r with subscriptions handled by h.
func (r Rule) Handle(now identity.Now, h Handling) Rule {
	old := r
	r.Watching, r.WatchingSet = h, true
	return r.since(now, old)
}

// Fetch returns r with those handled by h who ask once; if set is false, as subscriptions are.
func (r Rule) Fetch(now identity.Now, h Handling, set bool) Rule {
	old := r
	r.Fetching, r.FetchingSet = h, set
	return r.since(now, old)
}

// Shown returns r with its address shown a view of its own choice, "" for that of its group or class.
func (r Rule) Shown(now identity.Now, view string) Rule {
	old := r
	r.View = view
	return r.since(now, old)
}

// In returns r with its address a member of a view, "" for none: it may watch, and is shown that view.
func (r Rule) In(now identity.Now, view string) Rule {
	old := r
	r.Group = view
	return r.since(now, old)
}

// Admit returns r with messages handled as a; if set is false, as those of its class.
func (r Rule) Admit(now identity.Now, a Admission, set bool) Rule {
	old := r
	r.Messages, r.MessagesSet = a, set
	return r.since(now, old)
}

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
		r.Watching, r.WatchingSet, r.View = Block, false, ""
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

// OfMessages returns what r says of messages, and nothing of presence but, if blocked is set, that it is
// refused.
func (r Rule) OfMessages(now identity.Now, blocked bool) Rule {
	old := r
	r = Rule{Messages: r.Messages, MessagesSet: r.MessagesSet, BlockedIM: r.BlockedIM, BlockedPresence: blocked, Since: r.Since}
	return r.since(now, old)
}
