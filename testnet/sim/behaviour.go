package sim

import (
	"fmt"
	"maps"
	"slices"

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

var behaviours = map[string]func() Behaviour{}

// Register adds an adversary that scenarios may name. It is called before any scenario is read.
func Register(name string, make func() Behaviour) {
	behaviours[name] = make
	scenario.Behaviours = slices.Sorted(maps.Keys(behaviours))
}

// spreads reports whether an adversary needs nothing of other nodes but what the network carries, so that they may run in other
// processes.
func spreads(name string, n int) bool {
	make := behaviours[name]
	if make == nil {
		return false
	}
	switch make().(type) {
	case *Rogue:
		return n < mostRogues
	case decoy:
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
