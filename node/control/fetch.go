package control

import (
	"context"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// Fetching is asking once, and the whole list of those who watch or asked.
type Fetching interface {
	Fetch(ctx context.Context, who string, cached bool) (node.PresenceOf, error)
	FetchPublic(ctx context.Context, who string) (node.PresenceOf, error)
	WatcherInfo(ctx context.Context) (node.WatcherInfo, error)
}

func (s *service) Fetch(ctx context.Context, r *humv1.FetchRequest) (*humv1.Presence, error) {
	face := reply(func(p node.PresenceOf) *humv1.Presence {
		out := presenceOf(p)
		out.Source = &p.Source
		return out
	})
	switch {
	case r.Public && r.Cached:
		return nil, usage("what everybody may read is not remembered: either public or cached")
	case r.Public:
		return face(s.node.FetchPublic(ctx, r.Who))
	}
	return face(s.node.Fetch(ctx, r.Who, r.Cached))
}

func (s *service) Watchers(ctx context.Context, r *humv1.WatchersRequest) (*humv1.SubscriptionsResponse, error) {
	if r.Each {
		info, err := s.node.WatcherInfo(ctx)
		return reply(subscriptionsOf)(info.Watchers, err)
	}
	return reply(subscriptionsOf)(s.node.Watchers(ctx))
}
