package control

import (
	"context"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// CommunityBackend joins communities and leaves them.
type CommunityBackend interface {
	Join(ctx context.Context, invite string) (node.Community, error)
	Leave(ctx context.Context, name string) (node.Community, error)
}

func (s *service) Join(ctx context.Context, r *humv1.JoinRequest) (*humv1.Community, error) {
	return reply(communityOf)(s.node.Join(ctx, r.Invite))
}

func (s *service) Leave(ctx context.Context, r *humv1.LeaveRequest) (*humv1.Community, error) {
	return reply(communityOf)(s.node.Leave(ctx, r.Name))
}

func communityOf(c node.Community) *humv1.Community {
	return &humv1.Community{Name: text(c.Name), Peer: c.Peer, Roles: c.Roles, Since: at(c.Since)}
}
