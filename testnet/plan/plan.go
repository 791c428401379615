package plan

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hum-presence/hum/testnet/scenario"
)

// A Plan is all that a run needs to know.
type Plan struct {
	Scenario scenario.Scenario
	Seed     uint64
	Nodes    []Node
	Watches  []Watch           // in the order in which they are asked
	Actions  []Action          // in the order of their time; from the start of the run, the warm-up included
	Delays   [][]time.Duration // one way, between regions
	Regions  []string
	Towns    []Town
}

// A Town is the always-on node of a community.
type Town struct {
	*scenario.Community
	Name   string
	IP     string
	Region int
	K, Of  int // of the members it has those whose number leaves K when divided by Of
}

// Has reports whether a node belongs to it.
func (t Town) Has(n Node) bool {
	return !n.Adversary && (t.Members == "" || t.Members == n.Class.Class) && n.N%t.Of == t.K
}

// Handle is what a member is called whose names it keeps, or "".
func (t Town) Handle(n Node) string {
	if !t.Handles || !t.Has(n) {
		return ""
	}
	return n.Name + "@" + t.Domain()
}

// Domain is the domain whose names it keeps, or "".
func (t Town) Domain() string {
	if !t.Handles {
		return ""
	}
	return t.Name + ".test"
}

// A Node is one of them.
type Node struct {
	N         int
	Name      string
	Class     *scenario.Class
	Region    int
	IP        string
	NAT       bool
	Skew      time.Duration
	Drift     time.Duration // in a day
	Jitter    time.Duration // of its own line: each frame takes up to this much longer
	Start     time.Duration // when it first starts; negative: by a fault alone
	Domain    string
	Adversary bool
}

// A Watch is one edge of the social graph.
type Watch struct {
	Watcher, Presentity int
	At                  time.Duration // when it is asked
}

// A Kind is what an action does.
type Kind string

// The kinds of actions. All that a fault brings carries its label.
const (
	Up       Kind = "up"       // the node starts
	Down     Kind = "down"     // it signs off and ends
	Crash    Kind = "crash"    // its process dies
	Blackout Kind = "blackout" // its machine dies
	Sleep    Kind = "sleep"    // its machine sleeps
	Wake     Kind = "wake"
	Say      Kind = "say"     // its user changes his presence
	Send     Kind = "send"    // he writes to Other
	Ask      Kind = "ask"     // he adds Other and asks to watch him
	Part     Kind = "part"    // nodes with different Groups cannot hear each other
	Heal     Kind = "heal"    // a partition ends
	Weather  Kind = "weather" // lines of Nodes lose Loss and take By longer, beside what strikes them already
	Step     Kind = "step"    // clocks of Nodes are set By further
	Block    Kind = "block"   // Node blocks Other
	Polite   Kind = "polite"  // Node blocks Other politely
	Lapse    Kind = "lapse"   // planted: the observer is blind for Nodes, until By later
	Double   Kind = "double"  // planted
	FaultOn  Kind = "fault"   // a band begins: for the record
	FaultOff Kind = "mended"  // it ends; what is measured converges from here
)

// An Action happens at its time.
type Action struct {
	At     time.Duration
	Kind   Kind
	Node   int
	Other  int
	Size   int // bytes of a message
	Nodes  []int
	Groups []int // by node
	By     time.Duration
	Loss   float64
	Ends   bool // of weather: it is over
	Label  string
}

// Options change the size of a run.
type Options struct {
	Nodes int    // total; 0: as the scenario says
	Seed  uint64 // 0: as the scenario says
	Dir   string // where files that the scenario names are looked for
}

