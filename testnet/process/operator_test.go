package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet/ports"
)

// An operator runs a community node, a process of its own.
type operator struct {
	t      *testing.T
	bin    string
	home   string
	port   int
	flags  []string
	wrap   []string
	env    []string // nil: as the test has it
	dir    string
	attr   syscall.SysProcAttr
	invite string // of the latest start
	listen []string
	tells  string // where its metrics and health are
	log    lockedLog
	cmd    *exec.Cmd
}

// lockedLog is what a process wrote to stderr, over all its lives.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// community starts a community node on a port of loopback that it keeps.
func community(t *testing.T, bin, name string, flags ...string) *operator {
	t.Helper()
	o := newOperator(t, bin, name, flags...)
	o.up()
	return o
}

func newOperator(t *testing.T, bin, name string, flags ...string) *operator {
	t.Helper()
	o := &operator{t: t, bin: bin, home: filepath.Join(t.TempDir(), name), port: ports.Free(t), flags: append([]string{"--name", name}, flags...)}
	t.Cleanup(o.kill)
	return o
}

func (o *operator) up() {
	o.t.Helper()
	args := append(append([]string{}, o.wrap...), o.bin, "--home", o.home, "--json", "community", "up", "--listen", tcp(o.port), "--metrics", "127.0.0.1:0", "-v")
	args = append(args, o.flags...)
	o.cmd = exec.Command(args[0], args[1:]...)
	o.cmd.Stderr, o.cmd.Env = &o.log, o.env
	o.attr.Setpgid = true
	o.cmd.SysProcAttr, o.cmd.Dir = &o.attr, o.dir
	out, err := o.cmd.StdoutPipe()
	if err == nil {
		err = o.cmd.Start()
	}
	if err != nil {
		o.t.Fatal(err)
	}
	ready := make(chan map[string]any, 1)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			var m map[string]any
			if json.Unmarshal(s.Bytes(), &m) == nil && m["event"] == "ready" {
				ready <- m
			}
		}
		close(ready)
	}()
	select {
	case m, ok := <-ready:
		if !ok {
			o.kill()
			o.t.Fatalf("the community node ended before it was ready:\n%s", &o.log)
		}
		o.listen = nil
		for _, l := range m["listen"].([]any) {
			o.listen = append(o.listen, l.(string))
		}
		o.invite, o.tells = m["invite"].(string), "http://"+m["metrics"].(string)
	case <-time.After(Patience):
		o.t.Fatalf("the community node is not ready:\n%s", &o.log)
	}
}

// stop ends it as a supervisor does.
func (o *operator) stop() {
	o.t.Helper()
	_ = o.cmd.Process.Signal(syscall.SIGTERM)
	if err := o.cmd.Wait(); err != nil {
		o.t.Errorf("the community node ended: %v\n%s", err, &o.log)
	}
	o.cmd = nil
}

func (o *operator) kill() {
	if o.cmd != nil {
		_ = syscall.Kill(-o.cmd.Process.Pid, syscall.SIGKILL)
		_ = o.cmd.Wait()
		o.cmd = nil
	}
}

// ask gets a page of its metrics and health.
func (o *operator) ask(path string) (code int, body string) {
	o.t.Helper()
	r, err := http.Get(o.tells + path)
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func tcp(port int) string { return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port) }
