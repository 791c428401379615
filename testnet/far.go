package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/hum-presence/hum/testnet/virtual"
)

// Far says which nodes run in other processes of the same run, and takes what crosses to them. All processes have networks
// of one Config and see the same faults: Cut, Join, Kill and what else changes the network is called in each, at the same
// instants. The end of a connection that is far is a ghost here; latency hides it.
type Far struct {
	Me    int                                                  // number of this process
	Where func(ip string) int                                  // in which process an address lives
	Send  func(to int, at time.Time, lane uint64, data []byte) // called with what arrives in another process at an instant
}

// A frameKind is what a frame's arrival does, in a word.
type frameKind uint8

const (
	frameOpen frameKind = iota + 1
	frameData
	frameGrant
	frameFinish
	frameReset
	frameEnd
	frameUnknown
	frameHello
	farKnock // what follows is about connections, not of one
	farAnswer
	farGone
	farPacket // of QUIC links
)

// farLines is what a network knows of what it has with other processes.
type farLines struct {
	dialled uint64
	dials   map[uint64]*dialling
	lines   map[uint64]*line
}

// NodeOf is the number by which [virtual.As] knows the node at an address.
func NodeOf(ip string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(ip))
	return h.Sum64() | 1
}

// as calls f as part of the node's life.
func (t *simTransport) as(f func()) { virtual.As(t.node, f) }

// number numbers a new connection; the lock is held.
func (n *Network) number(from, to string) uint64 {
	if !n.config.ByPair {
		n.lines++
		return n.lines
	}
	pair := [2]string{from, to}
	var k uint64
	virtual.As(0, func() {
		n.byPair[pair]++
		k = n.byPair[pair]
	})
	return mix(pairNumber(from, to)^mix(k)) >> 2
}

// dialLane is the lane of what two nodes say to each other before they are connected.
func (n *Network) dialLane(from, to string) uint64 {
	if !n.config.ByPair {
		return 0
	}
	return pairNumber(from, to) >> 2
}

func pairNumber(from, to string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s>%s", from, to)
	return h.Sum64()
}

// elsewhere reports whether an address lives in another process.
func (n *Network) elsewhere(ip string) bool {
	return n.config.Far != nil && n.config.Far.Where(ip) != n.config.Far.Me
}

// gone reports whether this end keeps nobody from forgetting the line. A ghost does if the end that is here gave up in silence: the
// real one may still speak, and has to be answered.
func (c *conn) gone() bool {
	if c.t.ghost {
		return c.closed.Load() || !c.peer.silent.Load()
	}
	return c.IsClosed()
}

// A letter is what crosses; which fields count depends on its kind.
type crossing struct {
	kind   frameKind
	line   uint64
	end    uint8 // which end of the line sends
	stream uint64
	seq    uint64
	arg    uint64
	texts  [5][]byte
}

func (x crossing) encode() []byte {
	b := append(make([]byte, 0, 40+len(x.texts[0])), byte(x.kind), x.end)
	for _, v := range [...]uint64{x.line, x.stream, x.seq, x.arg} {
		b = binary.AppendUvarint(b, v)
	}
	for _, t := range x.texts {
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	return b
}

var errFar = errors.New("testnet: another process sent what cannot be read")

func decodeFar(b []byte) (x crossing, err error) {
	if len(b) < 2 {
		return x, errFar
	}
	x.kind, x.end = frameKind(b[0]), b[1]
	b = b[2:]
	bad := x.end > 1
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad = true
			return 0
		}
		b = b[n:]
		return v
	}
	for _, v := range []*uint64{&x.line, &x.stream, &x.seq, &x.arg} {
		*v = next()
	}
	for i := range x.texts {
		n := next()
		if bad || n > uint64(len(b)) {
			return x, errFar
		}
		x.texts[i], b = b[:n:n], b[n:]
	}
	if bad || len(b) > 0 {
		return x, errFar
	}
	return x, nil
}

// post sends a letter to the process of an address; the lock is held.
func (n *Network) post(ip string, at time.Time, lane uint64, x crossing) {
	n.config.Far.Send(n.config.Far.Where(ip), at, lane, x.encode())
}

// cross sends a frame to the real end of a ghost; the lock is held.
func (n *Network) cross(l *lane, f frame, at time.Time) {
	x := crossing{kind: f.kind, line: l.line.id, stream: f.stream, seq: f.seq, arg: f.arg}
	x.texts[0] = f.data
	if l.from == l.line.ends[1] {
		x.end = 1
	}
	if f.kind == frameHello {
		from := l.from
		key, _ := crypto.MarshalPublicKey(from.t.key)
		x.texts = [5][]byte{[]byte(from.t.ip), []byte(l.to.t.ip), key, from.local.Bytes(), from.remote.Bytes()}
	}
	n.post(l.to.t.ip, at, l.id, x)
}

