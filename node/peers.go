package node

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/store"
)

// locate has the network keep, or forget, the places of an address: kept is whoever I watch, whoever
// watches me, and whoever I owe a message (SPEC 4.7, "Who dials"). The places of contacts are known by
// their peers in any case, since these have the rates of contacts (SPEC 3.9).
func (n *Node) locate(a identity.Address) {
	if n.net == nil {
		return
	}
	role, want := n.wants(a)
	var places []place
	if want || n.isContact(a) || n.owesState(a) {
		places = n.places(a)
	}
	var now []p2p.PeerID
	for _, p := range places {
		now = append(now, p.peer)
	}
	var gone []p2p.PeerID
	n.mu.Lock()
	for _, p := range n.kept[a] {
		if !slices.Contains(now, p) {
			n.part(p, a)
		}
		if !slices.Contains(now, p) || !want {
			gone = append(gone, p)
		}
	}
	var met []p2p.PeerID
	for _, p := range now {
		if n.meet(p, a) {
			met = append(met, p)
		}
	}
	if n.kept[a] = now; len(now) == 0 {
		delete(n.kept, a)
	}
	n.mu.Unlock()
	for _, p := range gone {
		n.release(p)
	}
	n.metAt(a, met)
	if !want {
		return
	}
	for _, p := range places {
		n.net.Keep(p.peer, p.addrs, role)
	}
	n.refollow(a)
}

// meet and part note whose places a peer is said to be: anybody can name it as his, so it may be
// several people's. The lock is held.
func (n *Node) meet(p p2p.PeerID, a identity.Address) (first bool) {
	if first = !slices.Contains(n.peers[p], a); first {
		n.peers[p] = append(n.peers[p], a)
	}
	return first
}

// metAt is told which peers are now known to be at an address: who was connected before that was taken for
// nobody until now, and what I want of him is brought forward. What he asked himself is being answered in its time.
func (n *Node) metAt(a identity.Address, met []p2p.PeerID) {
	if n.anyConnected(met) {
		n.mailConnected(a, true)
		n.spawn(func(context.Context) { n.watchingConnected(a) })
	}
}

func (n *Node) anyConnected(peers []p2p.PeerID) bool {
	return slices.ContainsFunc(peers, func(p p2p.PeerID) bool { up, _ := n.net.Connected(p); return up })
}

func (n *Node) part(p p2p.PeerID, a identity.Address) {
	n.peers[p] = slices.DeleteFunc(slices.Clone(n.peers[p]), func(b identity.Address) bool { return a == b })
	if len(n.peers[p]) == 0 {
		delete(n.peers, p)
	}
}

// release has the network keep a peer no more, unless it is kept for somebody else.
func (n *Node) release(p p2p.PeerID) {
	for _, a := range n.addressesAt(p) {
		if _, want := n.wants(a); want {
			return
		}
	}
	if slices.ContainsFunc(slices.Concat(n.bootstraps(), n.relays()), func(text string) bool { at, ok := placeOf(text); return ok && at.peer == p }) {
		return
	}
	n.net.Forget(p)
}

// wants says whether an address is worth keeping connections to, and how eagerly.
func (n *Node) wants(a identity.Address) (p2p.KeepRole, bool) {
	if n.watches(a) || a == n.self.Address && (n.hasOthers() || len(n.hearing()) > 0) {
		return p2p.Watched, true
	}
	n.mu.RLock()
	watcher := n.watchers[a] != ""
	n.mu.RUnlock()
	return p2p.Watching, watcher || n.mail.owed(a) || n.asking.of(a)
}

// owesState reports whether somebody has not acked what became of his subscription here. Nobody dials him
// for it, but when he comes he is told (SPEC 4.8).
func (n *Node) owesState(a identity.Address) (owes bool) {
	_ = n.view(func(t *txn) error {
		return rows(t, store.WatchersOf(a), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			owes = w.Unacked && w.Raw != nil
			return !owes, nil
		})
	})
	return owes
}

// hasPath reports whether there is a way on which a could be heard at all, so that silence is his (SPEC
// 4.5). A machine off the network has nothing but loopback; a node that only dials cannot tell.
func (n *Node) hasPath(a identity.Address) bool {
	if !n.net.Alone() || len(n.net.Listening()) == 0 {
		return true
	}
	if slices.ContainsFunc(n.net.Addrs(), func(addr []byte) bool { return !loops(addr) }) {
		return true
	}
	return slices.ContainsFunc(n.places(a), func(p place) bool { return slices.ContainsFunc(p.addrs, loops) })
}

func keepFor(a identity.Address, n *Node) p2p.KeepRole {
	role, _ := n.wants(a)
	return role
}

// keep has the network know one place of an address, to send something there.
func (n *Node) keep(a identity.Address, p place) {
	n.mu.Lock()
	if !slices.Contains(n.kept[a], p.peer) {
		n.kept[a] = append(slices.Clip(n.kept[a]), p.peer)
	}
	first := n.meet(p.peer, a)
	n.mu.Unlock()
	if first {
		n.metAt(a, []p2p.PeerID{p.peer})
	}
	n.net.Keep(p.peer, p.addrs, keepFor(a, n))
}

