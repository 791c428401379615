package control

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// Ladder is what the door asks about messages that are under way, or that ended without a word.
type Ladder interface {
	// Cancel returns once the message is taken back, or cannot be any more.
	Cancel(ctx context.Context, id string) (node.Sent, error)
	Resend(ctx context.Context, id string, life time.Duration) (node.Sent, error)
	// Report is a gateway's word on what it has handed on.
	Report(ctx context.Context, id string, failed bool) (node.Received, error)
}

func (s *service) Cancel(ctx context.Context, r *humv1.CancelRequest) (*humv1.Sent, error) {
	return reply(sentOf)(s.node.Cancel(ctx, r.Id))
}

func (s *service) Resend(ctx context.Context, r *humv1.ResendRequest) (*humv1.Sent, error) {
	return reply(sentOf)(s.node.Resend(ctx, r.Id, r.Expires.AsDuration()))
}

func (s *service) Report(ctx context.Context, r *humv1.ReportRequest) (*humv1.Received, error) {
	return reply(receivedOf)(s.node.Report(ctx, r.Id, r.Failed))
}
