package p2p

import (
	"bytes"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	parallelDials = 32 // SPEC 4.7, "Who dials"
	keptTag       = "kept"
	minWatching   = 10 * time.Minute // between dials of a peer that watches me
	circuitEvery  = 5 * time.Minute  // between tries to have back a circuit that ended, after four (SPEC 4.7, "Limited circuits")
	wakeTick      = 10 * time.Second
	wakeJump      = 30 * time.Second // of the wall clock against the monotonic one
)

// After the loss of a connection to somebody I watch come three quick tries, since most losses are
// restarts; then the backoff of SPEC 4.7.
var quickTries = []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}

// keeper dials the peers that matter to this node, again and again.
type keeper struct {
	n    *Net
	kick chan struct{}
	slot chan struct{} // one for each dial under way

	mu   sync.Mutex
	m    map[PeerID]*kept
	seen map[PeerID][]ma.Multiaddr // on the local network, of peers not kept yet; each is told of once only
}

// maxSeen bounds how many strangers of a local network are remembered.
const maxSeen = 256

type kept struct {
	addrs   []ma.Multiaddr
	role    KeepRole
	due     time.Duration // of the next dial, if it is down then; unasked while one is under way
	tried   bool
	last    time.Duration // of the last dial
	fails   int           // since it was last connected, less the quick tries
	dialing bool
	circuit bool // it is or was last connected by a circuit alone, which ends by itself
	cut     bool // and that has ended
}

// unasked is when the dial after the one under way is due, unless something happens meanwhile: the one under way
// may be lost on a path that was gone, and who comes back must not wait out the pause that follows.
const unasked = time.Duration(math.MaxInt64)

func newKeeper(n *Net) *keeper {
	return &keeper{n: n, kick: make(chan struct{}, 1), slot: make(chan struct{}, parallelDials),
		m: map[PeerID]*kept{}, seen: map[PeerID][]ma.Multiaddr{}}
}

// Keep connects to p and stays connected: it dials at once the first time and when the addresses have
// changed, later as role says. Connections to p are protected from trimming. Addresses that cannot be
// read are left out; Keep may be said again at any time.
func (n *Net) Keep(p PeerID, addrs [][]byte, role KeepRole) {
	if p == n.self || p.id().Validate() != nil {
		return
	}
	n.host.ConnManager().Protect(p.id(), keptTag)
	n.keeper.keep(p, n.hide.places(p.id(), multiaddrs(addrs)), role)
}

func (k *keeper) keep(p PeerID, addrs []ma.Multiaddr, role KeepRole) {
	now := k.n.now().Mono
	k.mu.Lock()
	defer k.mu.Unlock()
	x := k.m[p]
	if x == nil {
		x = &kept{due: now}
		k.m[p] = x
		k.n.host.Peerstore().AddAddrs(p.id(), k.seen[p], peerstore.RecentlyConnectedAddrTTL)
		delete(k.seen, p)
	}
	if !slices.EqualFunc(x.addrs, addrs, ma.Multiaddr.Equal) {
		if len(x.addrs) > 0 {
			k.n.host.Peerstore().SetAddrs(p.id(), x.addrs, peerstore.TempAddrTTL)
		}
		x.addrs = addrs
		if role == Watched {
			x.due, x.fails = now, 0
		}
	}
	x.role = role
	k.n.host.Peerstore().AddAddrs(p.id(), addrs, peerstore.PermanentAddrTTL)
	poke(k.kick)
}

// Forget keeps p no more; a connection that there is may be trimmed.
func (n *Net) Forget(p PeerID) {
	n.host.ConnManager().Unprotect(p.id(), keptTag)
	n.keeper.mu.Lock()
	defer n.keeper.mu.Unlock()
	if x := n.keeper.m[p]; x != nil {
		delete(n.keeper.m, p)
		n.host.Peerstore().SetAddrs(p.id(), x.addrs, peerstore.TempAddrTTL)
	}
}

// Nudge dials all kept peers that are down: at start, when the user is OPEN again, after sleep. A
// peer that watches me is dialled at most once in 10 min all the same.
func (n *Net) Nudge() {
	now := n.now().Mono
	n.keeper.mu.Lock()
	defer n.keeper.mu.Unlock()
	for _, x := range n.keeper.m {
		x.due = now
		if x.role == Watching && x.tried {
			x.due = max(now, x.last+minWatching)
		}
		if x.role == Watched {
			x.fails = 0
		}
	}
	poke(n.keeper.kick)
}

// changed notes that p came or went.
func (k *keeper) changed(p PeerID, l link) {
	now := k.n.now().Mono
	k.mu.Lock()
	defer k.mu.Unlock()
	x := k.m[p]
	switch {
	case x == nil:
		return
	case l.up && !l.limited:
		x.fails, x.circuit, x.cut = 0, false, false
	case x.role == Watched && l.limited:
		x.circuit, x.cut = true, false
		x.due = now + k.n.jitter(30*time.Second, 0.3) // look for a direct way
	case x.role == Watched:
		x.fails, x.cut = -len(quickTries), x.circuit
		x.due = now + k.pause(x)
		x.fails++
	default:
		x.due = max(now, x.last+minWatching)
	}
	poke(k.kick)
}

