package p2p

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// The bounds of what an anchor hears elsewhere for members (SPEC 7.1, "Upstream").
const (
	maxUpstream    = 20_000 // keys
	upstreamIdle   = 2 * time.Minute
	upstreamServed = time.Hour // said again as long as somebody watches
)

// An Upstream is an anchor that another one, of which I am a member, asks in my place: whoever runs it sees that
// one alone (SPEC 7.1).
type Upstream struct {
	At    wire.Endpoint
	Token []byte // of my membership
}

// String tells two apart.
func (u *Upstream) String() string {
	if u == nil {
		return ""
	}
	return string(u.At.Peer)
}

// upstreams are the keys that this anchor hears at others for its members.
type upstreams struct {
	mu sync.Mutex
	m  map[PublicKey]*upstream
}

type upstream struct {
	at   []PeerID
	used time.Duration // somebody watched it then, or asked for it
}

// through has the keys of a WATCH heard at the anchor that a member names, unless they are kept here.
func (x *custody) through(keys []PublicKey, at wire.Endpoint) wire.FrameStatus {
	p := PeerID(at.Peer)
	if p == x.n.self {
		return wire.OK
	}
	if p.id().Validate() != nil {
		return wire.MALFORMED
	}
	now := x.n.now()
	x.up.mu.Lock()
	defer x.up.mu.Unlock()
	for _, e := range keys {
		u := x.up.m[e]
		switch {
		case !validKey(e):
			return wire.MALFORMED
		case u == nil && x.n.door.served(now, e): // for a member of ours
			continue
		case u == nil && len(x.up.m) >= maxUpstream:
			return wire.QUOTA
		case u == nil:
			u = &upstream{}
			x.up.m[e] = u
		}
		if u.used = now.Mono; !slices.Contains(u.at, p) {
			u.at = append(u.at[:min(len(u.at), wire.MaxEndpoints-1)], p)
		}
		x.n.door.serve(e, now.Wall.Add(upstreamServed))
		x.n.Keep(p, at.Addrs, Watched)
		if err := x.n.Follow(e, u.at); err != nil {
			return wire.MALFORMED
		}
	}
	return wire.OK
}

// brought takes what was heard upstream, and pushes it to those who watch it here.
func (x *custody) brought(e PublicKey, r wire.Rec) {
	if x == nil {
		return
	}
	x.up.mu.Lock()
	u := x.up.m[e]
	x.up.mu.Unlock()
	if u != nil {
		x.n.door.copy(e, r)
	}
}

// sweepUpstream forgets what no member watches any more.
func (x *custody) sweepUpstream() {
	if x == nil {
		return
	}
	now := x.n.now()
	x.up.mu.Lock()
	defer x.up.mu.Unlock()
	used := map[PeerID]bool{}
	var gone []PeerID
	for e, u := range x.up.m {
		if x.n.door.audience(e) > 0 {
			u.used = now.Mono
			x.n.door.serve(e, now.Wall.Add(upstreamServed))
		}
		if now.Mono-u.used < upstreamIdle {
			for _, p := range u.at {
				used[p] = true
			}
			continue
		}
		delete(x.up.m, e)
		gone = append(gone, u.at...)
		x.n.Unfollow(e, 0)
		if !x.n.door.hosts(e) {
			x.n.Unserve(e)
		}
	}
	for _, p := range gone {
		if !used[p] {
			x.n.Forget(p)
		}
	}
}

// getThrough asks the anchor that a member names, and gives its answer.
func (x *custody) getThrough(ctx context.Context, r wire.GetRequest) (wire.FrameStatus, []byte) {
	p := PeerID(r.Upstream.Peer)
	if p.id().Validate() != nil {
		return wire.MALFORMED, nil
	}
	x.n.Meet(p, r.Upstream.Addrs)
	f, err := x.n.streams.get(p, protoPresence, 0).request(ctx, wire.OpGet, wire.GetRequest{Key: r.Key}.Append(nil), nil)
	if err != nil {
		return wire.NOT_FOUND, nil
	}
	return f.Status, f.Payload
}

// served reports whether WATCH and GET know e.
func (d *door) served(now identity.Now, e PublicKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[e]
	return k != nil && k.serves(now)
}

// audience is how many streams watch e.
func (d *door) audience(e PublicKey) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.keys[e]; k != nil {
		return len(k.watchers)
	}
	return 0
}

// FollowThrough is Follow at anchors of mine that ask others in my place; up nil is Follow.
func (n *Net) FollowThrough(e PublicKey, at []PeerID, up *Upstream) error {
	return n.follow(e, at, up)
}

// GetThrough is Get from an anchor of mine that asks another in my place.
func (n *Net) GetThrough(ctx context.Context, p PeerID, e PublicKey, up Upstream) ([]wire.Rec, Time, error) {
	return n.get(ctx, p, wire.GetRequest{Key: e, Upstream: &up.At, Token: up.Token})
}

// GetKeptThrough is GetKept from an anchor of mine that asks another in my place.
func (n *Net) GetKeptThrough(ctx context.Context, p PeerID, k PublicKey, up Upstream) (wire.Rec, error) {
	return n.getKept(ctx, p, wire.GetRequest{Key: k, Upstream: &up.At, Token: up.Token})
}

// PassOn gives the mailbox node at `at` the payload of a DEP, and returns what it answered (SPEC 7.3, FORWARD).
func (n *Net) PassOn(ctx context.Context, at wire.Endpoint, payload []byte) (wire.FrameStatus, []byte, error) {
	p := PeerID(at.Peer)
	if p.id().Validate() != nil {
		return 0, nil, fmt.Errorf("mailbox: %w", ErrUnreachable)
	}
	n.Meet(p, at.Addrs)
	f, err := n.streams.get(p, protoMbox, 0).request(ctx, wire.OpDeposit, payload, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("mailbox: %w", err)
	}
	return f.Status, f.Payload, nil
}

// DepositThrough has the mailbox node at p, of which I am a member, leave an item at another one in my place; the
// receipt is verified as that of Deposit is. Errors: those of AskMbox.
func (n *Net) DepositThrough(ctx context.Context, p PeerID, to wire.Endpoint, token []byte, d wire.Deposit) (wire.MboxReceipt, error) {
	r := wire.ForwardRequest{To: to, Deposit: d.Append(nil), Token: token}.Append(nil)
	f, err := n.mbox(ctx, p, 0, wire.OpForward, func(*outStream) ([]byte, error) { return r, nil })
	if err != nil {
		return wire.MboxReceipt{}, err
	}
	receipt, err := receiptOf(PeerID(to.Peer), d, f.Payload)
	if err != nil {
		n.stats.refuse("bad receipt")
		return wire.MboxReceipt{}, fmt.Errorf("mailbox: %w: %v", ErrRefused, err)
	}
	return receipt, nil
}