// tellPeer lets the other end know that this one has given up, in this process or in another.
func (c *conn) tellPeer() {
	if c.peer == nil {
		return
	}
	n := c.t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if !c.peer.t.ghost {
		n.agenda.at(time.Now().Add(c.line.path.now().Latency), c.out.id, func() { c.told.Store(true) })
		return
	}
	x := crossing{kind: farGone, line: c.line.id}
	if c == c.line.ends[1] {
		x.end = 1
	}
	n.post(c.peer.t.ip, time.Now().Add(c.line.path.now().Latency), c.out.id, x)
}

// Take enters what another process sent: data arrives at an instant, in the order of its lane.
func (n *Network) Take(at time.Time, lane uint64, data []byte) error {
	x, err := decodeFar(data)
	if err != nil {
		return err
	}
	n.agenda.at(at, lane, func() { n.open(x, lane) })
	return nil
}

// open is the arrival of a letter.
func (n *Network) open(x crossing, lane uint64) {
	switch x.kind {
	case farKnock:
		n.knocked(x, lane)
		return
	case farAnswer:
		n.answered(x)
		return
	case frameHello:
		n.hello(x)
		return
	case farPacket:
		from := &net.UDPAddr{IP: net.ParseIP(string(x.texts[1])).To4(), Port: int(x.line)}
		n.drop(from, string(x.texts[2]), int(x.stream), lane, x.texts[0])
		return
	}
	n.mu.Lock()
	l := n.far.lines[x.line]
	n.mu.Unlock()
	if l == nil {
		return
	}
	ghost, mine := l.ends[x.end], l.ends[1-x.end]
	if x.kind == farGone {
		ghost.closed.Store(true)
		n.forget(l)
		return
	}
	f := frame{stream: x.stream, seq: x.seq, kind: x.kind, run: func() { mine.act(x) }}
	if x.kind == frameData {
		f.data = x.texts[0]
	}
	ghost.out.land(f)
}

// act does what a frame that crossed does.
func (c *conn) act(x crossing) {
	switch x.kind {
	case frameOpen:
		s := newStream(c, x.stream)
		c.arrived(s)
		return
	case frameEnd:
		c.end(&network.ConnError{Remote: true, ErrorCode: network.ConnErrorCode(x.arg)})
		c.t.n.mu.Lock()
		virtual.As(0, func() { delete(c.t.n.far.lines, x.line) })
		c.t.n.mu.Unlock()
		return
	case frameUnknown:
		c.end(&network.ConnError{Remote: true, TransportError: errReset})
		return
	}
	c.mu.Lock()
	s, closed := c.byID[x.stream], c.err != nil
	c.mu.Unlock()
	switch {
	case closed && x.kind == frameData:
		c.unknown()
	case s == nil:
	case x.kind == frameData:
		s.deliver(x.texts[0])
	case x.kind == frameGrant:
		s.grant(int(x.arg))
	case x.kind == frameFinish:
		s.finish()
	case x.kind == frameReset:
		s.fail(&network.StreamError{ErrorCode: network.StreamErrorCode(x.arg), Remote: true})
	}
}

// startFar is start for a node in another process.
func (d *dialling) startFar() {
	n := d.t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	once := n.path(d.t.ip, d.ip).now().Latency
	n.far.dialled++
	id := n.far.dialled
	virtual.As(0, func() { n.far.dials[id] = d })
	x := crossing{kind: farKnock, line: id, arg: uint64(once)}
	x.texts = [5][]byte{[]byte(d.t.ip), []byte(d.ip), []byte(d.port), []byte(d.want)}
	n.post(d.ip, time.Now().Add(once), d.lane, x)
}

// Answers to a knock.
const (
	answerRefused = iota
	answerReset
	answerOther // somebody else lives here
	answerYes
)