// pause is the time until the next dial, after x.fails failures.
func (k *keeper) pause(x *kept) time.Duration {
	switch {
	case x.fails < 0:
		return k.n.jitter(quickTries[len(quickTries)+x.fails], 0.2)
	case x.cut && x.fails > 0 && x.role == Watched: // the fourth failure in a row
		return k.n.jitter(circuitEvery, 0.2)
	case x.role == Watching:
		return minWatching + k.n.jitter(minWatching<<min(x.fails, 3)/2, 0.2)
	}
	return k.n.jitter(min(15*time.Minute, time.Minute<<min(x.fails, 4)), 0.2)
}

// work dials who is due.
func (k *keeper) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.kick:
		case <-timer.C:
		}
		timer.Reset(k.dialDue(ctx))
	}
}

// dialDue starts the dials that are due and returns the pause until the next.
func (k *keeper) dialDue(ctx context.Context) time.Duration {
	now := k.n.now().Mono
	next := time.Hour
	k.mu.Lock()
	defer k.mu.Unlock()
	for p, x := range k.m {
		if x.dialing {
			continue
		}
		if x.due > now { // also of one that is up: to ask for the links of all would cost more than to wake for it
			next = min(next, x.due-now)
			continue
		}
		if l := k.n.peers.link(p); l.up && !l.limited {
			continue
		}
		select {
		case k.slot <- struct{}{}:
		default:
			return next // the dial that ends first pokes
		}
		x.dialing, x.tried, x.last, x.due = true, true, now, unasked
		if !k.n.spawn(func(ctx context.Context) { k.dial(ctx, p) }) {
			return next
		}
	}
	return next
}

func (k *keeper) dial(ctx context.Context, p PeerID) {
	err := k.n.connect(ctx, p, k.addrs(p))
	<-k.slot
	k.mu.Lock()
	defer k.mu.Unlock()
	if x := k.m[p]; x != nil {
		x.dialing = false
		if x.due == unasked {
			x.due = k.n.now().Mono + k.pause(x)
		}
		if err != nil {
			x.fails++
		}
	}
	poke(k.kick)
}

func (k *keeper) addrs(p PeerID) []ma.Multiaddr {
	k.mu.Lock()
	defer k.mu.Unlock()
	if x := k.m[p]; x != nil {
		return x.addrs
	}
	return nil
}

// connect dials p now, whatever the swarm remembers of earlier failures.
func (n *Net) connect(ctx context.Context, p PeerID, addrs []ma.Multiaddr) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if sw, ok := n.host.Network().(*swarm.Swarm); ok {
		sw.Backoff().Clear(p.id())
	}
	if l := n.peers.link(p); l.limited && !n.hide.isOwn(p.id()) {
		return ErrUnreachable // there is no direct way to anybody else
	} else if l.limited {
		ctx = network.WithForceDirectDial(ctx, "hum") // another circuit would be no better
	}
	err := n.host.Connect(ctx, peer.AddrInfo{ID: p.id(), Addrs: addrs})
	if err != nil {
		n.log.Debug("dial failed", "peer", p, "err", err)
	}
	return err
}

// found adds an address that the local network told of a kept peer, and dials it at once.
func (k *keeper) found(p PeerID, addrs []ma.Multiaddr) {
	k.mu.Lock()
	x := k.m[p]
	if x != nil {
		x.due = k.n.now().Mono
	} else if len(k.seen) < maxSeen || k.seen[p] != nil {
		k.seen[p] = addrs
	}
	k.mu.Unlock()
	if x == nil {
		return
	}
	k.n.host.Peerstore().AddAddrs(p.id(), addrs, peerstore.RecentlyConnectedAddrTTL)
	poke(k.kick)
}

// watchClock nudges when the wall clock has jumped against the monotonic one: the machine slept.
func (k *keeper) watchClock(ctx context.Context) {
	was := k.n.now()
	every(ctx, wakeTick, func() {
		now := k.n.now()
		if jump := now.Wall.Sub(was.Wall) - (now.Mono - was.Mono); jump.Abs() > wakeJump {
			k.n.log.Debug("woke up", "after", jump)
			k.n.Nudge()
		}
		was = now
	})
}

// watchPlace looks whether the addresses of this machine have changed.
func (k *keeper) watchPlace(ctx context.Context) {
	at := k.n.Addrs()
	every(ctx, wakeTick, func() {
		if here := k.n.Addrs(); !slices.EqualFunc(at, here, bytes.Equal) {
			at = here
			k.moved()
		}
	})
}

// every calls f after each pause, until ctx ends.
func every(ctx context.Context, pause time.Duration, f func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// moved tells everybody who must know that this machine is somewhere else now.
func (k *keeper) moved() {
	k.n.log.Debug("own addresses changed")
	poke(k.n.relocal)
	k.n.Nudge()
	if k.n.cfg.Moved != nil {
		k.n.cfg.Moved()
	}
}
