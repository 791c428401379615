package sim

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
)

// The adversaries that are built in. What each does to honest users is measured, as everything else is, by what
// honest nodes show them.
func init() {
	Register("forger", newForger)
	Register("replayer", newReplayer)
	Register("mute", func() Behaviour { return &Rogue{Take: func(string, []byte) bool { return false }} })
	Register("flooder", func() Behaviour {
		return &Rogue{Pause: 500 * time.Millisecond, Each: func(_ string, r *rand.Rand) []byte {
			b := make([]byte, 200)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			return b
		}}
	})
	Register("prober", newProber)
	Register("decoy", func() Behaviour { return decoy{} })
	// Many places that take part in meshes, so that an honest node has nobody else there, and pass nothing on.
	Register("sybil", func() Behaviour {
		return &Rogue{Hosts: 12, Victims: 12, Take: func(string, []byte) bool { return false }}
	})
}

// A decoy does what its node does, and what a prober has it say.
type decoy struct{}

func (decoy) Begin(*World, *Peer) error   { return nil }
func (decoy) Figures() map[string]float64 { return nil }
func (decoy) End()                        {}

// A memory of records by topic.
type heardOf struct {
	mu   sync.Mutex
	recs map[string][][]byte
}

func (h *heardOf) take(topic string, data []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recs == nil {
		h.recs = map[string][][]byte{}
	}
	if list := h.recs[topic]; len(list) < 64 {
		h.recs[topic] = append(list, bytes.Clone(data))
	}
	return true
}

func (h *heardOf) one(topic string, r *rand.Rand) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if list := h.recs[topic]; len(list) > 0 {
		return bytes.Clone(list[r.IntN(len(list))])
	}
	return nil
}

// newForger publishes what it has heard with a byte of it changed: somebody else's word, made up.
func newForger() Behaviour {
	var h heardOf
	return &Rogue{Take: h.take, Pause: 5 * time.Second, Each: func(topic string, r *rand.Rand) []byte {
		b := h.one(topic, r)
		if len(b) > 0 {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		return b
	}}
}

// newReplayer publishes again what it has heard, long after.
func newReplayer() Behaviour {
	var h heardOf
	return &Rogue{Take: h.take, Pause: 20 * time.Second, Each: h.one}
}

func sorted(m map[string]*pubsub.Topic) []string { return slices.Sorted(maps.Keys(m)) }
