package node

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// The first-contact box holds the messages of people who are no contacts, until they are opened or their
// sender becomes one (SPEC 5.2). Its rows count them by sender.
const firstContact = "first-contact/"

func firstFrom(a identity.Address) store.Key { return store.Meta(firstContact + a.String()) }

// firstContacts counts the messages in the first-contact box, of one sender and in all.
func (n *Node) firstContacts(t *txn, a identity.Address) (from, inAll int, err error) {
	err = eachFirst(t, func(of identity.Address, held int) {
		if of == a {
			from = held
		}
		if n.waits(of) {
			inAll += held
		}
	})
	return from, inAll, err
}

// eachFirst calls do with everybody of whom messages are in the first-contact box, and how many.
func eachFirst(t *txn, do func(of identity.Address, held int)) error {
	for k, b := range t.Scan(store.AllMeta(), store.ScanOptions{From: store.Meta(firstContact)}) {
		text, ok := strings.CutPrefix(k.Name(), firstContact)
		if !ok {
			break // what lies behind them is of other types
		}
		held, err := decode[int](k, b)
		if err != nil {
			return err
		}
		of, err := identity.ParseAddress(text)
		if err != nil {
			return err
		}
		do(of, held)
	}
	return nil
}

// strangers are those, of some or of all, whose messages wait in the first-contact box.
func (n *Node) strangers(t *txn, among []identity.Address) (out []identity.Address, err error) {
	err = eachFirst(t, func(of identity.Address, _ int) {
		if n.waits(of) && (len(among) == 0 || slices.Contains(among, of)) {
			out = append(out, of)
		}
	})
	return out, err
}

// leaveFirstContact makes room for another message when one of the first-contact box was opened.
func leaveFirstContact(t *txn, row message.Row) error {
	if !row.FirstContact {
		return nil
	}
	k := firstFrom(row.Author())
	held, _, err := find[int](t, k)
	if err != nil {
		return err
	}
	if held <= 1 {
		return t.Delete(k)
	}
	return put(t, k, held-1)
}

// welcome reports whether the messages of a go straight to the inbox.
func (n *Node) welcome(a identity.Address) bool {
	return n.isContact(a) || n.rules().Message(a, false) == policy.Accept
}

// waits reports whether they go to the first-contact box.
func (n *Node) waits(a identity.Address) bool {
	return !n.isContact(a) && n.rules().Message(a, false) == policy.FirstContact
}

// writers are those whose messages wait for a decision of mine, as a list of requests shows them: how many there
// are, and how the newest begins.
func (n *Node) writers(t *txn) (out []Subscription, err error) {
	who, err := n.strangers(t, nil)
	for _, a := range who {
		if err != nil {
			return nil, err
		}
		if a.IsZero() { // of what is not signed there is nobody to decide about
			continue
		}
		s := Subscription{Address: a, State: wire.SubPending.String()}
		err = n.eachReceived(t, "", []identity.Address{a}, nil, func(r message.Row) bool {
			if !r.FirstContact || r.Displayed != 0 {
				return true
			}
			if _, claimed := claimIn(r.Contact, a); claimed != "" {
				s.Claimed = claimed
			}
			if s.Messages++; s.Messages == 1 {
				s.Text, s.At, s.Since = preview(r), r.Received.Go(), r.Received.Go()
			}
			return s.Messages < wire.MaxFirstPerPeer
		})
		if s.Claimed == "" {
			s.Claimed = n.claimed(a)
		}
		if s.Messages > 0 {
			out = append(out, s)
		}
	}
	return out, err
}

// wroteFirst reports whether messages of a wait in the first-contact box.
func (n *Node) wroteFirst(t *txn, a identity.Address) bool {
	held, _, err := find[int](t, firstFrom(a))
	return err == nil && held > 0 && n.waits(a)
}

// withWriters adds those who wrote to those who asked to watch.
func withWriters(asked, wrote []Subscription) []Subscription {
	for _, w := range wrote {
		i := slices.IndexFunc(asked, func(s Subscription) bool { return s.Address == w.Address })
		if i < 0 {
			asked = append(asked, w)
			continue
		}
		if asked[i].Messages = w.Messages; asked[i].Text == "" {
			asked[i].Text = w.Text
		}
	}
	slices.SortStableFunc(asked, func(a, b Subscription) int { return slices.Compare(a.Address[:], b.Address[:]) })
	return asked
}

// claimIn takes out of what a message says of ways to reach its sender the name that he gives himself there: on
// a card of his own that says nothing else.
func claimIn(contact []string, from identity.Address) (rest []string, claimed string) {
	for _, c := range contact {
		if card, err := identity.ParseCard(c); err == nil && card.Address == from && len(card.Dial) == 0 && card.Name != "" {
			claimed = card.Name
			continue
		}
		rest = append(rest, c)
	}
	return rest, claimed
}

// introduce has the first message to somebody say what I am called, as a request does: on a card that says
// nothing else.
func (n *Node) introduce(to identity.Address, contact []string) []string {
	if n.self.Name == "" || n.pins.told(to) != (told{}) {
		return contact
	}
	return append(slices.Clip(contact), identity.Card{Address: n.self.Address, Name: n.self.Name}.String())
}

// claimed is the name that somebody gives himself on his card, in his message or in his request, "" if none.
func (n *Node) claimed(a identity.Address) (name string) {
	n.mu.RLock()
	name = n.contacts[a].Claimed
	n.mu.RUnlock()
	if name = cmp.Or(name, n.pins.claimed(a)); name != "" {
		return name
	}
	_ = n.view(func(t *txn) error {
		return rows(t, store.WatchersOf(a), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			name = w.Name
			return name == "", nil
		})
	})
	return name
}

// claimants are those who give themselves a name, in their requests or in messages that wait, letters' case aside.
func (n *Node) claimants(name string) (found []identity.Address) {
	_ = n.view(func(t *txn) error {
		wrote, err := n.writers(t)
		for _, w := range wrote {
			if strings.EqualFold(w.Claimed, name) {
				found = append(found, w.Address)
			}
		}
		if err != nil {
			return err
		}
		return rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			if strings.EqualFold(w.Name, name) && !slices.Contains(found, w.Who) {
				found = append(found, w.Who)
			}
			return true, nil
		})
	})
	return found
}
