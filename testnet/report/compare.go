package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/hum-presence/hum/testnet/measure"
)

// Comparison is what two runs, or two sets of runs, have and do not have in common.
type Comparison struct {
	A, B     measure.Manifest
	Differ   []string // what else differs between them than what was measured
	Rows     []Row
	Verdicts [2]string
}

// A Row is one figure of both, as it is shown.
type Row struct {
	measure.Difference
	Name, Text      string
	Was, Is, Change string
	Interval        string
}

// Compare reads two folders and sets their figures side by side.
func Compare(dirA, dirB string) (c Comparison, err error) {
	a, errA := measure.Read(dirA)
	b, errB := measure.Read(dirB)
	if err := errors.Join(errA, errB); err != nil {
		return c, err
	}
	c.A, c.B = a.Manifest, b.Manifest
	c.Verdicts = [2]string{a.Summary.Verdict, b.Summary.Verdict}
	c.Differ = apart(a.Manifest, b.Manifest)
	defs := map[string]measure.Definition{}
	for _, d := range append(a.Summary.Definitions, b.Summary.Definitions...) {
		defs[d.Metric] = d
	}
	for _, d := range measure.Compare(a, b) {
		unit := defs[d.Metric].Unit
		both := func(v float64) string { return strings.TrimSpace(strings.Join(pairOf(amount(v, unit)), " ")) }
		r := Row{Difference: d, Name: words(d.Metric), Text: defs[d.Metric].Text, Was: both(d.A.Value), Is: both(d.B.Value), Change: "0"}
		if d.Delta != 0 {
			r.Change = signed(both(d.Delta), d.Delta)
			if d.A.Value != 0 {
				r.Change += fmt.Sprintf(" (%+.1f %%)", 100*d.Delta/math.Abs(d.A.Value))
			}
		}
		if d.Known {
			r.Interval = signed(both(d.Low), d.Low) + " to " + signed(both(d.High), d.High)
		}
		c.Rows = append(c.Rows, r)
	}
	if len(c.Rows) == 0 {
		return c, fmt.Errorf("%s and %s have no figure in common", dirA, dirB)
	}
	return c, nil
}

func pairOf(value, unit string) []string { return []string{value, unit} }

func signed(s string, v float64) string {
	if v > 0 {
		return "+" + s
	}
	return s
}

// apart says what was not the same in both, other than when and on what they ran.
func apart(a, b measure.Manifest) (out []string) {
	note := func(what string, x, y any) {
		if x, y := fmt.Sprint(x), fmt.Sprint(y); x != y {
			out = append(out, fmt.Sprintf("%s: %s, then %s", what, x, y))
		}
	}
	note("scenario", a.Scenario, b.Scenario)
	note("nodes", a.Nodes, b.Nodes)
	if len(a.Seeds)+len(b.Seeds) == 0 {
		note("seed", a.Seed, b.Seed)
	} else {
		note("seeds", a.Seeds, b.Seeds)
	}
	note("engine", a.Engine, b.Engine)
	note("links", a.Fidelity, b.Fidelity)
	note("mode", a.Mode, b.Mode)
	note("processes", a.Shards, b.Shards)
	note("commit", a.Commit, b.Commit)
	note("Go", a.Go, b.Go)
	note("virtual seconds", a.Virtual, b.Virtual)
	if a.ScenarioSHA256 != b.ScenarioSHA256 && a.Scenario == b.Scenario {
		out = append(out, "the scenario's text")
	}
	if a.Mode == "exact" && a.EventsSHA256 != "" && a.EventsSHA256 == b.EventsSHA256 {
		out = append(out, "no event: both are the same run")
	}
	return out
}

// Certain says whether any difference has an interval.
func (c Comparison) Certain() bool {
	for _, r := range c.Rows {
		if r.Known {
			return true
		}
	}
	return false
}

// Left, Width and Mid place a row's interval on a line whose middle is 0, in percent.
func (r Row) scale() float64 { return max(math.Abs(r.Low), math.Abs(r.High), 1e-300) * 1.1 }
func (r Row) at(v float64) string {
	return fmt.Sprintf("%.1f", 50+50*v/r.scale())
}
func (r Row) Left() string  { return r.at(r.Low) }
func (r Row) Width() string { return fmt.Sprintf("%.1f", 50*(r.High-r.Low)/r.scale()) }
func (r Row) Mid() string   { return r.at(r.Delta) }

// A Line is a row as plain numbers.
type Line struct {
	Metric     string  `json:"metric"`
	A          float64 `json:"a"`
	B          float64 `json:"b"`
	Delta      float64 `json:"delta"`
	Low        float64 `json:"low,omitempty"`
	High       float64 `json:"high,omitempty"`
	Conclusion string  `json:"conclusion"`
}

// Lines are all rows as plain numbers.
func (c Comparison) Lines() []Line {
	lines := []Line{}
	for _, r := range c.Rows {
		lines = append(lines, Line{r.Metric, r.A.Value, r.B.Value, r.Delta, r.Low, r.High, r.Conclusion})
	}
	return lines
}

// Write writes the comparison as a page, and as CSV and JSON beside it.
func (c Comparison) Write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	csv := "metric,a,b,delta,low,high,conclusion\n"
	for _, r := range c.Lines() {
		between := ","
		if r.Conclusion != "unknown" {
			between = fmt.Sprintf("%g,%g", r.Low, r.High)
		}
		csv += fmt.Sprintf("%s,%g,%g,%g,%s,%s\n", r.Metric, r.A, r.B, r.Delta, between, r.Conclusion)
	}
	b, err := json.MarshalIndent(c.Lines(), "", " ")
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "compare.csv"), []byte(csv), 0o644),
		os.WriteFile(filepath.Join(dir, "compare.json"), b, 0o644)); err != nil {
		return "", err
	}
	return render(filepath.Join(dir, "compare.html"), "compare.html", c)
}
