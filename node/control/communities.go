package control

import (
	"context"
	"strings"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// CommunityBackend joins communities and leaves them.
type CommunityBackend interface {
	Join(ctx context.Context, invite string) (node.Community, error)
	JoinAny(ctx context.Context, invites []string) (first node.Community, waiting int, err error)
	Leave(ctx context.Context, name string) (node.Community, error)
	Private(ctx context.Context) (node.Privacy, error)
	SetPrivate(ctx context.Context, on bool) (node.Privacy, error)
}

func (s *service) Join(ctx context.Context, r *humv1.JoinRequest) (*humv1.Community, error) {
	if several := strings.Fields(r.Invite); len(several) > 1 {
		c, waiting, err := s.node.JoinAny(ctx, several)
		out, err := reply(communityOf)(c, err)
		if err == nil {
			out.Waiting = int64(waiting)
		}
		return out, err
	}
	return reply(communityOf)(s.node.Join(ctx, r.Invite))
}

func (s *service) Leave(ctx context.Context, r *humv1.LeaveRequest) (*humv1.Community, error) {
	return reply(communityOf)(s.node.Leave(ctx, r.Name))
}

func (s *service) Private(ctx context.Context, r *humv1.PrivateRequest) (*humv1.Privacy, error) {
	if r.On == nil {
		return reply(privacyOf)(s.node.Private(ctx))
	}
	return reply(privacyOf)(s.node.SetPrivate(ctx, *r.On))
}

func privacyOf(p node.Privacy) *humv1.Privacy {
	return &humv1.Privacy{Private: p.Private, Visible: p.Visible, Costs: p.Costs, Again: p.Again}
}

func communityOf(c node.Community) *humv1.Community {
	return &humv1.Community{Name: text(c.Name), Peer: c.Peer, Roles: c.Roles, Since: at(c.Since)}
}
