package control

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// service translates: a request into one call of the node, its answer into the proto file's words.
type service struct {
	node Backend
	now  func() time.Time
}

// reply converts what a call of the node returned.
func reply[T, M any](one func(T) *M) func(T, error) (*M, error) {
	return func(v T, err error) (*M, error) {
		if err != nil {
			return nil, err
		}
		return one(v), nil
	}
}

// during runs a wait that ends after timeout, if one is set, with the state it then has and no error.
func during[T any](ctx context.Context, timeout *durationpb.Duration, wait func(context.Context) (T, error)) (T, error) {
	if timeout == nil {
		return wait(ctx)
	}
	short, cancel := context.WithTimeout(ctx, timeout.AsDuration())
	defer cancel()
	v, err := wait(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		err = nil
	}
	return v, err
}

func (s *service) Status(ctx context.Context, _ *humv1.StatusRequest) (*humv1.StatusResponse, error) {
	return reply(func(v node.Status) *humv1.StatusResponse { return statusOf(v, s.now()) })(s.node.Status(ctx))
}

func (s *service) Card(context.Context, *humv1.CardRequest) (*humv1.CardResponse, error) {
	return reply(func(c string) *humv1.CardResponse { return &humv1.CardResponse{Card: c} })(s.node.Card())
}

func (s *service) Doctor(ctx context.Context, _ *humv1.DoctorRequest) (*humv1.DoctorResponse, error) {
	return &humv1.DoctorResponse{Checks: each(s.node.Doctor(ctx), checkOf)}, nil
}

func (s *service) Backup(ctx context.Context, r *humv1.BackupRequest) (*humv1.BackupResponse, error) {
	return reply(func(n int64) *humv1.BackupResponse {
		return &humv1.BackupResponse{File: r.File, Bytes: n}
	})(s.node.Backup(ctx, r.File, r.Passphrase))
}

func (s *service) SetPassphrase(ctx context.Context, r *humv1.SetPassphraseRequest) (*humv1.SetPassphraseResponse, error) {
	if len(r.Passphrase) == 0 {
		r.Passphrase = nil
	}
	if err := s.node.SetPassphrase(ctx, r.Passphrase); err != nil {
		return nil, err
	}
	return &humv1.SetPassphraseResponse{Sealed: r.Passphrase != nil}, nil
}

func (s *service) Stop(context.Context, *humv1.StopRequest) (*humv1.StopResponse, error) {
	s.node.Stop()
	return &humv1.StopResponse{}, nil
}

func (s *service) Add(ctx context.Context, r *humv1.AddRequest) (*humv1.Contact, error) {
	return reply(contactOf)(s.node.Add(ctx, r.Who, r.Petname))
}

func (s *service) Contacts(ctx context.Context, _ *humv1.ContactsRequest) (*humv1.ContactsResponse, error) {
	return reply(func(l []node.Contact) *humv1.ContactsResponse {
		return &humv1.ContactsResponse{Contacts: each(l, contactOf)}
	})(s.node.Contacts(ctx))
}

func (s *service) Forget(ctx context.Context, r *humv1.ForgetRequest) (*humv1.Contact, error) {
	return reply(contactOf)(s.node.Forget(ctx, r.Who))
}

func (s *service) Resolve(ctx context.Context, r *humv1.ResolveRequest) (*humv1.Resolution, error) {
	return reply(resolutionOf)(s.node.Resolve(ctx, r.Who))
}

func (s *service) Block(ctx context.Context, r *humv1.BlockRequest) (*humv1.BlockEntry, error) {
	if r.Polite {
		return s.politeBlock(ctx, r)
	}
	return reply(blockOf)(s.node.Block(ctx, r.Who, r.Scope))
}

func (s *service) Unblock(ctx context.Context, r *humv1.UnblockRequest) (*humv1.BlockEntry, error) {
	return reply(blockOf)(s.node.Unblock(ctx, r.Who))
}

func (s *service) Blocks(ctx context.Context, _ *humv1.BlocksRequest) (*humv1.BlocksResponse, error) {
	return reply(func(l []node.BlockEntry) *humv1.BlocksResponse {
		return &humv1.BlocksResponse{Blocks: each(l, blockOf)}
	})(s.node.Blocks(ctx))
}

func (s *service) Watch(ctx context.Context, r *humv1.WatchRequest) (*humv1.Subscription, error) {
	return reply(subscriptionOf)(s.node.WatchAs(ctx, r.Who, r.Text, r.Lifetime.AsDuration(), r.Pseudonym))
}

