package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Invites are honoured by the device that made them, so that two devices cannot admit two people by one. The
// token itself is on the card alone: what is kept names it without being it.

const (
	inviteLife  = 7 * 24 * time.Hour
	inviteMost  = 90 * 24 * time.Hour
	invitesMost = 1000                // at once
	inviteKept  = 30 * 24 * time.Hour // after its end, for the list
)

// An InviteOf is an invite that this device made.
type InviteOf struct {
	ID            string // names it in the list; who knows it cannot use it
	Card          string // only when it has just been made
	Made, Expires time.Time
	Allow         bool   // its holder is let in; else he only has a place among the requests
	State         string // open, used, expired
	By            identity.Address
	ByName        string
	Used          time.Time
}

// inviteID names an invite in the store and in lists.
func inviteID(token []byte) (id [16]byte) {
	h := identity.Hash("invite", token)
	return [16]byte(h[:16])
}

// Invite makes a card for one person: whoever first asks with it has a place among the requests and, if allow is
// set, is let in. A life of 0 is 7 days.
func (n *Node) Invite(_ context.Context, allow bool, life time.Duration) (InviteOf, error) {
	if life == 0 {
		life = inviteLife
	}
	if life < time.Minute || life > inviteMost {
		return InviteOf{}, &Error{Kind: KindUsage, Code: "bad-duration", Message: "an invite lasts from a minute to 90 days"}
	}
	card := n.ownCard()
	card.Invite = make([]byte, 16)
	if _, err := io.ReadFull(n.cfg.Rand, card.Invite); err != nil {
		return InviteOf{}, err
	}
	var i policy.Invite
	id := inviteID(card.Invite)
	err := n.update(func(t *txn) error {
		if t.Count(store.AllInvites()) >= invitesMost {
			return &Error{Kind: KindFailed, Code: wire.ReasonRateLimited.String(), Message: fmt.Sprintf("there are %d invites already", invitesMost), Advice: "withdraw some: hum invites --withdraw ID"}
		}
		i = policy.Invite{Made: t.now.Wall, Expires: t.now.Wall.Add(life), Allow: allow}
		return put(t, store.Invite(id), i)
	})
	face := n.inviteFace(id, i)
	face.Card = card.String()
	return face, saveError(n.cfg.Home, err)
}

func (n *Node) inviteFace(id [16]byte, i policy.Invite) InviteOf {
	out := InviteOf{ID: hex.EncodeToString(id[:]), Made: i.Made.Go(), Expires: i.Expires.Go(), Allow: i.Allow, State: "open", By: i.By, Used: i.Used.Go()}
	switch {
	case !i.By.IsZero():
		out.State, out.ByName = "used", n.name(i.By)
	case n.now().Late(i.Expires):
		out.State = "expired"
	}
	return out
}

// Invites are those that this device made.
func (n *Node) Invites(context.Context) (out []InviteOf, err error) {
	err = n.view(func(t *txn) error {
		return rows(t, store.AllInvites(), store.ScanOptions{}, func(k store.Key, i policy.Invite) (bool, error) {
			out = append(out, n.inviteFace(k.Sub(), i))
			return true, nil
		})
	})
	return out, err
}

// Withdraw has an invite, named by its id or the beginning of it, admit nobody any more; who was let in by it stays.
func (n *Node) Withdraw(_ context.Context, id string) (out InviteOf, err error) {
	err = n.update(func(t *txn) error {
		var found []store.Key
		for k := range t.Scan(store.AllInvites(), store.ScanOptions{KeysOnly: true}) {
			if sub := k.Sub(); len(id) >= leastID && strings.HasPrefix(hex.EncodeToString(sub[:]), strings.ToLower(id)) {
				found = append(found, k)
			}
		}
		if len(found) != 1 {
			return &Error{Kind: KindUsage, Code: "unknown-invite", Message: fmt.Sprintf("%d invites have an id that begins with %q", len(found), clip(id)), Advice: "see hum invites"}
		}
		i, err := get[policy.Invite](t, found[0])
		if err != nil {
			return err
		}
		if out = n.inviteFace(found[0].Sub(), i); out.State == "open" {
			out.State = "withdrawn"
		}
		return t.Delete(found[0])
	})
	return out, saveError(n.cfg.Home, err)
}

// invited finds the invite that somebody shows; ok says that it admits him.
func (n *Node) invited(t *txn, who identity.Address, token []byte) (i policy.Invite, ok bool, err error) {
	if len(token) == 0 {
		return i, false, nil
	}
	i, found, err := find[policy.Invite](t, store.Invite(inviteID(token)))
	ok = found && i.Admits(t.now, who)
	if err == nil && !ok {
		n.count("invite-refused")
	}
	return i, ok, err
}

// useInvite notes that somebody has used an invite, and makes the rule for him that it stands for, in the pass
// that takes his request or message: whatever happens then, nobody else is admitted by it, and he is.
func (n *Node) useInvite(t *txn, who identity.Address, token []byte, i policy.Invite, rule policy.Rule) (ruled bool, err error) {
	if i.By.IsZero() {
		i.By, i.Used = who, t.now.Wall
		if err := put(t, store.Invite(inviteID(token)), i); err != nil {
			return false, err
		}
	}
	if old, err := n.rule(t, who); err != nil || old == rule {
		return false, err
	}
	return true, n.setRule(t, who, rule)
}

// invitedMessage looks at the invite that the message of somebody shows who is not welcome without it.
func (n *Node) invitedMessage(t *txn, facts *message.Arrival) (came invitation, err error) {
	from := facts.IM.From
	if !facts.Listed || facts.Seen != nil || facts.Admission == message.Accept {
		return came, nil
	}
	if came.Invite, came.ok, err = n.invited(t, from, facts.IM.Invite()); err != nil || !came.ok {
		return came, err
	}
	rule, err := n.rule(t, from)
	if err != nil {
		return came, err
	}
	a, rule, ok := came.DecideMessage(t.now, n.rules().Message(from, facts.Contact), rule)
	came.rule, came.ok = rule, ok
	if facts.Invited = ok; ok {
		facts.Admission = admission(a)
	}
	return came, nil
}

// shownIn is the invite that is known of somebody: of the card by which he is addressed, or of that on the roster.
func (n *Node) shownIn(card identity.Card) []byte {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if card.Invite != nil {
		return card.Invite
	}
	return n.contacts[card.Address].Invite
}

// purgeInvites forgets invites that ended long ago by both clocks.
func (n *Node) purgeInvites() error {
	var old []store.Key
	err := n.view(func(t *txn) error {
		return rows(t, store.AllInvites(), store.ScanOptions{}, func(k store.Key, i policy.Invite) (bool, error) {
			if t.now.Past(i.Expires.Add(inviteKept)) {
				old = append(old, k)
			}
			return true, nil
		})
	})
	return n.inBatches(err, old, func(t *txn, k store.Key) error { return t.Delete(k) })
}
