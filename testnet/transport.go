package testnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A simTransport is what one host dials and listens with. It asks the resource manager and the gater
// what a transport with the real upgrader would ask.
type simTransport struct {
	n     *Network
	ip    string
	self  peer.ID
	key   crypto.PubKey
	rcmgr network.ResourceManager
	gater connmgr.ConnectionGater
	dead  bool         // killed; guarded by n.mu
	home  ma.Multiaddr // where it first listened; guarded by n.mu
	ghost bool         // it runs in another process, and this stands for it
	node  uint64       // whose life its goroutines are: see virtual.As
}

// transportAt returns what libp2p calls to make the transport of a host.
func (n *Network) transportAt(ip string) any {
	return func(key crypto.PrivKey, r network.ResourceManager, g connmgr.ConnectionGater) (*simTransport, error) {
		self, err := peer.IDFromPrivateKey(key)
		if err != nil {
			return nil, err
		}
		return n.settle(&simTransport{n: n, ip: ip, self: self, key: key.GetPublic(), rcmgr: r, gater: g, node: NodeOf(ip)}), nil
	}
}

// settle has a host live at its address from now on.
func (n *Network) settle(t *simTransport) *simTransport {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.place(t.ip)
	at.tenant, at.silent = t, false
	return t
}

func (t *simTransport) String() string   { return "simulated" }
func (t *simTransport) Protocols() []int { return []int{ma.P_TCP} }
func (t *simTransport) Proxy() bool      { return false }

// CanDial reports whether a is of the form /ip4/…/tcp/….
func (t *simTransport) CanDial(a ma.Multiaddr) bool {
	p := a.Protocols()
	return len(p) == 2 && p[0].Code == ma.P_IP4 && p[1].Code == ma.P_TCP
}

// addr is where the host says that it calls from: where it listens, as with port reuse, or a port that
// nobody answers. The network's lock is held.
func (t *simTransport) addr(line uint64) ma.Multiaddr {
	if t.home != nil {
		return t.home
	}
	return addrOf(t.ip, fmt.Sprint(49152+line%16384))
}

func addrOf(ip, port string) ma.Multiaddr { return ma.StringCast("/ip4/" + ip + "/tcp/" + port) }

// Dial takes Rounds round trips. Where nobody answers it lasts until ctx ends.
func (t *simTransport) Dial(ctx context.Context, to ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	c, scope, err := t.dialIn(ctx, false, to, p)
	if err != nil {
		return nil, err
	}
	if err := c.admit(scope); err != nil {
		c.CloseWithError(network.ConnGated)
		return nil, err
	}
	return c, nil
}

// dialIn dials within what the resource manager allows; the scope is open if there is no error. fd says that a connection
// counts as a file descriptor.
func (t *simTransport) dialIn(ctx context.Context, fd bool, to ma.Multiaddr, p peer.ID) (*conn, network.ConnManagementScope, error) {
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, fd, to)
	if err != nil {
		return nil, nil, err
	}
	if err := scope.SetPeer(p); err != nil {
		scope.Done()
		return nil, nil, err
	}
	c, err := t.dial(ctx, to, p)
	if err != nil {
		scope.Done()
		return nil, nil, err
	}
	return c, scope, nil
}

func (t *simTransport) dial(ctx context.Context, to ma.Multiaddr, p peer.ID) (*conn, error) {
	d := &dialling{t: t, want: p, done: make(chan struct{})}
	d.ip, _ = to.ValueForProtocol(ma.P_IP4)
	d.port, _ = to.ValueForProtocol(ma.P_TCP)
	d.lane = t.n.dialLane(t.ip, d.ip)
	if t.n.elsewhere(d.ip) {
		d.startFar()
	} else {
		d.start()
	}
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		if d.giveUp() {
			return nil, ctx.Err()
		}
		return d.conn, d.err
	}
}

// A dialling is one attempt to connect.
type dialling struct {
	t        *simTransport
	ip, port string
	want     peer.ID
	done     chan struct{}
	lane     uint64

	over bool // guarded by n.mu, as what follows
	conn *conn
	err  error
}

func (d *dialling) start() {
	n := d.t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	once := n.path(d.t.ip, d.ip).now().Latency
	n.agenda.at(time.Now().Add(once), d.lane, func() { d.knock(once) })
}

// knock is the first packet at the other end: it is answered, refused or not heard.
func (d *dialling) knock(once time.Duration) {
	n := d.t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if d.unheard() {
		return
	}
	if n.place(d.ip).listeners[d.port] == nil {
		n.agenda.at(time.Now().Add(once), d.lane, func() { d.finish(nil, errRefused) })
		return
	}
	rest := time.Duration(2*n.config.Rounds-1) * once
	n.agenda.at(time.Now().Add(rest), d.lane, d.shake)
}

// unheard reports whether nothing can pass between the two; the lock is held. A dial that fails so is
// left alone until its context ends.
func (d *dialling) unheard() bool {
	n, at := d.t.n, d.t.n.places[d.ip]
	return d.t.dead || at == nil || at.silent || at.shut || at.tenant == nil || n.path(d.t.ip, d.ip).isCut()
}

