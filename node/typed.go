package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// leastID is how many letters of an id must be typed for it to be looked for.
const leastID = 4

// isID reports whether typed is id, or the beginning of it.
func isID(typed string, id wire.MID) bool {
	return len(typed) >= leastID && strings.HasPrefix(id.String(), strings.ToLower(typed))
}

func ambiguousID(typed string) error {
	return &Error{Kind: KindUsage, Code: "ambiguous", Message: fmt.Sprintf("several messages have an id that begins with %q", clip(typed)), Advice: "give more of it"}
}

// badAddress says that s was meant to be an address or a card, and is none.
func badAddress(s string, err error) error {
	why := ""
	if errors.Is(err, identity.ErrCard) && !errors.Is(err, identity.ErrAddress) {
		why = ": " + err.Error()
	}
	return &Error{Kind: KindUsage, Code: "bad-address", Message: fmt.Sprintf("%q is not a whole hum address or card%s", clip(s), why),
		Advice: "copy it whole from the other side's: hum card"}
}

// ellipsis is what a short address has in its middle.
const ellipsis = "…"

// whoShort finds an address by its short form, as screens show it, among those that are known here: contacts,
// and strangers who wrote or asked.
func (n *Node) whoShort(s string) (identity.Card, error) {
	head, tail, _ := strings.Cut(strings.ToLower(s), ellipsis)
	var found []identity.Address
	look := func(a identity.Address) {
		if t := a.String(); strings.HasPrefix(t, head) && strings.HasSuffix(t, tail) && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	err := n.view(func(t *txn) error {
		return errors.Join(
			rows(t, store.AllContacts(), store.ScanOptions{}, func(_ store.Key, c contact) (bool, error) { look(c.Address); return true, nil }),
			rows(t, store.AllPins(), store.ScanOptions{}, func(_ store.Key, p pinned) (bool, error) { look(p.Pin.Record.Address); return true, nil }),
			rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) { look(w.Who); return true, nil }),
		)
	})
	if err != nil {
		return identity.Card{}, err
	}
	if len(found) == 1 {
		return identity.Card{Address: found[0]}, nil
	}
	if len(found) == 0 {
		return identity.Card{}, &Error{Kind: KindUsage, Code: "unknown-name", Message: fmt.Sprintf("nobody known here has the address %s", clip(s)), Advice: "give the whole address"}
	}
	var names []string
	for _, a := range found {
		names = append(names, a.String())
	}
	return identity.Card{}, &Error{Kind: KindUsage, Code: "ambiguous", Message: fmt.Sprintf("%s is any of %s", clip(s), strings.Join(names, ", ")), Advice: "give the whole address"}
}
