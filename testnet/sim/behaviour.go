package sim

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hum-presence/hum/testnet/scenario"
)

// A Behaviour is what an adversary does beside, or in place of, what its node does.
type Behaviour interface {
	// Begin is called when its node serves, and again each time that it does after a restart.
	Begin(*World, *Peer) error
	// Figures are what it found out or achieved, by the name of a metric.
	Figures() map[string]float64
	// End is called when the run ends; what Begin started has ended when it returns.
	End()
}

// A Conductor is a Behaviour that has other nodes act, which it calls with [World.Have]. A run may be spread over several processes,
// so Act is called where the node runs that acts, of a Conductor that was made there and has not begun: all that it knows is in the word.
type Conductor interface {
	Behaviour
	// Act has a node, which may not be running, do what the word of another says, as its user would.
	Act(w *World, on, by *Peer, word string) error
}

// Have has a node act as a word says, in the process in which it runs. The word is on its way for as long as a card is that
// somebody hands out; what goes wrong then is an error of the run.
func (w *World) Have(on, by *Peer, word string) {
	b := binary.BigEndian.AppendUint64(nil, uint64(on.N))
	b = binary.BigEndian.AppendUint64(b, uint64(by.N))
	w.tell(w.shardOf(on.N), time.Now().Add(cardDelay), crossWord, append(b, word...))
}

// heed is the arrival of a word for a node of this process.
func (w *World) heed(on, by uint64, word string) {
	if max(on, by) >= uint64(len(w.Peers)) {
		return
	}
	p, from := w.Peers[on], w.Peers[by]
	make := behaviours[from.Class.Behaviour]
	if make == nil {
		return
	}
	if c, ok := make().(Conductor); ok {
		w.on(p, word, func() error { return c.Act(w, p, from, word) })
	}
}

var behaviours = map[string]func() Behaviour{}

// Register adds an adversary that scenarios may name. It is called before any scenario is read.
func Register(name string, make func() Behaviour) {
	behaviours[name] = make
	scenario.Behaviours = slices.Sorted(maps.Keys(behaviours))
}

// spreads reports whether an adversary needs nothing of other nodes but what the network carries, or has them act by words, so that
// they may run in other processes.
func spreads(name string, n int) bool {
	make := behaviours[name]
	if make == nil {
		return false
	}
	switch make().(type) {
	case *Rogue:
		return n < mostRogues
	case decoy, Conductor:
		return true
	}
	return false
}

// behave has an adversary begin.
func (w *World) behave(p *Peer) {
	if p.Class.Behaviour == "" {
		return
	}
	b := behaviours[p.Class.Behaviour]()
	if err := b.Begin(w, p); err != nil {
		w.Fail("%s: %v", p.Class.Behaviour, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live = append(w.live, alive{fmt.Sprint(p.Class.Behaviour, " ", p.N), b})
}
