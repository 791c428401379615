package p2p

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// The protocol ids of SPEC 3.6.
const (
	protoParcel   protocol.ID = "/hum/parcel/1"
	protoPresence protocol.ID = "/hum/presence/1"
)

const (
	dialTimeout    = 10 * time.Second
	streamsPerPeer = 4 // of one protocol, over all connections (SPEC 3.9)
)

var defaultListen = []string{
	"/ip4/0.0.0.0/tcp/4866", "/ip4/0.0.0.0/udp/4866/quic-v1",
	"/ip6/::/tcp/4866", "/ip6/::/udp/4866/quic-v1",
}

// newHost makes the libp2p host, not yet listening unless c.Host says where, and has punch make holes for it.
func newHost(c Config, hide *hiding, told func() []ma.Multiaddr, punch *puncher, stats *counters) (host.Host, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(c.Transport[:]))
	if err != nil {
		return nil, fmt.Errorf("transport key: %w", err)
	}
	g, err := newGater(c.Banned, hide, stats)
	if err != nil {
		return nil, err
	}
	low, high := connLimits(c.Hub)
	cm, err := connmgr.NewConnManager(low, high, connmgr.WithGracePeriod(time.Minute))
	if err != nil {
		return nil, err
	}
	opts := []libp2p.Option{
		libp2p.Identity(key), libp2p.UserAgent(c.UserAgent), libp2p.ConnectionManager(cm),
		libp2p.ConnectionGater(g), libp2p.BandwidthReporter(stats), libp2p.DisableMetrics(),
		libp2p.WithDialTimeout(dialTimeout),
	}
	if c.Relay {
		opts = append(opts, relayService(c.Circuits, &stats.relay))
	}
	if hide != nil {
		// Whatever else the host believes of its addresses, this is all that it tells.
		opts = append(opts, libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return told() }), libp2p.MultiaddrResolver(hide))
	}
	if c.Host != nil {
		opts = append(append(opts, simulated...), c.Host...)
		if c.Relay {
			opts = append(opts, libp2p.ForceReachabilityPublic())
		}
		if hide != nil || c.Mute {
			opts = append(opts, libp2p.NoListenAddrs)
		}
		return libp2p.New(opts...)
	}
	rm, err := resources(max(high, wire.MaxWatchers), c.Relay, c.Circuits.filled().Each)
	if err != nil {
		return nil, err
	}
	web, err := webTransport(c)
	if err != nil {
		return nil, err
	}
	opts = append(opts, libp2p.ResourceManager(rm), libp2p.NoListenAddrs, libp2p.EnableRelay(),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(quic.NewTransport), web,
		libp2p.Security(noise.ID, noise.New), libp2p.Security(libp2ptls.ID, libp2ptls.New))
	if hide != nil { // nobody is asked to dial back, no router opens a port, no hole is punched
		return libp2p.New(append(opts, libp2p.ForceReachabilityPrivate(), libp2p.DisableIdentifyAddressDiscovery())...)
	}
	opts = append(opts, punch.watch())
	if announced, err := parseAll(c.Announce); err != nil {
		return nil, fmt.Errorf("announce: %w", err)
	} else if len(announced) > 0 {
		opts = append(opts, libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return slices.Clone(announced) }))
	}
	if !onLoopback(c.Listen) && !c.NoPortMap && !c.Mute {
		opts = append(opts, libp2p.NATPortMap())
	}
	if c.Hub {
		return punched(punch, append(opts, libp2p.ForceReachabilityPublic(), libp2p.EnableAutoNATv2()))
	}
	// The old AutoNAT, which asks everybody, is off; of the new one community nodes alone are asked.
	opts = append(opts, libp2p.ForceReachabilityPrivate())
	if !onLoopback(c.Listen) && !c.Mute {
		opts = append(opts, libp2p.EnableAutoNATv2())
	}
	h, err := punched(punch, opts)
	if err == nil {
		h.RemoveStreamHandler(autonatv2.DialProtocol)
	}
	return h, err
}

