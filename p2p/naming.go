package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/hum-presence/hum/p2p/wire"
)

// protoDHT is the protocol of the DHT (SPEC 7.5).
const protoDHT protocol.ID = dhtPrefix + "/kad/1.0.0"

const dhtPrefix protocol.ID = "/hum"

// A Naming judges what the DHT holds under A'_p, for this node as for every one that it passes it on to.
type Naming interface {
	// Valid says whether r may be believed and passed on.
	Valid(key PublicKey, r wire.Rec) error
	// Newest returns the index of the one that counts among several valid ones.
	Newest(recs []wire.Rec) int
}

// ErrNoDHT says that no DHT server is known, so that nothing can be looked up there.
var ErrNoDHT = errors.New("no DHT server is known")

const (
	namingQuorum  = 2                     // answers after the first that are compared with it
	namingLinger  = time.Minute           // how long a client's table is kept after its last use
	namingConnect = 8 * time.Second       // for the first server to answer
	namingGrace   = time.Second           // for the others, once one has
	namingTold    = 2 * time.Second       // for somebody who is connected to say that he is a server
	namingLook    = 20 * time.Millisecond // between two looks whether he has
	namingMax     = 32 << 10              // records that a server holds, of 1 KiB at most
	namingMemory  = 48 * time.Hour        // of a server, for a record that is not put again
	seedsKept     = 64                    // servers that are remembered
	namingRefresh = 10 * time.Minute      // of a server's table
)

// A naming is this node's part in the DHT: a server all the time if it is one, else a client for as long as something
// is looked up, so that a node that looks up nothing spends nothing.
type naming struct {
	n     *Net
	rules Naming

	mu     sync.Mutex
	seeds  map[peer.ID]peer.AddrInfo
	dht    *dht.IpfsDHT // nil while nothing needs it
	users  int
	ending *time.Timer
}

func newNaming(n *Net) (*naming, error) {
	x := &naming{n: n, rules: n.cfg.Naming, seeds: map[peer.ID]peer.AddrInfo{}}
	if x.rules == nil || !n.cfg.DHT {
		return x, nil
	}
	d, err := x.open(dht.Mode(dht.ModeServer), dht.RoutingTableRefreshPeriod(namingRefresh))
	x.dht = d
	return x, err
}

func (x *naming) open(more ...dht.Option) (*dht.IpfsDHT, error) {
	return dht.New(x.n.host, append(more, dht.ProtocolPrefix(dhtPrefix), dht.DisableProviders(), dht.Validator(validator{x.rules}),
		dht.Datastore(newHeap(namingMax)), dht.MaxRecordAge(namingMemory), dht.BootstrapPeersFunc(x.known))...)
}

func (x *naming) close() error {
	x.mu.Lock()
	d := x.dht
	x.dht = nil
	if x.ending != nil {
		x.ending.Stop()
	}
	x.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.Close()
}

// known are the servers to begin with.
func (x *naming) known() (out []peer.AddrInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.seeds {
		out = append(out, s)
	}
	return out
}

// MeetDHT tells where a DHT server is. It is dialled only if something is looked up, or if this node is one.
func (n *Net) MeetDHT(p PeerID, addrs [][]byte) {
	x, id := n.naming, p.id()
	if id.Validate() != nil || id == n.host.ID() || !n.hide.isOwn(id) || len(addrs) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.seeds[id]; !ok && len(x.seeds) >= seedsKept {
		for other := range x.seeds { // any
			delete(x.seeds, other)
			break
		}
	}
	x.seeds[id] = peer.AddrInfo{ID: id, Addrs: multiaddrs(addrs)}
}

// KnownDHT are servers to begin with after a restart, at most 64.
func (n *Net) KnownDHT() (out []string) {
	n.naming.learn()
	for _, s := range n.naming.known() {
		for _, a := range s.Addrs {
			out = append(out, DialText(PeerID(s.ID), a.Bytes()))
		}
	}
	return out
}

// DHTPeers is how many DHT servers this node's table holds now, or, if it has none, how many it knows.
func (n *Net) DHTPeers() int {
	x := n.naming
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dht != nil {
		return x.dht.RoutingTable().Size()
	}
	return len(x.seeds)
}

