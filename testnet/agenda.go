package testnet

import (
	"cmp"
	"container/heap"
	"sync"
	"time"

	"github.com/hum-presence/hum/testnet/virtual"
)

// An agenda holds what is to happen and when. One timer serves all of it, and no goroutine waits on it.
type agenda struct {
	mu      sync.Mutex
	events  events
	pushed  uint64
	timer   *time.Timer
	running bool
}

// An event runs at its instant. Of events at the same instant those of the smaller lane come first, and
// those of one lane in the order in which they were entered.
type event struct {
	at   time.Time
	lane uint64
	n    uint64
	run  func()
}

type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = event{}
	*e = (*e)[:last]
	return x
}
func (e events) Less(i, j int) bool {
	a, b := e[i], e[j]
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.lane, b.lane), cmp.Compare(a.n, b.n)) < 0
}

// at enters run. It may be called while an event runs.
func (a *agenda) at(at time.Time, lane uint64, run func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pushed++
	heap.Push(&a.events, event{at, lane, a.pushed, run})
	if !a.running && a.events[0].n == a.pushed {
		a.arm()
	}
}

// arm sets the timer for the first event; the lock is held. Whoever happens to set it, what chance decides of it, its turn
// among all that is due at its instant, depends on the instant alone.
func (a *agenda) arm() {
	at := a.events[0].at
	virtual.Once(uint64(at.UnixNano()), func() {
		if a.timer == nil {
			a.timer = time.AfterFunc(time.Until(at), a.wake)
		} else {
			a.timer.Reset(time.Until(at))
		}
	})
}

func (a *agenda) wake() { virtual.As(0, a.run) } // it belongs to no node

func (a *agenda) run() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running {
		return // the one that runs looks again before it ends
	}
	a.running = true
	for len(a.events) > 0 && !a.events[0].at.After(time.Now()) {
		e := heap.Pop(&a.events).(event)
		a.mu.Unlock()
		e.run()
		a.mu.Lock()
	}
	a.running = false
	if len(a.events) > 0 {
		a.arm()
	}
}