func punched(p *puncher, opts []libp2p.Option) (host.Host, error) {
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, err
	}
	if err := p.start(h); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func parseAll(addrs []string) (out []ma.Multiaddr, err error) {
	for _, a := range addrs {
		m, err := ma.NewMultiaddr(a)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrBadAddr, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// simulated keeps a host in a simulated world small and silent; our own limits hold there too.
var simulated = []libp2p.Option{
	libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.EnableRelay(),
	libp2p.DisableIdentifyAddressDiscovery(), libp2p.ForceReachabilityPrivate(),
}

func connLimits(hub bool) (low, high int) {
	if hub {
		return 1500, 2000
	}
	return 120, 240
}

// reservedEach is what the resource manager counts for a peer with a stream of each protocol and two of gossip:
// yamux reserves 256 KiB for each, whether anything ever waits there or not.
const reservedEach = 5 << 18

// resources bounds what strangers can make this node hold, with room for conns peers that are kept: all who
// watch one presentity may be there at once (SPEC 3.9), on a personal node as on a hub. The defaults scale
// with memory to values too small for that, and allow one address 8 connections, too few for the users
// behind one NAT. A relay has room for so many circuits to or from one peer.
func resources(conns int, relays bool, circuits int) (network.ResourceManager, error) {
	mem, files := int64(conns)*reservedEach, 4*conns
	base := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&base)
	// Of a protocol; what gossip, and whatever else libp2p speaks, may have is one stream each way with everybody.
	ours := rcmgr.ResourceLimits{Streams: rcmgr.LimitVal(streamsPerPeer * 4 * conns), StreamsInbound: rcmgr.LimitVal(streamsPerPeer * 2 * conns),
		StreamsOutbound: rcmgr.LimitVal(streamsPerPeer * 2 * conns), Memory: rcmgr.LimitVal64(mem / 2)}
	// One more than we allow ourselves, so that the fifth is refused by us and counted.
	each := rcmgr.ResourceLimits{StreamsInbound: streamsPerPeer + 4, Memory: 8 << 20}
	part := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Memory: rcmgr.LimitVal64(mem), Conns: rcmgr.LimitVal(4 * conns), ConnsInbound: rcmgr.LimitVal(2 * conns), ConnsOutbound: rcmgr.LimitVal(2 * conns),
			Streams: rcmgr.LimitVal(64 * conns), StreamsInbound: rcmgr.LimitVal(32 * conns), StreamsOutbound: rcmgr.LimitVal(32 * conns), FD: rcmgr.LimitVal(files),
		},
		Transient:       rcmgr.ResourceLimits{Conns: rcmgr.LimitVal(conns), ConnsInbound: rcmgr.LimitVal(conns), ConnsOutbound: rcmgr.LimitVal(conns), FD: rcmgr.LimitVal(conns)},
		PeerDefault:     rcmgr.ResourceLimits{Conns: 8, ConnsInbound: 8, StreamsInbound: 64 + rcmgr.LimitVal(DefaultCircuits.Each), Memory: 64 << 20},
		ProtocolDefault: ours,
		Protocol:        map[protocol.ID]rcmgr.ResourceLimits{protoParcel: ours, protoPresence: ours, protoMbox: ours},
		ProtocolPeer:    map[protocol.ID]rcmgr.ResourceLimits{protoParcel: each, protoPresence: each, protoMbox: each},
	}
	if relays {
		forRelays(&part, conns, circuits)
	}
	limits := rcmgr.NewFixedLimiter(part.Build(base.Scale(mem, files)))
	perIP := func(bits int) []rate.SubnetLimit {
		return []rate.SubnetLimit{{PrefixLength: bits, Limit: rate.Limit{RPS: 20, Burst: 200}}}
	}
	sub := func(bits int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: bits, ConnCount: 64}}
	}
	return rcmgr.NewResourceManager(limits,
		rcmgr.WithConnRateLimiters(&rate.Limiter{SubnetRateLimiter: rate.SubnetLimiter{
			GracePeriod: time.Minute, IPv4SubnetLimits: perIP(32), IPv6SubnetLimits: perIP(56)}}),
		rcmgr.WithLimitPerSubnet(sub(32), sub(56)))
}

// webListen are the addresses of WSS: the port that firewalls let pass when they let anything pass.
var webListen = []string{"/ip4/0.0.0.0/tcp/443/tls/ws", "/ip6/::/tcp/443/tls/ws"}

// listen binds every address, or fails: a node that listens on half of what its user named would
// tell others addresses that nobody answers.
func (n *Net) listen() error {
	h, addrs := n.host, n.cfg.Listen
	optional := addrs == nil
	if optional {
		addrs = defaultListen
	}
	if optional && n.cfg.Web {
		addrs = append(slices.Clone(addrs), webListen...)
	}
	for _, a := range addrs {
		m, err := ma.NewMultiaddr(a)
		if err != nil {
			return fmt.Errorf("listen: %w: %v", ErrBadAddr, err)
		}
		if err = vacant(m); err == nil {
			err = h.Network().Listen(m)
		}
		switch {
		case err == nil:
		case optional && slices.Contains(webListen, a): // somebody else's web server is there, or the port is not ours to take
			n.log.Warn("not listening on the port of the web: who is behind a strict firewall does not reach this node", "addr", a, "err", err)
		case errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "address already in use"):
			return fmt.Errorf("listen on %s: %w", a, ErrPortTaken)
		case strings.HasPrefix(a, "/ip6/::/") && (optional || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)): // a machine without IPv6
		default:
			return fmt.Errorf("listen on %s: %w", a, err)
		}
	}
	return nil
}

// vacant fails if somebody listens on a TCP port. The transport would share the port with him, as it
// sets SO_REUSEPORT, and each would get half of the other's connections.
func vacant(m ma.Multiaddr) error {
	m = tcpPart(m)
	if m == nil {
		return nil
	}
	l, err := manet.Listen(m)
	if err != nil {
		return err
	}
	return l.Close()
}
