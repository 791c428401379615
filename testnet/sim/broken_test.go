package sim

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
)

// TestKilled: a run that is killed with SIGKILL, which it cannot hear, leaves a folder that is read: partial, with samples and events
// up to some seconds before.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("HUM_SIM_KILLED"); dir != "" {
		s, err := scenario.Read("quiet", []byte(strings.Replace(quiet, "duration: 4m", "duration: 99h", 1)))
		if err != nil {
			t.Fatal(err)
		}
		s.Workload[0].Until, s.Measure.Every = scenario.Duration(time.Hour), scenario.Duration(2*time.Second)
		p, err := plan.Make(s, plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) { _, err = Run(p, Options{Dir: dir, Homes: filepath.Dir(dir)}) })
		t.Fatal("it ended by itself:", err)
	}
	dir := filepath.Join(homes(t), "run")
	child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), "HUM_SIM_KILLED="+dir)
	var said bytes.Buffer
	child.Stdout = &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for lines := 0; lines < 50; time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v: %s", err, said.String())
		default:
		}
		b, _ := os.ReadFile(filepath.Join(dir, measure.SamplesFile))
		lines = bytes.Count(b, []byte("\n"))
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	r, err := measure.Read(dir)
	if err != nil || r.Manifest.Complete || r.Summary.Verdict != "partial" || len(r.Samples) < 40 {
		t.Errorf("%v: %+v, %d samples", err, r.Summary, len(r.Samples))
	}
	seen := 0
	if err := measure.ReadEvents(dir, func(e measure.Event) error { seen++; return nil }); err != nil || seen < 20 {
		t.Errorf("%d events: %v", seen, err)
	}
}

// TestFullDisk: a run whose disk is full ends at once, names the file, and leaves a folder that is read.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, measure.EventsFile)); err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Read("quiet", []byte(strings.Replace(quiet, "duration: 4m", "duration: 99h", 1)))
	if err != nil {
		t.Fatal(err)
	}
	s.Workload[0].Until = scenario.Duration(time.Hour)
	p, err := plan.Make(s, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { _, err = Run(p, Options{Dir: dir, Homes: homes(t)}) })
	if err == nil || !strings.Contains(err.Error(), measure.EventsFile) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("the error is %v", err)
	}
	r, err := measure.Read(dir)
	if err != nil || r.Manifest.Complete || r.Summary.Verdict != "partial" || r.Manifest.Virtual > 600 {
		t.Errorf("%v: %+v", err, r.Manifest)
	}
}

// TestSlowDisks: where a commit takes 100 ms a message, which is acknowledged after it, takes that much longer to be said delivered.
func TestSlowDisks(t *testing.T) {
	text := strings.Replace(quiet, "mean: 2", "mean: 2", 1)
	quick := run(t, "quiet", []byte(text), 0, Options{})
	slow := run(t, "quiet", []byte(strings.Replace(text, "count: 4", "count: 4, commit: 100ms", 1)), 0, Options{})
	for metric, least := range map[string]float64{"message_p50": 0.09, "ack_p50": 0.09} {
		if a, b := figure(t, quick, metric), figure(t, slow, metric); b < a+least || b > a+1 {
			t.Errorf("%s is %.3f s, and %.3f s on slow disks", metric, a, b)
		}
	}
}

// TestEstimate: what plan says of deliveries, messages and connections is what a run has, within a factor of two, and so are the
// processor time and the memory of a run of some size.
func TestEstimate(t *testing.T) {
	text, err := scenario.BuiltinText("working-day")
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Read("working-day", text, scenario.Set{Path: "duration", Value: "4m"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(s, plan.Options{Nodes: size(20, 1000)})
	if err != nil {
		t.Fatal(err)
	}
	e := p.Estimate()
	r := run(t, "working-day", text, size(20, 1000), Options{}, scenario.Set{Path: "duration", Value: "4m"})
	within := func(what string, said, is float64) {
		if t.Logf("%s: %.4g, and it is %.4g", what, said, is); said > 2*is || is > 2*said {
			t.Errorf("plan says %.4g %s, and it is %.4g", said, what, is)
		}
	}
	within("messages", float64(e.Messages), figure(t, r, "messages"))
	within("changes to be seen", float64(e.Deliveries), figure(t, r, "changes"))
	within("connections of a node", 2*float64(e.Connections)/float64(e.Nodes), figure(t, r, "connections"))
	if size(0, 1) == 1 { // in a process that has run nothing else
		within("s of processor time", e.CPU.Seconds(), r.Manifest.CPU)
		within("bytes of memory", float64(e.Memory), float64(r.Manifest.PeakRSS))
	}
}

// TestProberIsTold: a block that is not polite is what a prober finds out, so that one that he does not find out says something.
func TestProberIsTold(t *testing.T) {
	Register("told", func() Behaviour {
		return &prober{block: func(ctx context.Context, by *node.Node, who string) error {
			_, err := by.Block(ctx, who, "both")
			return err
		}}
	})
	r := run(t, "told", []byte(`version: 1
name: told
warmup: 1m
duration: 3m
nodes: [{class: person, count: 3}, {class: told, exactly: 1, behaviour: told}, {class: decoy, exactly: 1, behaviour: decoy}]
rosters: {model: ring, mean: 2}
`), 0, Options{})
	if told := figure(t, r, "prober_told"); told == 0 {
		t.Errorf("nothing tells it: %+v", r.Summary.Errors)
	}
}
