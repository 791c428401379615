package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hum-presence/hum/testnet/measure"
)

// folder writes a run as the simulator would: a partition, some of it lost, and a clause that fails.
func folder(t *testing.T, dir string, seed uint64, slower float64) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defs := []measure.Definition{
		{Metric: "delivery_ratio", Unit: "1", Better: "more", Text: "Presence changes that a watcher saw, of all that he should have seen. A change that was overtaken before he could see it counts as lost."},
		{Metric: "presence_latency", Unit: "s", Better: "less", Text: "From a change at the presentity to its event at a watcher."},
		{Metric: "messages_lost", Unit: "1", Better: "less", Text: "Messages that were said to be delivered and are in no inbox."},
		{Metric: "bytes_per_user_hour", Unit: "B", Better: "less", Text: "What one user's line carried in and out, by the hour."},
		{Metric: "online", Unit: "1", Text: "Nodes that are up."},
		{Metric: "stale", Unit: "1", Better: "less", Text: "Pairs of watcher and presentity where the watcher shows what is no longer so."},
	}
	cdf := [][2]float64{}
	for i := range 200 {
		q := float64(i+1) / 200 * 0.997
		cdf = append(cdf, [2]float64{slower * 0.04 * math.Exp(1.1*math.Log(1/(1.0005-q))), q})
	}
	write := func(name string, v any) {
		b, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(measure.ManifestFile, measure.Manifest{Format: measure.Format, Complete: true, Scenario: "partition-and-heal",
		Command: fmt.Sprintf("hum-testnet run partition-and-heal --nodes 100 --seed %d", seed), Seed: seed, Nodes: 100, Engine: "sim", Fidelity: "stream",
		Mode: "exact", EventsSHA256: strings.Repeat("ab", 32), ScenarioSHA256: strings.Repeat("cd", 32), Go: "go1.26.8", OS: "linux/amd64",
		Libraries: map[string]string{"go-libp2p": "v0.51.0"}, NotModelled: []string{"Time that the processor takes: nodes think in no time."},
		Started: "2026-11-30T11:00:00Z", Wall: 40, CPU: 38, Virtual: 1800, PeakRSS: 90 << 20})
	write(measure.SummaryFile, measure.Summary{Verdict: "fail", Expect: []measure.Expectation{
		{Clause: "delivery_ratio >= 0.99", Line: 31, OK: true, Got: 0.9971}, {Clause: "presence_latency_p99 <= 2s", Line: 32, Got: 7.25 * slower}},
		Values: []measure.Value{{Metric: "delivery_ratio", Value: 0.9971, N: 48210}, {Metric: "messages_lost", Value: 0, N: 512}, {Metric: "bytes_per_user_hour", Value: 1.31e6 * slower, N: 100}},
		Distributions: []measure.Distribution{{Metric: "presence_latency", N: 48210, Lost: 145,
			Quantiles: map[string]float64{"0.5": 0.085 * slower, "0.9": 0.42 * slower, "0.95": 0.9 * slower, "0.99": 7.25 * slower}, CDF: cdf}},
		Tables:      []measure.Table{{Title: "By class", Columns: []string{"class", "nodes", "p50"}, Rows: [][]string{{"home", "95", "85 ms"}, {"server <x>", "5", "61 ms"}}}},
		Faults:      []measure.Band{{From: 600, Until: 780, Label: "partition of europe"}, {From: 1200, Until: 1200, Label: "crash of 5 %"}},
		Definitions: defs})
	var csv strings.Builder
	csv.WriteString("t,metric,class,value\n")
	for i := range 180 {
		s := float64(10 * i)
		online, stale := 100.0, 2+2*math.Sin(float64(i))
		if s >= 1200 && s < 1290 {
			online = 95
		}
		if s >= 620 && s < 800 {
			stale = 60 + 20*math.Sin(s/40)
		}
		fmt.Fprintf(&csv, "%g,online,home,%g\n%g,online,server,5\n%g,stale,,%g\n", s, online-5, s, s, stale)
	}
	for name, text := range map[string]string{measure.SamplesFile: csv.String(), measure.EventsFile: "", measure.ScenarioFile: "version: 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWrite(t *testing.T) {
	dir := folder(t, filepath.Join(t.TempDir(), "run"), 7, 1)
	if keep := os.Getenv("HUM_REPORT_DIR"); keep != "" { // to be looked at
		dir = folder(t, keep, 7, 1)
	}
	name, err := Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{
		"hum-testnet run partition-and-heal --nodes 100 --seed 7", ">fail<", "presence_latency_p99 &lt;= 2s", "does not hold",
		"From a change at the presentity", "0.9971", "server &lt;x&gt;", "partition of europe", "Time that the processor takes",
		"<svg", "var(--c1)", "of 48.21k", "1.31M",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	// Offline: nothing is fetched, neither by a link nor by a style or script. Namespaces of SVG are names only.
	for _, never := range []string{"src=", "@import", "url(", "<script", "<link", `href="http`} {
		if strings.Contains(page, never) {
			t.Errorf("the page holds %s", never)
		}
	}
	for _, mark := range append([]hue{ink, faint, fault}, lines...) {
		if strings.Contains(strings.ToLower(page), mark.mark) {
			t.Errorf("the page holds the mark %s", mark.mark)
		}
	}
	svgs, _ := filepath.Glob(filepath.Join(dir, "plots", "*.svg"))
	if len(svgs) != 3 {
		t.Errorf("plots: %v", svgs)
	}
	for _, name := range svgs {
		b, _ := os.ReadFile(name)
		for dec := xml.NewDecoder(strings.NewReader(string(b))); ; {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if strings.Contains(string(b), "var(--") {
			t.Errorf("%s needs the page", name)
		}
		spec, err := os.ReadFile(strings.TrimSuffix(name, ".svg") + ".vl.json")
		if err != nil || !json.Valid(spec) {
			t.Errorf("%s has no Vega-Lite file: %v", name, err)
		}
	}
}

func TestWriteNothingThere(t *testing.T) {
	if _, err := Write(t.TempDir()); err == nil || !strings.Contains(err.Error(), "manifest.json") {
		t.Errorf("an empty folder gives %v", err)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 1: "1", 48210: "48.21k", 1.31e6: "1.31M", 1200: "1200", 0.0001: "0.0001"} {
		if got := short(v); got != want {
			t.Errorf("short(%g) = %s, want %s", v, got, want)
		}
	}
	if v, _ := amount(0.99987, "1"); v != "0.999870" && v != "0.99987" {
		t.Errorf("nearly all is %s", v)
	}
}

func TestCompare(t *testing.T) {
	base := t.TempDir()
	a, b := folder(t, filepath.Join(base, "a"), 7, 1), folder(t, filepath.Join(base, "b"), 8, 2)
	c, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if c.Certain() || len(c.Differ) != 2 { // the seed, and that both have the same hash
		t.Errorf("certain %v, differ in %q", c.Certain(), c.Differ)
	}
	// Several seeds each.
	join := func(dir string, slower float64) string {
		var runs []measure.Result
		for seed := range uint64(5) {
			r, err := measure.Read(folder(t, filepath.Join(base, "one"), seed+1, slower+float64(seed)/50))
			if err != nil {
				t.Fatal(err)
			}
			runs = append(runs, r)
		}
		folder(t, dir, 1, 1)
		j := measure.Join(runs)
		for name, v := range map[string]any{measure.ManifestFile: j.Manifest, measure.SummaryFile: j.Summary} {
			b, _ := json.Marshal(v)
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	if c, err = Compare(join(a, 1), join(b, 2)); err != nil {
		t.Fatal(err)
	}
	out := base
	if keep := os.Getenv("HUM_REPORT_DIR"); keep != "" {
		out = keep
	}
	name, err := c.Write(out)
	if err != nil {
		t.Fatal(err)
	}
	page, _ := os.ReadFile(name)
	for _, want := range []string{`class="worse"`, `class="same"`, "bytes per user hour", "96.2 %", "5 seeds", "Welch"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if _, err := Compare(a, t.TempDir()); err == nil {
		t.Error("a folder is compared with an empty one")
	}
}
