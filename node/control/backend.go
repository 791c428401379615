package control

import (
	"context"
	"iter"
	"time"

	"github.com/hum-presence/hum/node"
)

// Backend is what the door opens to: a running [node.Node]. Its errors are *[node.Error] where a person
// can do something about them. Methods may be called at the same time.
type Backend interface {
	SafetyBackend
	DocumentBackend
	DeviceBackend
	ViewBackend
	TalkBackend
	InviteBackend
	CommunityBackend
	HandleBackend

	Self() node.Self
	Status(ctx context.Context) (node.Status, error)
	Card() (string, error)
	Doctor(ctx context.Context) []node.Check
	Backup(ctx context.Context, file string, passphrase []byte) (int64, error)
	SetPassphrase(ctx context.Context, passphrase []byte) error
	Stop()

	Add(ctx context.Context, who, petname string) (node.Contact, error)
	Contacts(ctx context.Context) ([]node.Contact, error)
	Forget(ctx context.Context, who string) (node.Contact, error)
	Resolve(ctx context.Context, who string) (node.Resolution, error)
	Block(ctx context.Context, who, scope string) (node.BlockEntry, error)
	Unblock(ctx context.Context, who string) (node.BlockEntry, error)
	Blocks(ctx context.Context) ([]node.BlockEntry, error)

	WatchAs(ctx context.Context, who, text string, lifetime time.Duration, pseudonym bool) (node.Subscription, error)
	// WaitWatching returns once the subscription is active, denied or terminated; if ctx ends before,
	// the latest state and ctx's error.
	WaitWatching(ctx context.Context, who string) (node.Subscription, error)
	Unwatch(ctx context.Context, who string) (node.Subscription, error)
	Watching(ctx context.Context) ([]node.Subscription, error)
	Who(ctx context.Context, who []string) ([]node.PresenceOf, error)

	Set(ctx context.Context, c node.Change) (node.Published, error)
	OfflineIn(ctx context.Context, view string) (node.Published, error)
	Requests(ctx context.Context) ([]node.Subscription, error)
	ApproveIn(ctx context.Context, who, view string) (node.Subscription, error)
	Deny(ctx context.Context, who, reason string) (node.Subscription, error)
	Drop(ctx context.Context, who string) (node.Subscription, error)
	Watchers(ctx context.Context) ([]node.Subscription, error)
	Fetching

	Send(ctx context.Context, d node.Draft) (node.Sent, error)
	// WaitSent returns once the message has reached a final state; if ctx ends before, the latest state
	// and ctx's error.
	WaitSent(ctx context.Context, id string) (node.Sent, error)
	Reply(ctx context.Context, id string, d node.Draft) (node.Sent, error)
	Ladder
	Outbox(ctx context.Context, id string) ([]node.Sent, error)
	Inbox(ctx context.Context, q node.InboxQuery) ([]node.Received, error)
	OpenMessage(ctx context.Context, id string) (node.Received, error)
	Trace(ctx context.Context, id string) ([]node.TraceStep, error)

	// Events yields the stored events after since, then each new one until ctx ends.
	Events(ctx context.Context, since uint64) (iter.Seq2[node.Event, error], error)
	// LastEvent returns the number of the newest event, 0 if there was none.
	LastEvent(ctx context.Context) (uint64, error)
}
