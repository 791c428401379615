package control

import (
	"context"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// HandleBackend keeps the names by which domains vouch for this address, and for others.
type HandleBackend interface {
	AddHandle(ctx context.Context, handle string) (node.HandleFace, error)
	RemoveHandle(ctx context.Context, handle string) (node.HandleFace, error)
	ForgetHandle(ctx context.Context, handle string) (node.HandleFace, error)
	Handles(ctx context.Context) ([]node.HandleFace, error)
}

func (s *service) AddHandle(ctx context.Context, r *humv1.HandleRequest) (*humv1.Handle, error) {
	return reply(handleOf)(s.node.AddHandle(ctx, r.Handle))
}

func (s *service) RemoveHandle(ctx context.Context, r *humv1.HandleRequest) (*humv1.Handle, error) {
	return reply(handleOf)(s.node.RemoveHandle(ctx, r.Handle))
}

func (s *service) ForgetHandle(ctx context.Context, r *humv1.HandleRequest) (*humv1.Handle, error) {
	return reply(handleOf)(s.node.ForgetHandle(ctx, r.Handle))
}

func (s *service) Handles(ctx context.Context, _ *humv1.HandlesRequest) (*humv1.HandlesResponse, error) {
	return reply(func(list []node.HandleFace) *humv1.HandlesResponse {
		out := &humv1.HandlesResponse{}
		for _, h := range list {
			out.Handles = append(out.Handles, handleOf(h))
		}
		return out
	})(s.node.Handles(ctx))
}

func handleOf(h node.HandleFace) *humv1.Handle {
	return &humv1.Handle{Handle: text(h.Handle), Address: address(h.Address), Url: h.URL, Json: h.JSON, DnsName: h.DNSName, Txt: h.TXT, State: h.State, Detail: text(h.Detail)}
}
