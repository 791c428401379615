package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	quicgo "github.com/quic-go/quic-go"
	"go.uber.org/fx"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/hum-presence/hum/testnet/virtual"
)

// What a socket holds, and what waits before a thin line, is bounded, and what is beyond it is lost: that is how QUIC
// learns that a line is full.
const (
	socketBytes = 4 << 20
	queueTime   = 200 * time.Millisecond
	natMemory   = 2 * time.Minute // how long a NAT lets those answer to whom its host sent something (RFC 4787, REQ-5)
	packetExtra = 28              // bytes of IPv4 and UDP around a packet
)

// A socket sends and obtains packets for one host, as UDP does: each arrives by itself, late or never, and nobody says so.
// It is the net.PacketConn below quic-go.
type socket struct {
	n    *Network
	ip   string
	port int
	node uint64

	dead bool                 // killed; guarded by n.mu
	sent map[string]time.Time // to whom it sent something, and when last; guarded by n.mu

	mu     sync.Mutex
	cond   *sync.Cond
	in     []packet
	held   int // bytes of in
	closed bool
	by     half
}

type packet struct {
	from *net.UDPAddr
	data []byte
}

// quicAt returns the options of a host that speaks QUIC.
func (n *Network) quicAt(ip string) []libp2p.Option {
	at := netip.MustParseAddr(ip)
	n.mu.Lock()
	n.place(ip).silent = false
	n.mu.Unlock()
	manager := func(l fx.Lifecycle, reset quicgo.StatelessResetKey, token quicgo.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
		cm, err := quicreuse.NewConnManager(reset, token,
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source(at.AsSlice()), nil }),
			quicreuse.OverrideListenUDP(func(_ string, a *net.UDPAddr) (net.PacketConn, error) { return n.bind(ip, a.Port) }))
		if err != nil {
			return nil, err
		}
		l.Append(fx.StopHook(cm.Close))
		return cm, nil
	}
	return []libp2p.Option{
		libp2p.Transport(quic.NewTransport),
		libp2p.QUICReuse(manager),
		libp2p.ListenAddrs(ma.StringCast(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", ip, Port))),
	}
}

// A source is the one address that a host has.
type source net.IP

func (s source) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return net.IP(s), nil }

// bind takes a port, or a free one for port 0.
func (n *Network) bind(ip string, port int) (*socket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.place(ip)
	for free := 49152; port == 0; free++ {
		if at.sockets[free] == nil {
			port = free
		}
	}
	if at.sockets[port] != nil {
		return nil, fmt.Errorf("listen on %s:%d: address already in use", ip, port)
	}
	s := &socket{n: n, ip: ip, port: port, node: NodeOf(ip), sent: map[string]time.Time{}}
	s.cond = sync.NewCond(&s.mu)
	at.sockets[port] = s
	return s, nil
}

func (s *socket) addr() *net.UDPAddr  { return &net.UDPAddr{IP: net.ParseIP(s.ip).To4(), Port: s.port} }
func (s *socket) LocalAddr() net.Addr { return s.addr() }

// SetReadBuffer and SetWriteBuffer have quic-go not ask for more.
func (s *socket) SetReadBuffer(int) error  { return nil }
func (s *socket) SetWriteBuffer(int) error { return nil }

