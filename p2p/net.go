package p2p

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// Net is one node's place in the network. Its methods are safe for concurrent use. What is kept,
// served and followed may be said before Run; nothing is sent before.
type Net struct {
	cfg   Config
	log   *slog.Logger
	host  host.Host
	self  PeerID
	stats *counters
	ctx   context.Context // ends with Close
	end   context.CancelFunc
	ready chan struct{} // closed when Run has begun

	peers    *peers
	keeper   *keeper
	inbound  *inbound
	streams  *conduits
	gossip   *gossip
	door     *door
	follows  *follows
	custody  *custody // nil unless there is a Custodian
	circuits *circuits
	punch    *puncher
	naming   *naming
	hide     *hiding // nil without private mode

	pause atomic.Int64 // no Parcel is taken before this time, in ns since 1970; see Pause

	relocal chan struct{} // the machine has moved: look around again

	randMu sync.Mutex // guards cfg.Rand

	mu      sync.Mutex
	state   runState
	handler Handler
	run     context.Context // of Run
	wg      sync.WaitGroup  // everything that Run waits for
}

type runState uint8

const (
	opened runState = iota
	running
	stopped
)

// Open makes the host and binds its listeners. [ErrPortTaken] says that another port may do.
func Open(c Config) (*Net, error) {
	if c.Clock == nil || c.Rand == nil {
		return nil, errors.New("p2p: Clock and Rand are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.UserAgent == "" {
		c.UserAgent = "hum/1"
	}
	n := &Net{cfg: c, log: c.Log, stats: &counters{}, ready: make(chan struct{}), relocal: make(chan struct{}, 1)}
	n.ctx, n.end = context.WithCancel(context.Background())
	n.circuits = newCircuits(n)
	if c.Private {
		n.hide = newHiding()
		n.cfg.UserAgent, n.cfg.MDNS, n.cfg.DHT, n.cfg.Hub, n.cfg.Relay = "hum/1", false, false, false, false
	}
	n.punch = &puncher{log: c.Log}
	h, err := newHost(n.cfg, n.hide, n.told, n.punch, n.stats)
	if err != nil {
		n.end()
		return nil, err
	}
	n.host, n.self = h, PeerID(h.ID())
	if err := n.build(); err != nil {
		n.end()
		if n.naming != nil {
			err = errors.Join(err, n.naming.close())
		}
		return nil, errors.Join(err, n.punch.close(), h.Close())
	}
	return n, nil
}

// build makes the parts and only then lets anybody in.
func (n *Net) build() (err error) {
	n.peers = newPeers(n)
	n.keeper = newKeeper(n)
	n.inbound = newInbound(n)
	n.streams = newConduits(n)
	n.door = newDoor(n)
	n.follows = newFollows(n)
	n.custody = newCustody(n)
	if n.gossip, err = newGossip(n); err != nil {
		return err
	}
	if n.naming, err = newNaming(n); err != nil {
		return err
	}
	n.host.SetStreamHandler(protoParcel, func(s network.Stream) { n.accept(s, n.serveParcel) })
	n.host.SetStreamHandler(protoPresence, func(s network.Stream) { n.accept(s, n.servePresence) })
	if n.custody != nil {
		n.host.SetStreamHandler(protoMbox, func(s network.Stream) { n.accept(s, n.serveMbox) })
	}
	if n.cfg.Host == nil && n.hide == nil && !n.cfg.Mute {
		return n.listen()
	}
	return nil
}

// Run serves until ctx ends or the Net is closed, and once only. No goroutine that it started, and
// none that calls h, is left when it returns; the listeners stay bound until Close.
func (n *Net) Run(ctx context.Context, h Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	n.mu.Lock()
	if n.state != opened || n.ctx.Err() != nil {
		n.mu.Unlock()
		return ErrClosed
	}
	n.state, n.handler, n.run = running, h, ctx
	n.mu.Unlock()

	parts := []func(context.Context){n.peers.work, n.keeper.work, n.keeper.watchClock, n.keeper.watchPlace, n.lookAround,
		n.follows.work, n.circuits.work, n.janitor}
	if n.custody != nil {
		parts = append(parts, n.custody.work)
	}
	for _, part := range parts {
		n.spawn(part)
	}
	n.gossip.heard.wake(n.gossip.start)
	close(n.ready)
	<-ctx.Done()

	n.mu.Lock()
	n.state = stopped
	n.mu.Unlock()
	n.wg.Wait()
	return context.Cause(ctx)
}

// Ready is closed once Run serves.
func (n *Net) Ready() <-chan struct{} { return n.ready }

// Close releases the listeners and every connection, and ends Run.
func (n *Net) Close() error {
	n.end()
	n.mu.Lock()
	if n.state == opened {
		n.state = stopped
	}
	n.mu.Unlock()
	n.wg.Wait()
	return errors.Join(n.naming.close(), n.punch.close(), n.host.Close())
}

// spawn starts f as a part of Run; false, and nothing is started, before and after Run.
func (n *Net) spawn(f func(context.Context)) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != running {
		return false
	}
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		f(n.run)
	}()
	return true
}

// up returns the handler while Run runs.
func (n *Net) up() (Handler, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.handler, n.state == running
}

func (n *Net) now() identity.Now { return n.cfg.Clock() }

// jitter returns d ± part of it.
func (n *Net) jitter(d time.Duration, part float64) time.Duration {
	var b [8]byte
	if n.random(b[:]) != nil {
		return d
	}
	x := float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53) // 0 ≤ x < 1
	return d + time.Duration((2*x-1)*part*float64(d))
}

// janitor drops what has run out: idle streams, forgotten strangers, ended epochs, of which none lasts less than some minutes;
// and more often it looks after circuits.
func (n *Net) janitor(ctx context.Context) {
	rounds := 0
	every(ctx, 10*time.Second, func() {
		n.closeSpare()
		n.punch.again(n)
		if rounds++; rounds%3 != 0 {
			return
		}
		n.streams.sweep()
		n.inbound.sweep()
		n.gossip.sweep()
		n.custody.sweepUpstream()
	})
}

// Self returns the peer id of T.
func (n *Net) Self() PeerID { return n.self }

// Addrs returns binary multiaddrs that others can dial, at most 8: direct ones, the most public first, then those that
// lead through relays.
func (n *Net) Addrs() [][]byte {
	through := n.circuits.addrs()
	if n.hide != nil {
		return through
	}
	direct := dialable(n.host.Addrs())
	return append(direct[:min(len(direct), maxAddrs-len(through))], through...)
}

// told are the addresses that a node in private mode tells its peers.
func (n *Net) told() []ma.Multiaddr { return multiaddrs(n.circuits.addrs()) }

// Listening returns the addresses that are bound, as text that ParseDial reads.
func (n *Net) Listening() []string {
	var out []string
	for _, a := range n.host.Network().ListenAddresses() {
		if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil {
			continue // the relay client listens only when there is a relay
		}
		out = append(out, DialText(n.self, a.Bytes()))
	}
	slices.Sort(out)
	return out
}

// Stats returns the counters since Open.
func (n *Net) Stats() Stats {
	return Stats{
		Peers:    len(n.host.Network().Peers()),
		Topics:   n.gossip.count(),
		BytesIn:  n.stats.in.Load(),
		BytesOut: n.stats.out.Load(),
		Spent:    n.stats.traffic(),
		Refused:  n.stats.refusals(),
		Relayed:  n.stats.relay.counts(),
	}
}
