package node

import (
	"cmp"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// An introduction is a sealed note of a common contact (SPEC 8): it names somebody on a card, in words for whoever
// reads it and as an extension for his program. It opens nothing: whom it names, and whether he is added, its reader
// decides.

// introducing makes a message the introduction of somebody on the roster. The card is the one that he gave: what I call
// him stays mine, and an invite on it was for me.
func (n *Node) introducing(im *wire.IM, d Draft) error {
	if d.Introduces == "" {
		return nil
	}
	if d.Anonymous || d.Unsigned {
		return &Error{Kind: KindUsage, Code: "bad-flags", Message: "an introduction says who makes it", Advice: "leave out --anonymous and --unsigned"}
	}
	who, err := n.who(d.Introduces)
	if err != nil {
		return err
	}
	var c contact
	err = n.view(func(t *txn) (err error) {
		var ok bool
		if c, ok, err = find[contact](t, store.Contact(who.Address)); err == nil && !ok {
			err = &Error{Kind: KindUsage, Code: "not-found", Message: n.name(who.Address) + " is nobody on your roster", Advice: "introduce people whom you know: hum contacts"}
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case who.Address == im.To:
		return &Error{Kind: KindUsage, Code: "self", Message: "nobody is introduced to himself"}
	}
	card := identity.Card{Address: c.Address, Name: c.Claimed, Dial: c.Dial, Home: c.Home}.String()
	im.Ext = append(im.Ext, wire.Ext{Name: wire.ExtIntroduction, Value: []byte(card)})
	if len(im.Content) == 0 {
		im.ContentType, im.Content = "text/plain; charset=utf-8", []byte("I would like to introduce "+cmp.Or(c.Claimed, "somebody")+" to you: "+card)
	}
	return nil
}

// introduced is whom a message introduces, if it is signed by a contact of mine.
func (n *Node) introduced(r message.Row) (card, name string) {
	if r.Introduces == "" || r.Author().IsZero() || !n.isContact(r.Author()) {
		return "", ""
	}
	c, err := identity.ParseCard(r.Introduces)
	if err != nil || c.Address == n.self.Address {
		return "", ""
	}
	return r.Introduces, cmp.Or(n.petname(c.Address), c.Name)
}
