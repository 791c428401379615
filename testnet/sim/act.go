package sim

import (
	"context"
	"slices"
	"time"

	"github.com/hum-presence/hum/testnet"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/virtual"
)

// An event is something that is done at its time.
type event struct {
	at time.Duration
	do func()
}

// agenda is all that is to be done, in order: starts, requests, and what the scenario has people and faults do.
func (w *World) agenda() (out []event) {
	put := func(at time.Duration, do func()) { out = append(out, event{at, do}) }
	for _, p := range w.Peers {
		if p.Start >= 0 {
			put(p.Start, func() { w.on(p, "start", func() error { return w.rise(p) }) })
		}
	}
	mutual := map[[2]int]bool{}
	for _, e := range w.Plan.Watches {
		mutual[[2]int{e.Watcher, e.Presentity}] = true
	}
	for _, e := range w.Plan.Watches {
		p, o := w.Peers[e.Watcher], w.Peers[e.Presentity]
		w.wish(p, o)
		put(e.At, func() { w.befriend(p, o) })
	}
	for _, a := range w.Plan.Actions {
		put(a.At, func() { w.act(a) })
	}
	slices.SortStableFunc(out, func(a, b event) int { return int(min(max(a.at-b.at, -1), 1)) })
	return out
}

// on does something as the user of a node, if it runs in this process; what goes wrong is noted.
func (w *World) on(p *Peer, what string, f func() error) {
	if !w.mine(p.N) {
		return
	}
	w.acting.Go(func() {
		virtual.As(uint64(p.N)+1, func() {
			if err := f(); err != nil {
				w.Fail("%s: %s: %v", p.Class.Class, what, err)
			}
		})
	})
}

// wish notes whom somebody watches, so that who starts late asks when he has started, and knows who has asked him.
func (w *World) wish(p, o *Peer) {
	p.asked = append(p.asked, o.N)
	if o.Start < 0 && w.Plan.Scenario.Node.Policy == "allow" {
		o.askers = append(o.askers, p.N)
	}
}

// rise starts a node, and has it meet who asked it, and ask whom it should have asked before.
func (w *World) rise(p *Peer) error {
	first := p.lives.Load() == 0
	if virtual.Exact {
		time.Sleep(time.Duration(p.N + 1)) // nodes that start together number their records in one row, if they are in one process
	}
	if err := p.start(); err != nil {
		return err
	}
	w.behave(p)
	if first && p.Start < 0 {
		time.Sleep(2 * cardDelay) // who starts at the same instant hands out his card too, before he is asked
		for _, n := range p.askers {
			if o := w.Peers[n]; o.lives.Load() > 0 || o.Start >= 0 {
				if err := p.meet(o); err != nil {
					return err
				}
			}
		}
		for _, n := range p.asked {
			if err := w.watch(p, w.Peers[n]); err != nil {
				return err
			}
		}
		p.asked = nil
	}
	if !first {
		return nil
	}
	if drift := p.Drift; drift != 0 {
		w.drift(p, drift)
	}
	return p.say()
}

// watch has p ask o. Both have each other on the roster, as p's request is allowed only if o knows him.
func (w *World) watch(p, o *Peer) error {
	if o.lives.Load() == 0 && o.Start >= 0 && w.mine(o.N) { // cards are exchanged while both are there
		w.Fail("%s was asked before it ever started", o.Class.Class)
	}
	return p.ask(o)
}

// befriend has p ask o to watch him, and o know him before, unless he is to decide.
func (w *World) befriend(p, o *Peer) {
	if w.Plan.Scenario.Node.Policy == "allow" {
		w.on(o, "meet", func() error {
			if o.Running() == nil {
				return nil
			}
			return o.meet(p)
		})
	}
	w.on(p, "ask to watch", func() error { return w.watch(p, o) })
}

// drift sets a clock a little further every minute.
func (w *World) drift(p *Peer, perDay time.Duration) {
	step := time.Duration(float64(perDay) * float64(time.Minute) / float64(24*time.Hour))
	time.AfterFunc(time.Minute, func() {
		if w.Now() < w.Plan.End() {
			p.clock.Step(step)
			w.drift(p, perDay)
		}
	})
}

