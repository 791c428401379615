package sim

import (
	"fmt"
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
	for _, a := range w.live {
		for metric, v := range a.b.Figures() {
			r.Summary.Values = append(r.Summary.Values, measure.Value{Metric: metric, Value: v, N: 1})
		}
	}
	values, dists := w.Book.Close(now)
	sum := &r.Summary
	sum.Values = append(values, append(w.figures(r.Manifest, values), sum.Values...)...)
	sum.Distributions, sum.Faults = dists, w.samples.bands
	sum.Tables = w.tables()
	w.mu.Lock()
	sum.Errors = slices.Clone(w.errs)
	w.mu.Unlock()
	w.judge(sum, complete)
	return r
}

// figures are those that the engine measures itself.
func (w *World) figures(m measure.Manifest, book []measure.Value) (out []measure.Value) {
	put := func(metric string, v float64, n int) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, measure.Value{Metric: metric, Value: v, N: n})
		}
	}
	s, now := &w.samples, w.Now()
	sent, up := w.traffic()
	if hours := (w.upTime() - s.upTime).Hours(); hours > 0 && s.last > 0 {
		total := 0.0
		for i, name := range serviceNames {
			rate := float64(sent[i]-s.begun[i]) / hours
			total += rate
			put("bytes_"+name+"_hour", rate, up)
		}
		put("bytes_per_node_hour", total, up)
		put("bytes_network_hour", float64(w.network()-s.begunNet)/hours, up)
	}
	d, c := w.copies()
	put("duplicates", float64(c-s.copies[1])/float64(d-s.copies[0]), d-s.copies[0])
	put("mesh_degree", s.mesh.sum/float64(s.mesh.n), s.mesh.n)
	put("connections", s.connections.sum/float64(s.connections.n), s.connections.n)
	refused, rows, bytes, stores, adversaries := uint64(0), 0, int64(0), 0, 0
	for _, p := range w.Peers {
		if p.Adversary {
			adversaries++
			continue
		}
		_, r := p.sent()
		refused += r
		if p.memory != nil {
			n, b := p.memory.Len()
			rows, bytes, stores = rows+n, bytes+b, stores+1
		}
	}
	if len(w.towns) > 0 {
		share, _ := w.direct()
		put("direct_share", share, len(w.Peers))
		if hours := (now - s.first).Hours() * float64(len(w.towns)); hours > 0 {
			put("bytes_community_hour", float64(w.served()-s.begunTowns)/hours, len(w.towns))
		}
	}
	if adversaries > 0 {
		put("adversary_share", s.held.sum/float64(s.held.n), s.held.n)
	}
	put("refused", float64(refused), len(w.Peers))
	put("stored_rows", float64(rows)/float64(stores), stores)
	put("stored_bytes", float64(bytes)/float64(stores), stores)
	put("roster_mean", w.Plan.Estimate().Roster, len(w.Peers)-adversaries)
	if polite, told := w.probe(); polite > 0 {
		put("probe_told", float64(told), polite)
	}
	put("deaths", float64(w.deaths), len(w.Peers))
	put("speed", m.Virtual/m.Wall, 1)
	put("memory_per_node", float64(m.PeakRSS)/float64(len(w.Peers)), len(w.Peers))
	put("goroutines_per_node", float64(runtime.NumGoroutine())/float64(max(1, up)), up)
	for _, v := range book {
		if v.Metric == "changes" && v.Value > 0 {
			put("cpu_per_delivery", m.CPU/v.Value, v.N)
		}
	}
	return out
}

// tables shows what differs between classes.
func (w *World) tables() []measure.Table {
	t := measure.Table{Title: "By class", Columns: []string{"class", "nodes", "up", "sent by each in an hour, bytes", "starts", "refused"}}
	for i := range w.Plan.Scenario.Nodes {
		c := &w.Plan.Scenario.Nodes[i]
		nodes, up, starts, sent, refused, hours := 0, 0, 0, uint64(0), uint64(0), 0.0
		for _, p := range w.Peers {
			if p.Class.Class != c.Class {
				continue
			}
			nodes++
			starts += int(p.lives.Load())
			b, r := p.sent()
			for _, x := range b {
				sent += x
			}
			refused += r
			p.mu.Lock()
			hours += p.upTime.Hours()
			if p.node != nil {
				up++
				hours += (w.Now() - p.upSince).Hours()
			}
			p.mu.Unlock()
		}
		rate := "-"
		if hours > 0 {
			rate = fmt.Sprintf("%.0f", float64(sent)/hours)
		}
		t.Rows = append(t.Rows, []string{c.Class, fmt.Sprint(nodes), fmt.Sprint(up), rate, fmt.Sprint(starts), fmt.Sprint(refused)})
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
