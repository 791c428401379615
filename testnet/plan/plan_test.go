package plan

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet/scenario"
)

func read(t *testing.T, text string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Read("x.yaml", []byte("version: 1\nname: x\nduration: 10m\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func plan(t *testing.T, text string, o Options) *Plan {
	t.Helper()
	p, err := Make(read(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const busy = `nodes:
  - {class: a, count: 60, region: {europe: 50%, oceania: 50%}, nat: 20%}
  - {class: b, exactly: 2}
rosters: {mean: 6, mutual: 50%}
workload:
  - {presence: exp(1m), message: exp(2m)}
churn:
  - {class: a, session: exp(5m), gap: exp(1m), crash: 50%}
faults:
  - {at: 1m, for: 2m, share: 25%, loss: 5%}
`

// TestSeed: the same seed plans the same, another seed something else; a further entry changes nothing of the others.
func TestSeed(t *testing.T) {
	a, b, c := plan(t, busy, Options{}), plan(t, busy, Options{}), plan(t, busy, Options{Seed: 2})
	strip := func(p *Plan) any { return []any{p.Watches, p.Actions, len(p.Nodes)} }
	if !reflect.DeepEqual(strip(a), strip(b)) {
		t.Error("one seed gives two plans")
	}
	if reflect.DeepEqual(strip(a), strip(c)) {
		t.Error("two seeds give one plan")
	}
	more := plan(t, strings.Replace(busy, "churn:", "  - {message: exp(10m), class: b}\nchurn:", 1), Options{})
	if !reflect.DeepEqual(a.Watches, more.Watches) {
		t.Error("a further workload changes who watches whom")
	}
	for i := 1; i < len(a.Actions); i++ {
		if a.Actions[i].At < a.Actions[i-1].At {
			t.Fatal("actions are not in order")
		}
	}
}

func TestCounts(t *testing.T) {
	p := plan(t, busy, Options{Nodes: 302})
	if len(p.Nodes) != 302 || len(p.members("b")) != 2 {
		t.Errorf("%d nodes, %d of b", len(p.Nodes), len(p.members("b")))
	}
	e := p.Estimate()
	if e.Roster < 5.5 || e.Roster > 6.5 {
		t.Errorf("rosters of %v, want 6", e.Roster)
	}
	ips := map[string]bool{}
	for _, n := range p.Nodes {
		if ips[n.IP] {
			t.Errorf("two nodes at %s", n.IP)
		}
		ips[n.IP] = true
	}
}

func TestGraphs(t *testing.T) {
	count := func(model string) (edges int, most int) {
		p := plan(t, "nodes: [{class: a, count: 100}, {class: hub, exactly: 1}]\nrosters: {mean: 8, centre: hub, model: "+model+"}\n", Options{})
		watched := map[int]int{}
		for _, w := range p.Watches {
			watched[w.Presentity]++
			most = max(most, watched[w.Presentity])
		}
		return len(p.Watches), most
	}
	for model, want := range map[string][4]int{ // edges from, to; the most watched from, to
		"communities": {760, 840, 9, 22}, "random": {760, 840, 9, 22}, "powerlaw": {700, 840, 30, 100},
		"ring": {800, 820, 8, 8}, "star": {100, 100, 100, 100}, "pairs": {100, 100, 1, 1}, "none": {0, 0, 0, 0},
	} {
		edges, most := count(model)
		if edges < want[0] || edges > want[1] || most < want[2] || most > want[3] {
			t.Errorf("%s: %d edges, one is watched by %d; want %v", model, edges, most, want)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rtt.csv", "from,to,ms\n# one way\nhere,there,120\nhere,here,1.5\n")
	write("edges.csv", "watcher,presentity\n0,1\n2,1\n")
	write("trace.csv", "t,node,what\n60,1,crash\n90.5,1,up\n")
	write("bad.csv", "t,node,what\n# nobody\n\n60,99,crash\n")
	write("wide.csv", "t,node,what\n60,1\n")
	files := "nodes: [{class: a, count: 3, region: there}]\nlinks: {latency: file(rtt.csv)}\nrosters: {model: file, file: edges.csv}\n"
	p := plan(t, files+"churn: [{file: trace.csv}]\n", Options{Dir: dir})
	if got := p.Delays[0][1]; got != 120*time.Millisecond || p.Delays[1][0] != got || p.Delays[0][0] != 1500*time.Microsecond || len(p.Watches) != 2 {
		t.Errorf("%v, %v", p.Delays, p.Watches)
	}
	if a := p.Actions; len(a) != 2 || a[0].Kind != Crash || a[1].At != 2*time.Minute+90500*time.Millisecond {
		t.Errorf("%+v", a)
	}
	for text, want := range map[string]string{
		files + "churn: [{file: none.csv}]\n":                                     "x.yaml:7: churn.0.file: open " + filepath.Join(dir, "none.csv"),
		files + "churn: [{file: bad.csv}]\n":                                      "bad.csv:4: [60 99 crash]: a row is",
		files + "churn: [{file: wide.csv}]\n":                                     "wide.csv:2: wrong number of fields; a row has 3 cells",
		strings.Replace(files, "edges", "noedges", 1):                             "x.yaml:6: rosters.file: open ",
		strings.Replace(files, "rtt", "nortt", 1):                                 "x.yaml:5: links.latency: open ",
		strings.Replace(files, "there", "mars", 1):                                `x.yaml:4: nodes.0.region: there is no region "mars"`,
		"nodes: [{class: a, count: 3}]\nfaults: [{at: 1m, partition: nowhere}]\n": `x.yaml:5: faults.0: partition: "nowhere" is neither regions`,
		"nodes: [{class: a, count: 3}]\nlinks: {latency: soon}\n":                 `x.yaml:5: links.latency: "soon" is neither regions, nor a duration`,
	} {
		if _, err := Make(read(t, text), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestTooLargeToPlan: what would not fit into memory as a plan is refused before it is made.
func TestTooLargeToPlan(t *testing.T) {
	for _, tt := range []struct {
		text  string
		nodes int
		want  string
	}{
		{"nodes: [{class: a, count: 99000000}]\n", 0, "x.yaml:4: nodes: more than 1000000 nodes"},
		{"nodes: [{class: a, count: 3}]\n", 99_000_000, "x.yaml:4: nodes: more than 1000000 nodes"},
		{"nodes: [{class: a, count: 90000}]\nworkload: [{message: 1h}, {presence: 1s}]\n", 0, "x.yaml:5: workload.1: makes it 5.4e+07 things to do"},
		{"nodes: [{class: a, count: 90000}]\nchurn: [{session: 1s, gap: 1s}]\n", 0, "x.yaml:5: churn.0: makes it 5.4e+07 things to do"},
	} {
		if _, err := Make(read(t, tt.text), Options{Nodes: tt.nodes}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// TestDistances: the built-in table is a model; it is to be about what the globe says.
func TestDistances(t *testing.T) {
	p := plan(t, "nodes: [{class: a, count: 3}]\n", Options{})
	for pair, want := range map[[2]int][2]int{{0, 1}: {45, 60}, {0, 8}: {110, 135}, {0, 0}: {10, 10}} { // ms one way
		if ms := int(p.Delays[pair[0]][pair[1]].Milliseconds()); ms < want[0] || ms > want[1] || p.Delays[pair[0]][pair[1]] != p.Delays[pair[1]][pair[0]] {
			t.Errorf("%s to %s takes %d ms", p.Regions[pair[0]], p.Regions[pair[1]], ms)
		}
	}
}

func TestOver(t *testing.T) {
	e := plan(t, busy, Options{Nodes: 5000}).Estimate()
	if e.Over(Limits{}) != "" || e.Over(Limits{Memory: 1 << 30}) == "" || e.Over(Limits{CPU: time.Minute}) == "" {
		t.Errorf("%+v", e)
	}
}

// TestAsManyAsAsked: so many nodes as were asked for there are, whatever rounding leaves over, and asking for as many again
// gives the same; each class has one at least.
func TestAsManyAsAsked(t *testing.T) {
	for _, classes := range []string{"{class: a, count: 60}, {class: b, count: 4}, {class: c, count: 3}", "{class: a, count: 700}, {class: b, count: 300}",
		"{class: a, exactly: 2}, {class: b, count: 80}, {class: c, count: 1}", "{class: a, count: 1}, {class: b, count: 1}, {class: c, count: 1}"} {
		s, err := scenario.Read("x.yaml", []byte("version: 1\nname: x\nduration: 1m\nnodes: ["+classes+"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		for total := 4; total < 120; total += 7 {
			p, err := Make(s, Options{Nodes: total})
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Nodes) != total {
				t.Errorf("%s: asked for %d, there are %d", classes, total, len(p.Nodes))
			}
			for _, class := range []string{"a", "b", "c"} {
				if strings.Contains(classes, "class: "+class) && len(p.members(class)) == 0 {
					t.Errorf("%s: of %d nobody is of class %s", classes, total, class)
				}
			}
		}
	}
}
