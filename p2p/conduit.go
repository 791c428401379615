package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	openTimeout    = 15 * time.Second // to dial and to open a stream
	requestTimeout = 30 * time.Second // for a reply; then the stream is given up
	openerIdle     = time.Minute      // an unused stream is closed, as it costs both ends more than another; SPEC 3.6 wants ≥ 30 s
)

// conduits are the long-lived streams that this node opens: one per peer and protocol, and further
// lanes of /hum/presence/1 when more keys are watched at one peer than a stream may carry.
type conduits struct {
	n *Net

	mu sync.Mutex
	m  map[conduitKey]*conduit
}

type conduitKey struct {
	peer  PeerID
	proto protocol.ID
	lane  int
}

// A conduit is the place of one such stream, which comes and goes.
type conduit struct {
	n   *Net
	key conduitKey

	mu      sync.Mutex
	cur     *outStream
	opening chan struct{} // closed when an attempt to open has ended
	err     error         // of the last attempt
}

func newConduits(n *Net) *conduits { return &conduits{n: n, m: map[conduitKey]*conduit{}} }

func (cs *conduits) get(p PeerID, proto protocol.ID, lane int) *conduit {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	k := conduitKey{p, proto, lane}
	c := cs.m[k]
	if c == nil {
		c = &conduit{n: cs.n, key: k}
		cs.m[k] = c
	}
	return c
}

func (cs *conduits) all() (out []*conduit) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.m {
		out = append(out, c)
	}
	return out
}

// sweep closes streams that were not used for long, and forgets the places of those that ended.
func (cs *conduits) sweep() {
	now := cs.n.now().Mono
	for _, c := range cs.all() {
		if st := c.current(); st != nil && st.idle(now) > openerIdle && !st.watches() {
			st.retire()
		}
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for k, c := range cs.m {
		c.mu.Lock()
		if c.cur == nil && c.opening == nil {
			delete(cs.m, k) // whoever still holds c can go on with it
		}
		c.mu.Unlock()
	}
}

// changed gives up streams over a circuit once there is a direct connection: they would stay on it
// until it is cut.
func (cs *conduits) changed(p PeerID, l link) {
	if !l.up || l.limited {
		return
	}
	for _, c := range cs.all() {
		if st := c.current(); c.key.peer == p && st != nil && st.s.Conn().Stat().Limited {
			st.retire()
		}
	}
}

func (c *conduit) current() *outStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cur
}

// stream returns the stream, opening it if there is none; fresh says that it was opened now.
func (c *conduit) stream(ctx context.Context) (st *outStream, fresh bool, err error) {
	c.mu.Lock()
	if c.cur != nil {
		defer c.mu.Unlock()
		return c.cur, false, nil
	}
	if c.opening == nil {
		opening := make(chan struct{})
		if !c.n.spawn(func(ctx context.Context) { c.open(ctx, opening) }) {
			c.mu.Unlock()
			return nil, false, ErrClosed
		}
		c.opening = opening
	}
	opening := c.opening
	c.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, false, unreachable(ctx.Err())
	case <-opening:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur == nil {
		return nil, true, unreachable(c.err)
	}
	return c.cur, true, nil
}

func unreachable(err error) error {
	if err == nil {
		return ErrUnreachable
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// open opens the stream, and serves it as long as it lasts.
func (c *conduit) open(ctx context.Context, opening chan struct{}) {
	if st := c.dial(ctx, opening); st != nil {
		c.end(st, st.serve(ctx))
	}
}

// dial opens the stream, nil if that fails. Who serves it keeps no stack for this.
//
//go:noinline
func (c *conduit) dial(ctx context.Context, opening chan struct{}) (st *outStream) {
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "hum"), openTimeout)
	defer cancel()
	s, err := c.n.host.NewStream(ctx, c.key.peer.id(), c.key.proto)
	if err == nil {
		st = newOutStream(c, s)
	}
	c.mu.Lock()
	c.cur, c.err, c.opening = st, err, nil
	c.mu.Unlock()
	close(opening)
	return st
}

// end gives up a stream whose reading has ended.
//
//go:noinline
func (c *conduit) end(st *outStream, why error) {
	c.n.log.Debug("stream ended", "peer", c.key.peer, "proto", c.key.proto, "err", why)
	st.s.Reset()
	st.die()
	c.mu.Lock()
	if c.cur == st {
		c.cur = nil
	}
	c.mu.Unlock()
	c.n.follows.lost(st)
}

// request sends a request and waits for its reply: on the stream there is or, if that turns out to
// be dead, once more on a new one. onReply, which may be nil, runs before any later frame is read.
func (c *conduit) request(ctx context.Context, op uint32, payload []byte, onReply func(*outStream, wire.Frame)) (wire.Frame, error) {
	return c.requestOn(ctx, op, func(*outStream) ([]byte, error) { return payload, nil }, onReply)
}

