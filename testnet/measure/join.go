package measure

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Join makes one result of several runs that differ in nothing but their seed. A figure is the mean of the runs'
// figures with the 95 % interval of Student's t over them; a distribution pools all observations; a clause holds if it
// holds in every run.
func Join(runs []Result) Result {
	first := runs[0]
	out := Result{Manifest: first.Manifest, Summary: Summary{Verdict: "pass", Faults: first.Summary.Faults, Definitions: first.Summary.Definitions}}
	m := &out.Manifest
	m.Seeds, m.Complete = nil, true
	m.EventsSHA256, m.TraceSHA256 = "", ""
	m.Wall, m.CPU = 0, 0
	for _, r := range runs {
		m.Seeds = append(m.Seeds, r.Manifest.Seed)
		m.Complete = m.Complete && r.Manifest.Complete
		m.Wall, m.CPU = m.Wall+r.Manifest.Wall, m.CPU+r.Manifest.CPU
		m.PeakRSS = max(m.PeakRSS, r.Manifest.PeakRSS)
		for _, e := range r.Summary.Errors {
			out.Summary.Errors = append(out.Summary.Errors, fmt.Sprintf("seed %d: %s", r.Manifest.Seed, e))
		}
		switch r.Summary.Verdict {
		case "pass":
		case "fail":
			out.Summary.Verdict = "fail"
		default:
			if out.Summary.Verdict == "pass" {
				out.Summary.Verdict = r.Summary.Verdict
			}
		}
	}
	out.Summary.Expect = joinExpect(runs)
	out.Summary.Values = joinValues(runs)
	out.Summary.Distributions = joinDistributions(runs)
	out.Summary.Tables = []Table{bySeed(runs)}
	out.Samples = joinSamples(runs)
	return out
}

func joinExpect(runs []Result) []Expectation {
	out := slices.Clone(runs[0].Summary.Expect)
	for i := range out {
		var got []float64
		var bad []string
		for _, r := range runs {
			j := slices.IndexFunc(r.Summary.Expect, func(e Expectation) bool { return e.Clause == out[i].Clause })
			if j < 0 || !r.Summary.Expect[j].OK {
				bad = append(bad, strconv.FormatUint(r.Manifest.Seed, 10))
			}
			if j >= 0 && r.Summary.Expect[j].Why == "" {
				got = append(got, r.Summary.Expect[j].Got)
			}
		}
		out[i].OK, out[i].Why = len(bad) == 0, ""
		if len(got) > 0 {
			out[i].Got = stat.Mean(got, nil)
		}
		if len(bad) > 0 {
			out[i].Why = fmt.Sprintf("does not hold in %d of %d runs: seed %s", len(bad), len(runs), strings.Join(bad, ", "))
		}
	}
	return out
}

func joinValues(runs []Result) (out []Value) {
	for _, v := range runs[0].Summary.Values {
		var xs []float64
		n := 0
		for _, r := range runs {
			if j := slices.IndexFunc(r.Summary.Values, func(w Value) bool { return w.Metric == v.Metric }); j >= 0 {
				xs = append(xs, r.Summary.Values[j].Value)
				n += r.Summary.Values[j].N
			}
		}
		out = append(out, Estimate(v.Metric, xs, n))
	}
	return out
}

// Estimate is the mean of the runs' values with its 95 % interval; one run alone has none.
func Estimate(metric string, xs []float64, n int) Value {
	v := Value{Metric: metric, N: n, Runs: len(xs)}
	v.Value, v.SD = stat.MeanStdDev(xs, nil)
	if len(xs) < 2 {
		v.Runs, v.SD = 0, 0
		return v
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(len(xs) - 1)}.Quantile(0.975)
	half := t * v.SD / math.Sqrt(float64(len(xs)))
	v.Low, v.High = v.Value-half, v.Value+half
	return v
}

// A Difference is how one metric differs between two results.
type Difference struct {
	Metric     string
	A, B       Value
	Delta      float64 // B less A
	Low, High  float64 // 95 % interval of Delta, by Welch, if Known
	Known      bool    // both have two runs or more
	Better     string  // of the definition
	Conclusion string  // better, worse, changed, same: whether the interval leaves 0 out; unknown without one
}

// Compare sets the figures that two results share side by side.
func Compare(a, b Result) (out []Difference) {
	better := map[string]string{}
	for _, d := range slices.Concat(a.Summary.Definitions, b.Summary.Definitions) {
		better[d.Metric] = d.Better
	}
	for _, v := range a.Summary.Values {
		if j := slices.IndexFunc(b.Summary.Values, func(w Value) bool { return w.Metric == v.Metric }); j >= 0 {
			out = append(out, difference(v, b.Summary.Values[j], better[v.Metric]))
		}
	}
	return out
}

