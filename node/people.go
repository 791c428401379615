package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/settings"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// contact is somebody on the roster.
type contact struct {
	Address  identity.Address
	Petname  string
	Claimed  string        // the name on his card or in his request
	Verified bool          // the safety number shared with him was compared
	Compared identity.Time // when
	Changed  *renumbered   // it is another since, and was not compared again
	Added    identity.Time
	Dial     []string // multiaddrs of his card
	at       []place  // what they say; in the roster in memory
	Invite   []byte   // on his card, shown with each request to him
	Home     string   // multiaddr of his card's home, where his records are found while he is away
}

func (n *Node) contactFace(c contact) Contact {
	return Contact{Address: c.Address, Petname: c.Petname, Claimed: c.Claimed, Verified: c.Verified, Added: c.Added.Go(),
		Services: n.servicesOf(c.Address), Warning: n.warning(c.Address)}
}

// servicesOf is what an address offers by its current record; 0 if none is known (SPEC 2.3).
func (n *Node) servicesOf(a identity.Address) identity.Services {
	if pin := n.pins.get(a); pin != nil && !pin.Expired(n.now()) {
		return pin.Record.Services
	}
	return 0
}

// name is what a person is called on this screen: the petname, else his handle, else a short form of the address.
func (n *Node) name(a identity.Address) string {
	if a == n.self.Address {
		return "me"
	}
	if p := n.petname(a); p != "" {
		return p
	}
	if h := n.handleOf(a); h != "" {
		return h
	}
	return short(a)
}

// short is an address for a screen that has no name for it.
func short(a identity.Address) string {
	s := a.String()
	return s[:12] + ellipsis + s[len(s)-4:]
}

// petname returns the user's own name for a, or for his successor, or "".
func (n *Node) petname(a identity.Address) string {
	a = n.moves.current(a)
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.contacts[a].Petname
}

// who turns what a person typed into an address: a petname, an address, a URI or a card.
func (n *Node) who(s string) (identity.Card, error) {
	s = handleURI(strings.TrimSpace(s))
	if isAddressLike(s) && strings.Contains(s, ellipsis) {
		return n.whoShort(s)
	}
	if isAddressLike(s) {
		card, err := identity.ParseWho(s)
		if err != nil {
			return card, badAddress(s, err)
		}
		if now := n.moves.current(card.Address); now != card.Address {
			return identity.Card{Address: now, Name: card.Name}, nil
		}
		n.hintHomes(card.Address, []string{card.Home})
		return card, nil
	}
	if strings.Contains(s, "@") {
		return n.whoHandle(s)
	}
	return n.whoNamed(s)
}

func isAddressLike(s string) bool {
	l := strings.ToLower(s)
	for _, p := range []string{"hum1", "hum:", "im:", "pres:"} {
		if strings.HasPrefix(l, p) {
			return true
		}
	}
	return false
}

func clip(s string) string {
	if utf8.RuneCountInString(s) > 80 {
		return string([]rune(s)[:80]) + "…"
	}
	return s
}