// FillDHT has a DHT server call those that it knows of and that its table lacks, and look around by them: when it
// started, they may not have been there. Of a node that is no server nothing is asked.
func (n *Net) FillDHT(ctx context.Context) {
	x := n.naming
	x.mu.Lock()
	d := x.dht
	x.mu.Unlock()
	if d == nil || !n.cfg.DHT {
		return
	}
	ctx, done := context.WithTimeout(network.WithDialPeerTimeout(ctx, namingConnect), namingConnect)
	defer done()
	var all sync.WaitGroup
	came := make(chan bool, seedsKept)
	for _, s := range x.known() {
		if d.RoutingTable().Find(s.ID) == "" {
			all.Go(func() { came <- n.host.Connect(ctx, s) == nil && x.told(ctx, d, s.ID) })
		}
	}
	all.Wait()
	close(came)
	for ok := range came {
		if ok {
			d.RefreshRoutingTable() // by itself, as long as it takes
			return
		}
	}
}

// learn remembers whom the table holds.
func (x *naming) learn() {
	x.mu.Lock()
	d := x.dht
	x.mu.Unlock()
	if d == nil {
		return
	}
	for _, id := range d.RoutingTable().ListPeers() {
		x.n.MeetDHT(PeerID(id), dialable(x.n.host.Peerstore().Addrs(id)))
	}
}

// take returns the DHT with somebody in its table, and how to give it back.
func (x *naming) take(ctx context.Context) (*dht.IpfsDHT, func(), error) {
	if x.rules == nil {
		return nil, nil, ErrNoDHT
	}
	x.mu.Lock()
	if x.dht == nil {
		d, err := x.open(dht.Mode(dht.ModeClient), dht.DisableAutoRefresh())
		if err != nil {
			x.mu.Unlock()
			return nil, nil, err
		}
		x.dht = d
	}
	x.users++
	d := x.dht
	x.mu.Unlock()
	if err := x.enter(ctx, d); err != nil {
		x.give()
		return nil, nil, err
	}
	return d, x.give, nil
}

// give lets a client go some time after its last use.
func (x *naming) give() {
	x.learn()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.users--; x.users > 0 || x.n.cfg.DHT {
		return
	}
	if x.ending != nil {
		x.ending.Stop()
	}
	x.ending = time.AfterFunc(namingLinger, func() {
		x.mu.Lock()
		d := x.dht
		if x.users > 0 || d == nil {
			x.mu.Unlock()
			return
		}
		x.dht = nil
		x.mu.Unlock()
		if err := d.Close(); err != nil {
			x.n.log.Debug("the DHT client did not end well", "err", err)
		}
	})
}

// enter sees to it that the table of d is not empty: whoever is connected and serves the DHT is in it, else those that
// are known are called, all at once.
func (x *naming) enter(ctx context.Context, d *dht.IpfsDHT) error {
	for _, p := range x.n.host.Network().Peers() {
		x.admit(d, p)
	}
	if d.RoutingTable().Size() > 0 {
		return nil
	}
	seeds := x.known()
	if len(seeds) == 0 {
		return ErrNoDHT
	}
	ctx, done := context.WithTimeout(network.WithDialPeerTimeout(ctx, namingConnect), namingConnect)
	came := make(chan bool, len(seeds))
	for _, s := range seeds {
		go func() { came <- x.n.host.Connect(ctx, s) == nil && x.told(ctx, d, s.ID) }()
	}
	entered := make(chan bool, 1) // whether anybody came, once enough did
	go func() {
		defer done()
		var late <-chan time.Time
		n := 0
		for left := len(seeds); left > 0; {
			select {
			case ok := <-came:
				left--
				if ok {
					n++
				}
				if ok && n == 1 { // one alone could lead astray
					late = time.After(namingGrace)
				}
			case <-late:
				entered <- true
			}
		}
		select {
		case entered <- n > 0:
		default: // it was said
		}
	}()
	if !<-entered {
		return fmt.Errorf("no DHT server answers: %w", ErrUnreachable)
	}
	return nil
}

