package control

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// InviteBackend makes cards for one person each.
type InviteBackend interface {
	Invite(ctx context.Context, allow bool, life time.Duration) (node.InviteOf, error)
	Invites(ctx context.Context) ([]node.InviteOf, error)
	Withdraw(ctx context.Context, id string) (node.InviteOf, error)
}

func (s *service) Invite(ctx context.Context, r *humv1.InviteRequest) (*humv1.MadeInvite, error) {
	return reply(inviteOf)(s.node.Invite(ctx, r.Allow, r.Life.AsDuration()))
}

func (s *service) Invites(ctx context.Context, r *humv1.InvitesRequest) (*humv1.InvitesResponse, error) {
	list := func(l []node.InviteOf) *humv1.InvitesResponse {
		return &humv1.InvitesResponse{Invites: each(l, inviteOf)}
	}
	if r.Withdraw == "" {
		return reply(list)(s.node.Invites(ctx))
	}
	i, err := s.node.Withdraw(ctx, r.Withdraw)
	return reply(list)([]node.InviteOf{i}, err)
}

func inviteOf(i node.InviteOf) *humv1.MadeInvite {
	return &humv1.MadeInvite{Card: i.Card, Invite: i.ID, State: i.State, Allow: i.Allow, Made: at(i.Made), Expires: at(i.Expires),
		By: address(i.By), ByName: text(i.ByName), Used: at(i.Used)}
}
