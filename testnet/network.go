package testnet

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	quicgo "github.com/quic-go/quic-go"

	"github.com/hum-presence/hum/testnet/virtual"
)

// Port is the port on which every simulated node listens.
const Port = 4866

// Fidelity is what the links of a network are made of.
type Fidelity string

// What there is. Latency, rates, partitions, NAT and death are the same on all.
const (
	Stream Fidelity = "stream" // muxed streams in memory: what is sent arrives, and loss costs time
	Noise  Fidelity = "noise"  // bytes in order, as on TCP, below the real noise and yamux
	QUIC   Fidelity = "quic"   // packets that may be lost and overtake each other, below the real quic-go
)

// A Link says how frames travel between two nodes, alike in both directions.
type Link struct {
	Latency time.Duration // one way
	Jitter  time.Duration // a frame takes up to this much longer
	Loss    float64       // probability that a segment of 1400 bytes is lost and sent again; on QUIC links, that a packet is lost
}

// Config says what a Network is like. A zero field takes the default named beside it.
type Config struct {
	Seed     uint64
	Link     Link          // of every pair that is not set otherwise; 20 ms, no jitter, no loss
	Links    Fidelity      // Stream
	Rounds   int           // round trips that a dial takes; 3, as TCP, noise and the muxer need. Of Noise links it is those of TCP alone; 1
	Patience time.Duration // how long a connection stands whose other end is silent; 40 s
	ByPair   bool          // number connections pair by pair, so that one pair's luck is the same whoever else connects
	Far      *Far          // nodes that run in other processes; none. It needs ByPair

	Between func(a, b string) Link // of a pair that is not set otherwise; nil: Link of all. It must always say the same.
	Quantum time.Duration          // frames arrive at multiples of it; 0: at any instant
	Charge  Charge                 // what a node takes for what it obtains; nothing
}

// A Charge is virtual time that a node's one processor takes for each frame that it obtains. Frames wait for it in
// turn. Without it processors are infinitely fast.
type Charge struct{ Frame, Kilobyte time.Duration }

// Network is the simulated network. All its methods may be called at any time, from any goroutine.
type Network struct {
	config Config
	agenda agenda

	mu     sync.Mutex
	places map[string]*place
	paths  map[[2]string]*path
	lines  uint64 // connections made so far
	byPair map[[2]string]uint64
	far    farLines
}

// A place is where one node lives: an IP address.
type place struct {
	ip        string
	tenant    *simTransport        // the last host that was started here
	listeners map[string]*listener // by port
	sockets   map[int]*socket      // of UDP, by port
	silent    bool                 // nobody answers, not even to refuse
	shut      bool                 // behind a NAT: dials out, cannot be dialled
	up, down  pipe
	own       Link      // what its own line adds to every path
	side      int       // see Part
	asleep    bool      // nothing passes
	busy      time.Time // its processor is, until then
	sent      uint64    // bytes handed to the network
	capture   []func(Chunk)
	tamper    []func(Chunk)
	snap      func(Chunk) int
}

// A pipe is one direction of a node's line to the world.
type pipe struct {
	rate int // bytes per second; 0 has no limit
	free time.Time
}

// A path is what lies between two places.
type path struct {
	link  Link
	ends  [2]*place
	cut   uint64 // odd while cut; every cut and every join counts one up
	apart bool   // cut since its ends are on different sides, or one sleeps
	lines map[*line]struct{}
	moved map[[2]string]*Traffic
}

// Traffic counts what went one way between two nodes, without any framing.
type Traffic struct {
	Frames, Bytes uint64 // handed to the network
	Heard         uint64 // bytes that arrived
}

// A Chunk is a run of bytes as a node obtained it from the network.
type Chunk struct {
	At           time.Time
	From, To     string // IP addresses
	Line, Stream uint64 // number of the connection in the network, and of the stream in it
	Data         []byte // not to be changed
}

// New makes a network without nodes.
func New(c Config) *Network {
	if c.Link == (Link{}) {
		c.Link.Latency = 20 * time.Millisecond
	}
	if c.Links == "" {
		c.Links = Stream
	}
	if c.Rounds == 0 && c.Links == Noise {
		c.Rounds = 1
	}
	if c.Rounds == 0 {
		c.Rounds = 3
	}
	if c.Patience == 0 {
		c.Patience = 40 * time.Second
	}
	return &Network{config: c, places: map[string]*place{}, paths: map[[2]string]*path{}, byPair: map[[2]string]uint64{},
		far: farLines{dials: map[uint64]*dialling{}, lines: map[uint64]*line{}}}
}