func (s *service) WaitWatching(ctx context.Context, r *humv1.WaitWatchingRequest) (*humv1.Subscription, error) {
	return reply(subscriptionOf)(during(ctx, r.Timeout, func(ctx context.Context) (node.Subscription, error) {
		return s.node.WaitWatching(ctx, r.Who)
	}))
}

func (s *service) Unwatch(ctx context.Context, r *humv1.UnwatchRequest) (*humv1.Subscription, error) {
	return reply(subscriptionOf)(s.node.Unwatch(ctx, r.Who))
}

func (s *service) Watching(ctx context.Context, _ *humv1.WatchingRequest) (*humv1.SubscriptionsResponse, error) {
	return reply(subscriptionsOf)(s.node.Watching(ctx))
}

func (s *service) Who(ctx context.Context, r *humv1.WhoRequest) (*humv1.WhoResponse, error) {
	return reply(func(l []node.PresenceOf) *humv1.WhoResponse {
		return &humv1.WhoResponse{Presence: each(l, presenceOf)}
	})(s.node.Who(ctx, r.Who))
}

func (s *service) Set(ctx context.Context, r *humv1.SetRequest) (*humv1.Published, error) {
	change, err := changeOf(r)
	if err != nil {
		return nil, err
	}
	return reply(publishedOf)(s.node.Set(ctx, change))
}

func (s *service) Offline(ctx context.Context, r *humv1.OfflineRequest) (*humv1.Published, error) {
	return reply(publishedOf)(s.node.OfflineIn(ctx, r.View))
}

func (s *service) Requests(ctx context.Context, _ *humv1.RequestsRequest) (*humv1.SubscriptionsResponse, error) {
	return reply(subscriptionsOf)(s.node.Requests(ctx))
}

func (s *service) Approve(ctx context.Context, r *humv1.ApproveRequest) (*humv1.Subscription, error) {
	return reply(subscriptionOf)(s.node.ApproveIn(ctx, r.Who, r.View))
}

func (s *service) Deny(ctx context.Context, r *humv1.DenyRequest) (*humv1.Subscription, error) {
	return reply(subscriptionOf)(s.node.Deny(ctx, r.Who, r.Reason))
}

func (s *service) Drop(ctx context.Context, r *humv1.DropRequest) (*humv1.Subscription, error) {
	return reply(subscriptionOf)(s.node.Drop(ctx, r.Who))
}

func (s *service) Send(ctx context.Context, r *humv1.SendRequest) (*humv1.Sent, error) {
	return reply(sentOf)(s.node.Send(ctx, draftOf(r.To, r.Draft)))
}

func (s *service) WaitSent(ctx context.Context, r *humv1.WaitSentRequest) (*humv1.Sent, error) {
	return reply(sentOf)(during(ctx, r.Timeout, func(ctx context.Context) (node.Sent, error) {
		return s.node.WaitSent(ctx, r.Id)
	}))
}

func (s *service) Reply(ctx context.Context, r *humv1.ReplyRequest) (*humv1.Sent, error) {
	return reply(sentOf)(s.node.Reply(ctx, r.Id, draftOf("", r.Draft)))
}

func (s *service) Outbox(ctx context.Context, r *humv1.OutboxRequest) (*humv1.OutboxResponse, error) {
	return reply(func(l []node.Sent) *humv1.OutboxResponse {
		return &humv1.OutboxResponse{Messages: each(l, sentOf)}
	})(s.node.Outbox(ctx, r.Id))
}

func (s *service) Inbox(ctx context.Context, r *humv1.InboxRequest) (*humv1.InboxResponse, error) {
	if r.Limit < 0 {
		return nil, usage("a limit is not negative")
	}
	return reply(func(l []node.Received) *humv1.InboxResponse {
		return &humv1.InboxResponse{Messages: each(l, receivedOf)}
	})(s.node.Inbox(ctx, node.InboxQuery{ID: r.Id, From: r.From, Limit: int(r.Limit), Before: r.Before, Search: r.Search, Strangers: r.Strangers, Part: int(max(r.Part, 0))}))
}

func (s *service) OpenMessage(ctx context.Context, r *humv1.OpenMessageRequest) (*humv1.Received, error) {
	return reply(receivedOf)(s.node.OpenMessage(ctx, r.Id))
}

func (s *service) Trace(ctx context.Context, r *humv1.TraceRequest) (*humv1.TraceResponse, error) {
	return reply(func(l []node.TraceStep) *humv1.TraceResponse {
		return &humv1.TraceResponse{Steps: each(l, stepOf)}
	})(s.node.Trace(ctx, r.Id))
}