// shake ends the handshake at the dialling end; the other end follows one latency later.
func (d *dialling) shake() {
	n := d.t.n
	n.mu.Lock()
	if d.over || d.unheard() {
		n.mu.Unlock()
		return
	}
	l := n.place(d.ip).listeners[d.port]
	switch {
	case l == nil:
		n.mu.Unlock()
		d.finish(nil, errReset)
	case l.t.self != d.want && n.config.Links == Stream: // elsewhere the handshake finds out
		n.mu.Unlock()
		d.finish(nil, sec.ErrPeerIDMismatch{Expected: d.want, Actual: l.t.self})
	default:
		line := n.connect(d.t, l)
		n.mu.Unlock()
		if n.config.Links == Noise {
			if err := line.lay(); err != nil {
				d.finish(nil, err)
				return
			}
		}
		out := line.ends[0].out
		out.send(frame{kind: frameHello, run: func() { l.take(line.ends[1]) }}, time.Time{})
		d.finish(line.ends[0], nil)
	}
}

func (d *dialling) finish(c *conn, err error) {
	d.t.n.mu.Lock()
	defer d.t.n.mu.Unlock()
	if !d.over {
		d.over, d.conn, d.err = true, c, err
		close(d.done)
	}
}

// giveUp ends the attempt; it reports false if it had just ended by itself.
func (d *dialling) giveUp() bool {
	d.t.n.mu.Lock()
	defer d.t.n.mu.Unlock()
	if d.over {
		return false
	}
	d.over = true
	return true
}

// A listener hands the connections that arrive at one port to the swarm.
type listener struct {
	t    *simTransport
	addr ma.Multiaddr
	port string

	mu      sync.Mutex
	cond    *sync.Cond
	waiting []*conn
	closed  bool
}

// Listen takes the port, or a free one for port 0; a host that was killed or closed has left its own.
func (t *simTransport) Listen(a ma.Multiaddr) (transport.Listener, error) {
	l, err := t.listen(a)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (t *simTransport) listen(a ma.Multiaddr) (*listener, error) {
	port, err := a.ValueForProtocol(ma.P_TCP)
	if err != nil {
		return nil, err
	}
	t.n.mu.Lock()
	defer t.n.mu.Unlock()
	at := t.n.place(t.ip)
	for free := 1024; port == "0"; free++ {
		if at.listeners[fmt.Sprint(free)] == nil {
			port = fmt.Sprint(free)
		}
	}
	if at.listeners[port] != nil {
		return nil, fmt.Errorf("listen on %s: address already in use", a)
	}
	l := &listener{t: t, addr: addrOf(t.ip, port), port: port}
	l.cond = sync.NewCond(&l.mu)
	at.listeners[port] = l
	if t.home == nil {
		t.home = l.addr
	}
	return l, nil
}

// take is the end of the handshake on the listening side.
func (l *listener) take(c *conn) {
	if c.cable != nil { // the upgrader asks
		l.queue(c)
		return
	}
	scope, err := l.t.rcmgr.OpenConnection(network.DirInbound, false, c.remote)
	if err != nil {
		c.CloseWithError(network.ConnResourceLimitExceeded)
		return
	}
	if l.t.gater != nil && !l.t.gater.InterceptAccept(c) {
		scope.Done()
		c.CloseWithError(network.ConnGated)
		return
	}
	if err := scope.SetPeer(c.RemotePeer()); err != nil {
		scope.Done()
		c.CloseWithError(network.ConnResourceLimitExceeded)
		return
	}
	if err := c.admit(scope); err != nil {
		c.CloseWithError(network.ConnGated)
		return
	}
	l.queue(c)
}

func (l *listener) queue(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		go c.Close()
		return
	}
	l.waiting = append(l.waiting, c)
	l.cond.Signal()
}

// Accept waits for the next connection.
func (l *listener) Accept() (transport.CapableConn, error) {
	c, err := l.accept()
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (l *listener) accept() (*conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 {
		if l.closed {
			return nil, transport.ErrListenerClosed
		}
		l.cond.Wait()
	}
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	return c, nil
}

// Close leaves the port; connections that nobody accepted end.
func (l *listener) Close() error {
	n := l.t.n
	n.mu.Lock()
	if at := n.place(l.t.ip); at.listeners[l.port] == l {
		delete(at.listeners, l.port)
	}
	n.mu.Unlock()
	l.mu.Lock()
	waiting := l.waiting
	l.waiting, l.closed = nil, true
	l.cond.Broadcast()
	l.mu.Unlock()
	for _, c := range waiting {
		c.Close()
	}
	return nil
}

func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

func (l *listener) Addr() net.Addr {
	a, err := manet.ToNetAddr(l.addr)
	if err != nil {
		return nil
	}
	return a
}

var (
	_ transport.Transport   = (*simTransport)(nil)
	_ transport.CapableConn = (*conn)(nil)
	_ network.MuxedStream   = (*stream)(nil)
)
