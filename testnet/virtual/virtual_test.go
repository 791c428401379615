package virtual_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOrdinaryProgram builds a program as a user does and runs it: Go may change what virtual time stands on.
func TestOrdinaryProgram(t *testing.T) {
	prog := filepath.Join(t.TempDir(), "clock")
	if out, err := exec.Command("go", "build", "-o", prog, "./testdata/clock").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	run := func(seed string) string {
		out, err := exec.Command(prog, seed, "-test.run=none").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	a, b, c := run("1"), run("1"), run("2")
	if !strings.HasPrefix(a, "24 hours, ") {
		t.Errorf("a day is %q", a)
	}
	if a != b {
		t.Errorf("the same seed gives %q, then %q", a, b)
	}
	if a == c {
		t.Errorf("two seeds give %q", a)
	}
}
