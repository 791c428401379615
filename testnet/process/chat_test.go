package process

import (
	"io"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// A talker is a process of hum chat between pipes.
type talker struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines <-chan string
	all   []string
}

func talk(t *testing.T, h *Home, who string) *talker {
	t.Helper()
	x := &talker{t: t, cmd: exec.Command(h.Bin, "--home", h.Dir, "chat", who)}
	x.in, x.lines = piped(t, x.cmd)
	return x
}

func (x *talker) says(text string) {
	x.t.Helper()
	if _, err := io.WriteString(x.in, text+"\n"); err != nil {
		x.t.Fatal(err)
	}
}

// shows waits for a line that ends so, with the id of its message.
func (x *talker) shows(form string) {
	x.t.Helper()
	end := regexp.MustCompile(form + `$`)
	timeout := time.After(Patience)
	for {
		select {
		case l, ok := <-x.lines:
			if x.all = append(x.all, l); !ok {
				x.t.Fatalf("ended before %q: %q", form, x.all)
			}
			if end.MatchString(l) {
				return
			}
		case <-timeout:
			x.t.Fatalf("%q is not shown: %q", form, x.all)
		}
	}
}

// ends waits for the end of the process, with code 0.
func (x *talker) ends() {
	x.t.Helper()
	for range x.lines {
	}
	if err := x.cmd.Wait(); err != nil {
		x.t.Errorf("chat ended with %v", err)
	}
}

// TestChat has two people talk by real processes between pipes, both ways: one ends by the end of his input, the
// other by an interrupt.
func TestChat(t *testing.T) {
	bin := Build(t)
	alice, bob := New(t, bin, "alice"), New(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	Befriend(t, alice, bob)
	a, b := talk(t, alice, "bob"), talk(t, bob, "alice")
	a.says("grüß dich \x1b[31m")
	b.shows("alice: grüß dich \ufffd\\[31m  \\[\\w{8}\\]")
	a.shows("· delivered \\w{8}: grüß dich \ufffd\\[31m")
	b.says("you too")
	a.shows(`bob: you too  \[\w{8}\]`)
	b.shows(`· delivered \w{8}: you too`)
	a.says("bye")
	if err := a.in.Close(); err != nil {
		t.Fatal(err)
	}
	a.shows(`· delivered \w{8}: bye`)
	a.ends()
	b.shows(`alice: bye  \[\w{8}\]`)
	if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	b.ends()
	h := talk(t, alice, "bob")
	h.shows(`me: bye  \[delivered \w{8}\]`)
	_ = h.in.Close()
	h.ends()
}
