package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet/exact"
	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/scenario"
)

// A small world in which people talk, some crash, and links lose what is sent.
const small = `version: 1
name: small
warmup: 1m
duration: 3m
nodes:
  - {class: home, count: 10}
rosters: {model: communities, mean: 4}
links: {jitter: 3ms, loss: 1%}
workload:
  - {presence: exp(1m)}
  - {message: exp(1m)}
faults:
  - {at: 1m, for: 30s, crash: true, share: 20%}
  - {at: 2m, for: 20s, partition: half}
expect: [messages_lost == 0, messages_doubled == 0]
`

// long says that the programs are to be built and run, which takes minutes of processor time.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("HUM_LONG") != "testnet" {
		t.Skip("HUM_LONG=testnet builds the programs and runs them")
	}
}

func scenarioFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// halts in the environment of a run says that it is to be stopped now and then.
const halts = "HALTS=1"

// run runs a program and reads the folder that it wrote; what the scenario expects must hold.
func run(t *testing.T, env []string, program string, args ...string) measure.Result {
	t.Helper()
	r := judged(t, env, program, args...)
	if r.Summary.Verdict != "pass" {
		t.Fatalf("%s: %s: %+v %v", strings.Join(args, " "), r.Summary.Verdict, r.Summary.Expect, r.Summary.Errors)
	}
	return r
}

// judged is run, whatever the verdict.
func judged(t *testing.T, env []string, program string, args ...string) measure.Result {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command(program, append(append([]string{"run"}, args...), "--out", dir)...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var halt <-chan time.Time
	if slices.Contains(env, halts) {
		ticker := time.NewTicker(23 * time.Millisecond)
		defer ticker.Stop()
		halt = ticker.C
	}
	for running := true; running; {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
				t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, &out)
			}
			running = false
		case <-halt:
			_ = cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(12 * time.Millisecond) // Go preempts after 10 ms, and a mutex is starving after 1 ms
			_ = cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	r, err := measure.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "report.html")); err != nil {
		t.Error(err)
	}
	return r
}

func valueOf(r measure.Result, metric string) float64 {
	for _, v := range r.Summary.Values {
		if v.Metric == metric {
			return v.Value
		}
	}
	return -1
}

// TestExact: the same scenario and seed give the same events and the same frames, to the bit, also with other processes beside
// it, in another environment, with all objects at other addresses, and if it is stopped now and then, so that real time passes
// at any place; another seed gives others.
func TestExact(t *testing.T) {
	long(t)
	program := filepath.Join(t.TempDir(), "hum-testnet-exact")
	hash, err := exact.Build{Package: ".", Out: program}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	file := scenarioFile(t, small)
	first := run(t, nil, program, file, "--seed", "1")
	m := first.Manifest
	if m.Mode != "exact" || m.OverlaySHA256 != hash || m.Go != exact.Go || len(m.EventsSHA256) != 64 || len(m.TraceSHA256) != 64 {
		t.Errorf("the manifest says %+v", m)
	}
	noise := exec.Command("sh", "-c", "while :; do :; done")
	if err := noise.Start(); err == nil {
		defer noise.Process.Kill()
	}
	env := []string{"GOMAXPROCS=2", "GOGC=20", "GOMEMLIMIT=30MiB", "TMPDIR=" + t.TempDir(), "PADDING=" + strings.Repeat("x", 3000)}
	for _, again := range [][]string{append(env, "HUM_SHAKE=1"), {"HUM_SHAKE=2", halts}} {
		if n := run(t, again, program, file, "--seed", "1").Manifest; n.EventsSHA256 != m.EventsSHA256 || n.TraceSHA256 != m.TraceSHA256 {
			t.Errorf("the same seed gives events %s and frames %s, then %s and %s with %.60q", m.EventsSHA256, m.TraceSHA256, n.EventsSHA256, n.TraceSHA256, again)
		}
	}
	// Spread over several processes on one clock it is the same run.
	var two measure.Result
	for shards, again := range [][]string{1: {"HUM_SHAKE=3"}, 2: append(env, "HUM_SHAKE=4"), 4: nil} {
		if shards != 1 && shards != 2 && shards != 4 {
			continue
		}
		two = run(t, again, program, file, "--seed", "1", "--shards", fmt.Sprint(shards))
		if n := two.Manifest; n.EventsSHA256 != m.EventsSHA256 || n.TraceSHA256 != m.TraceSHA256 {
			t.Errorf("one process gives events %s and frames %s, %d shards %s and %s", m.EventsSHA256, m.TraceSHA256, shards, n.EventsSHA256, n.TraceSHA256)
		}
	}
	for _, metric := range []string{"messages", "message_ratio", "messages_lost", "messages_doubled"} {
		if a, b := valueOf(first, metric), valueOf(two, metric); a != b {
			t.Errorf("%s is %v, and %v with four processes", metric, a, b)
		}
	}
	if n := run(t, nil, program, file, "--seed", "2").Manifest; n.EventsSHA256 == m.EventsSHA256 || n.TraceSHA256 == m.TraceSHA256 {
		t.Error("two seeds give the same run")
	}
}

