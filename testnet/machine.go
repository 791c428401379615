package testnet

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
)

// A Machine is a running node as its user meets it. *node.Node is one.
type Machine interface {
	Self() node.Self
	Status(context.Context) (node.Status, error)
	Card() (string, error)

	Add(ctx context.Context, who, petname string) (node.Contact, error)
	Forget(ctx context.Context, who string) (node.Contact, error)
	Watch(ctx context.Context, who, text string, lifetime time.Duration) (node.Subscription, error)
	Unwatch(ctx context.Context, who string) (node.Subscription, error)
	Watching(context.Context) ([]node.Subscription, error)
	Approve(ctx context.Context, who string) (node.Subscription, error)
	Deny(ctx context.Context, who, reason string) (node.Subscription, error)
	Drop(ctx context.Context, who string) (node.Subscription, error)
	Watchers(context.Context) ([]node.Subscription, error)
	Set(context.Context, node.Change) (node.Published, error)
	Offline(context.Context) (node.Published, error)
	Who(ctx context.Context, who []string) ([]node.PresenceOf, error)
	Block(ctx context.Context, who, scope string) (node.BlockEntry, error)
	Unblock(ctx context.Context, who string) (node.BlockEntry, error)
	Blocks(context.Context) ([]node.BlockEntry, error)
	Send(context.Context, node.Draft) (node.Sent, error)
	Reply(ctx context.Context, id string, d node.Draft) (node.Sent, error)
	Outbox(ctx context.Context, id string) ([]node.Sent, error)
	Inbox(context.Context, node.InboxQuery) ([]node.Received, error)
	OpenMessage(ctx context.Context, id string) (node.Received, error)

	Run(context.Context) error
	Ready() <-chan struct{}
	Close() error
}

// A Place is what a machine is started in.
type Place struct {
	Name, IP, Home string
	Clock          *Clock
	Rand           io.Reader
	Log            *slog.Logger
	Net            *Network
}

// StartNode opens the node of a home, and makes it, with an identity that is always the same for the
// same name, if there is none.
func StartNode(p Place) (Machine, error) {
	if _, err := os.Stat(p.Home); os.IsNotExist(err) {
		seed := identity.Seed(sha256.Sum256([]byte("seed of " + p.Name)))
		c := node.InitConfig{Name: p.Name, Seed: &seed, Clock: p.Clock.Now, Rand: p.Rand}
		if _, err := node.Init(p.Home, c); err != nil {
			return nil, err
		}
	}
	return node.Open(node.Config{Home: p.Home, Clock: p.Clock.Now, Rand: p.Rand, Log: p.Log,
		Net: p2p.Config{Host: p.Net.Host(p.IP)}})
}

// lockedRand is a seeded source that many may read.
type lockedRand struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func newRand(seed uint64, name string, life int) io.Reader {
	b := binary.BigEndian.AppendUint64(nil, seed)
	return &lockedRand{src: rand.NewChaCha8(sha256.Sum256(fmt.Appendf(b, "%s %d", name, life)))}
}

func (r *lockedRand) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src.Read(b)
}
