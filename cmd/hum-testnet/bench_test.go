package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
)

// TestBenchScenario: what a bench runs can be read and planned, with each of the habits that it adds.
func TestBenchScenario(t *testing.T) {
	for _, text := range []string{"", benchPresence, benchMessages} {
		var sets []scenario.Set
		if text != "" {
			set, err := scenario.ParseSet(text)
			if err != nil {
				t.Fatal(err)
			}
			sets = append(sets, set)
		}
		s, err := scenario.Read("bench", []byte(benchText), sets...)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Make(s, plan.Options{Nodes: 11})
		if err != nil || len(p.Nodes) != 11 || len(p.Watches) == 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := (&benchFlags{nodes: 10}).run(nil); err == nil || !strings.Contains(err.Error(), "--nodes") {
		t.Error(err)
	}
}

// TestBench runs the smallest of all.
func TestBench(t *testing.T) {
	long(t)
	program := filepath.Join(t.TempDir(), "hum-testnet")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program, "bench", "--nodes", "11", "--shards", "2").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, row := range []string{"a bare host", "goroutines", "idle: virtual seconds", "a message", "over 2 processes"} {
		if !strings.Contains(string(out), row) {
			t.Errorf("no row %s:\n%s", row, out)
		}
	}
}

// TestGrowth: the more of what is free a run needs, the more often is its heap collected.
func TestGrowth(t *testing.T) {
	const gb = 1 << 30
	for need, want := range map[int64]int{gb: 100, 12 * gb: 60, 19 * gb: 30, 40 * gb: 30} {
		if got := growth(need, 24*gb); got != want {
			t.Errorf("%d GB of 24: %d, want %d", need/gb, got, want)
		}
	}
}