// unkeep lets go of the places of an address that was only answered.
func (n *Node) unkeep(a identity.Address) {
	if _, want := n.wants(a); !want {
		n.locate(a)
	}
}

// resume locates everybody that matters, so that what was unfinished goes on. Who has connected meanwhile, since
// the port was opened before, was not noticed as anybody.
func (n *Node) resume() {
	for _, a := range n.known() {
		n.locate(a)
		n.mu.RLock()
		here := n.kept[a]
		n.mu.RUnlock()
		if n.anyConnected(here) {
			n.arrived(a)
		}
	}
	for _, b := range n.bootstrap() {
		n.net.Keep(b.peer, b.addrs, p2p.Watched)
	}
	n.meetServers()
	n.attendAll()
	if err := n.turnMailboxes(); err != nil { // a crash came between
		n.log.Warn("what a removed device knows was not drawn anew; it is at the next start", "err", err)
	}
	for _, text := range n.relays() {
		if p, ok := placeOf(text); ok {
			n.net.Keep(p.peer, p.addrs, p2p.Watched)
			n.net.Relay(p.peer, p.addrs)
		}
	}
	if err := n.resumePresence(); err != nil {
		n.log.Warn("presence was not resumed; it is tried again", "err", err)
	}
}

// known are all addresses that this node has to do with.
func (n *Node) known() (out []identity.Address) {
	n.pins.mu.RLock()
	for a := range n.pins.pins {
		out = append(out, a)
	}
	n.pins.mu.RUnlock()
	n.mu.RLock()
	for a := range n.contacts {
		out = append(out, a)
	}
	n.mu.RUnlock()
	slices.SortFunc(out, func(a, b identity.Address) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

// checkBootstrap refuses a place that could not be dialled, before somebody waits for it.
func (n *Node) checkBootstrap() error {
	for what, texts := range map[string][]string{"bootstrap": n.bootstraps(), "relay": n.relays()} {
		for _, text := range texts {
			if p, ok := placeOf(text); !ok || p.addrs == nil {
				return &Error{Kind: KindUsage, Code: "bad-address", Message: fmt.Sprintf("%s: %q is not where a node can be dialled", what, clip(text)),
					Advice: "write it like /ip4/192.0.2.1/tcp/4866/p2p/12D3…, as in a card"}
			}
		}
	}
	return nil
}

func (n *Node) relays() []string {
	if len(n.cfg.Relays) > 0 {
		return n.cfg.Relays
	}
	return n.settings.Relays
}

func (n *Node) bootstraps() []string {
	if len(n.cfg.Bootstrap) > 0 {
		return n.cfg.Bootstrap
	}
	return n.settings.Bootstrap
}

func (n *Node) bootstrap() (out []place) {
	for _, text := range n.bootstraps() {
		if p, ok := placeOf(text); ok && p.addrs != nil {
			out = join(out, p)
		}
	}
	return out
}

// peerMoved is told when a peer comes or goes: what waits for him is tried at once.
func (n *Node) peerMoved(p p2p.PeerID, up, _ bool) {
	n.linkMoved(p)
	if !up {
		for _, a := range n.addressesAt(p) {
			n.noteParted(a)
			n.mail.interrupted(a)
		}
		return
	}
	for _, a := range n.addressesAt(p) {
		n.arrived(a)
	}
}

// arrived brings forward what waits for somebody, now that a connection to him stands.
func (n *Node) arrived(a identity.Address) {
	n.mailConnected(a, true)
	n.syncConnected(a)
	n.spawn(func(context.Context) {
		n.watchingConnected(a)
		n.servingConnected(a)
		n.successionConnected(a)
	})
}

// fetchPause is how often at most the records of one address are fetched because somebody named a newer
// one (SPEC 2.5).
const fetchPause = 10 * time.Minute

// disownPause is how often at most a subscription that I do not know is ended, for one address (SPEC 4.8).
const disownPause = 24 * time.Hour

// warnPause is how often at most the user is told that the records of one address contradict each other.
const warnPause = 24 * time.Hour

// fetchTimes remembers when something was last done for an address, for the addresses of the last while.
type fetchTimes struct {
	pause time.Duration
	mu    sync.Mutex
	last  map[identity.Address]time.Duration
}

func (f *fetchTimes) take(a identity.Address, now identity.Now) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.last[a]; ok && now.Mono-at < f.pause {
		return false
	}
	if f.last == nil || len(f.last) > 4096 {
		f.last = map[identity.Address]time.Duration{}
	}
	f.last[a] = now.Mono
	return true
}

// jitter is a number in [0,1) that spreads what many nodes would do at one instant.
func (n *Node) jitter() float64 {
	var b [32]byte
	if _, err := io.ReadFull(n.cfg.Rand, b[:]); err != nil {
		return 0.5
	}
	return rand.New(rand.NewChaCha8(b)).Float64()
}