// TestExactBuiltin: every built-in scenario is the same run in one process and in two, with the same verdict, on links of every kind
// and with stores in memory and on disk, each time with all objects at other addresses.
func TestExactBuiltin(t *testing.T) {
	long(t)
	program := filepath.Join(t.TempDir(), "hum-testnet-exact")
	if _, err := (exact.Build{Package: ".", Out: program}).Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, name := range scenario.Builtin() {
		t.Run(name, func(t *testing.T) {
			args := []string{name, "--nodes", "8", "--set", "sweep={}", "--set", "seeds=1"}
			if name == "domains" {
				args = append(args, "--set", "communities.0.count=133")
			}
			alike := func(what string, a, b measure.Result) {
				t.Helper()
				if x, y := a.Manifest, b.Manifest; x.EventsSHA256 != y.EventsSHA256 || x.TraceSHA256 != y.TraceSHA256 || a.Summary.Verdict != b.Summary.Verdict {
					t.Errorf("%s: %s, events %.8s, frames %.8s, and then %s, %.8s, %.8s %v", what, a.Summary.Verdict, x.EventsSHA256, x.TraceSHA256,
						b.Summary.Verdict, y.EventsSHA256, y.TraceSHA256, b.Summary.Expect)
				}
			}
			one := judged(t, nil, program, args...)
			alike("two processes", one, judged(t, []string{"HUM_SHAKE=1"}, program, append(args, "--shards", "2")...))
			if name == "persistence" { // whose stores are on disk, so that it waits for one
				alike("stopped now and then", one, judged(t, []string{"HUM_SHAKE=4", "GOGC=20", halts}, program, args...))
			}
			for _, links := range []string{"noise", "quic"} {
				args := append(slices.Clone(args), "--set", "fidelity="+links)
				one := judged(t, nil, program, args...)
				alike(links, one, judged(t, []string{"HUM_SHAKE=2"}, program, args...))
				alike(links+" and two processes", one, judged(t, []string{"HUM_SHAKE=3"}, program, append(args, "--shards", "2")...))
			}
		})
	}
}

// TestProcessEngine runs real processes: what was measured of them is complete, and nothing is lost.
func TestProcessEngine(t *testing.T) {
	long(t)
	bin := t.TempDir()
	for name, pkg := range map[string]string{"hum": "../hum", "hum-testnet": "."} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, name), pkg).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	text := strings.NewReplacer("warmup: 1m", "warmup: 30s", "duration: 3m", "duration: 45s", "count: 10", "count: 4", "mean: 4", "mean: 2", "exp(1m)", "exp(15s)",
		"at: 1m, for: 30s", "at: 10s, for: 10s", "  - {at: 2m, for: 20s, partition: half}\n", "", "share: 20%", "share: 25%").Replace(small)
	program := filepath.Join(bin, "hum-testnet")
	r := run(t, nil, program, scenarioFile(t, text), "--engine", "process")
	got := map[string]float64{}
	for _, v := range r.Summary.Values {
		got[v.Metric] = v.Value
	}
	if r.Manifest.Engine != "process" || r.Manifest.Mode != "statistical" || got["messages"] < 2 || got["changes"] < 4 || got["message_ratio"] != 1 {
		t.Errorf("%s, %s: %v", r.Manifest.Engine, r.Manifest.Mode, got)
	}
	asleep := strings.NewReplacer("crash: true", "sleep: true", "at: 10s, for: 10s", "at: 5s, for: 12s", "exp(15s)", "\"every 5s\", until: 25s").Replace(text)
	r = run(t, nil, program, scenarioFile(t, asleep), "--engine", "process")
	if len(r.Summary.Faults) != 1 || valueOf(r, "messages") < 4 || valueOf(r, "message_ratio") != 1 || valueOf(r, "delivery_ratio") != 1 {
		t.Errorf("one of four sleeps: %v %v", r.Summary.Faults, r.Summary.Values)
	}
	out, err := exec.Command(program, "run", scenarioFile(t, small), "--engine", "process", "--out", filepath.Join(bin, "no")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot") || !strings.Contains(string(out), "part") {
		t.Errorf("a partition of loopback: %v: %s", err, out)
	}
}

// TestCluster: a run waits at a port for shards that others start as it says, and is told what is wrong with who else comes; it has
// the figures of one that starts its own.
func TestCluster(t *testing.T) {
	long(t)
	program := filepath.Join(t.TempDir(), "hum-testnet")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, dir := scenarioFile(t, small), filepath.Join(t.TempDir(), "run")
	run := exec.Command(program, "run", file, "--nodes", "8", "--engine", "cluster", "--shards", "2", "--listen", "tcp:127.0.0.1:0", "--out", dir)
	said, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer run.Process.Kill()
	lines := bufio.NewScanner(said)
	var start []string
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); slices.Contains(words, "--join") {
			start = words[1 : len(words)-1] // without the name of the program, and the number 0
			break
		}
	}
	refused := make(chan string, 1)
	go func() {
		for lines.Scan() {
			if why, ok := strings.CutPrefix(lines.Text(), "not let in: "); ok {
				refused <- why
			}
		}
	}()
	shard := func(number string, more ...string) ([]byte, error) {
		return exec.Command(program, slices.Concat(start, []string{number}, more)...).CombinedOutput()
	}
	if out, err := shard("0", "--set", "duration=9m"); err == nil || !strings.Contains(string(out), "runs something else") {
		t.Errorf("a shard of another run: %v: %s", err, out)
	}
	if why := <-refused; !strings.Contains(why, "shard 0 runs something else") {
		t.Errorf("the run says: %s", why)
	}
	other := make(chan error, 1)
	go func() {
		out, err := shard("1")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		other <- err
	}()
	out, err := shard("0")
	if err := errors.Join(err, <-other, run.Wait()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r, err := measure.Read(dir)
	if err != nil || !r.Manifest.Complete || r.Manifest.Shards != 2 || r.Summary.Verdict != "pass" || valueOf(r, "messages") < 5 {
		t.Errorf("%v: %+v %+v", err, r.Manifest, r.Summary.Expect)
	}
}
