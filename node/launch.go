package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/p2p/wire"
)

// launchSchemes are the kinds of sessions that presence can launch, and the contacts that carry each, the
// best first. Only these schemes are ever handed out: nobody's presence makes a program open a file.
var launchSchemes = map[string][]string{
	"voice": {"tel", "sip", "sips", "xmpp"},
	"video": {"sip", "sips", "xmpp"},
	"mail":  {"mailto"},
	"page":  {"sms", "mms", "pager"},
	"web":   {"https", "http"},
}

// LaunchKinds are the kinds that Launch knows.
func LaunchKinds() []string { return slices.Sorted(maps.Keys(launchSchemes)) }

// A Launched is the contact that was picked.
type Launched struct {
	URI      string
	Kind     string
	Basic    string // open, or unknown for a contact of which nothing is said
	Evidence string // what the choice rests on
}

// Launch picks the contact by which a session of a kind is to be opened with somebody: of his services that
// are open that of the highest priority, then the scheme that suits best, then what was said last; without one, a
// contact of which he does not say whether it is open. The session itself is none of hum's.
func (n *Node) Launch(_ context.Context, who, kind string) (Launched, error) {
	schemes, ok := launchSchemes[kind]
	if !ok {
		return Launched{}, &Error{Kind: KindUsage, Code: "usage", Message: fmt.Sprintf("%q is no kind of session", kind), Advice: "it is one of " + strings.Join(LaunchKinds(), ", ")}
	}
	a, err := n.address(who)
	if err != nil {
		return Launched{}, err
	}
	p := n.presenceOf(a)
	out := Launched{Kind: kind, Basic: wire.Open.String(), Evidence: p.Evidence}
	if out.URI = pickContact(p, schemes); out.URI != "" {
		return out, nil
	}
	out.Basic = "unknown"
	for _, scheme := range schemes {
		for _, uri := range p.Contacts {
			if schemeOf(uri) == scheme && formats.IsURI(uri) {
				out.URI = uri
				return out, nil
			}
		}
	}
	return out, n.noContact(p, kind, schemes)
}

// pickContact returns the best contact among the services that are open, "" without one.
func pickContact(p PresenceOf, schemes []string) string {
	suit := func(t TupleOf) int { return slices.Index(schemes, schemeOf(t.Contact)) }
	open := slices.DeleteFunc(slices.Clone(p.Tuples), func(t TupleOf) bool {
		return t.Basic != wire.Open.String() || suit(t) < 0 || !formats.IsURI(t.Contact)
	})
	if len(open) == 0 {
		return ""
	}
	return slices.MinFunc(open, func(a, b TupleOf) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(suit(a), suit(b)), b.At.Compare(a.At))
	}).Contact
}

// Launchable reports whether a contact is of a kind that can be launched.
func Launchable(uri string) bool {
	for _, schemes := range launchSchemes {
		if slices.Contains(schemes, schemeOf(uri)) {
			return true
		}
	}
	return false
}

func schemeOf(uri string) string {
	scheme, _, _ := strings.Cut(uri, ":")
	return strings.ToLower(scheme)
}

// noContact says why nothing can be launched: he has no such contact, or it is closed.
func (n *Node) noContact(p PresenceOf, kind string, schemes []string) error {
	name := cmp.Or(p.Petname, short(p.Address))
	for _, t := range p.Tuples {
		if slices.Contains(schemes, schemeOf(t.Contact)) {
			return &Error{Kind: KindRefused, Code: wire.ReasonClosed.String(), Message: fmt.Sprintf("%s says that %s is closed", name, t.Contact), Advice: "send a message: hum send"}
		}
	}
	return &Error{Kind: KindFailed, Code: "no-contact", Message: fmt.Sprintf("%s shows no contact for %s (%s:)", name, kind, strings.Join(schemes, ":, ")),
		Advice: "see: hum who --json"}
}
