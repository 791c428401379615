package sim

import (
	"fmt"
	"maps"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/virtual"
)

// notModelled is what no run can speak of.
var notModelled = []string{
	"processor speed: virtual processors are infinitely fast, unless node.compute charges for their work",
	"slow disks: a commit to a store in memory takes no virtual time, unless commit says how much",
	"a sleeping machine's own timers: its process goes on, and only nothing reaches it",
}

var byFidelity = map[string]string{
	"stream": "noise, yamux and congestion: streams are muxed in memory below the real swarm; loss costs time and never bytes",
	"noise":  "TCP's congestion control: loss costs time, a lost segment keeps all streams of its connection waiting, and a line has no queue that overflows",
	"quic":   "routers: a line's queue holds 200 ms, and drops what comes when it is full",
}

func (w *World) manifest(began time.Time) measure.Manifest {
	s := w.Plan.Scenario
	m := measure.Manifest{Format: measure.Format, Scenario: s.Name, Command: w.opts.Command, Seed: w.Plan.Seed, Nodes: len(w.Plan.Nodes),
		Engine: "sim", Fidelity: s.Fidelity, Mode: "statistical", Shards: 1, Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH,
		Started: began.UTC().Format(time.RFC3339), Libraries: map[string]string{}}
	if virtual.Exact {
		m.Mode, m.OverlaySHA256 = "exact", virtual.Overlay()
	}
	m.NotModelled = append(slices.Clone(notModelled), byFidelity[s.Fidelity])
	for _, t := range w.Plan.Towns {
		if t.Handles {
			m.NotModelled = append(m.NotModelled, "DNS and the web servers of domains: a look-up takes their round trips and gives the page, and weighs nothing")
			break
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if strings.HasPrefix(d.Path, "github.com/libp2p/go-libp2p") || strings.HasPrefix(d.Path, "github.com/dgraph-io/badger") {
				m.Libraries[d.Path] = d.Version
			}
		}
		for _, v := range info.Settings {
			switch {
			case v.Key == "vcs.revision":
				m.Commit = v.Value + m.Commit
			case v.Key == "vcs.modified" && v.Value == "true":
				m.Commit += "+changes"
			}
		}
	}
	return m
}

// result is what the run gave.
func (w *World) result(complete bool, wall, cpu time.Duration) measure.Result {
	now := w.Now()
	r := measure.Result{Manifest: w.manifest(wallTime().Add(-wall)), Samples: w.samples.all}
	r.Manifest.Complete, r.Manifest.Virtual = complete, now.Seconds()
	r.Manifest.Wall, r.Manifest.CPU = wall.Seconds(), cpu.Seconds()
	_, r.Manifest.PeakRSS = resident()
	r.Summary.Values = w.findings()
	w.summarize(&r, w.closing(), now, complete)
	return r
}

// findings are what adversaries found out or achieved.
func (w *World) findings() (out []measure.Value) {
	for _, a := range w.live {
		all := a.b.Figures()
		for _, metric := range slices.Sorted(maps.Keys(all)) {
			out = append(out, measure.Value{Metric: metric, Value: all[metric], N: 1})
		}
	}
	return out
}

// A closing is what the nodes of one process are found to have done when the run ends. Those of several are added up.
type closing struct {
	Gauge          gauge
	Refused        uint64
	Rows           int
	Bytes          int64 // in them
	Stores         int   // that are in memory
	Straight, Left uint64
	Polite, Told   int // blocked politely; of them, who can tell
	Deaths         int
	Classes        []classSum
}

// A classSum is what the nodes of a class did.
type classSum struct {
	Nodes, Up, Starts int
	Sent, Refused     uint64
	UpTime            time.Duration
}

