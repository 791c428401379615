package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/report"
	"github.com/hum-presence/hum/testnet/scenario"
)

// A point is one run of a sweep.
type point struct {
	sets []string // PATH=VALUE
	seed uint64
}

// name of its folder.
func (p point) name() string {
	var words []string
	for _, s := range p.sets {
		path, value, _ := strings.Cut(s, "=")
		words = append(words, path[strings.LastIndexByte(path, '.')+1:]+"-"+strings.Trim(value, `"`))
	}
	if words == nil {
		return "all"
	}
	return strings.NewReplacer(" ", "", "/", "_", "%", "pc", "(", "_", ")", "", ",", "_").Replace(strings.Join(words, "_"))
}

// pointsOf are all runs of a scenario: one for each combination of what is swept, and for each seed.
func pointsOf(s scenario.Scenario) (out []point) {
	combinations := [][]string{nil}
	for _, path := range slices.Sorted(maps.Keys(s.Sweep)) {
		var more [][]string
		for _, c := range combinations {
			for _, v := range s.Sweep[path] {
				text, err := yaml.Marshal(v)
				if err != nil {
					continue
				}
				more = append(more, append(slices.Clone(c), path+"="+strings.TrimSpace(string(text))))
			}
		}
		combinations = more
	}
	for _, c := range combinations {
		first := s.Seed
		for _, set := range c { // a swept seed is the run's own, and no point of its own beside it
			if text, ok := strings.CutPrefix(set, "seed="); ok {
				_, _ = fmt.Sscan(text, &first)
			}
		}
		for i := range max(1, s.Seeds) {
			out = append(out, point{c, first + uint64(i)})
		}
	}
	return out
}

// sweepFits finds out before the first run whether each can be read, planned and afforded.
func (f *runFlags) sweepFits(arg string, points []point) error {
	seen := map[string]bool{}
	for _, p := range points {
		if seen[p.name()] {
			continue
		}
		seen[p.name()] = true
		w := f.what
		w.sets = slices.Concat(f.sets, p.sets, []string{"sweep={}", "seeds=1"})
		l, err := w.load(arg)
		if err == nil {
			err = f.fits(l.plan, arg)
		}
		if err != nil {
			return fmt.Errorf("run %s of the sweep: %w", p.name(), err)
		}
	}
	return nil
}

// sweep runs every point in a process of its own, as a process has one bubble in its life, then joins those that differ
// by their seed alone, and shows the points side by side.
func (f *runFlags) sweep(arg string, l loaded, points []point) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := f.sweepFits(arg, points); err != nil {
		return err
	}
	out := f.out
	if out == "" {
		if out, err = fresh(filepath.Join("runs", l.plan.Scenario.Name+"-sweep")); err != nil {
			return err
		}
	}
	failed := false
	var names []string
	joined := map[string][]measure.Result{}
	for i, p := range points {
		dir := filepath.Join(out, p.name(), fmt.Sprint("seed-", p.seed))
		fmt.Fprintf(os.Stderr, "run %d of %d: %s, seed %d\n", i+1, len(points), p.name(), p.seed)
		args := append([]string{"run", arg, "--seed", fmt.Sprint(p.seed), "--out", dir}, f.size()...)
		for _, s := range slices.Concat(f.sets, p.sets, []string{"sweep={}", "seeds=1"}) {
			args = append(args, "--set", s)
		}
		if f.anyway {
			args = append(args, "--anyway")
		}
		if f.shards > 0 {
			args = append(args, "--shards", fmt.Sprint(f.shards))
		}
		if f.engine != "sim" {
			args = append(args, "--engine", f.engine, "--hum", f.hum)
		}
		c := exec.Command(self, args...)
		c.Stdout, c.Stderr = io.Discard, os.Stderr
		if err := c.Run(); err != nil {
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				return fmt.Errorf("run %s: %w", p.name(), err)
			}
			failed = true
		}
		r, err := measure.Read(dir)
		if err != nil {
			return err
		}
		if joined[p.name()] == nil {
			names = append(names, p.name())
		}
		joined[p.name()] = append(joined[p.name()], r)
	}
	if err := writePoints(out, names, joined); err != nil {
		return err
	}
	showSweep(os.Stdout, names, joined)
	fmt.Printf("\nreports: %s/*/report.html\nrepeat:  %s\n", out, f.command(arg, l.plan))
	if failed {
		return &failure{}
	}
	return nil
}

// writePoints writes each point's runs joined, and all points as one table for whoever plots them.
func writePoints(out string, names []string, joined map[string][]measure.Result) error {
	var rows strings.Builder
	rows.WriteString("point,metric,mean,low,high,runs\n")
	for _, name := range names {
		r := measure.Join(joined[name])
		dir := filepath.Join(out, name)
		var b strings.Builder
		b.WriteString("t,metric,class,value\n")
		for _, s := range r.Samples {
			fmt.Fprintf(&b, "%g,%s,%s,%g\n", s.T, s.Metric, s.Class, s.Value)
		}
		manifest, err1 := json.MarshalIndent(r.Manifest, "", "  ")
		summary, err2 := json.MarshalIndent(r.Summary, "", "  ")
		if err := errors.Join(err1, err2, os.WriteFile(filepath.Join(dir, measure.ManifestFile), manifest, 0o666),
			os.WriteFile(filepath.Join(dir, measure.SummaryFile), summary, 0o666),
			os.WriteFile(filepath.Join(dir, measure.SamplesFile), []byte(b.String()), 0o666)); err != nil {
			return err
		}
		if _, err := report.Write(dir); err != nil {
			return err
		}
		for _, v := range r.Summary.Values {
			fmt.Fprintf(&rows, "%s,%s,%g,%g,%g,%d\n", name, v.Metric, v.Value, v.Low, v.High, v.Runs)
		}
	}
	return os.WriteFile(filepath.Join(out, "points.csv"), []byte(rows.String()), 0o666)
}

// swept is what is shown of each point.
var swept = []string{"delivery_ratio", "notice_said_p50", "notice_said_p95", "notice_crashed_p50", "false_offline", "stale", "bytes_per_node_hour", "duplicates"}

func showSweep(w io.Writer, names []string, joined map[string][]measure.Result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "point\t%s\n", strings.Join(swept, "\t"))
	for _, name := range names {
		r := measure.Join(joined[name])
		cells := []string{name}
		for _, metric := range swept {
			cell := "-"
			for _, v := range r.Summary.Values {
				if v.Metric == metric {
					d, _ := measure.Define(metric)
					if cell = unit(v.Value, d.Unit); v.Runs > 1 {
						cell += " ±" + unit((v.High-v.Low)/2, d.Unit)
					}
				}
			}
			cells = append(cells, cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
}