func difference(a, b Value, better string) Difference {
	d := Difference{Metric: a.Metric, A: a, B: b, Delta: b.Value - a.Value, Better: better, Conclusion: "unknown"}
	if a.Runs < 2 || b.Runs < 2 {
		return d
	}
	d.Known = true
	va, vb := a.SD*a.SD/float64(a.Runs), b.SD*b.SD/float64(b.Runs)
	half := 0.0
	if va+vb > 0 {
		nu := (va + vb) * (va + vb) / (va*va/float64(a.Runs-1) + vb*vb/float64(b.Runs-1))
		half = distuv.StudentsT{Mu: 0, Sigma: 1, Nu: nu}.Quantile(0.975) * math.Sqrt(va+vb)
	}
	d.Low, d.High = d.Delta-half, d.Delta+half
	switch {
	case d.Low <= 0 && d.High >= 0:
		d.Conclusion = "same"
	case better == "":
		d.Conclusion = "changed"
	case (better == "more") == (d.Delta > 0):
		d.Conclusion = "better"
	default:
		d.Conclusion = "worse"
	}
	return d
}

func joinDistributions(runs []Result) (out []Distribution) {
	for _, d := range runs[0].Summary.Distributions {
		var all []Distribution
		for _, r := range runs {
			if j := slices.IndexFunc(r.Summary.Distributions, func(w Distribution) bool { return w.Metric == d.Metric }); j >= 0 {
				all = append(all, r.Summary.Distributions[j])
			}
		}
		out = append(out, pool(all))
	}
	return out
}

// pool is the distribution of all observations together, as fine as their curves are.
func pool(all []Distribution) Distribution {
	out := Distribution{Metric: all[0].Metric, Quantiles: map[string]float64{}}
	var xs []float64
	for _, d := range all {
		out.N, out.Lost = out.N+d.N, out.Lost+d.Lost
		for _, q := range d.CDF {
			xs = append(xs, q[0])
		}
	}
	slices.Sort(xs)
	xs = slices.Compact(xs)
	if out.N == 0 || len(xs) == 0 {
		return out
	}
	at := func(x float64) (share float64) {
		for _, d := range all {
			if i := sort.Search(len(d.CDF), func(i int) bool { return d.CDF[i][0] > x }); i > 0 {
				share += d.CDF[i-1][1] * float64(d.N) / float64(out.N)
			}
		}
		return share
	}
	const most = 500
	curve := make([][2]float64, len(xs))
	for i, x := range xs {
		curve[i] = [2]float64{x, at(x)}
	}
	for _, q := range []string{"0.5", "0.9", "0.95", "0.99"} {
		share, _ := strconv.ParseFloat(q, 64)
		if i := sort.Search(len(curve), func(i int) bool { return curve[i][1] >= share-1e-12 }); i < len(curve) {
			out.Quantiles[q] = curve[i][0]
		}
	}
	if out.Lost == 0 {
		out.Quantiles["1"] = curve[len(curve)-1][0]
	}
	for i := range min(most, len(curve)) {
		out.CDF = append(out.CDF, curve[i*(len(curve)-1)/max(1, min(most, len(curve))-1)])
	}
	return out
}

// bySeed shows every run's figures, so that one that stands apart is seen.
func bySeed(runs []Result) Table {
	t := Table{Title: "By seed", Columns: []string{"seed", "verdict"}}
	for _, v := range runs[0].Summary.Values {
		t.Columns = append(t.Columns, strings.ReplaceAll(v.Metric, "_", " "))
	}
	for _, r := range runs {
		row := []string{strconv.FormatUint(r.Manifest.Seed, 10), r.Summary.Verdict}
		for _, v := range runs[0].Summary.Values {
			cell := "–"
			if j := slices.IndexFunc(r.Summary.Values, func(w Value) bool { return w.Metric == v.Metric }); j >= 0 {
				cell = strconv.FormatFloat(r.Summary.Values[j].Value, 'g', 6, 64)
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// joinSamples is the mean over the runs that have a sample of a metric and class at a time.
func joinSamples(runs []Result) (out []Sample) {
	type key struct {
		t             float64
		metric, class string
	}
	sum, n := map[key]float64{}, map[key]int{}
	var keys []key
	for _, r := range runs {
		for _, s := range r.Samples {
			k := key{s.T, s.Metric, s.Class}
			if n[k]++; n[k] == 1 {
				keys = append(keys, k)
			}
			sum[k] += s.Value
		}
	}
	slices.SortStableFunc(keys, func(a, b key) int { return cmp.Compare(a.t, b.t) })
	for _, k := range keys {
		out = append(out, Sample{T: k.t, Metric: k.metric, Class: k.class, Value: sum[k] / float64(n[k])})
	}
	return out
}
