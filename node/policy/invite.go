package policy

import "github.com/hum-presence/hum/identity"

// An Invite is what a card carries that admits whoever first shows it, and nobody after him (SPEC 4.9).
type Invite struct {
	Made, Expires identity.Time
	Allow         bool             // its holder may watch and write at once; else his request only has a place in the list
	By            identity.Address // who has used it, zero: nobody yet
	Used          identity.Time
}

// Admits reports whether a may show the invite: the first one to do so, for as long as it lasts. He may show it
// again, as a request that is repeated does.
func (i Invite) Admits(now identity.Now, a identity.Address) bool {
	return !now.Late(i.Expires) && (i.By.IsZero() || i.By == a)
}

// DecideMessage is Decide for a message: what becomes of the admission of its sender, and of the rule for him; ok
// says that the invite counts.
func (i Invite) DecideMessage(now identity.Now, a Admission, r Rule) (_ Admission, _ Rule, ok bool) {
	switch {
	case r.BlockedIM, r.Polite, r.MessagesSet && r.Since > i.Made:
		return a, r, false
	case i.Allow:
		blocked := r.BlockedPresence
		r = r.Approve(now, Both)
		r.BlockedPresence = blocked
		return Accept, r, true
	case a == Refuse, a == Discard:
		return FirstContact, r.Admit(now, FirstContact, true), true
	}
	return a, r, true
}

// Decide returns what an invite that admits somebody makes of the decision about him, and of the rule for him.
// What the user said of the very person counts if it is a block, or came after the invite.
func (i Invite) Decide(now identity.Now, d Decision, r Rule) (Decision, Rule) {
	switch hidden := d.Handling == Block || d.Handling == PoliteBlock; {
	case d.By == ByBlock, d.By == ByRule && r.Since > i.Made:
	case i.Allow:
		im := r.BlockedIM
		r = r.Approve(now, Both)
		r.BlockedIM = im
		d.Handling = Allow
	case hidden:
		r = r.Handle(now, Confirm)
		d.Handling = Confirm
	}
	return d, r
}