// requestOn is request with a payload that is made for the stream on which it goes.
func (c *conduit) requestOn(ctx context.Context, op uint32, payload func(*outStream) ([]byte, error), onReply func(*outStream, wire.Frame)) (wire.Frame, error) {
	ctx, cancel := context.WithTimeout(ctx, replyWithin(c.key.proto, op))
	defer cancel()
	sent := false
	for {
		st, fresh, err := c.stream(ctx)
		if err != nil && sent {
			return wire.Frame{}, ErrUnanswered
		}
		if err != nil {
			return wire.Frame{}, err
		}
		b, err := payload(st)
		if err != nil {
			return wire.Frame{}, err
		}
		f, err := st.call(ctx, op, b, onReply)
		if err == nil || fresh || ctx.Err() != nil {
			return f, err
		}
		sent = sent || errors.Is(err, ErrUnanswered)
	}
}

// An outStream is one stream that we opened.
type outStream struct {
	c     *conduit
	s     network.Stream
	out   *outbox
	slots chan struct{} // one for each request without a reply
	dead  chan struct{} // closed when reading has ended

	mu      sync.Mutex
	next    uint32
	waiting map[uint32]*call
	used    time.Duration      // when a frame last went or came
	snaps   map[PublicKey]int  // WATCHes of a key that have no OK yet
	keys    map[PublicKey]bool // watched, or about to be
	offer   offer
}

type call struct {
	reply func(wire.Frame)
	guard *time.Timer
}

func newOutStream(c *conduit, s network.Stream) *outStream {
	return &outStream{c: c, s: s, out: c.n.outboxTo(s), slots: make(chan struct{}, wire.MaxOutstanding),
		dead: make(chan struct{}), used: c.n.now().Mono}
}

// serve reads until the stream or ctx ends.
func (st *outStream) serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { st.s.Reset() })()
	return readFrames(st.s, func() time.Duration { return 0 }, st.frame) // swept when idle
}

// die answers nobody who still waits.
func (st *outStream) die() {
	close(st.dead)
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, w := range st.waiting {
		w.guard.Stop()
	}
	st.waiting = nil
}

func (st *outStream) frame(f wire.Frame) bool {
	st.touch()
	switch f.Kind() {
	case wire.Reply:
		st.mu.Lock()
		w := st.waiting[f.ID]
		st.waiting = without(st.waiting, f.ID)
		st.mu.Unlock()
		if w != nil { // else a reply to an unknown id, which is ignored
			w.guard.Stop()
			w.reply(f)
		}
		return true
	case wire.OneWay:
		switch st.c.key.proto {
		case protoPresence:
			return st.c.n.takeRecFrame(st, f)
		case protoParcel:
			st.c.n.takeOneWay(st.c.key.peer, f)
		}
		return true
	}
	st.c.n.stats.refuse("request from acceptor")
	return false
}

// call sends one request on st and waits for its reply. The error is [ErrUnanswered] if it may have gone out.
func (st *outStream) call(ctx context.Context, op uint32, payload []byte, onReply func(*outStream, wire.Frame)) (wire.Frame, error) {
	select {
	case st.slots <- struct{}{}:
	case <-st.dead:
		return wire.Frame{}, ErrUnreachable
	case <-ctx.Done():
		return wire.Frame{}, unreachable(ctx.Err())
	}
	got := make(chan wire.Frame, 1)
	w := &call{guard: time.AfterFunc(replyWithin(st.c.key.proto, op), func() { st.s.Reset() })}
	w.reply = func(f wire.Frame) {
		<-st.slots
		if f.Op != op { // "same id and op"
			st.s.Reset()
			return
		}
		if onReply != nil {
			onReply(st, f)
		}
		got <- f
	}
	if !st.out.put(wire.Frame{ID: st.register(w), Op: op, Payload: payload}) {
		st.s.Reset() // 64 requests and as many acks fit; the peer does not read
		return wire.Frame{}, ErrUnreachable
	}
	select {
	case f := <-got:
		return f, nil
	case <-ctx.Done(): // the slot stays taken until the reply comes or the stream ends
		return wire.Frame{}, fmt.Errorf("%w: %w", ErrUnanswered, ctx.Err())
	case <-st.dead:
		select {
		case f := <-got:
			return f, nil
		default:
			return wire.Frame{}, ErrUnanswered
		}
	}
}

func (st *outStream) register(w *call) uint32 {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		st.next++
		if _, used := st.waiting[st.next]; !used && st.next != 0 {
			break
		}
	}
	st.waiting = with(st.waiting, st.next, w)
	st.used = st.c.n.now().Mono
	return st.next
}

func (st *outStream) touch() {
	now := st.c.n.now().Mono
	st.mu.Lock()
	st.used = now
	st.mu.Unlock()
}

func (st *outStream) idle(now time.Duration) time.Duration {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.waiting) > 0 {
		return 0
	}
	return now - st.used
}

// retire lets nobody use st any more and ends it.
func (st *outStream) retire() {
	st.c.mu.Lock()
	if st.c.cur == st {
		st.c.cur = nil
	}
	st.c.mu.Unlock()
	st.s.Reset()
}

// with puts v into m, which is made when it has its first.
func with[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	if m == nil {
		m = map[K]V{}
	}
	m[k] = v
	return m
}

// without takes k from m, which is given up when it has had its last: of what hangs on streams, most is empty most of
// the time.
func without[K comparable, V any](m map[K]V, k K) map[K]V {
	if delete(m, k); len(m) == 0 {
		return nil
	}
	return m
}
