package testnet

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

// A conn is one end of a connection. Locks are taken in the order stream, conn, Network, agenda.
type conn struct {
	t             *simTransport
	line          *line
	peer          *conn
	out           *lane
	dir           network.Direction
	local, remote ma.Multiaddr
	closed        atomic.Bool
	told          atomic.Bool // the other end knows that this one gave up
	silent        atomic.Bool // this one gave up

	mu      sync.Mutex
	cond    *sync.Cond
	scope   network.ConnManagementScope
	err     error
	opened  uint64
	streams map[*stream]struct{}
	byID    map[uint64]*stream // of a connection to a ghost alone
	waiting []*stream
	cable   *stream // all that it carries, on Noise links
}

func newConn(t *simTransport, dir network.Direction, local, remote ma.Multiaddr) *conn {
	c := &conn{t: t, dir: dir, local: local, remote: remote, streams: map[*stream]struct{}{}}
	c.cond = sync.NewCond(&c.mu)
	return c
}

func (c *conn) LocalPeer() peer.ID             { return c.t.self }
func (c *conn) RemotePeer() peer.ID            { return c.peer.t.self }
func (c *conn) RemotePublicKey() crypto.PubKey { return c.peer.t.key }
func (c *conn) LocalMultiaddr() ma.Multiaddr   { return c.local }
func (c *conn) RemoteMultiaddr() ma.Multiaddr  { return c.remote }
func (c *conn) Transport() transport.Transport { return c.t }
func (c *conn) As(any) bool                    { return false }
func (c *conn) IsClosed() bool                 { return c.closed.Load() }

// ConnState says what the connection is made of.
func (c *conn) ConnState() network.ConnectionState {
	return network.ConnectionState{Security: "/simulated", StreamMultiplexer: "/simulated", Transport: "tcp"}
}

// Scope is what the connection may use.
func (c *conn) Scope() network.ConnScope {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scope == nil {
		return &network.NullScope{}
	}
	return c.scope
}

// admit takes over the scope and asks the gater about the peer that is known now.
func (c *conn) admit(scope network.ConnManagementScope) error {
	c.mu.Lock()
	c.scope = scope
	closed := c.err != nil
	c.mu.Unlock()
	if closed {
		scope.Done()
		return c.err
	}
	if c.t.gater != nil && !c.t.gater.InterceptSecured(c.dir, c.RemotePeer(), c) {
		return fmt.Errorf("gater refuses %s", c.RemotePeer())
	}
	return nil
}

// OpenStream opens a stream at once, as yamux does; the other end hears of it one latency later.
func (c *conn) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	here, there, err := c.pair()
	if err != nil {
		return nil, err
	}
	here.mu.Lock()
	defer here.mu.Unlock()
	here.send(frameOpen, 0, nil, func() { c.peer.arrived(there) })
	return here, nil
}

// firstStream is the number of the first stream that whoever dialled opens.
const firstStream = 2

// pair makes both ends of a new stream.
func (c *conn) pair() (here, there *stream, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, nil, c.err
	}
	c.opened++
	id := firstStream * c.opened
	if c.dir == network.DirInbound {
		id++
	}
	here, there = newStream(c, id), newStream(c.peer, id)
	here.peer, there.peer = there, here
	c.streams[here] = struct{}{}
	if c.peer.t.ghost {
		c.byID[id] = here
	}
	return here, there, nil
}

// arrived queues a stream that the other end opened.
func (c *conn) arrived(s *stream) {
	if c.IsClosed() {
		c.unknown()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.streams[s] = struct{}{}
	if c.peer.t.ghost {
		c.byID[s.id] = s
	}
	c.waiting = append(c.waiting, s)
	c.cond.Signal()
}

// AcceptStream waits for the next stream that the other end opened.
func (c *conn) AcceptStream() (network.MuxedStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) == 0 {
		if c.err != nil {
			return nil, c.err
		}
		c.cond.Wait()
	}
	s := c.waiting[0]
	c.waiting = c.waiting[1:]
	return s, nil
}

func (c *conn) Close() error { return c.CloseWithError(network.ConnNoError) }

// CloseWithError ends the connection here at once, and at the other end when everything sent before has
// arrived.
func (c *conn) CloseWithError(code network.ConnErrorCode) error {
	if c.end(&network.ConnError{ErrorCode: code}) {
		remote := &network.ConnError{Remote: true, ErrorCode: code}
		c.out.send(frame{kind: frameEnd, arg: uint64(code), run: func() { c.peer.end(remote) }}, c.out.lastArrival())
	}
	return nil
}

// end ends this end only. It reports false if it had ended before.
func (c *conn) end(err error) bool {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return false
	}
	c.err = err
	c.closed.Store(true)
	streams, scope := c.streams, c.scope
	c.streams, c.byID, c.waiting = nil, nil, nil
	c.cond.Broadcast()
	c.mu.Unlock()
	// In the order of their numbers: that of a map of pointers depends on where they lie.
	for _, s := range slices.SortedFunc(maps.Keys(streams), func(a, b *stream) int { return cmp.Compare(a.id, b.id) }) {
		s.fail(&network.StreamError{TransportError: err})
	}
	if scope != nil {
		scope.Done()
	}
	if err, ok := err.(*network.ConnError); ok && err.TransportError == errSilent {
		c.silent.Store(true)
		c.tellPeer()
	}
	c.t.n.forget(c.line)
	return true
}

// gaveUp reports whether this end has ended because it heard nothing for too long, as far as the other can know: it is one latency old.
func (c *conn) gaveUp() bool {
	if c.t.ghost {
		return c.closed.Load()
	}
	return c.told.Load()
}

// unknown is what a frame meets when this end has already ended: the other end is told, unless it ended
// this connection itself.
func (c *conn) unknown() {
	if c.peer.t.ghost {
		defer func() {
			c.peer.closed.Store(true)
			c.t.n.forget(c.line)
		}()
	}
	c.out.send(frame{kind: frameUnknown, run: func() {
		c.peer.end(&network.ConnError{Remote: true, TransportError: errReset})
	}}, time.Time{})
}

func (c *conn) drop(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s)
	delete(c.byID, s.id)
}

// lastArrival is when everything sent so far will have arrived, and readers have had an instant for it.
func (l *lane) lastArrival() time.Time {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	return l.last.Add(time.Microsecond)
}