// knocked is the first packet of a node in another process, and then its handshake.
func (n *Network) knocked(x crossing, lane uint64) {
	from, ip, port, once := string(x.texts[0]), string(x.texts[1]), string(x.texts[2]), time.Duration(x.arg)
	n.mu.Lock()
	defer n.mu.Unlock()
	silent := func() bool {
		at := n.place(ip)
		return at.silent || at.shut || at.tenant == nil || n.path(from, ip).isCut()
	}
	answer := func(verdict uint64, l *listener) {
		y := crossing{kind: farAnswer, line: x.line, arg: verdict}
		if l != nil {
			key, _ := crypto.MarshalPublicKey(l.t.key)
			y.texts = [5][]byte{key, l.addr.Bytes()}
		}
		n.post(from, time.Now().Add(once), lane, y)
	}
	if silent() {
		return
	}
	if n.place(ip).listeners[port] == nil {
		answer(answerRefused, nil)
		return
	}
	n.agenda.at(time.Now().Add(time.Duration(2*n.config.Rounds-2)*once), lane, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		l := n.place(ip).listeners[port]
		switch {
		case silent():
		case l == nil:
			answer(answerReset, nil)
		case string(l.t.self) != string(x.texts[3]) && n.config.Links == Stream: // elsewhere the handshake finds out
			answer(answerOther, l)
		default:
			answer(answerYes, l)
		}
	})
}

// answered ends a dial to another process.
func (n *Network) answered(x crossing) {
	n.mu.Lock()
	d := n.far.dials[x.line]
	virtual.As(0, func() { delete(n.far.dials, x.line) })
	if d == nil || d.over || d.t.dead || n.path(d.t.ip, d.ip).isCut() {
		n.mu.Unlock()
		return
	}
	var ghost *simTransport
	var addr ma.Multiaddr
	if x.arg >= answerOther {
		var err error
		if ghost, err = n.ghostAt(d.ip, x.texts[0]); err == nil {
			addr, err = ma.NewMultiaddrBytes(x.texts[1])
		}
		if err != nil {
			n.mu.Unlock()
			d.finish(nil, err)
			return
		}
	}
	switch x.arg {
	case answerYes:
		id := n.number(d.t.ip, d.ip)
		line := n.tie(id, d.t, ghost, d.t.addr(id), addr)
		n.hold(line)
		n.mu.Unlock()
		if n.config.Links == Noise {
			if err := line.lay(); err != nil {
				d.finish(nil, err)
				return
			}
		}
		line.ends[0].out.send(frame{kind: frameHello}, time.Time{})
		d.finish(line.ends[0], nil)
		return
	case answerOther:
		n.mu.Unlock()
		d.finish(nil, sec.ErrPeerIDMismatch{Expected: d.want, Actual: ghost.self})
		return
	case answerReset:
		n.mu.Unlock()
		d.finish(nil, errReset)
		return
	}
	n.mu.Unlock()
	d.finish(nil, errRefused)
}

// hold keeps a line with a ghost, and has its real ends know their streams by number; the lock is held.
func (n *Network) hold(l *line) {
	virtual.As(0, func() { n.far.lines[l.id] = l })
	for _, c := range l.ends {
		if !c.t.ghost {
			c.byID = map[uint64]*stream{}
		}
	}
}

// hello is the end of a handshake at the node that was dialled.
func (n *Network) hello(x crossing) {
	n.mu.Lock()
	from, err := n.ghostAt(string(x.texts[0]), x.texts[2])
	local, err2 := ma.NewMultiaddrBytes(x.texts[3])
	remote, err3 := ma.NewMultiaddrBytes(x.texts[4])
	if errors.Join(err, err2, err3) != nil {
		n.mu.Unlock()
		return
	}
	port, _ := remote.ValueForProtocol(ma.P_TCP)
	l := n.place(string(x.texts[1])).listeners[port]
	if l == nil { // it closed meanwhile
		once := n.path(from.ip, string(x.texts[1])).now().Latency
		n.post(from.ip, time.Now().Add(once), 2*x.line+1, crossing{kind: frameUnknown, line: x.line, end: 1})
		n.mu.Unlock()
		return
	}
	line := n.tie(x.line, from, l.t, local, remote)
	n.hold(line)
	n.mu.Unlock()
	if n.config.Links == Noise {
		line.ends[1].layHere()
	}
	line.ends[0].out.arrive(frame{kind: frameHello, run: func() { l.take(line.ends[1]) }})
}

// ghostAt stands for a node in another process.
func (n *Network) ghostAt(ip string, key []byte) (*simTransport, error) {
	k, err := crypto.UnmarshalPublicKey(key)
	if err != nil {
		return nil, err
	}
	self, err := peer.IDFromPublicKey(k)
	if err != nil {
		return nil, err
	}
	return &simTransport{n: n, ip: ip, self: self, key: k, ghost: true, node: NodeOf(ip)}, nil
}
