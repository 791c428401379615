package p2p

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	pb "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	relaysAtOnce    = 2 // of two operators, so that one may go
	addrsPerRelay   = 2 // told of each; of eight in all (SPEC 2.4)
	reserveTimeout  = 20 * time.Second
	reserveMost     = 5 * time.Minute // between tries at one relay, after four (SPEC 4.7, "Limited circuits")
	reserveLost     = 5 * time.Minute // a relay is gone for longer: its addresses are told no more
	circuitOverlaps = time.Minute     // of a circuit and the direct connection that takes its place
)

// circuits are the relays through which others reach this node: it holds a slot at up to two of those it may use,
// and tells the addresses that lead through them (SPEC 7). Nothing but the slot is asked of a relay.
type circuits struct {
	n    *Net
	kick chan struct{}
	any  atomic.Bool // a connection by a circuit has come, and may be there still

	mu sync.Mutex
	at []*slotAt // in the order in which they were named
}

// A slotAt is the place at one relay.
type slotAt struct {
	peer  PeerID
	named []ma.Multiaddr // where others dial the relay, as its operator says
	told  []ma.Multiaddr // the same as the relay said when it gave the slot

	held  bool // there is a slot, and the connection that it hangs on
	had   bool // there was one not long ago: its addresses are told still
	busy  bool
	fails int
	due   time.Duration // of the next reservation
	lost  time.Duration // when held ended
	why   string        // why the last try failed
}

func newCircuits(n *Net) *circuits { return &circuits{n: n, kick: make(chan struct{}, 1)} }

// Relay lets others reach this node through a circuit relay: a slot is held there whenever it is connected (see
// Keep), and the addresses that lead through it are among Addrs. Of many relays two are used at a time. Said again it
// replaces the addresses at which others dial the relay.
func (n *Net) Relay(p PeerID, addrs [][]byte) {
	if p == n.self || p.id().Validate() != nil {
		return
	}
	c := n.circuits
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.of(p); s != nil {
		s.named = multiaddrs(addrs)
	} else {
		c.at = append(c.at, &slotAt{peer: p, named: multiaddrs(addrs)})
	}
	poke(c.kick)
}

// Unrelay uses a relay no more. Its slot there ends by itself.
func (n *Net) Unrelay(p PeerID) {
	c := n.circuits
	c.mu.Lock()
	had := c.of(p) != nil && c.of(p).had
	c.at = slices.DeleteFunc(c.at, func(s *slotAt) bool { return s.peer == p })
	c.mu.Unlock()
	if had {
		n.keeper.moved()
	}
	poke(c.kick)
}

// of returns the place at p, nil if it is no relay of ours; c.mu is held.
func (c *circuits) of(p PeerID) *slotAt {
	if i := slices.IndexFunc(c.at, func(s *slotAt) bool { return s.peer == p }); i >= 0 {
		return c.at[i]
	}
	return nil
}

// A Slot says how it stands at a relay of ours.
type Slot struct {
	Relay PeerID
	Held  bool
	Why   string // not held: the cause; "" if it was not tried, or is not connected
}

// Slots returns the relays that this node may use, in their order.
func (n *Net) Slots() (out []Slot) {
	c := n.circuits
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.at {
		out = append(out, Slot{Relay: s.peer, Held: s.held, Why: s.why})
	}
	return out
}

// changed notes that a relay came or went.
func (c *circuits) changed(p PeerID, l link) {
	now := c.n.now().Mono
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.of(p)
	if s == nil {
		return
	}
	if s.held && !(l.up && !l.limited) {
		s.held, s.lost = false, now
	}
	s.fails, s.due = 0, now
	poke(c.kick)
}

// dropped notes that a connection to p has ended: a relay forgets the slots that hung on it, though another
// connection may stand.
func (c *circuits) dropped(p PeerID) {
	now := c.n.now().Mono
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.of(p); s != nil {
		s.due = now
		poke(c.kick)
	}
}

func (c *circuits) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		case <-timer.C:
		}
		timer.Reset(c.step())
	}
}

// step reserves where that is due, forgets what is lost for too long, and returns the pause until the next look.
func (c *circuits) step() time.Duration {
	now, next, moved := c.n.now().Mono, time.Hour, false
	c.mu.Lock()
	held := 0
	for _, s := range c.at {
		if s.held || s.busy {
			held++
		}
	}
	for _, s := range c.at {
		if s.had && !s.held {
			if left := s.lost + reserveLost - now; left > 0 {
				next = min(next, left)
			} else {
				s.had, moved = false, true
			}
		}
		if l := c.n.peers.link(s.peer); s.busy || !l.up || l.limited || !s.held && held >= relaysAtOnce {
			continue
		}
		if s.due > now {
			next = min(next, s.due-now)
			continue
		}
		if !s.held {
			held++
		}
		if s.busy = c.n.spawn(func(ctx context.Context) { c.reserve(ctx, s) }); !s.busy {
			break
		}
	}
	c.mu.Unlock()
	if moved {
		c.n.keeper.moved()
	}
	return next
}

