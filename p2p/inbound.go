package p2p

import (
	"context"
	"sync"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	parallelParcels = 64       // HandleParcel at once for one contact, so that commits can be grouped
	strangerQueue   = 256      // Parcels of all strangers together
	strangerShare   = 64       // of them from one peer
	queuedBytes     = 64 << 20 // Parcels of everybody
	ackQueue        = 1024     // AckBoxes of one contact; a quarter of it for a stranger
	parallelAcks    = 16
	ackRate         = 50 // a second, from one stranger
)

// inbound holds what peers have sent and nobody has taken yet, and the rates of SPEC 3.9. All of it
// comes before any public-key operation.
type inbound struct {
	n *Net

	mu        sync.Mutex
	peers     map[PeerID]*inPeer
	strangers []job
	turn      bool   // somebody takes what strangers sent
	sessions  bucket // that strangers open
	bytes     int
}

type inPeer struct {
	streams   map[protocol.ID][]*inStream // newest last
	parcels   lane
	acks      lane
	strange   int // own Parcels among the strangers'
	parcel    bucket
	ack       bucket
	records   bucket
	presence  bucket
	mbox      bucket
	lastLimit time.Duration // when a bucket was last used
}

// A lane is a queue with workers that come when there is work and go when there is none.
type lane struct {
	queue   []job
	running int
}

type job struct {
	from   PeerID
	parcel *wire.Parcel
	in     *wire.Session // that parcel is wrapped by; nil if by a prekey
	ack    *wire.AckBox
	size   int
}

func newInbound(n *Net) *inbound {
	return &inbound{n: n, peers: map[PeerID]*inPeer{}}
}

// peer returns the state of p; in.mu is held.
func (in *inbound) peer(p PeerID) *inPeer {
	x := in.peers[p]
	if x == nil {
		x = &inPeer{streams: map[protocol.ID][]*inStream{}}
		in.peers[p] = x
	}
	return x
}

// enter counts a stream, and refuses the fifth of one peer and protocol.
func (in *inbound) enter(st *inStream) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	x := in.peer(st.peer)
	if len(x.streams[st.proto]) >= streamsPerPeer {
		return false
	}
	x.streams[st.proto] = append(x.streams[st.proto], st)
	return true
}

func (in *inbound) leave(st *inStream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	x := in.peer(st.peer)
	for i, s := range x.streams[st.proto] {
		if s == st {
			x.streams[st.proto] = append(x.streams[st.proto][:i:i], x.streams[st.proto][i+1:]...)
			break
		}
	}
}

// newest returns the stream that p opened to us last, a direct one if there is any.
func (in *inbound) newest(p PeerID, proto protocol.ID) (st *inStream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if x := in.peers[p]; x != nil {
		for _, s := range x.streams[proto] {
			if st == nil || st.s.Conn().Stat().Limited || !s.s.Conn().Stat().Limited {
				st = s
			}
		}
	}
	return st
}

// sweep forgets peers that have no stream and whose buckets are full again.
func (in *inbound) sweep() {
	now := in.n.now().Mono
	in.mu.Lock()
	defer in.mu.Unlock()
	for p, x := range in.peers {
		busy := x.parcels.running + x.acks.running + x.strange
		for _, sts := range x.streams {
			busy += len(sts)
		}
		if busy == 0 && now-x.lastLimit > time.Minute {
			delete(in.peers, p)
		}
	}
}

// allow takes a token of one of p's buckets, which holds depth and refills at perSecond.
func (in *inbound) allow(p PeerID, which func(*inPeer) *bucket, depth, perSecond float64) bool {
	now := in.n.now().Mono
	in.mu.Lock()
	defer in.mu.Unlock()
	x := in.peer(p)
	x.lastLimit = now
	return which(x).take(now, depth, perSecond)
}

func (in *inbound) allowParcel(p PeerID) bool {
	return in.allow(p, func(x *inPeer) *bucket { return &x.parcel }, wire.StrangerBurst, wire.StrangerParcels)
}

