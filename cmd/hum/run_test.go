package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hum-presence/hum/node/control"
)

// TestBrokenPipes: whoever reads may have enough, but a command whose node died while it was asked has not succeeded.
func TestBrokenPipes(t *testing.T) {
	toNode := fmt.Errorf("write unix control.sock: %w", syscall.EPIPE)
	for _, tt := range []struct {
		name         string
		err, flushed error
		want         int
	}{
		{"all went well", nil, nil, exitDone},
		{"the reader has gone", nil, syscall.EPIPE, exitDone},
		{"the reader has gone, and the command saw it", syscall.EPIPE, syscall.EPIPE, exitDone},
		{"the node has died", toNode, nil, exitFailed},
		{"the screen cannot be written", nil, syscall.ENOSPC, exitFailed},
		{"refused, and the reader has gone", outcome(exitRefused), syscall.EPIPE, exitRefused},
	} {
		a := &app{out: &buffer{}, err: &buffer{}}
		if got := a.finish(t.Context(), tt.err, tt.flushed); got != tt.want {
			t.Errorf("%s: exit %d, want %d", tt.name, got, tt.want)
		}
	}
}

// A real node, from the first up to a restored copy.
func TestRealNode(t *testing.T) {
	f := resting(t)
	do := func(want int, line string) string {
		t.Helper()
		var out buffer
		var errs buffer
		a := &app{in: strings.NewReader(f.stdin), out: &out, err: &errs, flush: func() error { return nil },
			env: func(k string) string { return map[string]string{"HUM_HOME": f.home}[k] }, now: time.Now, local: homes{}}
		if code := a.run(t.Context(), append(strings.Fields(line), "--json")); code != want {
			t.Fatalf("%s: exit %d, want %d: %s", line, code, want, strings.Join(errs.lines(), "\n"))
		}
		return strings.Join(out.lines(), "\n")
	}
	field := func(text, name string) string {
		t.Helper()
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		s, _ := m[name].(string)
		return s
	}

	do(exitNotRunning, "status")
	made := do(0, "init --name Alice")
	address := field(made, "address")
	upped := make(chan string, 1)
	go func() { upped <- do(0, "up --listen /ip4/127.0.0.1/tcp/0") }()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if c, err := control.Dial(f.home); err == nil {
			c.Close()
			break
		} else if time.Since(start) > time.Minute {
			t.Fatal(err)
		}
	}
	if got := do(0, "status"); field(got, "address") != address || field(got, "name") != "Alice" {
		t.Errorf("status: %s", got)
	}
	if got := do(0, "card"); !strings.HasPrefix(field(got, "card"), "hum:"+address) {
		t.Errorf("card: %s", got)
	}
	do(0, "set open busy --note here")
	do(exitUsage, "send nobody hi")
	if got := do(0, "events"); !strings.Contains(got, `"kind":"presence"`) {
		t.Errorf("events: %s", got)
	}
	one := passFile(t, "one")
	do(0, "passphrase set --passphrase-file "+one) // by the running node
	do(0, "down")
	if got := <-upped; field(got, "event") != "ready" || field(got, "address") != address {
		t.Errorf("up: %s", got)
	}

	backup := f.home + "/../copy.backup"
	do(0, "backup "+backup+" --passphrase-file "+one)
	do(exitFailed, "init")
	f.home = t.TempDir()
	if got := do(0, "restore "+backup+" --passphrase-file "+one); field(got, "address") != address {
		t.Errorf("restore: %s", got)
	}
	f.home, f.stdin = t.TempDir(), field(made, "recovery_words")
	if got := do(0, "init --recover"); field(got, "address") != address || field(got, "device") == field(made, "device") {
		t.Errorf("recovered: %s", got)
	}
}