// told admits a peer that is connected as soon as it has said that it serves the DHT, and waits a little for that: a host
// that has just started says first what it spoke a moment before, and the connection on which it was saying it may be
// closed as one too many.
func (x *naming) told(ctx context.Context, d *dht.IpfsDHT, p peer.ID) bool {
	ctx, done := context.WithTimeout(ctx, namingTold)
	defer done()
	look := time.NewTicker(namingLook)
	defer look.Stop()
	for !x.admit(d, p) {
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
	return true
}

// admit puts a connected peer into the table of d, if it serves the DHT.
func (x *naming) admit(d *dht.IpfsDHT, p peer.ID) bool {
	if ok, err := x.n.host.Peerstore().SupportsProtocols(p, protoDHT); err != nil || len(ok) == 0 {
		return false
	}
	_, err := d.RoutingTable().TryAddPeer(p, true, false)
	return err == nil
}

// FindNamed looks up the newest record of a blinded key in the DHT; asked is how many servers were. With all every
// server is asked that should have it, else the first few that have it are enough. Errors: [ErrNoDHT],
// [ErrUnreachable], [ErrNotFound].
func (n *Net) FindNamed(ctx context.Context, key PublicKey, all bool) (r wire.Rec, asked int, err error) {
	d, give, err := n.naming.take(ctx)
	if err != nil {
		return wire.Rec{}, 0, err
	}
	defer give()
	ctx, end := context.WithCancel(ctx)
	defer end()
	events, steps := routing.RegisterForQueryEvents(ctx)
	count := make(chan int, 1)
	go func() {
		asked := 0
		for e := range steps {
			if e.Type == routing.SendingQuery {
				asked++
			}
		}
		count <- asked
	}()
	quorum := namingQuorum
	if all {
		quorum = 0
	}
	value, err := d.GetValue(events, wire.RendezvousKey(key), dht.Quorum(quorum))
	cut := ctx.Err()
	end()
	asked = <-count
	switch {
	case err == nil:
		r, err = wire.ParseKept(wire.ContextDHT, value)
		return r, asked, err
	case errors.Is(err, routing.ErrNotFound):
		return wire.Rec{}, asked, fmt.Errorf("the DHT: %w", ErrNotFound)
	case cut != nil:
		return wire.Rec{}, asked, fmt.Errorf("the DHT: %w", ErrUnreachable)
	}
	return wire.Rec{}, asked, fmt.Errorf("the DHT: %w: %v", ErrUnreachable, err)
}

// PutNamed puts a record of a blinded key into the DHT. Errors: [ErrNoDHT], [ErrUnreachable], [ErrRefused] if the
// rules do.
func (n *Net) PutNamed(ctx context.Context, key PublicKey, r wire.Rec) error {
	d, give, err := n.naming.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	if err := n.naming.rules.Valid(key, r); err != nil {
		return fmt.Errorf("the DHT: %w: %v", ErrRefused, err)
	}
	if err := d.PutValue(ctx, wire.RendezvousKey(key), r.Raw); err != nil {
		return fmt.Errorf("the DHT: %w: %v", ErrUnreachable, err)
	}
	return nil
}

// validator says to the DHT what [Naming] says: only what is signed by its key is stored, passed on or believed.
type validator struct{ rules Naming }

func (v validator) Validate(key string, value []byte) error {
	k, ok := wire.ParseRendezvousKey(key)
	if !ok {
		return fmt.Errorf("the DHT: %w: no key of ours", wire.ErrMalformed)
	}
	r, err := wire.ParseKept(wire.ContextDHT, value)
	if err != nil {
		return err
	}
	return v.rules.Valid(k, r)
}

func (v validator) Select(_ string, values [][]byte) (int, error) {
	var recs []wire.Rec
	var at []int
	for i, b := range values {
		if r, err := wire.ParseKept(wire.ContextDHT, b); err == nil {
			recs, at = append(recs, r), append(at, i)
		}
	}
	if len(recs) == 0 {
		return 0, fmt.Errorf("the DHT: %w: none of them", wire.ErrMalformed)
	}
	return at[v.rules.Newest(recs)], nil
}