func (in *inbound) allowRecords(p PeerID) bool {
	return in.allow(p, func(x *inPeer) *bucket { return &x.records }, wire.RecordsPerMinute, wire.RecordsPerMinute/60.0)
}

func (in *inbound) allowPresence(p PeerID) bool {
	return in.allow(p, func(x *inPeer) *bucket { return &x.presence }, wire.PresencePerMinute, wire.PresencePerMinute/60.0)
}

// allowSession takes a token of the peer's, and one of all strangers'.
func (in *inbound) allowSession(p PeerID) bool {
	if !in.allowParcel(p) {
		return false
	}
	now := in.n.now().Mono
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.sessions.take(now, strangerSessions, sessionsPerS)
}

func (in *inbound) allowAck(p PeerID) bool {
	return in.allow(p, func(x *inPeer) *bucket { return &x.ack }, 2*ackRate, ackRate)
}

// parcel queues a Parcel; false if there is no room for it.
func (in *inbound) parcel(from PeerID, contact bool, p wire.Parcel, session *wire.Session, size int) bool {
	j := job{from: from, parcel: &p, in: session, size: size}
	in.mu.Lock()
	defer in.mu.Unlock()
	x := in.peer(from)
	if in.bytes+size > queuedBytes {
		return false
	}
	if contact {
		if len(x.parcels.queue) >= wire.QueueParcels {
			return false
		}
		in.bytes += size
		in.feed(&x.parcels, j, parallelParcels)
		return true
	}
	if len(in.strangers) >= strangerQueue || x.strange >= strangerShare {
		return false
	}
	in.bytes += size
	x.strange++
	in.strangers = append(in.strangers, j)
	in.turn = in.turn || in.n.spawn(in.work)
	return true
}

// ack queues an AckBox; false if there is no room for it.
func (in *inbound) ack(from PeerID, contact bool, b wire.AckBox) bool {
	limit := ackQueue
	if !contact {
		limit /= 4
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	x := in.peer(from)
	if len(x.acks.queue) >= limit {
		return false
	}
	in.feed(&x.acks, job{from: from, ack: &b}, parallelAcks)
	return true
}

// feed puts j into l and starts a worker if fewer than parallel run; in.mu is held.
func (in *inbound) feed(l *lane, j job, parallel int) {
	l.queue = append(l.queue, j)
	if l.running < parallel && in.n.spawn(func(ctx context.Context) { in.drain(ctx, l) }) {
		l.running++
	}
}

func (in *inbound) drain(ctx context.Context, l *lane) {
	for {
		in.mu.Lock()
		if len(l.queue) == 0 || ctx.Err() != nil {
			l.running--
			l.queue = nil
			in.mu.Unlock()
			return
		}
		j := l.queue[0]
		l.queue = l.queue[1:]
		in.bytes -= j.size
		in.mu.Unlock()
		in.handle(ctx, j)
	}
}

func (in *inbound) handle(ctx context.Context, j job) {
	h, ok := in.n.up()
	switch {
	case !ok:
	case j.parcel != nil:
		h.HandleParcel(ctx, j.from, *j.parcel, j.in)
	default:
		h.HandleAckBox(ctx, j.from, *j.ack)
	}
}

// work takes the Parcels of strangers that wait one by one and rests after each as long as it took: they may
// have half of one core (SPEC 3.9).
func (in *inbound) work(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for j, ok := in.stranger(); ok && ctx.Err() == nil; j, ok = in.stranger() {
		begun := in.n.now().Mono
		in.handle(ctx, j)
		rest.Reset(in.n.now().Mono - begun)
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
	}
}

func (in *inbound) stranger() (job, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.strangers) == 0 {
		in.strangers, in.turn = nil, false
		return job{}, false
	}
	j := in.strangers[0]
	in.strangers = in.strangers[1:]
	in.bytes -= j.size
	in.peer(j.from).strange--
	return j, true
}
