package p2p

import (
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// peers tells the other parts, and the handler, who comes and goes. Events of one peer that were not
// yet told are one: what is told is always how things stand now. But a peer of whom a connection was lost
// has gone, even if he stands again, or another connection of his always stood: what was under way on the
// lost one may be lost too, above all if he was started anew.
type peers struct {
	n    *Net
	kick chan struct{}

	mu    sync.Mutex
	dirty map[PeerID]bool
	lost  map[PeerID]bool // a connection of his has ended, and nobody was told
	told  map[PeerID]link // absent: down
}

type link struct{ up, limited bool }

func newPeers(n *Net) *peers {
	return &peers{n: n, kick: make(chan struct{}, 1), dirty: map[PeerID]bool{}, lost: map[PeerID]bool{}, told: map[PeerID]link{}}
}

func (p *peers) link(id PeerID) link {
	c := p.n.host.Network().Connectedness(id.id())
	return link{up: c == network.Connected || c == network.Limited, limited: c == network.Limited}
}

func (p *peers) mark(id PeerID) {
	p.mu.Lock()
	p.dirty[id] = true
	p.mu.Unlock()
	poke(p.kick)
}

// lose notes that a connection has ended.
func (p *peers) lose(_ network.Network, c network.Conn) {
	id := PeerID(c.RemotePeer())
	p.mu.Lock()
	p.lost[id] = true
	p.mu.Unlock()
	p.n.circuits.dropped(id)
	p.mark(id)
}

// work follows the event bus, which must never wait for a handler.
func (p *peers) work(ctx context.Context) {
	sub, err := p.n.host.EventBus().Subscribe([]any{
		new(event.EvtPeerConnectednessChanged), new(event.EvtLocalAddressesUpdated),
	}, eventbus.BufSize(32), eventbus.Name("hum"))
	if err != nil {
		p.n.log.Error("no events from the host", "err", err)
		return
	}
	defer sub.Close()
	moves := &network.NotifyBundle{ConnectedF: p.come, DisconnectedF: p.lose}
	p.n.host.Network().Notify(moves)
	defer p.n.host.Network().StopNotify(moves)
	p.n.spawn(p.tell)
	p.n.circuits.any.Store(true) // as far as it is known
	for _, id := range p.n.host.Network().Peers() {
		p.mark(PeerID(id))
	}
	first := true // the addresses at start are no change
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-sub.Out():
			switch e := e.(type) {
			case event.EvtPeerConnectednessChanged:
				p.mark(PeerID(e.Peer))
			case event.EvtLocalAddressesUpdated:
				if !first {
					p.n.Nudge()
				}
				first = false
			}
		}
	}
}

func (p *peers) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
			for _, id := range p.take() {
				p.tellOne(id)
			}
		}
	}
}

func (p *peers) take() (ids []PeerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.dirty {
		ids = append(ids, id)
	}
	clear(p.dirty)
	return ids
}

func (p *peers) tellOne(id PeerID) {
	now := p.link(id)
	p.mu.Lock()
	was, lost := p.told[id], p.lost[id]
	delete(p.lost, id)
	if now.up {
		p.told[id] = now
	} else {
		delete(p.told, id)
	}
	p.mu.Unlock()
	if now == was && !(lost && now.up) {
		return
	}
	h, ok := p.n.up()
	if ok && lost && now.up && was.up {
		h.HandlePeer(id, false, false)
	}
	if !now.up {
		p.n.gossip.filter.gone(id.id())
	}
	p.n.streams.changed(id, now)
	p.n.keeper.changed(id, now)
	p.n.follows.changed(id)
	p.n.circuits.changed(id, now)
	if ok {
		h.HandlePeer(id, now.up, now.limited)
	}
}

// Alone reports whether no peer is connected, as far as HandlePeer was told.
func (n *Net) Alone() bool {
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	return len(n.peers.told) == 0
}

// Connected reports whether p is connected, and whether only through a limited relay circuit.
func (n *Net) Connected(p PeerID) (up, limited bool) {
	l := n.peers.link(p)
	return l.up, l.limited
}

// poke puts a token into a channel that holds one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