// Host returns the options that put a libp2p host at an IPv4 address of this network: its transport and
// where to listen. A host started at an address again takes the place of the one that was there.
func (n *Network) Host(ip string) []libp2p.Option {
	switch n.config.Links {
	case QUIC:
		return n.quicAt(ip)
	case Noise:
		return []libp2p.Option{libp2p.Transport(n.cableAt(ip)), libp2p.Security(noise.ID, noise.New), libp2p.ListenAddrs(Addr(ip)), noSockets}
	}
	return []libp2p.Option{
		libp2p.Transport(n.transportAt(ip)),
		libp2p.ListenAddrs(Addr(ip)),
		noSockets,
	}
}

// noSockets has a host without QUIC not look after the sockets of QUIC, which libp2p does on every host with two goroutines.
var noSockets = libp2p.QUICReuse(func(reset quicgo.StatelessResetKey, token quicgo.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
	return quicreuse.NewConnManager(reset, token, quicreuse.DisableReuseport())
})

// Addr returns the multiaddr of the node at an IPv4 address; it panics if ip is none.
func Addr(ip string) ma.Multiaddr {
	return addrOf(ip, fmt.Sprint(Port))
}

// Set changes the link between two nodes for frames sent from now on.
func (n *Network) Set(a, b string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path(a, b).link = l
}

// Limit gives a node's line a rate in bytes per second, up and down; 0 has no limit.
func (n *Network) Limit(ip string, up, down int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.place(ip)
	p.up.rate, p.down.rate = up, down
}

// Shut says whether a node can be dialled; its own dials and its connections are not touched.
func (n *Network) Shut(ip string, shut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.place(ip).shut = shut
}

// Capture has f called with all bytes that a node obtains from now on. f must not call the network.
func (n *Network) Capture(ip string, f func(Chunk)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.place(ip)
	p.capture = append(p.capture, f)
}

// Traffic returns what went from one node to another so far.
func (n *Network) Traffic(from, to string) Traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	return *n.path(from, to).traffic(from, to)
}

// Sent is how many bytes left an address so far, whatever became of them: what streams carry, and on Noise and QUIC links
// also what handshakes, encryption and framing add, on QUIC links with the headers of UDP and IP.
func (n *Network) Sent(ip string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.place(ip).sent
}

// Each calls f with what went from each node to each other so far, in any order. f must not call the network.
func (n *Network) Each(f func(from, to string, t Traffic)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.paths {
		for ends, t := range p.moved {
			f(ends[0], ends[1], *t)
		}
	}
}

// Lines returns how many connections stand between two nodes, counting those that one side has not yet
// given up.
func (n *Network) Lines(a, b string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.path(a, b).lines)
}

// Tamper has f called with all bytes that a node is about to obtain from now on, before they are captured:
// what f writes over them is what arrives, as if the transport authenticated nothing. f must not call the
// network.
func (n *Network) Tamper(ip string, f func(Chunk)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.place(ip)
	p.tamper = append(p.tamper, f)
}

// Snap has f asked how many of the bytes that a node is about to obtain still arrive: with less than all of
// them the stream that they are on is reset at both ends as soon as those were there to be read. f must not
// call the network.
func (n *Network) Snap(ip string, f func(Chunk) int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.place(ip).snap = f
}

func (n *Network) place(ip string) *place {
	p := n.places[ip]
	if p == nil {
		virtual.As(0, func() {
			p = &place{ip: ip, listeners: map[string]*listener{}, sockets: map[int]*socket{}}
			n.places[ip] = p
		})
	}
	return p
}

func (n *Network) path(a, b string) *path {
	key := [2]string{min(a, b), max(a, b)}
	p := n.paths[key]
	if p == nil {
		p = &path{link: n.config.Link, ends: [2]*place{n.place(key[0]), n.place(key[1])}, lines: map[*line]struct{}{}, moved: map[[2]string]*Traffic{}}
		if n.config.Between != nil {
			p.link = n.config.Between(key[0], key[1])
		}
		n.paths[key] = p
		n.align(p)
	}
	return p
}

