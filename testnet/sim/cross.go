package sim

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/shard"
	"github.com/hum-presence/hum/testnet/virtual"
)

// What is said beside the simulated network, such as the card that somebody hands out, takes its time too, and the same
// in one process and in several.

// cardDelay is how long it takes until others have the card of somebody who started.
const cardDelay = 100 * time.Millisecond

// What crosses: what the network carries, or one of the words beside it.
const (
	crossFrame  = iota
	crossCard   // number of a node, its card
	crossInvite // number of a community, its invite
	crossAsk    // for a name: a question
	crossPage   // its answer
	crossRogue  // peer id of an adversary's place
	crossWord   // number of a node that is to act, that of an adversary, his word
)

// shardOf is the shard that a node runs in: those who watch each other are mostly neighbours in the plan.
func shardOf(p *plan.Plan, n, shards int) int { return n * shards / len(p.Nodes) }

// townShardOf is the shard that a community's node runs in.
func townShardOf(p *plan.Plan, k, shards int) int { return k * shards / len(p.Towns) }

// mine reports whether a node runs in this process.
func (w *World) mine(n int) bool {
	return w.opts.Shard == nil || w.shardOf(n) == w.opts.Shard.Shard
}

// shardOf and townShard are the processes in which a node and a community's node run, 0 if there is one.
func (w *World) shardOf(n int) int {
	if w.opts.Shard == nil {
		return 0
	}
	return shardOf(w.Plan, n, w.opts.Shard.Shards)
}

func (w *World) townShard(k int) int {
	if w.opts.Shard == nil {
		return 0
	}
	return townShardOf(w.Plan, k, w.opts.Shard.Shards)
}

// far is the network's view of the other shards.
func (w *World) far() *testnet.Far {
	m := w.opts.Shard
	if m == nil {
		return nil
	}
	m.Deliver = w.arrived
	return &testnet.Far{Me: m.Shard,
		Where: func(ip string) int {
			if n := w.at(ip); n >= 0 {
				return w.shardOf(n)
			}
			for k, t := range w.Plan.Towns {
				if t.IP == ip {
					return w.townShard(k)
				}
			}
			if n := rogueOf(ip); n >= 0 && n < len(w.Plan.Nodes) {
				return w.shardOf(n)
			}
			return m.Shard // nobody lives there, here as elsewhere
		},
		Send: func(to int, at time.Time, lane uint64, data []byte) {
			m.Send(to, at, lane, append([]byte{crossFrame}, data...))
		}}
}

// arrived enters what came from another shard.
func (w *World) arrived(p shard.Parcel) {
	at := time.Unix(0, p.At)
	switch {
	case len(p.Data) == 0:
	case p.Data[0] == crossFrame:
		if err := w.Net.Take(at, p.Lane, p.Data[1:]); err != nil {
			w.Fail("shard %d: %v", p.From, err)
		}
	default:
		w.hearAt(at, p.Data[0], p.Data[1:])
	}
}

// tell has a shard, which may be this one, hear a word at an instant.
func (w *World) tell(to int, at time.Time, kind byte, data []byte) {
	if m := w.opts.Shard; m != nil && m.Shard != to {
		m.Send(to, at, 0, append([]byte{kind}, data...))
		return
	}
	w.hearAt(at, kind, data)
}

// tellAll has all shards hear it.
func (w *World) tellAll(at time.Time, kind byte, data []byte) {
	shards := 1
	if m := w.opts.Shard; m != nil {
		shards = m.Shards
	}
	for to := range shards {
		w.tell(to, at, kind, data)
	}
}

func (w *World) hearAt(at time.Time, kind byte, data []byte) {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64([]byte{kind}, uint64(at.UnixNano())))
	h.Write(data)
	virtual.Once(h.Sum64(), func() {
		time.AfterFunc(time.Until(at), func() { w.hear(kind, data) })
	})
}

// hear does what a word says.
func (w *World) hear(kind byte, data []byte) {
	if kind == crossAsk {
		w.answer(data)
		return
	}
	if kind == crossPage {
		w.answered(data)
		return
	}
	if kind == crossRogue {
		w.mu.Lock()
		w.rogues[peer.ID(data)] = true
		w.mu.Unlock()
		return
	}
	if len(data) < 8 {
		return
	}
	n, text := binary.BigEndian.Uint64(data), string(data[8:])
	if kind == crossWord {
		if len(text) >= 8 {
			w.heed(n, binary.BigEndian.Uint64(data[8:]), text[8:])
		}
		return
	}
	switch {
	case kind == crossCard && n < uint64(len(w.Peers)):
		if c, err := identity.ParseCard(text); err == nil {
			w.keep(int(n), c)
		}
	case kind == crossInvite && n < uint64(len(w.towns)):
		w.towns[n].invite = text
		close(w.towns[n].known)
	}
}

// publish hands the card of a node that has started to all others.
func (w *World) publish(p *Peer, n *node.Node) {
	if text, err := n.Card(); err == nil {
		w.tellAll(time.Now().Add(cardDelay), crossCard, append(binary.BigEndian.AppendUint64(nil, uint64(p.N)), text...))
	}
}

// keep notes what the card of a node says, and who it is among peers.
func (w *World) keep(n int, c identity.Card) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cards[n] = c
	for _, d := range c.Dial {
		if info, err := peer.AddrInfoFromString(d); err == nil {
			w.byPeer[info.ID] = n
		}
	}
}
