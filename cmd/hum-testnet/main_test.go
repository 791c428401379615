package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func try(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = (&app{out: &o, err: &e}).run(context.Background(), args)
	return code, o.String(), e.String()
}

func TestEndsAsItShould(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"repot x", 2, `do you mean "report"?`},
		{"report", 2, "takes the folder of a run"},
		{"report --frob", 2, "unknown flag"},
		{"report /nowhere", 1, "manifest.json"},
		{"compare /nowhere /nowhere", 1, "manifest.json"},
		{"--json report /nowhere", 1, `{"error":{"code":"failed"`},
		{"build-exact --source /nowhere", 1, "go command"},
	} {
		code, _, err := try(t, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(err, tt.says) {
			t.Errorf("%s ends with %d and says %q, not with %d and %q", tt.args, code, err, tt.code, tt.says)
		}
	}
}

// TestHelp: each command has an example, and one line that says what it does.
func TestHelp(t *testing.T) {
	for _, c := range (&app{}).root().Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.Example == "" || c.Short == "" || c.Long == "" {
			t.Errorf("%s lacks help", c.Name())
		}
	}
	if code, out, _ := try(t); code != 0 || !strings.Contains(out, "report") {
		t.Errorf("without arguments it ends with %d: %s", code, out)
	}
}
