package testnet

import (
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/hum-presence/hum/testnet/virtual"
)

var (
	errSilent  = errors.New("no answer for too long")
	errReset   = errors.New("connection reset by peer")
	errRefused = errors.New("connection refused")
)

// A line is one connection: two ends and a lane each way.
type line struct {
	id      uint64
	path    *path
	ends    [2]*conn // who dialled, who was dialled
	severed bool     // one of the ends is dead: nothing passes
}

// A lane is one direction of a line.
type lane struct {
	id       uint64
	n        *Network
	line     *line
	from, to *conn
	last     time.Time // nothing that closes the connection may arrive sooner
	opened   time.Time // the end of the handshake, before which nothing arrives
	landed   time.Time // nothing lands sooner
	landing  int       // frames that wait for the receiving node's line or processor: what lands next comes after them
	held     []frame   // what a cut keeps back, in order
}

// A frame is what travels as one.
type frame struct {
	stream, seq uint64
	data        []byte         // nil if it carries none
	run         func()         // what its arrival does
	snap        func(keep int) // what it does if only so many bytes of it arrive
	kind        frameKind      // what run is, in a word and a number, for another process
	arg         uint64
}

// send lets a frame travel; it arrives no sooner than floor. It returns when that will be, if no cut
// comes between.
func (l *lane) send(f frame, floor time.Time) time.Time {
	n := l.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := l.line.path.traffic(l.from.t.ip, l.to.t.ip); f.data != nil {
		t.Frames++
		t.Bytes += uint64(len(f.data))
		n.place(l.from.t.ip).sent += uint64(len(f.data))
	}
	at := l.arrival(f)
	if at.Before(floor) {
		at = floor
	}
	if f.kind == frameHello {
		l.opened = at
	} else if at.Before(l.opened) {
		at = l.opened
	}
	if at.After(l.last) {
		l.last = at
	}
	if l.to.t.ghost {
		n.cross(l, f, at)
	} else {
		n.agenda.at(at, l.id, func() { l.land(f) })
	}
	return at
}

// land is a frame's arrival at the line of the receiving node, which may be thin, and at its processor, which may be busy.
func (l *lane) land(f frame) {
	n := l.n
	n.mu.Lock()
	to, now := n.place(l.to.t.ip), time.Now()
	t := to.down.pass(now, len(f.data))
	if f.data != nil {
		t = n.config.Charge.work(t, to, len(f.data))
	}
	if t.Before(l.landed) {
		t = l.landed
	}
	if t = grid(t, n.config.Quantum); !t.After(now) && l.landing == 0 {
		n.mu.Unlock()
		l.arrive(f)
		return
	}
	l.landed = t
	l.landing++
	n.mu.Unlock()
	n.agenda.at(t, l.id, func() {
		n.mu.Lock()
		l.landing--
		n.mu.Unlock()
		l.arrive(f)
	})
}

// arrival says when a frame sent now is there; the lock is held.
func (l *lane) arrival(f frame) time.Time {
	n, link := l.n, l.line.path.now()
	t := n.place(l.from.t.ip).up.pass(time.Now(), len(f.data))
	t = t.Add(link.Latency)
	if link.Jitter > 0 {
		t = t.Add(time.Duration(float64(link.Jitter) * n.draw(l.id, f.stream, f.seq, saltJitter)))
	}
	t = t.Add(link.retransmission(len(f.data), n.draw(l.id, f.stream, f.seq, saltLoss)))
	return grid(t, n.config.Quantum)
}

func (l *lane) arrive(f frame) {
	n := l.n
	n.mu.Lock()
	switch {
	case l.line.severed:
		n.mu.Unlock()
		return
	case l.line.path.isCut() || len(l.held) > 0: // what was held goes first
		l.held = append(l.held, f)
		n.mu.Unlock()
		return
	}
	keep := len(f.data)
	if snap := n.place(l.to.t.ip).snap; snap != nil && f.snap != nil {
		keep = snap(Chunk{time.Now(), l.from.t.ip, l.to.t.ip, l.line.id, f.stream, f.data})
	}
	if keep < len(f.data) {
		n.mu.Unlock()
		f.snap(keep)
		return
	}
	l.heard(f)
	n.mu.Unlock()
	l.to.t.as(f.run)
}

// heard counts and shows what the receiving node obtains; the lock is held.
func (l *lane) heard(f frame) {
	if f.data == nil {
		return
	}
	from, to := l.from.t.ip, l.to.t.ip
	l.line.path.traffic(from, to).Heard += uint64(len(f.data))
	if l.to.IsClosed() {
		return // it reaches a machine where nobody reads it any more
	}
	for _, tamper := range l.n.place(to).tamper {
		tamper(Chunk{time.Now(), from, to, l.line.id, f.stream, f.data})
	}
	for _, capture := range l.n.place(to).capture {
		capture(Chunk{time.Now(), from, to, l.line.id, f.stream, f.data})
	}
}

// release lets what a cut kept back arrive together, in its order; the lock is held. The sender tried
// again and again meanwhile, with pauses of at most some seconds.
func (l *lane) release() {
	n, link, cut := l.n, l.line.path.now(), l.line.path.cut
	now := time.Now() // and not how often it was cut: a path begins with its first use, which another process may not see
	at := now.Add(link.Latency + time.Duration(float64(link.rto())*(1+n.draw(l.id, 0, uint64(now.UnixNano()), saltJoin))))
	if at.After(l.last) {
		l.last = at
	}
	n.agenda.at(at, l.id, func() {
		n.mu.Lock()
		if l.line.path.cut != cut || l.line.severed { // cut again: they stay held
			n.mu.Unlock()
			return
		}
		held := l.held
		l.held = nil
		for _, f := range held {
			l.heard(f)
		}
		n.mu.Unlock()
		for _, f := range held {
			l.to.t.as(f.run)
		}
	})
}

// forget drops a line once both its ends are done with it.
func (n *Network) forget(l *line) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.severed || (l.ends[0].gone() && l.ends[1].gone()) {
		virtual.As(0, func() { delete(l.path.lines, l) })
	}
}

// connect makes a line between two transports; the lock is held. The end that was dialled is given to its
// listener by the caller.
func (n *Network) connect(from *simTransport, to *listener) *line {
	id := n.number(from.ip, to.t.ip)
	return n.tie(id, from, to.t, from.addr(id), to.addr)
}

// tie makes a line with its number and the addresses of its ends; the lock is held.
func (n *Network) tie(id uint64, from, to *simTransport, fromAddr, toAddr ma.Multiaddr) *line {
	l := &line{id: id, path: n.path(from.ip, to.ip)}
	l.ends[0] = newConn(from, network.DirOutbound, fromAddr, toAddr)
	l.ends[1] = newConn(to, network.DirInbound, toAddr, fromAddr)
	for i, c := range l.ends {
		c.line, c.peer = l, l.ends[1-i]
		c.out = &lane{id: 2*l.id + uint64(i), n: n, line: l, from: c, to: c.peer}
	}
	virtual.As(0, func() { l.path.lines[l] = struct{}{} })
	return l
}
