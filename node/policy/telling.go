package policy

import "github.com/hum-presence/hum/identity"

// Telling is whether a sender who asks is told that his message was opened (SPEC 5.3).
type Telling uint8

const (
	ByOthers Telling = iota // what else holds: of an address its class, of a class the node's setting
	Tell
	KeepQuiet
)

func (t Telling) String() string { return [...]string{"default", "tell", "keep"}[t%3] }

// ParseTelling reads what String writes.
func ParseTelling(s string) (Telling, bool) {
	for _, t := range []Telling{ByOthers, Tell, KeepQuiet} {
		if s == t.String() {
			return t, true
		}
	}
	return ByOthers, false
}

// Tells returns what the user said about telling a: the rule for the address, else that of its class, which is
// Known for contacts and Unknown for all others.
func (b Book) Tells(a identity.Address, c Class) Telling {
	if t := b.Rules[a].Displayed; t != ByOthers {
		return t
	}
	return b.Defaults[c%classes].Displayed
}
