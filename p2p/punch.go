package p2p

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	basic "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"go.uber.org/fx"
)

// punchPauses are those between tries to punch a hole to one who is connected by a circuit. The library tries once,
// when the circuit begins; then a router may not have learnt yet where this node is seen from outside, or have dropped
// what came too early.
var punchPauses = []time.Duration{time.Second, 20 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute}

// A puncher makes direct connections of circuits that others have dialled (DCUtR): only who was dialled may begin.
type puncher struct {
	log      *slog.Logger
	observed basic.ObservedAddrsManager // where others see this node; may be nil
	service  *holepunch.Service

	mu    sync.Mutex
	tries map[peer.ID]*punchTries
}

type punchTries struct {
	n    int
	next time.Time
	busy bool
}

// watch has the host tell the puncher where others see it.
func (p *puncher) watch() libp2p.Option { return libp2p.WithFxOption(fx.Populate(&p.observed)) }

// start begins to punch for h.
func (p *puncher) start(h host.Host) error {
	b, ok := h.(interface { // a basic host, however it is wrapped
		IDService() identify.IDService
		AllAddrs() []ma.Multiaddr
	})
	if !ok {
		return errors.New("punch: not a host that says where it is")
	}
	s, err := holepunch.NewService(h, b.IDService(), func() []ma.Multiaddr { return p.public(b.AllAddrs()) }, holepunch.WithTracer(p))
	p.service, p.tries = s, map[peer.ID]*punchTries{}
	return err
}

// public are the addresses at which this node may be seen from outside, one witness being enough.
func (p *puncher) public(own []ma.Multiaddr) []ma.Multiaddr {
	if p.observed != nil {
		own = append(own, p.observed.Addrs(1)...)
	}
	return slices.DeleteFunc(ma.Unique(own), func(a ma.Multiaddr) bool { return isCircuit(a) || !manet.IsPublicAddr(a) })
}

func (p *puncher) close() error {
	if p == nil || p.service == nil {
		return nil
	}
	return p.service.Close()
}

// Trace is what the library tells of its tries.
func (p *puncher) Trace(e *holepunch.Event) {
	p.log.Debug("hole punch", "peer", e.Remote, "step", e.Type, "event", e.Evt)
}

// again tries once more where a circuit still stands.
func (p *puncher) again(n *Net) {
	if p == nil || p.service == nil {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.tries {
		if n.host.Network().Connectedness(id) != network.Limited {
			delete(p.tries, id)
		}
	}
	for _, id := range n.host.Network().Peers() {
		if !dialledUs(n.host.Network().ConnsToPeer(id)) {
			continue
		}
		t := p.tries[id]
		if t == nil {
			t = &punchTries{next: now.Add(punchPauses[0])}
			p.tries[id] = t
		}
		if t.busy || t.n == len(punchPauses) || now.Before(t.next) {
			continue
		}
		t.busy = n.spawn(func(context.Context) {
			err := p.service.DirectConnect(id)
			n.log.Debug("punched again", "peer", id, "err", err)
			p.mu.Lock()
			defer p.mu.Unlock()
			t.busy, t.n = false, t.n+1
			t.next = time.Now().Add(n.jitter(punchPauses[min(t.n, len(punchPauses)-1)], 0.2))
		})
	}
}

// dialledUs reports whether all connections are circuits, one of them dialled by the other side.
func dialledUs(conns []network.Conn) (yes bool) {
	for _, c := range conns {
		if !isCircuit(c.RemoteMultiaddr()) {
			return false
		}
		yes = yes || c.Stat().Direction == network.DirInbound
	}
	return yes
}
