package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
)

// run runs a scenario in a bubble.
func run(t *testing.T, file string, text []byte, nodes int, o Options, sets ...scenario.Set) (r measure.Result) {
	t.Helper()
	s, err := scenario.Read(file, text, sets...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(s, plan.Options{Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	o.Homes = homes(t)
	synctest.Test(t, func(t *testing.T) { r, err = Run(p, o) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// planned makes the plan of a scenario.
func planned(t *testing.T, text string) *plan.Plan {
	t.Helper()
	s, err := scenario.Read("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(s, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// homes is a folder in memory where there is one.
func homes(t *testing.T) string {
	dir, err := os.MkdirTemp(memoryDir(), "hum-sim-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// sizes are those of the built-in scenarios here: as few nodes as show what each is about.
var sizes = map[string]int{"first-contact": 6, "flash-crowd": 7, "partition-heal": 6, "mass-crash": 6, "hub-failover": 7, "mobile-sleepers": 6,
	"lossy-mobile": 6, "spam-wave": 9, "polite-block": 10, "relays-only": 6, "domains": 5, "mute-relay": 6, "forgers": 12, "sybil-eclipse": 7, "growth": 8, "wrong-clocks": 6, "persistence": 4,
	"working-day": 8, "notice-cost": 6}

// TestBuiltin runs every built-in scenario small, and holds it to what it expects.
func TestBuiltin(t *testing.T) {
	for _, name := range scenario.Builtin() {
		n, ok := sizes[name]
		if !ok {
			t.Errorf("%s has no size here", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			text, err := scenario.BuiltinText(name)
			if err != nil {
				t.Fatal(err)
			}
			r := run(t, name, text, n, Options{})
			for _, e := range r.Summary.Expect {
				if !e.OK {
					t.Errorf("%s: %v (%s)", e.Clause, e.Got, e.Why)
				}
			}
			for _, e := range r.Summary.Errors {
				t.Error(e)
			}
		})
	}
}

const quiet = `version: 1
name: quiet
warmup: 1m
duration: 4m
nodes: [{class: a, count: 4}]
rosters: {model: ring, mean: 2}
workload: [{presence: 20s, message: 30s}]
expect:
  - delivery_ratio == 1
  - false_offline <= 1%
  - messages_doubled == 0
`

// TestBrokenFails: what is good passes; a node that does not answer, an observer who is blind for 40 s, and a message
// that is there twice each make an expectation fail, and it is the right one.
func TestBrokenFails(t *testing.T) {
	tests := []struct{ name, more, fails string }{
		{"good", "", ""},
		{"nodes that let nobody in", "node: {policy: confirm}\n", "delivery_ratio == 1"},
		{"blind for 40 s", "faults: [{at: 1m, for: 40s, share: 25%, lapse: true}]\n", ""},
		{"doubled", "faults: [{at: 1s, share: 25%, double: true}]\n", "messages_doubled == 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := run(t, "quiet", []byte(quiet+tt.more), 0, Options{}).Summary
			failed := ""
			for _, e := range s.Expect {
				if !e.OK && failed == "" {
					failed = e.Clause
				}
			}
			if failed != tt.fails && tt.name != "blind for 40 s" {
				t.Errorf("%q fails, want %q: %+v", failed, tt.fails, s.Expect)
			}
			if tt.name == "blind for 40 s" && s.Values[0].Value == 1 && measureOf(s, "notice_said_max") < 10 {
				t.Errorf("nobody misses what was hidden: %+v", s.Values)
			}
		})
	}
}

func measureOf(s measure.Summary, metric string) float64 {
	for _, v := range s.Values {
		if v.Metric == metric {
			return v.Value
		}
	}
	return 0
}

// TestFolder: what is written is what was returned, and a run that is stopped leaves what it knows.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r := run(t, "quiet", []byte(quiet), 0, Options{Dir: dir, Scenario: []byte(quiet), Command: "hum-testnet run quiet"})
	got, err := measure.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Summary.Verdict != "pass" || !got.Manifest.Complete || len(got.Samples) != len(r.Samples) || len(got.Manifest.EventsSHA256) != 64 {
		t.Errorf("%+v", got.Manifest)
	}
	kinds := map[string]int{}
	if err := measure.ReadEvents(dir, func(e measure.Event) error { kinds[e.Kind]++; return nil }); err != nil || kinds["say"] < 40 || kinds["see"] < 80 || kinds["inbox"] < 20 {
		t.Errorf("%v, %v", kinds, err)
	}
	if _, err := Run(nil, Options{}); err == nil {
		t.Error("no plan runs")
	}
	looks := 0
	part := filepath.Join(t.TempDir(), "part")
	r = run(t, "quiet", []byte(quiet), 0, Options{Dir: part, Scenario: []byte(quiet), Stop: func() bool { looks++; return looks > 40 }})
	got, err = measure.Read(part)
	if err != nil || got.Manifest.Complete || got.Summary.Verdict != "partial" || len(got.Samples) == 0 {
		t.Errorf("%v: %+v", err, got.Summary)
	}
	if _, err := makeFolder(part, got.Manifest, nil); err == nil || !strings.Contains(err.Error(), "holds a run already") {
		t.Errorf("a run is written over another: %v", err)
	}
}

// TestScreenIsBook: what the book believes that people are shown is what their nodes show them, in the middle of
// everything that may go wrong.
func TestScreenIsBook(t *testing.T) {
	text := strings.Replace(quiet, "workload:", "churn: [{session: exp(1m), gap: exp(20s), crash: 50%}]\nworkload:", 1)
	text = text[:strings.Index(text, "expect:")]
	checked := 0
	r := run(t, "quiet", []byte(text), 6, Options{Before: func(w *World) { w.Check = func(n int) { checked += n } }})
	for _, e := range r.Summary.Errors {
		t.Error(e)
	}
	if checked < 100 {
		t.Errorf("only %d looks at screens", checked)
	}
}
