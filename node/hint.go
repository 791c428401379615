package node

import (
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// HintLost says that the direct connection to somebody broke whose word still holds. It is a hint of this
// machine and nobody's word: what is shown stays, until he speaks or his lease lapses.
const HintLost = "connection-lost"

const (
	hintAfter   = 4 * time.Second  // a connection that is back by then was none to speak of
	hintFlapped = 20 * time.Second // the same, for one that broke and came back within the last minute
	hintCalm    = time.Minute
)

// hintBook holds whose last connection broke, and when, by the monotonic clock.
type hintBook struct {
	mu     sync.Mutex
	lost   map[identity.Address]time.Duration
	mended map[identity.Address]time.Duration // when a broken connection was last back
}

// broke notes that the last connection to a is gone.
func (h *hintBook) broke(a identity.Address, now identity.Now) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil {
		h.lost = map[identity.Address]time.Duration{}
	}
	if _, ok := h.lost[a]; !ok {
		h.lost[a] = now.Mono
	}
}

// back notes that there is a connection to a again.
func (h *hintBook) back(a identity.Address, now identity.Now) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.lost[a]; !ok {
		return
	}
	delete(h.lost, a)
	if h.mended == nil {
		h.mended = map[identity.Address]time.Duration{}
	}
	h.mended[a] = now.Mono
}

// of returns since when the connection to a is gone, and how long it must be gone to be spoken of.
func (h *hintBook) of(a identity.Address) (lost, grace time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lost, ok = h.lost[a]
	if mended, before := h.mended[a]; before && lost-mended < hintCalm {
		return lost, hintFlapped, ok
	}
	return lost, hintAfter, ok
}

// lostHint returns since when, by the monotonic clock, something hints that a has gone although his word
// holds; false if nothing does. A record that came since then shows that he lives, by whichever path.
func (n *Node) lostHint(a identity.Address, p *presence.Presence, s presence.Shown, now identity.Now) (since time.Duration, ok bool) {
	lost, grace, ok := n.hints.of(a)
	if !ok || s.Basic != wire.Open || s.Evidence != presence.Said || p.HeardSince(lost) {
		return 0, false
	}
	return lost, now.Mono-lost >= grace
}

// hintDue is how long nothing about a hint of a changes by time alone.
func (n *Node) hintDue(a identity.Address, now identity.Now) time.Duration {
	lost, grace, ok := n.hints.of(a)
	if left := lost + grace - now.Mono; ok && left > 0 {
		return left
	}
	return look
}

// linked reports whether any place of a is connected.
func (n *Node) linked(a identity.Address) bool {
	for _, p := range n.places(a) {
		if up, _ := n.net.Connected(p.peer); up {
			return true
		}
	}
	return false
}

// linkMoved notes for the hints that a peer came or went. Who is still reached elsewhere has not gone.
func (n *Node) linkMoved(p p2p.PeerID) {
	for _, a := range n.addressesAt(p) {
		n.presence.look(a)
		switch {
		case n.linked(a):
			n.hints.back(a, n.now())
		case n.watches(a):
			n.hints.broke(a, n.now())
		}
	}
	n.reading.nudge()
	n.looking.mu.Lock()
	n.looking.moved = n.now().Mono
	n.looking.mu.Unlock()
	n.mirror.nudge()
}
