package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/hum-presence/hum/testnet/scenario"
)

// work draws when each person does what.
func (p *Plan) work(string) error {
	friends := map[int][]int{}
	for _, w := range p.Watches {
		friends[w.Watcher] = append(friends[w.Watcher], w.Presentity)
	}
	for i, w := range p.Scenario.Workload {
		from, until := p.span(w.From, w.Until)
		to := p.members(w.To)
		for _, n := range p.members(w.Class) {
			r := p.draw(fmt.Sprint("work ", i), n)
			each := func(pause scenario.Dist, do func(at time.Duration)) {
				if !pause.Set() {
					return
				}
				// The first comes at a random time within the first pause.
				at := from + time.Duration(r.Float64()*float64(pause.DrawTime(r)))
				for ; at < until; at += max(pause.DrawTime(r), time.Millisecond) {
					do(at)
				}
			}
			each(w.Presence, func(at time.Duration) { p.add(Action{At: at, Kind: Say, Node: n}) })
			whom := func() (int, bool) {
				list := to
				if w.To == "contacts" {
					list = friends[n]
				}
				if len(list) == 0 {
					return 0, false
				}
				o := list[r.IntN(len(list))]
				return o, o != n
			}
			each(w.Message, func(at time.Duration) {
				if o, ok := whom(); ok {
					p.add(Action{At: at, Kind: Send, Node: n, Other: o, Size: max(8, min(int(w.Size.Draw(r)), 64<<10))})
				}
			})
			each(w.Contact, func(at time.Duration) {
				if w.To == "contacts" {
					to = p.members("")
				}
				if o := to[r.IntN(len(to))]; o != n && !slices.Contains(friends[n], o) {
					friends[n] = append(friends[n], o)
					p.add(Action{At: at, Kind: Ask, Node: n, Other: o})
				}
			})
		}
	}
	return nil
}

// span is from and until as times of the run.
func (p *Plan) span(from, until scenario.Duration) (a, b time.Duration) {
	w := p.Scenario.Warmup.D()
	if until == 0 {
		return w + from.D(), p.End()
	}
	return w + from.D(), w + min(until, p.Scenario.Duration).D()
}

// churn draws when who comes and goes. All are up when it begins.
func (p *Plan) churn(dir string) error {
	for i, c := range p.Scenario.Churn {
		if c.File != "" {
			if err := p.trace(inDir(dir, c.File)); err != nil {
				return p.fileError(fmt.Sprintf("churn.%d.file", i), err)
			}
			continue
		}
		from, until := p.span(c.From, c.Until)
		for _, n := range p.members(c.Class) {
			r := p.draw(fmt.Sprint("churn ", i), n)
			at := from + time.Duration(r.Float64()*float64(c.Session.DrawTime(r)))
			for at < until {
				down, up := Down, Up
				switch {
				case c.Sleep:
					down, up = Sleep, Wake
				case r.Float64() < c.Crash.F():
					down = Crash
				}
				p.add(Action{At: at, Kind: down, Node: n})
				if at += max(c.Gap.DrawTime(r), time.Second); at > until {
					at = until
				}
				p.add(Action{At: at, Kind: up, Node: n})
				at += max(c.Session.DrawTime(r), time.Second)
			}
		}
	}
	return nil
}

var traced = map[string]Kind{"up": Up, "down": Down, "crash": Crash, "sleep": Sleep, "wake": Wake}

func (p *Plan) trace(name string) error {
	f, err := readCSV(name, 3)
	if err != nil {
		return err
	}
	for _, row := range f {
		t, err1 := strconv.ParseFloat(row.cells[0], 64)
		n, err2 := strconv.Atoi(row.cells[1])
		kind, ok := traced[row.cells[2]]
		if err1 != nil || err2 != nil || !ok || n < 0 || n >= len(p.Nodes) || t < 0 {
			return &scenario.Error{File: name, Line: row.line, Text: fmt.Sprintf("%v: a row is seconds, a node from 0 to %d, and up, down, crash, sleep or wake", row.cells, len(p.Nodes)-1)}
		}
		if at := p.Scenario.Warmup.D() + time.Duration(t*float64(time.Second)); at < p.End() {
			p.add(Action{At: at, Kind: kind, Node: n})
		}
	}
	return nil
}

