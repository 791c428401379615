package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hum-presence/hum/testnet/measure"
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

// TestShardsOfProcesses: a run of real processes is not spread over shards, nor any run over less than none.
func TestShardsOfProcesses(t *testing.T) {
	for _, f := range []runFlags{{engine: "process", shards: 2}, {engine: "sim", shards: -1}} {
		if err := f.run("first-contact"); err == nil || !strings.Contains(err.Error(), "--shards needs") {
			t.Errorf("--engine %s --shards %d: %v", f.engine, f.shards, err)
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