// reserve asks for a slot, or prolongs it.
func (c *circuits) reserve(ctx context.Context, s *slotAt) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "hum"), reserveTimeout)
	defer cancel()
	before := c.addrs()
	r, err := client.Reserve(ctx, c.n.host, peer.AddrInfo{ID: s.peer.id()})
	now := c.n.now()
	c.mu.Lock()
	s.busy = false
	switch l := c.n.peers.link(s.peer); {
	case err != nil:
		if s.held {
			s.held, s.lost = false, now.Mono
		}
		s.due = now.Mono + c.n.jitter(reserveAgain(s.fails), 0.2)
		s.fails++
		s.why = whyNoSlot(err)
		c.n.log.Debug("no slot at a relay", "relay", s.peer, "err", err)
	case !l.up || l.limited:
		s.due = now.Mono // its connection went meanwhile, and the slot with it
	default:
		s.held, s.had, s.fails, s.why, s.told = true, true, 0, "", r.Addrs
		s.due = now.Mono + c.n.jitter(max(time.Minute, r.Expiration.Sub(now.Wall.Go())/2), 0.1)
		c.n.log.Debug("a slot at a relay", "relay", s.peer, "lasts", r.LimitDuration, "bytes", r.LimitData)
	}
	c.mu.Unlock()
	poke(c.kick)
	if !slices.EqualFunc(before, c.addrs(), bytes.Equal) {
		c.n.keeper.moved()
	}
}

// reserveAgain is when a relay is asked again after so many failures before this one: 1, 2, 4 and then every 5 min.
func reserveAgain(fails int) time.Duration { return min(reserveMost, time.Minute<<min(fails, 3)) }

// whyNoSlot is the cause in words that name nobody.
func whyNoSlot(err error) string {
	var r client.ReservationError
	if errors.As(err, &r) {
		switch r.Status {
		case pb.Status_RESERVATION_REFUSED, pb.Status_RESOURCE_LIMIT_EXCEEDED:
			return "it has no free slot"
		case pb.Status_PERMISSION_DENIED:
			return "it refuses"
		case pb.Status_CONNECTION_FAILED:
			return "it is no relay, or does not answer"
		}
	}
	return "it does not answer as a relay does"
}

// addrs are the multiaddrs by which others reach this node through relays, as a Reach names them.
func (c *circuits) addrs() (out [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.at {
		if s.had && len(out) < relaysAtOnce*addrsPerRelay {
			out = append(out, s.through()...)
		}
	}
	return out
}

// through are the addresses that lead through one relay: the best, and one by another transport, in case a firewall
// lets only that pass.
func (s *slotAt) through() (out [][]byte) {
	var kinds []int
	for _, b := range dialable(append(slices.Clone(s.named), bared(s.told)...)) {
		at, err := ma.NewMultiaddrBytes(b)
		if err != nil || len(at) == 0 || len(out) == addrsPerRelay {
			continue
		}
		kind := at[len(at)-1].Protocol().Code
		if slices.Contains(kinds, kind) {
			continue
		}
		kinds = append(kinds, kind)
		out = append(out, ma.Join(at, ma.StringCast("/p2p/"+s.peer.String()+"/p2p-circuit")).Bytes())
	}
	return out
}

// bared takes the peer from the end of each address.
func bared(addrs []ma.Multiaddr) (out []ma.Multiaddr) {
	for _, a := range addrs {
		if rest, _ := peer.SplitAddr(a); len(rest) > 0 {
			out = append(out, rest)
		}
	}
	return out
}

// isCircuit reports whether a leads through a relay.
func isCircuit(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// closeSpare ends circuits to those with whom a direct connection has stood for a while: a relay has room for few. Without any
// circuit it looks at nobody.
func (n *Net) closeSpare() {
	if !n.circuits.any.Swap(false) {
		return
	}
	for _, p := range n.host.Network().Peers() {
		conns := n.host.Network().ConnsToPeer(p)
		if slices.ContainsFunc(conns, func(c network.Conn) bool { return c.Stat().Limited }) {
			n.circuits.any.Store(true)
		}
		direct := slices.ContainsFunc(conns, func(c network.Conn) bool {
			return !c.Stat().Limited && time.Since(c.Stat().Opened) > circuitOverlaps
		})
		if len(conns) < 2 || !direct {
			continue
		}
		for _, c := range conns {
			if c.Stat().Limited {
				_ = c.Close()
			}
		}
	}
}