// faults turns each into what it does, and its band.
func (p *Plan) faults(string) error {
	for i, f := range p.Scenario.Faults {
		at := p.Scenario.Warmup.D() + f.At.D()
		until := p.End()
		if f.For > 0 {
			until = min(until, at+f.For.D())
		}
		r := p.draw(fmt.Sprint("fault ", i), 0)
		nodes := p.struck(f.Class, f.Share, r)
		label := p.label(f, len(nodes))
		band := f.For > 0 || f.Kind() == "start"
		p.add(Action{At: at, Kind: FaultOn, Label: label, By: until - at, Nodes: nodes})
		if err := p.strike(f, r, nodes, at, until, label); err != nil {
			return p.wrong(fmt.Sprint("faults.", i), "%v", err)
		}
		if band {
			if f.Kind() == "start" {
				until = at
			}
			p.add(Action{At: until, Kind: FaultOff, Label: label})
		}
	}
	return nil
}

func (p *Plan) label(f scenario.Fault, n int) string {
	switch f.Kind() {
	case "partition":
		return "partition: " + f.Partition
	case "loss":
		return fmt.Sprintf("%v loss for %d nodes", f.Loss, n)
	case "latency":
		return fmt.Sprintf("%v more latency for %d nodes", f.Latency, n)
	case "clock":
		return fmt.Sprintf("clocks of %d nodes off by %v", n, f.Clock)
	case "block":
		return fmt.Sprintf("%d nodes: %s", n, f.Block)
	}
	return fmt.Sprintf("%s of %d nodes", f.Kind(), n)
}

func (p *Plan) strike(f scenario.Fault, r *rand.Rand, nodes []int, at, until time.Duration, label string) error {
	each := func(down, up Kind) {
		for _, n := range nodes {
			p.add(Action{At: at, Kind: down, Node: n, Label: label})
			if f.For > 0 {
				p.add(Action{At: until, Kind: up, Node: n, Label: label})
			}
		}
	}
	switch f.Kind() {
	case "crash":
		each(Crash, Up)
	case "blackout":
		each(Blackout, Up)
	case "stop":
		each(Down, Up)
	case "sleep":
		each(Sleep, Wake)
	case "start":
		for _, n := range nodes {
			p.add(Action{At: at, Kind: Up, Node: n, Label: label})
		}
	case "partition":
		groups, err := p.split(f.Partition, r)
		if err != nil {
			return err
		}
		p.add(Action{At: at, Kind: Part, Groups: groups, Label: label})
		if f.For > 0 {
			p.add(Action{At: until, Kind: Heal, Label: label})
		}
	case "loss", "latency":
		p.add(Action{At: at, Kind: Weather, Nodes: nodes, Loss: f.Loss.F(), By: f.Latency.D(), Label: label})
		if f.For > 0 {
			p.add(Action{At: until, Kind: Weather, Nodes: nodes, Loss: f.Loss.F(), By: f.Latency.D(), Ends: true, Label: label})
		}
	case "clock":
		p.add(Action{At: at, Kind: Step, Nodes: nodes, By: f.Clock.D(), Label: label})
		if f.For > 0 {
			p.add(Action{At: until, Kind: Step, Nodes: nodes, By: -f.Clock.D(), Label: label})
		}
	case "block":
		kind := Block
		if f.Block == "polite" {
			kind = Polite
		}
		watchers := map[int][]int{}
		for _, w := range p.Watches {
			watchers[w.Presentity] = append(watchers[w.Presentity], w.Watcher)
		}
		for _, n := range nodes {
			if list := watchers[n]; len(list) > 0 {
				p.add(Action{At: at, Kind: kind, Node: n, Other: list[r.IntN(len(list))], Label: label})
			}
		}
	case "say":
		for _, n := range nodes {
			p.add(Action{At: at, Kind: Say, Node: n, Label: label})
		}
	case "lapse":
		p.add(Action{At: at, Kind: Lapse, Nodes: nodes, By: until - at, Label: label})
	case "double":
		p.add(Action{At: at, Kind: Double, Nodes: nodes, Label: label})
	default:
		return fmt.Errorf("no such fault")
	}
	return nil
}

// split gives each node the number of its side.
func (p *Plan) split(how string, r *rand.Rand) ([]int, error) {
	groups := make([]int, len(p.Nodes))
	switch {
	case how == "regions":
		for i, n := range p.Nodes {
			groups[i] = n.Region
		}
	case how == "half":
		order := r.Perm(len(p.Nodes))
		for i, n := range order {
			groups[n] = i % 2
		}
	case slices.Contains(p.Regions, how):
		for i, n := range p.Nodes {
			if p.Regions[n.Region] == how {
				groups[i] = 1
			}
		}
	default:
		members := p.members(how)
		if len(members) == 0 {
			return nil, fmt.Errorf("partition: %q is neither regions, nor half, nor a region, nor a class", how)
		}
		for _, n := range members {
			groups[n] = 1
		}
	}
	return groups, nil
}
