package controltest

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node"
)

func invite() node.InviteOf {
	return node.InviteOf{ID: "0a0b0c0d0e0f00010203040506070809", State: "open", Made: Start, Expires: Start.AddDate(0, 0, 7)}
}

// Invite returns a card with an invite on it.
func (f *Fake) Invite(_ context.Context, allow bool, life time.Duration) (node.InviteOf, error) {
	i := invite()
	i.Card, i.Allow = "hum:"+Me.String()+"?n=Alice&i=AAECAwQFBgcICQoLDA0ODw", allow
	return i, f.asked("Invite", allow, life)
}

// Invites returns one that is open, and one that Bob has used.
func (f *Fake) Invites(context.Context) ([]node.InviteOf, error) {
	used := invite()
	used.ID, used.State, used.By, used.ByName, used.Used = "f0"+used.ID[2:], "used", Bob, "bob", Start.Add(time.Minute)
	return []node.InviteOf{invite(), used}, f.asked("Invites")
}

// Withdraw returns one that is withdrawn.
func (f *Fake) Withdraw(_ context.Context, id string) (node.InviteOf, error) {
	i := invite()
	i.State = "withdrawn"
	return i, f.asked("Withdraw", id)
}
