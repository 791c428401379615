package process

import (
	"bufio"
	"io"
	"os/exec"
	"testing"
)

// piped starts a program that is written to and says lines, on both its outputs; lines ends with it.
func piped(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, lines <-chan string) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said := make(chan string, 1000)
	go func() {
		defer close(said)
		for s := bufio.NewScanner(out); s.Scan(); {
			said <- s.Text()
		}
	}()
	return in, said
}