func (p *path) isCut() bool { return p.cut%2 == 1 }

func (p *path) traffic(from, to string) *Traffic {
	t := p.moved[[2]string{from, to}]
	if t == nil {
		t = &Traffic{}
		virtual.As(0, func() { p.moved[[2]string{from, to}] = t })
	}
	return t
}

// Cut parts two nodes: what is under way or sent meanwhile waits, nobody is told, dials get no answer,
// and connections die one by one, each end for itself, once they were silent for Patience. An end that
// outlives the cut, but not its other end, dies at that time all the same: whoever asks there whether the
// connection stands is told that it does not.
func (n *Network) Cut(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.part(n.path(a, b))
}

// part is Cut; the lock is held.
func (n *Network) part(p *path) {
	if p.isCut() {
		return
	}
	p.cut++
	for l := range p.lines {
		now := p.cut
		n.doubt(l.ends[0], func() bool { return p.cut == now })
		n.doubt(l.ends[1], func() bool { return p.cut == now })
	}
}

// doubt ends a connection at one end after Patience and up to a quarter more, if still is true then, or if
// the other end has given up; the lock is held, then as now.
func (n *Network) doubt(c *conn, still func() bool) {
	if c.t.ghost {
		return // its own process doubts
	}
	wait := n.config.Patience
	wait += time.Duration(float64(wait/4) * n.draw(c.out.id, 0, c.line.id, saltDoubt))
	n.agenda.at(time.Now().Add(wait), c.out.id, func() {
		n.mu.Lock()
		stuck := still()
		n.mu.Unlock()
		if stuck || c.peer.gaveUp() {
			c.end(&network.ConnError{TransportError: errSilent})
		}
	})
}

// Break is Cut for a path that is seen to go: every connection between the two is reset at once, at both
// ends. Join ends it.
func (n *Network) Break(a, b string) {
	n.Cut(a, b)
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.path(a, b).lines {
		l.severed = true
		for _, c := range l.ends {
			n.agenda.at(time.Now(), c.out.id, func() { c.end(&network.ConnError{TransportError: errReset}) })
		}
	}
}

// Join ends a cut: what waited arrives, one retransmission later, in its order.
func (n *Network) Join(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.join(n.path(a, b))
}

// join is Join; the lock is held.
func (n *Network) join(p *path) {
	if !p.isCut() {
		return
	}
	p.cut++
	for l := range p.lines {
		l.ends[0].out.release()
		l.ends[1].out.release()
	}
}

// Part puts nodes on sides, 0 for those that are not named: between two sides everything is cut as by Cut. A later
// Part takes the place of this one, so that Part(nil) ends it. What was cut by Cut is not to be on different sides too.
func (n *Network) Part(sides map[string]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ip := range sides {
		n.place(ip)
	}
	for ip, p := range n.places {
		p.side = sides[ip]
	}
	for _, p := range n.paths {
		n.align(p)
	}
}

// Sleep has nothing pass to or from a node, as when its machine sleeps, until it is woken. Its process goes on: what it
// says meanwhile waits, and it hears nothing.
func (n *Network) Sleep(ip string, asleep bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.place(ip)
	at.asleep = asleep
	for _, p := range n.paths {
		if p.ends[0] == at || p.ends[1] == at {
			n.align(p)
		}
	}
}

// align cuts or joins a path as its ends stand to each other; the lock is held.
func (n *Network) align(p *path) {
	a, b := p.ends[0], p.ends[1]
	apart := a.side != b.side || a.asleep || b.asleep
	switch {
	case apart && !p.apart:
		n.part(p)
	case !apart && p.apart:
		n.join(p)
	}
	p.apart = apart
}

// Reaches reports whether anything passes between two nodes now.
func (n *Network) Reaches(a, b string) (does bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	virtual.As(0, func() { does = !n.path(a, b).isCut() })
	return does
}

// Line sets what a node's own line adds to each path from and to it.
func (n *Network) Line(ip string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.place(ip).own = l
}