// act does one thing that the plan says.
func (w *World) act(a plan.Action) {
	p := w.Peers[a.Node]
	switch a.Kind {
	case plan.Up:
		if p.Start < 0 && !p.late {
			p.late = true
			for _, n := range p.asked {
				if o := w.Peers[n]; w.Plan.Scenario.Node.Policy == "allow" {
					w.on(o, "meet", func() error {
						if o.Running() == nil {
							return nil
						}
						return o.meet(p)
					})
				}
			}
		}
		w.on(p, "start", func() error { return w.rise(p) })
	case plan.Down:
		w.on(p, "sign off", p.stop)
	case plan.Crash, plan.Blackout:
		d := testnet.Crash
		if a.Kind == plan.Blackout {
			d = testnet.Blackout
		}
		if !w.mine(p.N) {
			w.Net.Kill(p.IP, d)
			return
		}
		virtual.As(uint64(p.N)+1, func() {
			if err := p.kill(d); err != nil {
				w.Fail("%s: kill: %v", p.Class.Class, err)
			}
		})
	case plan.Sleep, plan.Wake:
		w.Net.Sleep(p.IP, a.Kind == plan.Sleep)
		if w.mine(p.N) {
			w.Book.Sleep(w.Now(), p.N, a.Kind == plan.Sleep)
		}
	case plan.Say:
		w.on(p, "say", p.say)
	case plan.Send:
		w.on(p, "send", func() error { return p.send(w.Peers[a.Other], a.Size) })
	case plan.Ask:
		w.befriend(p, w.Peers[a.Other])
	case plan.Block, plan.Polite:
		if !w.mine(p.N) && w.mine(a.Other) { // whom he blocks is asked here what he can tell
			w.blocks(p.N, a.Other, a.Kind == plan.Polite)
		}
		w.on(p, "block", func() error { return w.block(p, w.Peers[a.Other], a.Kind == plan.Polite) })
	default:
		w.weather(a)
	}
}

// weather is what strikes many at once.
func (w *World) weather(a plan.Action) {
	switch a.Kind {
	case plan.Part, plan.Heal:
		sides := map[string]int{}
		for n, p := range w.Peers {
			if a.Groups != nil {
				sides[p.IP] = a.Groups[n]
			}
			if w.mine(n) {
				w.Book.Side(w.Now(), n, sides[p.IP])
			}
		}
		w.Net.Part(sides)
	case plan.Weather:
		for _, n := range a.Nodes {
			p := w.Peers[n]
			p.weather(a)
			w.Net.Line(p.IP, w.lineOf(p))
		}
	case plan.Step:
		for _, n := range a.Nodes {
			w.Peers[n].clock.Step(a.By)
		}
	case plan.Lapse:
		for _, n := range a.Nodes {
			if w.mine(n) {
				w.Book.Blind(w.Now(), n, w.Now()+a.By)
			}
		}
	case plan.Double:
		for _, n := range a.Nodes {
			if w.mine(n) {
				w.Book.Twice(w.Now(), n)
			}
		}
	case plan.FaultOn, plan.FaultOff:
		if w.mine(0) {
			w.Book.Fault(w.Now(), a.Label, a.Kind == plan.FaultOff)
		}
		if a.Kind == plan.FaultOn {
			w.samples.band(w.Now(), a)
		}
	}
}

func (w *World) block(p, o *Peer, polite bool) (err error) {
	n := p.Running()
	if n == nil {
		return nil
	}
	w.Book.Hide(w.Now(), p.N, o.N)
	if polite {
		_, err = n.PoliteBlock(context.Background(), o.address.String())
	} else {
		_, err = n.Block(context.Background(), o.address.String(), "both")
	}
	if err == nil && w.mine(o.N) {
		w.blocks(p.N, o.N, polite)
	}
	return err
}

func (w *World) blocks(by, whom int, polite bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples.blocked = append(w.samples.blocked, block{by, whom, polite})
}