// whoNamed finds a contact by petname, letters' case aside; "me" is this address.
func (n *Node) whoNamed(s string) (identity.Card, error) {
	if strings.EqualFold(s, "me") {
		return identity.Card{Address: n.self.Address}, nil
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	var names []string
	for _, c := range n.contacts {
		if c.Petname != "" && strings.EqualFold(c.Petname, s) {
			return identity.Card{Address: c.Address}, nil
		}
		if c.Petname != "" {
			names = append(names, c.Petname)
		}
	}
	return identity.Card{}, &Error{Kind: KindUsage, Code: "unknown-name", Message: fmt.Sprintf("nobody here is called %q%s", clip(s), didYouMean(s, names)), Advice: "see hum contacts, or add a card: hum add CARD --as NAME"}
}

// didYouMean says which known words resemble s.
func didYouMean(s string, known []string) string {
	near := settings.Nearest(s, known)
	if len(near) == 0 {
		return ""
	}
	return " (did you mean " + strings.Join(near, " or ") + "?)"
}

// address is who for commands that need no dialling hints.
func (n *Node) address(s string) (identity.Address, error) {
	c, err := n.who(s)
	return c.Address, err
}

// Add puts somebody on the roster, or gives him another name; nobody is contacted. WHO is a card, an
// address or a URI; a petname must be free.
func (n *Node) Add(_ context.Context, who, petname string) (Contact, error) {
	card, err := n.who(who)
	if err != nil {
		return Contact{}, err
	}
	if card.Address == n.self.Address {
		return Contact{}, &Error{Kind: KindUsage, Code: "self", Message: "that is your own address", Advice: "give it to others, and add theirs"}
	}
	if err := n.checkPetname(petname, card.Address); err != nil {
		return Contact{}, err
	}
	var c contact
	err = n.update(func(t *txn) error {
		c, err = n.addContact(t, card, petname)
		return err
	})
	return n.contactFace(c), saveError(n.cfg.Home, err)
}

// addContact writes somebody on the roster; what was known of him stays.
func (n *Node) addContact(t *txn, card identity.Card, petname string) (contact, error) {
	c, ok, err := find[contact](t, store.Contact(card.Address))
	if err != nil {
		return c, err
	}
	if !ok {
		c = contact{Address: card.Address, Added: t.now.Wall}
	}
	c.Petname = cmp.Or(petname, c.Petname)
	c.Claimed = cmp.Or(card.Name, c.Claimed)
	if len(card.Dial) > 0 {
		c.Dial = card.Dial
	}
	c.Home = cmp.Or(card.Home, c.Home)
	if card.Invite != nil {
		c.Invite = card.Invite
	}
	if !ok && len(n.left) > 0 { // he may know me by the address before
		if err := n.tell(t, c.Address); err != nil {
			return c, err
		}
	}
	if err := n.saveContact(t, c); err != nil || ok {
		return c, err
	}
	return c, n.applyRules(t, c.Address) // who is known may be handled otherwise
}

// saveContact writes a contact, for all my devices.
func (n *Node) saveContact(t *txn, c contact) error {
	t.after(func() { n.setContact(c) })
	if err := put(t, store.Contact(c.Address), c); err != nil {
		return err
	}
	return n.share(t, wire.SyncContact, c.Address[:])
}

// deleteContact takes somebody off the roster of all my devices.
func (n *Node) deleteContact(t *txn, a identity.Address) error {
	t.after(func() { n.dropContact(a) })
	if err := t.Delete(store.Contact(a)); err != nil {
		return err
	}
	return n.share(t, wire.SyncContact, a[:])
}

// checkPetname refuses a petname that is taken, or that could be read as something else.
func (n *Node) checkPetname(petname string, of identity.Address) error {
	bad := func(why string) error {
		return &Error{Kind: KindUsage, Code: "bad-petname", Message: fmt.Sprintf("%q cannot be a petname: %s", clip(petname), why), Advice: "choose another with --as"}
	}
	switch {
	case petname == "":
		return nil
	case strings.HasPrefix(petname, "("): // which begins what stands in place of a name
		return bad("it begins with a bracket")
	case isAddressLike(petname) || strings.Contains(petname, "@"):
		return bad("it looks like an address")
	case utf8.RuneCountInString(petname) > 64:
		return bad("it has more than 64 characters")
	case strings.TrimSpace(petname) != petname || strings.ContainsFunc(petname, unicode.IsControl):
		return bad("it has blanks at an end, or control characters")
	case strings.EqualFold(petname, "me"):
		return bad("that is you")
	}
	if c, err := n.whoNamed(petname); err == nil && c.Address != of {
		return bad("it is taken")
	}
	return nil
}

// setContact brings the roster in memory up to date, and the places of the contact with it.
func (n *Node) setContact(c contact) {
	n.mu.Lock()
	n.contacts[c.Address] = c.placed()
	n.mu.Unlock()
	n.locate(c.Address)
}

// placed returns c with its card read, since nearly every message asks where he is.
func (c contact) placed() contact {
	c.at = nil
	for _, d := range c.Dial {
		if p, ok := placeOf(d); ok {
			c.at = join(c.at, p)
		}
	}
	return c
}

// Contacts is the roster, by name.
func (n *Node) Contacts(context.Context) ([]Contact, error) {
	n.mu.RLock()
	roster := slices.Collect(maps.Values(n.contacts))
	n.mu.RUnlock()
	out := make([]Contact, 0, len(roster))
	for _, c := range roster {
		out = append(out, n.contactFace(c))
	}
	slices.SortFunc(out, func(a, b Contact) int {
		return cmp.Or(cmp.Compare(a.Petname, b.Petname), cmp.Compare(a.Address.String(), b.Address.String()))
	})
	return out, nil
}

// Forget takes somebody off the roster and ends my subscription to him; the messages and the block
// list stay.
func (n *Node) Forget(ctx context.Context, who string) (Contact, error) {
	a, err := n.address(who)
	if err != nil {
		return Contact{}, err
	}
	var c contact
	if err := n.update(func(t *txn) error {
		var ok bool
		if c, ok, err = find[contact](t, store.Contact(a)); err != nil {
			return err
		} else if !ok {
			return &Error{Kind: KindUsage, Code: "unknown-name", Message: short(a) + " is not on the roster"}
		}
		if err := n.endWatching(t, a); err != nil {
			return err
		}
		if err := n.deleteContact(t, a); err != nil {
			return err
		}
		return n.applyRules(t, a) // who is not known any more may be handled otherwise
	}); err != nil {
		return Contact{}, saveError(n.cfg.Home, err)
	}
	return n.contactFace(c), nil
}

func (n *Node) dropContact(a identity.Address) {
	n.mu.Lock()
	delete(n.contacts, a)
	n.mu.Unlock()
	n.locate(a)
	n.watching.nudge()
}

// Resolve tells what is known of somebody, asking his node if nothing is and it can be reached.
func (n *Node) Resolve(ctx context.Context, who string) (Resolution, error) {
	card, err := n.who(who)
	if err != nil {
		return Resolution{}, err
	}
	r := Resolution{Address: card.Address, Fingerprint: card.Address.Fingerprint(), Proof: "address", Found: "here"}
	pin := n.pins.get(card.Address)
	if pin == nil || pin.Expired(n.now()) {
		places := n.places(card.Address)
		for _, d := range card.Dial {
			if p, ok := placeOf(d); ok {
				places = append(places, p)
			}
		}
		n.hintHomes(card.Address, []string{card.Home})
		f, err := n.findRecords(ctx, card.Address, places, true)
		if r.Asked, r.Ways = f.hops, f.ways; err != nil {
			return r, err
		}
		pin, r.Found = f.pin, f.by
	}
	if pin != nil {
		r.Known, r.Proof = true, "record signed by the address"
		r.Services, r.Expires, r.Devices = pin.Record.Services, pin.Record.Expires.Go(), len(pin.Record.Devices)
		r.Acks = n.acksOf(card.Address)
		_, r.Public = publicIn(pin, n.now())
		r.Homes, r.Mailboxes, r.Handles = len(pin.Record.Homes), len(pin.Record.Mailboxes), pin.Record.Handles
	}
	if h, err := wire.ParseHandle(handleURI(who)); err == nil {
		r.Handle = h.String()
		if row, ok := n.handles.get(h); ok {
			r.Proof = row.proof() + "; " + r.Proof
		}
	}
	return r, nil
}

// A place is a peer and where it was last said to be.
type place struct {
	peer  p2p.PeerID
	addrs [][]byte
}

// placeOf reads the d= of a card.
func placeOf(text string) (place, bool) {
	peer, addr, err := p2p.ParseDial(text)
	if err != nil {
		return place{}, false
	}
	p := place{peer: peer}
	if addr != nil {
		p.addrs = [][]byte{addr}
	}
	return p, true
}

// places are all peers where an address may be found: what its devices say, then what its card said,
// whether he was added by it or only written to.
func (n *Node) places(a identity.Address) []place {
	var out []place
	if pin := n.pins.get(a); pin != nil {
		out = peersOf(pin)
	}
	n.mu.RLock()
	carded := n.contacts[a].at
	n.mu.RUnlock()
	for _, p := range carded {
		out = join(out, p)
	}
	for _, p := range append(n.mail.hinted(a), n.asking.hinted(a)...) {
		out = join(out, p)
	}
	if a == n.self.Address {
		out = slices.DeleteFunc(out, func(p place) bool { return p.peer == n.net.Self() })
	}
	return out
}

// join adds p to places, or its addresses to the same peer.
func join(places []place, p place) []place {
	for i := range places {
		if places[i].peer == p.peer {
			for _, a := range p.addrs {
				if !slices.ContainsFunc(places[i].addrs, func(b []byte) bool { return string(a) == string(b) }) {
					places[i].addrs = append(slices.Clip(places[i].addrs), a)
				}
			}
			return places
		}
	}
	return append(places, p)
}