// now is what the link is with what the lines of its ends add.
func (p *path) now() Link {
	l, a, b := p.link, p.ends[0].own, p.ends[1].own
	l.Latency += a.Latency + b.Latency
	l.Jitter += a.Jitter + b.Jitter
	if a.Loss+b.Loss > 0 {
		l.Loss = 1 - (1-l.Loss)*(1-a.Loss)*(1-b.Loss)
	}
	return l
}

// A Death is how a node goes when it is killed.
type Death uint8

const (
	Crash    Death = iota // the process dies: its system resets connections and refuses dials
	Blackout              // the machine dies: connections and dials meet silence
)

// Kill takes a node off the network in this instant. Not one byte of it leaves any more, whatever its
// goroutines still try, and none reaches it. Its host is then closed by whoever made it; a new one may be
// started at the same address at any time.
func (n *Network) Kill(ip string, d Death) {
	virtual.As(0, func() { n.kill(ip, d) }) // how many others there are is no part of the node's life
}

func (n *Network) kill(ip string, d Death) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.place(ip)
	at.silent = d == Blackout
	clear(at.listeners)
	for _, s := range at.sockets {
		s.dead = true
	}
	clear(at.sockets)
	if at.tenant != nil {
		at.tenant.dead = true
	}
	for _, p := range n.paths {
		for l := range p.lines {
			if l.ends[0].t.ip == ip {
				n.bury(l, 0, d)
			} else if l.ends[1].t.ip == ip {
				n.bury(l, 1, d)
			}
		}
	}
}

// bury severs a line one of whose ends is dead; the lock is held.
func (n *Network) bury(l *line, dead int, d Death) {
	widow := l.ends[1-dead]
	if d == Crash && !l.severed && !l.path.isCut() {
		n.agenda.at(time.Now().Add(l.path.now().Latency), widow.out.id, func() {
			widow.end(&network.ConnError{Remote: true, TransportError: errReset})
		})
	} else {
		n.doubt(widow, func() bool { return true })
	}
	l.severed = true
}

// What draws are for; different ones must not agree.
const (
	saltJitter = iota + 1
	saltLoss
	saltDoubt
	saltJoin
)

// draw returns a number in [0,1) that depends on its arguments and the seed alone.
func (n *Network) draw(lane, stream, frame, salt uint64) float64 {
	h := n.config.Seed
	for _, x := range [...]uint64{lane, stream, frame, salt} {
		h = mix(h ^ mix(x+0x9e3779b97f4a7c15))
	}
	return float64(h>>11) / (1 << 53)
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// segment is how many bytes share one fate.
const segment = 1400

// retransmission returns how much later a frame of size bytes comes because segments of it were lost.
func (l Link) retransmission(size int, luck float64) time.Duration {
	if l.Loss <= 0 {
		return 0
	}
	var late time.Duration
	rto := l.rto()
	chance := 1 - math.Pow(1-l.Loss, float64(1+size/segment))
	for range 6 {
		if luck >= chance {
			return late
		}
		late, rto = late+rto, 2*rto
		luck, chance = luck/chance, l.Loss
	}
	return late
}

// rto is the time after which TCP sends a segment again.
func (l Link) rto() time.Duration { return 200*time.Millisecond + 2*l.Latency }

// pass returns when the last of size bytes that are ready at t has left the pipe.
func (p *pipe) pass(t time.Time, size int) time.Time {
	if p.rate == 0 {
		return t
	}
	if p.free.After(t) {
		t = p.free
	}
	p.free = t.Add(time.Duration(size) * time.Second / time.Duration(p.rate))
	return p.free
}

// waits says how long what is ready at t waits before it enters the pipe.
func (p *pipe) waits(t time.Time) time.Duration {
	if p.rate == 0 {
		return 0
	}
	return p.free.Sub(t)
}

// work returns when a node's processor has dealt with size bytes that arrive at t.
func (c Charge) work(t time.Time, p *place, size int) time.Time {
	if c == (Charge{}) {
		return t
	}
	if p.busy.After(t) {
		t = p.busy
	}
	p.busy = t.Add(c.Frame + time.Duration(float64(c.Kilobyte)*float64(size)/1000))
	return p.busy
}

// grid rounds t up to a multiple of q.
func grid(t time.Time, q time.Duration) time.Time {
	if q <= 0 {
		return t
	}
	if r := time.Duration(t.UnixNano() % int64(q)); r > 0 {
		return t.Add(q - r)
	}
	return t
}