func (c *closing) add(o closing) {
	c.Gauge.add(o.Gauge)
	c.Refused, c.Rows, c.Bytes, c.Stores = c.Refused+o.Refused, c.Rows+o.Rows, c.Bytes+o.Bytes, c.Stores+o.Stores
	c.Straight, c.Left = c.Straight+o.Straight, c.Left+o.Left
	c.Polite, c.Told, c.Deaths = c.Polite+o.Polite, c.Told+o.Told, c.Deaths+o.Deaths
	if c.Classes == nil {
		c.Classes = make([]classSum, len(o.Classes))
	}
	for i, x := range o.Classes {
		y := &c.Classes[i]
		y.Nodes, y.Up, y.Starts = y.Nodes+x.Nodes, y.Up+x.Up, y.Starts+x.Starts
		y.Sent, y.Refused, y.UpTime = y.Sent+x.Sent, y.Refused+x.Refused, y.UpTime+x.UpTime
	}
}

// closing reads off what is known at the end.
func (w *World) closing() closing {
	c := closing{Gauge: w.gauge(), Classes: make([]classSum, len(w.Plan.Scenario.Nodes))}
	index := map[string]int{}
	for i := range w.Plan.Scenario.Nodes {
		index[w.Plan.Scenario.Nodes[i].Class] = i
	}
	for _, p := range w.Peers {
		if !w.mine(p.N) {
			continue
		}
		x := &c.Classes[index[p.Class.Class]]
		sent, refused := p.sent()
		for _, b := range sent {
			x.Sent += b
		}
		x.Nodes, x.Starts, x.Refused = x.Nodes+1, x.Starts+int(p.lives.Load()), x.Refused+refused
		p.mu.Lock()
		x.UpTime += p.upTime
		if p.node != nil {
			x.Up++
			x.UpTime += w.Now() - p.upSince
		}
		p.mu.Unlock()
		if p.Adversary {
			continue
		}
		c.Refused += refused
		if p.memory != nil {
			n, b := p.memory.Len()
			c.Rows, c.Bytes, c.Stores = c.Rows+n, c.Bytes+b, c.Stores+1
		}
	}
	if len(w.towns) > 0 {
		c.Straight, c.Left = w.direct()
	}
	c.Polite, c.Told = w.probe()
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Deaths = w.deaths
	return c
}

// summarize adds to what is known of a run what its book and its nodes tell, and judges it.
func (w *World) summarize(r *measure.Result, c closing, now time.Duration, complete bool) {
	values, dists := w.Book.Close(now)
	sum := &r.Summary
	sum.Values = append(values, append(w.figures(r.Manifest, values, c, now), sum.Values...)...)
	sum.Distributions, sum.Faults = dists, w.samples.bands
	sum.Tables = w.tables(c)
	w.mu.Lock()
	sum.Errors = slices.Clone(w.errs)
	w.mu.Unlock()
	w.judge(sum, complete)
}