// Make makes the plan.
func Make(s scenario.Scenario, o Options) (*Plan, error) {
	p := &Plan{Scenario: s, Seed: s.Seed}
	if o.Seed != 0 {
		p.Seed = o.Seed
	}
	p.Scenario.Seed = p.Seed
	if err := p.regions(o.Dir); err != nil {
		return nil, err
	}
	if err := p.people(o.Nodes); err != nil {
		return nil, err
	}
	if err := p.towns(); err != nil {
		return nil, err
	}
	if err := p.graph(o.Dir); err != nil {
		return nil, err
	}
	for _, part := range []func(string) error{p.work, p.churn, p.faults} {
		if err := part(o.Dir); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(p.Actions, func(a, b Action) int { return int(min(max(a.At-b.At, -1), 1)) })
	return p, nil
}

// End is how long the whole run lasts.
func (p *Plan) End() time.Duration { return p.Scenario.Warmup.D() + p.Scenario.Duration.D() }

// draw returns a source for one purpose and one thing.
func (p *Plan) draw(purpose string, n int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
	return rand.New(rand.NewPCG(p.Seed, h.Sum64()))
}

// A plan holds every node and everything that is done in memory. Beyond these no machine would run it, so that it is not made.
const (
	mostNodes   = 1_000_000
	mostActions = 20_000_000
)

// affordable refuses a plan that would not fit into memory itself.
func (p *Plan) affordable(counts []int) error {
	nodes, size := 0, map[string]float64{}
	for i, c := range p.Scenario.Nodes {
		if nodes += counts[i]; counts[i] < 0 || nodes > mostNodes {
			return p.wrong("nodes", "more than %d nodes, of which each takes a megabyte and more: fewer with --nodes", mostNodes)
		}
		if size[c.Class] += float64(counts[i]); c.Behaviour == "" {
			size[""] += float64(counts[i])
		}
	}
	todo := 0.0
	add := func(path, class string, from, until scenario.Duration, each float64, per int) error {
		a, b := p.span(from, until)
		if each > 0 {
			todo += size[class] * float64(per) * (b - a).Seconds() / max(each, 0.001)
		}
		if todo > mostActions {
			return p.wrong(path, "makes it %.2g things to do, and no more than %.2g can be planned: fewer nodes with --nodes, a shorter duration, or longer pauses", todo, float64(mostActions))
		}
		return nil
	}
	for i, w := range p.Scenario.Workload {
		for _, d := range []scenario.Dist{w.Presence, w.Message, w.Contact} {
			if d.Set() {
				if err := add(fmt.Sprint("workload.", i), w.Class, w.From, w.Until, d.Mean(), 1); err != nil {
					return err
				}
			}
		}
	}
	for i, c := range p.Scenario.Churn {
		if c.File == "" {
			if err := add(fmt.Sprint("churn.", i), c.Class, c.From, c.Until, c.Session.Mean()+c.Gap.Mean(), 2); err != nil {
				return err
			}
		}
	}
	return nil
}

// people makes the nodes, with counts scaled to total.
func (p *Plan) people(total int) error {
	counts := p.counts(total)
	if err := p.affordable(counts); err != nil {
		return err
	}
	for i := range p.Scenario.Nodes {
		c := &p.Scenario.Nodes[i]
		for k := range counts[i] {
			n := len(p.Nodes)
			r := p.draw("node "+c.Class, k)
			node := Node{N: n, Name: fmt.Sprintf("%s-%d", c.Class, k), Class: c, IP: ipOf(n), Adversary: c.Behaviour != ""}
			var err error
			if node.Region, err = p.regionOf(c.Region, r.Float64()); err != nil {
				return p.wrong(fmt.Sprintf("nodes.%d.region", i), "%v", err)
			}
			node.NAT = r.Float64() < c.NAT.F()
			node.Skew, node.Drift = c.Skew.DrawTime(r), c.Drift.DrawTime(r)
			node.Jitter = max(0, c.Jitter.DrawTime(r))
			node.Start = time.Duration(r.Float64() * 0.4 * float64(p.Scenario.Warmup))
			if c.Late {
				node.Start = -1
			}
			switch c.Domain {
			case "":
			case "each":
				node.Domain = fmt.Sprintf("d%d.test", n)
			default:
				node.Domain = c.Domain
			}
			p.Nodes = append(p.Nodes, node)
		}
	}
	return nil
}

// towns are places beyond those of the nodes.
func (p *Plan) towns() error {
	asWritten := 0
	for _, c := range p.Scenario.Nodes {
		asWritten += c.Exactly + c.Count
	}
	for i := range p.Scenario.Towns {
		c := &p.Scenario.Towns[i]
		var where scenario.Mix
		if c.Region != "" {
			where = scenario.Mix{{Name: c.Region, Share: 1}}
		}
		of := 1
		if c.Count > 1 {
			of = max(1, int(math.Round(float64(c.Count)*float64(len(p.Nodes))/float64(asWritten))))
		}
		for k := range of {
			name := c.Community
			if of > 1 {
				name = fmt.Sprint(name, "-", k)
			}
			region, err := p.regionOf(where, p.draw("community "+c.Community, k).Float64())
			if err != nil {
				return p.wrong(fmt.Sprintf("communities.%d.region", i), "%v", err)
			}
			n := len(p.Towns)
			p.Towns = append(p.Towns, Town{c, name, fmt.Sprintf("10.199.%d.%d", n/250, 1+n%250), region, k, of})
		}
	}
	return nil
}

// counts is how many nodes each class has: as written, or so many in all in the same proportions, and one of each at least.
func (p *Plan) counts(total int) []int {
	fixed, scaled := 0, 0
	for _, c := range p.Scenario.Nodes {
		fixed, scaled = fixed+c.Exactly, scaled+c.Count
	}
	counts := make([]int, len(p.Scenario.Nodes))
	rest := make([]float64, len(counts)) // what rounding down leaves out of each
	left := total - fixed
	for i, c := range p.Scenario.Nodes {
		counts[i] = c.Exactly + c.Count
		if total > 0 && c.Count > 0 {
			whole, part := math.Modf(float64(c.Count) * float64(max(0, total-fixed)) / float64(scaled))
			counts[i], rest[i] = int(whole), part
			if counts[i] == 0 {
				counts[i], rest[i] = 1, 0
			}
			left -= counts[i]
		}
	}
	for ; total > 0 && left > 0; left-- {
		i := 0
		for k := range rest {
			if rest[k] > rest[i] {
				i = k
			}
		}
		if rest[i] == 0 {
			break
		}
		counts[i], rest[i] = counts[i]+1, 0
	}
	for ; total > 0 && left < 0; left++ { // small classes took more than their share: the largest has less
		i := -1
		for k, c := range p.Scenario.Nodes {
			if c.Count > 0 && counts[k] > 1 && (i < 0 || counts[k] > counts[i]) {
				i = k
			}
		}
		if i < 0 {
			break
		}
		counts[i]--
	}
	return counts
}

// ipOf numbers addresses without 0 and 255 in their last byte.
func ipOf(n int) string { return fmt.Sprintf("10.%d.%d.%d", n/62500, n/250%250, 1+n%250) }

// members are the nodes of a class; of no class, all but adversaries.
func (p *Plan) members(class string) (out []int) {
	for _, n := range p.Nodes {
		if n.Class.Class == class || class == "" && !n.Adversary {
			out = append(out, n.N)
		}
	}
	return out
}

// struck draws a share of a class.
func (p *Plan) struck(class string, share scenario.Share, r *rand.Rand) []int {
	all := p.members(class)
	if share == (scenario.Share{}) || share.F() >= 1 {
		return all
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	out := all[:int(math.Round(share.F()*float64(len(all))))]
	slices.Sort(out)
	return out
}

func (p *Plan) add(a Action) { p.Actions = append(p.Actions, a) }
