//go:build linux

package sim

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
)

// TestASleepingProcess: the process of a machine that sleeps is stopped by the system, and what its user is to do meanwhile he
// does when it has woken; a crash does not wait for that. When the run is over nobody does anything any more.
func TestASleepingProcess(t *testing.T) {
	var slept []string
	e := &processes{World: &World{begin: time.Now()}, ids: map[string]bool{}, early: map[string][]func(){}, byAddress: map[string]int{}}
	e.Book = measure.NewBook(measure.BookConfig{Nodes: 1, Event: func(x measure.Event) { slept = append(slept, x.Kind) }})
	p := &proc{e: e, Node: plan.Node{Name: "sleeper"}}
	p.woken = sync.NewCond(&p.one)
	e.nodes = []*proc{p}
	p.cmd, p.see = exec.Command("sleep", "1000"), exec.Command("sleep", "1000")
	p.ran = make(chan struct{})
	for _, c := range []*exec.Cmd{p.cmd, p.see} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	running, watching := p.cmd, p.see
	go func() { _ = running.Wait(); close(p.ran) }()
	defer func() { _ = running.Process.Kill(); _ = watching.Process.Kill(); _ = watching.Wait() }()
	state := func(want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", running.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			if f := strings.Fields(string(b)); strings.Contains(want, f[2]) {
				return
			} else if time.Now().After(end) {
				t.Fatalf("the process is in state %s, want %s", f[2], want)
			}
		}
	}
	done := make(chan string, 4)
	do := func(what string) { e.on(p, what, func() error { done <- what; return nil }) }
	do("before")
	if got := <-done; got != "before" {
		t.Fatal(got)
	}
	e.act(plan.Action{Kind: plan.Sleep})
	state("T")
	do("asleep")
	e.strike(p, "look", func() error { done <- "struck"; return nil }) // what befalls a machine waits for nobody
	if got := <-done; got != "struck" {
		t.Fatalf("who sleeps did something: %s", got)
	}
	e.act(plan.Action{Kind: plan.Wake})
	state("SR")
	if got := <-done; got != "asleep" {
		t.Fatal(got)
	}
	e.act(plan.Action{Kind: plan.Sleep})
	state("T")
	do("never")
	e.act(plan.Action{Kind: plan.Crash})
	<-p.ran
	if err := e.end(); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-done:
		t.Errorf("%s was done after the end", got)
	default:
	}
	if got := strings.Join(slept, " "); got != "sleep wake sleep down" {
		t.Errorf("the book was told %s", got)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.errs) > 0 {
		t.Error(e.errs)
	}
}

// TestOnLoopback: what is about lines alone is left out and said; what a scenario is about is refused.
func TestOnLoopback(t *testing.T) {
	const head = "version: 1\nname: x\nduration: 2m\nnodes: [{class: phone, count: 4, up: 1Mbps, jitter: 5ms}]\n"
	p := planned(t, head+"churn: [{session: exp(20s), gap: exp(20s), sleep: true}]\n")
	if err := forLoopback(p); err != nil {
		t.Error(err)
	}
	said := strings.Join(notOnLoopback(p), "; ")
	if !strings.Contains(said, "lines of class phone") || !strings.Contains(said, "sleeps") {
		t.Errorf("what is not modelled: %s", said)
	}
	for _, fault := range []string{"partition: half", "loss: 10%", "clock: 1m", "blackout: true"} {
		if err := forLoopback(planned(t, head+"faults: [{at: 1m, for: 10s, "+fault+"}]\n")); err == nil || !strings.Contains(err.Error(), "--engine sim") {
			t.Errorf("%s: %v", fault, err)
		}
	}
}