// figures are those that the engine measures itself.
func (w *World) figures(m measure.Manifest, book []measure.Value, c closing, now time.Duration) (out []measure.Value) {
	put := func(metric string, v float64, n int) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, measure.Value{Metric: metric, Value: v, N: n})
		}
	}
	s, g, nodes, adversaries := &w.samples, c.Gauge, len(w.Plan.Nodes), 0
	for _, n := range w.Plan.Nodes {
		if n.Adversary {
			adversaries++
		}
	}
	if hours := (g.UpTime - s.begun.UpTime).Hours(); hours > 0 && s.last.T > 0 {
		total := 0.0
		for i, name := range serviceNames {
			rate := float64(g.Sent[i]-s.begun.Sent[i]) / hours
			total += rate
			put("bytes_"+name+"_hour", rate, g.Up)
		}
		put("bytes_per_node_hour", total, g.Up)
		put("bytes_network_hour", float64(g.Net-s.begun.Net)/hours, g.Up)
	}
	put("duplicates", float64(g.Copies-s.begun.Copies)/float64(g.Delivered-s.begun.Delivered), g.Delivered-s.begun.Delivered)
	put("mesh_degree", s.mesh.sum/float64(s.mesh.n), s.mesh.n)
	put("connections", s.connections.sum/float64(s.connections.n), s.connections.n)
	if towns := len(w.Plan.Towns); towns > 0 {
		put("direct_share", float64(c.Straight)/float64(max(c.Left, 1)), nodes)
		if hours := (now - s.begun.T).Hours() * float64(towns); hours > 0 {
			put("bytes_community_hour", float64(g.Served-s.begun.Served)/hours, towns)
		}
	}
	if adversaries > 0 {
		put("adversary_share", s.held.sum/float64(s.held.n), s.held.n)
	}
	put("refused", float64(c.Refused), nodes)
	put("stored_rows", float64(c.Rows)/float64(c.Stores), c.Stores)
	put("stored_bytes", float64(c.Bytes)/float64(c.Stores), c.Stores)
	put("roster_mean", w.Plan.Estimate().Roster, nodes-adversaries)
	if c.Polite > 0 {
		put("probe_told", float64(c.Told), c.Polite)
	}
	put("deaths", float64(c.Deaths), nodes)
	put("speed", m.Virtual/m.Wall, 1)
	put("memory_per_node", float64(m.PeakRSS)/float64(nodes), nodes)
	put("goroutines_per_node", float64(g.Goroutines)/float64(max(1, g.Up)), g.Up)
	for _, v := range book {
		if v.Metric == "changes" && v.Value > 0 {
			put("cpu_per_delivery", m.CPU/v.Value, v.N)
		}
	}
	return out
}

// tables shows what differs between classes.
func (w *World) tables(all closing) []measure.Table {
	t := measure.Table{Title: "By class", Columns: []string{"class", "nodes", "up", "sent by each in an hour, bytes", "starts", "refused"}}
	for i, c := range all.Classes {
		rate := "-"
		if hours := c.UpTime.Hours(); hours > 0 {
			rate = fmt.Sprintf("%.0f", float64(c.Sent)/hours)
		}
		t.Rows = append(t.Rows, []string{w.Plan.Scenario.Nodes[i].Class, fmt.Sprint(c.Nodes), fmt.Sprint(c.Up), rate, fmt.Sprint(c.Starts), fmt.Sprint(c.Refused)})
	}
	return []measure.Table{t}
}

// judge holds the figures against what the scenario expects, and adds the definitions of all that is named.
func (w *World) judge(sum *measure.Summary, complete bool) {
	sum.Verdict = "pass"
	for _, c := range w.Plan.Scenario.Expect {
		e := measure.Expectation{Clause: c.Text, Line: c.Line}
		i := slices.IndexFunc(sum.Values, func(v measure.Value) bool { return v.Metric == c.Metric })
		switch _, known := measure.Define(c.Metric); {
		case i >= 0:
			e.Got = sum.Values[i].Value
			e.OK = c.Holds(e.Got)
		case !known:
			e.Why = "there is no such figure"
		case c.Op != "<=" && c.Op != "<" || !lostSome(sum.Distributions, c.Metric):
			e.Why = "nothing of the kind happened"
		default:
			e.Why = "too many were lost: what was never seen is later than all"
		}
		sum.Expect = append(sum.Expect, e)
		if !e.OK {
			sum.Verdict = "fail"
		}
	}
	if len(sum.Errors) > 0 {
		sum.Verdict = "fail"
	}
	if !complete {
		sum.Verdict = "partial"
	}
	seen := map[string]bool{}
	define := func(metric string) {
		if d, ok := measure.Define(metric); ok && !seen[metric] {
			seen[metric] = true
			sum.Definitions = append(sum.Definitions, d)
		}
	}
	for _, v := range sum.Values {
		define(v.Metric)
	}
	for _, d := range sum.Distributions {
		define(d.Metric)
	}
}

func lostSome(ds []measure.Distribution, metric string) bool {
	return slices.ContainsFunc(ds, func(d measure.Distribution) bool {
		return d.Lost > 0 && strings.HasPrefix(metric, strings.TrimSuffix(d.Metric, "_time")+"_")
	})
}
