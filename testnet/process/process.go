// Package process runs the real hum binary, one process a home, over loopback: what a crash, a kill, a full
// disk or a second process does to a node can only be seen on the real thing.
package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet/ports"
)

// Build compiles cmd/hum with build tags and returns the path of the binary.
func Build(t testing.TB, tags ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hum")
	cmd := exec.Command("go", "build", "-tags", strings.Join(tags, ","), "-o", bin, "github.com/hum-presence/hum/cmd/hum")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// A Home is one home and, while it is up, the process of its node.
type Home struct {
	Dir     string
	Bin     string
	Listen  string   // the address it listens on, kept over restarts; "" is its own port on every interface
	Wrap    []string // a command that runs the node, such as a tracer
	Command []string // what is run; none: up
	Flags   []string // further flags of it
	Env     []string // of up, besides the environment of the caller
	Ready   string   // the line that it said when it was ready
	cmd     *exec.Cmd
	out     *bytes.Buffer
	died    chan struct{} // closed when the process has closed its output, as a dead one has
}

// New returns a home that has no identity yet, with a port of loopback that is its own.
func New(t testing.TB, bin, name string) *Home {
	t.Helper()
	h := &Home{Dir: filepath.Join(t.TempDir(), name), Bin: bin, Listen: ports.TCP(t)}
	t.Cleanup(h.Kill)
	return h
}

// Up starts the node and waits until it is ready.
func (h *Home) Up() error {
	args := append(append([]string{}, h.Wrap...), h.Bin, "--home", h.Dir, "--json")
	if h.Command == nil {
		h.Command = []string{"up"}
	}
	args = append(args, h.Command...)
	if h.Listen != "" {
		args = append(args, "--listen", h.Listen)
	}
	args = append(args, h.Flags...)
	h.cmd = exec.Command(args[0], args[1:]...)
	h.out = new(bytes.Buffer)
	h.cmd.Stderr = h.out
	h.cmd.Env = append(os.Environ(), h.Env...)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a tracer and what it traces die together
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.cmd.Start(); err != nil {
		return err
	}
	ready, died := make(chan struct{}), make(chan struct{})
	h.died = died
	go func() {
		defer close(died)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			if strings.Contains(s.Text(), `"event":"ready"`) {
				h.Ready = s.Text()
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
		return nil
	case <-died:
		h.Kill() // now all that it said is there
		return fmt.Errorf("%w: %s", errEarly, h.out)
	case <-time.After(Patience):
		h.Kill()
		return fmt.Errorf("not ready in %v: %s", Patience, h.out)
	}
}

var errEarly = errors.New("the node ended before it was ready")

// Kill ends the process as a crash would, at once and without a word.
func (h *Home) Kill() {
	if h.cmd == nil || h.cmd.Process == nil {
		return
	}
	_ = syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL)
	_ = h.cmd.Wait()
	h.cmd = nil
}

// Pid is the process id of the running node.
func (h *Home) Pid() int { return h.cmd.Process.Pid }

// A Result is what one command printed, and its exit code.
type Result struct {
	Out, Err string
	Code     int
}

// Run runs one command of this home with --json.
func (h *Home) Run(args ...string) Result {
	cmd := exec.Command(h.Bin, append([]string{"--home", h.Dir, "--json"}, args...)...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	r := Result{Out: out.String(), Err: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		r.Code, r.Err = -1, err.Error()
	}
	return r
}

// Must runs a command that has to succeed and returns its lines.
func (h *Home) Must(t testing.TB, args ...string) []map[string]any {
	t.Helper()
	r := h.Run(args...)
	if r.Code != 0 {
		t.Fatalf("hum %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	return Lines(t, r.Out)
}

// Lines reads what --json printed.
func Lines(t testing.TB, out string) (lines []map[string]any) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if line == "" {
			continue
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("not JSON: %q: %v", line, err)
		}
		lines = append(lines, m)
	}
	return lines
}

// Befriend has a watch b and b watch a, each approving the other.
func Befriend(t testing.TB, a, b *Home) {
	t.Helper()
	for _, p := range [][2]*Home{{a, b}, {b, a}} {
		card := p[1].Must(t, "card")[0]["card"].(string)
		p[0].Must(t, "add", card, "--as", filepath.Base(p[1].Dir))
	}
	for _, p := range [][2]*Home{{a, b}, {b, a}} {
		p[1].Must(t, "approve", filepath.Base(p[0].Dir))
		p[0].Must(t, "watch", filepath.Base(p[1].Dir), "--wait", Patience.String())
	}
}

// Patience is how long one waits for what must come, where nothing says how soon: longer, on a machine that has other
// work, than a dial that comes too late, the pause after it and the next.
const Patience = 5 * time.Minute

// Eventually waits until ok holds, for as long as is said.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", within, what)
}

// Env is the environment of the caller with a variable set; for commands that read a passphrase file.
func Env(name, value string) []string { return append(os.Environ(), name+"="+value) }
