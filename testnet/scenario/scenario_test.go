package scenario

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

const least = "version: 1\nname: x\nduration: 5m\nnodes:\n  - {class: a, count: 3}\n"

func TestErrorsNameLineAndWord(t *testing.T) {
	Behaviours = []string{"forger", "flooder"}
	tests := []struct{ name, text, want string }{
		{"unknown key", least + "durration: 4m\n", "x.yaml:6: unknown key durration; did you mean duration?"},
		{"unknown key within", least + "rosters: {modell: ring}\n", "x.yaml:6: unknown key rosters.modell; did you mean model?"},
		{"unknown word", least + "rosters: {model: rign}\n", `x.yaml:6: rosters.model: "rign" is none of`},
		{"said twice", least + "seed: 1\nseed: 2\n", "x.yaml:"},
		{"no duration", strings.Replace(least, "5m", "long", 1), `x.yaml:3: duration: "long" is no duration`},
		{"share", least + "links: {loss: 140%}\n", `x.yaml:6: links.loss: "140%" is no share`},
		{"dist", least + "workload:\n  - {presence: poisson(3)}\n", `x.yaml:7: workload.0.presence: "poisson(3)" is no distribution`},
		{"clause", least + "expect:\n  - everything is fine\n", "x.yaml:7: expect.0: "},
		{"no such class", least + "faults:\n  - {at: 1m, class: b, crash: true}\n", "x.yaml:7: faults.0: there is no class b"},
		{"two faults in one", least + "faults:\n  - {at: 1m, crash: true, stop: true}\n", "x.yaml:7: faults.0: is 2 things (crash, stop)"},
		{"clashing faults", least + "faults:\n  - {at: 1m, for: 2m, crash: true}\n  - {at: 2m, stop: true}\n", "x.yaml:8: faults.1: at 2m0s the nodes are down already by faults.0 on line 7, until 3m0s"},
		{"partition within another", least + "faults:\n  - {at: 1m, for: 2m, partition: half}\n  - at: 2m\n    partition: regions\n", "x.yaml:8: faults.1: at 2m0s all are parted already by faults.0 on line 7"},
		{"an end of what has none", least + "faults:\n  - at: 1m\n    for: 9s\n    say: true\n", "x.yaml:8: faults.0.for: say happens at once"},
		{"started twice", least + "faults:\n  - {at: 1m, class: a, start: true}\n", "x.yaml:7: faults.0.start: names no class that is late"},
		{"never started", strings.Replace(least, "count: 3", "count: 3, late: true", 1), "x.yaml:5: nodes.0.late: class a never starts"},
		{"too late", least + "faults:\n  - {at: 9m, crash: true}\n", "x.yaml:7: faults.0: comes at 9m0s, after the run ends"},
		{"backwards", least + "workload:\n  - {presence: 1m, from: 3m, until: 2m}\n", "x.yaml:7: workload.0: ends at 2m0s, before it begins"},
		{"no behaviour", strings.Replace(least, "count: 3", "count: 3, behaviour: foger", 1), "there is no behaviour foger; did you mean forger?"},
		{"not a list", "version: 1\nname: x\nduration: 5m\nnodes: {class: a}\n", "x.yaml:4: nodes: is a list"},
		{"nothing", "", "x.yaml: holds no scenario"},
		{"no yaml", "a: [", "x.yaml:"},
		{"newer", strings.Replace(least, "version: 1", "version: 2", 1), "x.yaml:1: version: 2; this program reads version 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read("x.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
	if _, err := Read("x.yaml", []byte(least)); err != nil {
		t.Errorf("the least scenario: %v", err)
	}
}

func TestOverride(t *testing.T) {
	sets := []Set{{"node.degree", "6"}, {"nodes.0.nat", "40%"}, {"rosters", "{model: ring}"}}
	s, err := Read("x.yaml", []byte(least), sets...)
	if err != nil || s.Node.Degree != 6 || s.Nodes[0].NAT.F() != 0.4 || s.Rosters.Model != "ring" {
		t.Errorf("%v: %+v", err, s)
	}
	text, err := Text("x.yaml", []byte(least), sets...)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Read("x.yaml", text)
	if again.lines, s.lines = nil, nil; err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("what is written is read as something else: %v\n%s", err, text)
	}
	if _, err := Read("x.yaml", []byte(least), Set{"node.lease", "soon"}); err == nil || !strings.HasPrefix(err.Error(), "x.yaml: node.lease: ") {
		t.Errorf("what no line says is said to be wrong as %v", err)
	}
	for _, bad := range []string{"node.degreee=6", "nodes.7.nat=1", "name.x=1"} {
		set, err := ParseSet(bad)
		if err == nil {
			_, err = Read("x.yaml", []byte(least), set)
		}
		if err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestDists holds the mean of many draws against what Mean says.
func TestDists(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, text := range []string{"90", "5m", "every 5m", "exp(20m)", "lognormal(200, 0.5)", "weibull(0.7, 40m)", "uniform(1m, 3m)", "normal(10s, 2s)", "pareto(3, 1m)"} {
		d, err := ParseDist(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		sum, n := 0.0, 200_000
		for range n {
			sum += d.Draw(r)
		}
		if got, want := sum/float64(n), d.Mean(); math.Abs(got/want-1) > 0.03 {
			t.Errorf("%s: mean of draws %v, Mean says %v", text, got, want)
		}
	}
	if d, _ := ParseDist("2m"); d.DrawTime(r) != 2*time.Minute {
		t.Error("2m is not two minutes")
	}
}

func TestClauses(t *testing.T) {
	s, err := Read("x.yaml", []byte(least+"expect:\n  - delivery_ratio >= 99%\n  - notice_p95 <= 2s\n  - lost == 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		got   float64
		holds bool
	}{{0.99, true}, {2.001, false}, {0, true}} {
		if s.Expect[i].Holds(tt.got) != tt.holds || s.Expect[i].Line != 7+i {
			t.Errorf("%+v with %v", s.Expect[i], tt.got)
		}
	}
}

// TestSchemaIsCurrent holds docs/scenario.schema.json against the types; -update is: hum-testnet schema > docs/scenario.schema.json.
func TestSchemaIsCurrent(t *testing.T) {
	b, err := os.ReadFile("../../docs/scenario.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.MarshalIndent(Schema(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(b)) != string(want) {
		t.Error("docs/scenario.schema.json is not what the types say: go run ./cmd/hum-testnet schema > docs/scenario.schema.json")
	}
	for _, section := range []string{"**nodes[]**", "**faults[]**", "**rosters**"} {
		if !strings.Contains(Reference(), section) {
			t.Errorf("the reference says nothing of %s", section)
		}
	}
}
