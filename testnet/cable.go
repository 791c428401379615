package testnet

import (
	"context"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A cableTransport carries bytes as TCP does, and leaves the rest to libp2p's own upgrader: the noise handshake, the choice
// of a muxer, and yamux. What all streams of a connection say is in one order, so that what one of them lost keeps the
// others waiting too.
type cableTransport struct {
	*simTransport
	upgrader transport.Upgrader
}

// cableAt returns what libp2p calls to make the transport of a host on Noise links.
func (n *Network) cableAt(ip string) any {
	return func(key crypto.PrivKey, u transport.Upgrader, r network.ResourceManager, g connmgr.ConnectionGater) (*cableTransport, error) {
		self, err := peer.IDFromPrivateKey(key)
		if err != nil {
			return nil, err
		}
		return &cableTransport{n.settle(&simTransport{n: n, ip: ip, self: self, key: key.GetPublic(), rcmgr: r, gater: g, node: NodeOf(ip)}), u}, nil
	}
}

// Dial takes one round trip, and then those of the handshakes.
func (t *cableTransport) Dial(ctx context.Context, to ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	c, scope, err := t.dialIn(ctx, true, to, p)
	if err != nil {
		return nil, err
	}
	return t.upgrader.Upgrade(ctx, t, &cable{c, c.cable}, network.DirOutbound, p, scope)
}

func (t *cableTransport) Listen(a ma.Multiaddr) (transport.Listener, error) {
	l, err := t.simTransport.listen(a)
	if err != nil {
		return nil, err
	}
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(&cableListener{l})), nil
}

// A cableListener is what the upgrader accepts from.
type cableListener struct{ *listener }

func (l *cableListener) Accept() (manet.Conn, error) {
	c, err := l.accept()
	if err != nil {
		return nil, net.ErrClosed
	}
	return &cable{c, c.cable}, nil
}

// A cable is one end of a connection on which nothing is muxed.
type cable struct {
	c *conn
	s *stream
}

func (e *cable) Read(b []byte) (int, error)         { return e.s.Read(b) }
func (e *cable) Write(b []byte) (int, error)        { return e.s.Write(b) }
func (e *cable) SetDeadline(t time.Time) error      { return e.s.SetDeadline(t) }
func (e *cable) SetReadDeadline(t time.Time) error  { return e.s.SetReadDeadline(t) }
func (e *cable) SetWriteDeadline(t time.Time) error { return e.s.SetWriteDeadline(t) }
func (e *cable) LocalMultiaddr() ma.Multiaddr       { return e.c.local }
func (e *cable) RemoteMultiaddr() ma.Multiaddr      { return e.c.remote }
func (e *cable) LocalAddr() net.Addr                { return tcpAddr(e.c.local) }
func (e *cable) RemoteAddr() net.Addr               { return tcpAddr(e.c.remote) }

// Close lets arrive what was written before.
func (e *cable) Close() error {
	_ = e.s.CloseWrite()
	return e.c.Close()
}

func tcpAddr(a ma.Multiaddr) net.Addr {
	at, err := manet.ToNetAddr(a)
	if err != nil {
		return &net.TCPAddr{}
	}
	return at
}

// lay gives a new connection its one stream, before either end has begun.
func (l *line) lay() error {
	here, there, err := l.ends[0].pair()
	if err != nil {
		return err
	}
	to := l.ends[1]
	to.mu.Lock()
	to.streams[there] = struct{}{}
	to.mu.Unlock()
	l.ends[0].cable, to.cable = here, there
	return nil
}

// layHere is lay at an end whose other end, which has begun, is in another process.
func (c *conn) layHere() {
	s := newStream(c, firstStream)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[s], c.byID[s.id], c.cable = struct{}{}, s, s
}

var (
	_ transport.Transport = (*cableTransport)(nil)
	_ manet.Conn          = (*cable)(nil)
	_ manet.Listener      = (*cableListener)(nil)
)
