package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/scenario"
)

const tiny = "version: 1\nname: tiny\nduration: 1m\nnodes: [{class: a, count: 3}]\n"

// TestPoints: a sweep runs each combination with each seed once, from the seed that was asked for in whatever way.
func TestPoints(t *testing.T) {
	for _, tt := range []struct {
		more string
		what what
		want []string
	}{
		{"", what{}, []string{"all 1"}},
		{"seeds: 2\n", what{}, []string{"all 1", "all 2"}},
		{"seeds: 2\n", what{seed: 7}, []string{"all 7", "all 8"}},
		{"seeds: 2\n", what{sets: []string{"seed=5"}}, []string{"all 5", "all 6"}},
		{"sweep: {seed: [3, 9]}\n", what{}, []string{"seed-3 3", "seed-9 9"}},
		{"seeds: 2\nsweep: {node.degree: [4, 6]}\n", what{}, []string{"degree-4 1", "degree-4 2", "degree-6 1", "degree-6 2"}},
	} {
		file := filepath.Join(t.TempDir(), "tiny.yaml")
		if err := os.WriteFile(file, []byte(tiny+tt.more), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := tt.what.load(file)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range pointsOf(l.start) {
			got = append(got, fmt.Sprint(p.name(), " ", p.seed))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q with %+v runs %v, want %v", tt.more, tt.what, got, tt.want)
		}
		if strings.Contains(tt.more, "seed: [") {
			f := runFlags{engine: "sim", what: what{sets: []string{"seeds=2"}}}
			if err := f.run(file); err == nil || !strings.Contains(err.Error(), "both say which seeds") {
				t.Errorf("seeds twice: %v", err)
			}
		}
	}
}

// TestEngines: a run of real processes is not spread over shards, nor any run over less than none, and one over many machines is to say
// where it waits for how many.
func TestEngines(t *testing.T) {
	for _, tt := range []struct {
		f    runFlags
		want string
	}{
		{runFlags{engine: "process", shards: 2}, "--shards needs"},
		{runFlags{engine: "sim", shards: -1}, "--shards needs"},
		{runFlags{engine: "sim", listen: "tcp:127.0.0.1:0"}, "--engine cluster needs"},
		{runFlags{engine: "cluster", shards: 2}, "--engine cluster needs"},
		{runFlags{engine: "cluster", listen: "tcp:127.0.0.1:0"}, "--engine cluster needs"},
		{runFlags{engine: "cluster", shards: 2, listen: "127.0.0.1:0", what: what{nodes: 4}}, "--listen takes unix:FILE or tcp:HOST:PORT"},
		{runFlags{engine: "clouds"}, "there are sim, process and cluster"},
	} {
		if err := tt.f.run("first-contact"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt.f, err)
		}
	}
}

// TestRefusedBeforeItRuns: what a run could not do it does not begin: figures that there are not, and a sweep of which one point is
// wrong or cannot be afforded.
func TestRefusedBeforeItRuns(t *testing.T) {
	for _, name := range scenario.Builtin() {
		if _, err := (&what{}).load(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for more, want := range map[string]string{
		"expect:\n  - delivry_ratio >= 0.9\n":           "tiny.yaml:6: expect.0: there is no figure delivry_ratio; did you mean delivery_ratio?",
		"sweep: {node.degree: [4, many]}\n":             "run degree-many of the sweep: ",
		"sweep: {duration: [1m, 99000h]}\n":             "does not fit",
		"sweep: {nodes.0.cuont: [3, 4]}\n":              "unknown key nodes.0.cuont",
		"sweep: {links.latency: [file(no.csv), 5ms]}\n": "links.latency: open",
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "tiny.yaml")
		if err := os.WriteFile(file, []byte(tiny+more), 0o600); err != nil {
			t.Fatal(err)
		}
		f := runFlags{engine: "sim", out: filepath.Join(dir, "run")}
		if err := f.run(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", more, err, want)
		}
		if _, err := os.Stat(f.out); err == nil {
			t.Errorf("%q: a folder is made", more)
		}
	}
}

// TestCrossTable: figures whose intervals meet agree, and those whose do not are told apart.
func TestCrossTable(t *testing.T) {
	of := func(ack, bytes float64) measure.Result {
		var runs []measure.Result
		for i := range 3 {
			runs = append(runs, measure.Result{Summary: measure.Summary{Verdict: "pass", Values: []measure.Value{
				{Metric: "ack_p50", Value: ack + float64(i)/100}, {Metric: "bytes_network_hour", Value: bytes + float64(i)}, {Metric: "messages_lost"}}}})
		}
		return measure.Join(runs)
	}
	rows := map[string][]string{}
	for _, row := range crossTable([3]measure.Result{of(0.1, 1000), of(0.11, 1200), of(0.102, 1500)}, 5).Rows {
		rows[row[0]] = row
	}
	if len(rows) != 3 || rows["ack_p50"][4] != "agree" || rows["messages_lost"][4] != "agree" || rows["bytes_network_hour"][4] != "+50 %" {
		t.Errorf("%v", rows)
	}
}

// TestCrossCheckIsOfOneRun: a sweep is refused before anything runs, with what to add.
func TestCrossCheckIsOfOneRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tiny.yaml")
	if err := os.WriteFile(file, []byte(tiny+"seeds: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := runFlags{engine: "sim", cross: 3}
	if err := f.run(file); err == nil || !strings.Contains(err.Error(), "--set sweep={} --set seeds=1") {
		t.Error(err)
	}
}