// WriteTo sends one packet. Whether it arrives nobody is told.
func (s *socket) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("send to %v: not an address of UDP", addr)
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	n, size := s.n, len(b)+packetExtra
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.dead {
		return len(b), nil
	}
	ip := to.IP.String()
	p := n.path(s.ip, ip)
	t := p.traffic(s.ip, ip)
	t.Frames++
	t.Bytes += uint64(len(b))
	n.place(s.ip).sent += uint64(size)
	s.sent[ip] = time.Now()
	lane, link, up := pairNumber(s.ip, ip)>>2, p.now(), &n.place(s.ip).up
	if up.waits(time.Now()) > queueTime {
		return len(b), nil
	}
	at := up.pass(time.Now(), size)
	if p.isCut() || n.draw(lane, 0, t.Frames, saltLoss) < link.Loss {
		return len(b), nil
	}
	at = at.Add(link.Latency)
	if link.Jitter > 0 {
		at = at.Add(time.Duration(float64(link.Jitter) * n.draw(lane, 0, t.Frames, saltJitter)))
	}
	at = grid(at, n.config.Quantum)
	data := append([]byte(nil), b...)
	if n.elsewhere(ip) {
		x := crossing{kind: farPacket, line: uint64(s.port), stream: uint64(to.Port)}
		x.texts = [5][]byte{data, []byte(s.ip), []byte(ip)}
		n.post(ip, at, lane, x)
		return len(b), nil
	}
	n.agenda.at(at, lane, func() { n.drop(s.addr(), ip, to.Port, lane, data) })
	return len(b), nil
}

// drop is a packet's arrival at the line of the receiving node.
func (n *Network) drop(from *net.UDPAddr, ip string, port int, lane uint64, data []byte) {
	n.mu.Lock()
	at, now := n.place(ip), time.Now()
	if at.down.waits(now) > queueTime {
		n.mu.Unlock()
		return
	}
	t := n.config.Charge.work(at.down.pass(now, len(data)+packetExtra), at, len(data))
	if t = grid(t, n.config.Quantum); t.After(now) {
		n.agenda.at(t, lane, func() { n.hand(from, ip, port, data) })
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	n.hand(from, ip, port, data)
}

// hand gives a packet to the socket that it is for.
func (n *Network) hand(from *net.UDPAddr, ip string, port int, data []byte) {
	n.mu.Lock()
	at, sender, now := n.place(ip), from.IP.String(), time.Now()
	s, p := at.sockets[port], n.path(sender, ip)
	if s == nil || p.isCut() || at.shut && !s.expects(sender, now) {
		n.mu.Unlock()
		return
	}
	p.traffic(sender, ip).Heard += uint64(len(data))
	chunk := Chunk{now, sender, ip, 0, uint64(from.Port), data}
	for _, tamper := range at.tamper {
		tamper(chunk)
	}
	for _, capture := range at.capture {
		capture(chunk)
	}
	n.mu.Unlock()
	virtual.As(s.node, func() { s.take(packet{from, data}) })
}

// expects reports whether the NAT before a socket lets somebody's packets in: its host has sent him something. It maps and filters
// by address and port (RFC 4787, sections 4.1 and 5), so that what another behind such a NAT sends comes from a port that this one
// never sent anything to: no hole can be punched. n.mu is held.
func (s *socket) expects(sender string, now time.Time) bool {
	return !s.n.place(sender).shut && now.Sub(s.sent[sender]) <= natMemory
}

func (s *socket) take(p packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.held+len(p.data) > socketBytes {
		return
	}
	s.in = append(s.in, p)
	s.held += len(p.data)
	s.cond.Signal()
}

// ReadFrom waits for the next packet.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			return 0, nil, net.ErrClosed
		case s.by.late():
			return 0, nil, os.ErrDeadlineExceeded
		case len(s.in) > 0:
			p := s.in[0]
			if s.in = s.in[1:]; len(s.in) == 0 {
				s.in = nil
			}
			s.held -= len(p.data)
			return copy(b, p.data), p.from, nil
		}
		s.by.wait(s.cond, s.stir)
	}
}

func (s *socket) Close() error {
	s.n.mu.Lock()
	if at := s.n.place(s.ip); at.sockets[s.port] == s {
		delete(at.sockets, s.port)
	}
	s.n.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed, s.in = true, nil
	s.by.stop(net.ErrClosed)
	s.cond.Broadcast()
	return nil
}

func (s *socket) SetDeadline(t time.Time) error    { return s.SetReadDeadline(t) }
func (s *socket) SetWriteDeadline(time.Time) error { return nil } // a write never waits

func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by.until(t, s.stir)
	return nil
}

// stir wakes whoever waits, to look at his deadline.
func (s *socket) stir() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}

var _ net.PacketConn = (*socket)(nil)
