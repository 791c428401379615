package testnet

import (
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

// An event runs at its instant, in nanoseconds of Unix time. Of events at the same instant those of the smaller lane come first,
// and those of one lane in the order in which they were entered.
type event struct {
	at   int64
	lane uint64
	n    uint64
	run  func()
}

func (e *event) before(x *event) bool {
	if e.at != x.at {
		return e.at < x.at
	}
	if e.lane != x.lane {
		return e.lane < x.lane
	}
	return e.n < x.n
}

// events are a heap, the first at its root. Each frame goes through it, so it boxes and calls nothing as container/heap does.
type events []event

func (h *events) push(e event) {
	*h = append(*h, event{})
	x := *h
	i := len(x) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&x[up]) {
			break
		}
		x[i] = x[up]
		i = up
	}
	x[i] = e
}

func (h *events) pop() event {
	x := *h
	first, last := x[0], x[len(x)-1]
	x[len(x)-1] = event{}
	x = x[:len(x)-1]
	*h = x
	if len(x) == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(x) {
			break
		}
		if down+1 < len(x) && x[down+1].before(&x[down]) {
			down++
		}
		if !x[down].before(&last) {
			break
		}
		x[i] = x[down]
		i = down
	}
	x[i] = last
	return first
}

// at enters run. It may be called while an event runs.
func (a *agenda) at(at time.Time, lane uint64, run func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pushed++
	a.events.push(event{at.UnixNano(), lane, a.pushed, run})
	if !a.running && a.events[0].n == a.pushed {
		a.arm()
	}
}

// arm sets the timer for the first event; the lock is held. Whoever happens to set it, what chance decides of it, its turn
// among all that is due at its instant, depends on the instant alone.
func (a *agenda) arm() {
	at := a.events[0].at
	virtual.Once(uint64(at), func() {
		left := time.Duration(at - time.Now().UnixNano())
		if a.timer == nil {
			a.timer = time.AfterFunc(left, a.wake)
		} else {
			a.timer.Reset(left)
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
	for len(a.events) > 0 && a.events[0].at <= time.Now().UnixNano() {
		e := a.events.pop()
		a.mu.Unlock()
		e.run()
		a.mu.Lock()
	}
	a.running = false
	if len(a.events) > 0 {
		a.arm()
	}
}
