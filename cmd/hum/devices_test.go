package main

import (
	"strings"
	"testing"

	"github.com/hum-presence/hum/node/control/controltest"
)

// The user of a new device is shown which address asks for it, and asked.
func TestJoinIsAgreed(t *testing.T) {
	for answer, want := range map[string]int{"y\n": exitDone, "n\n": exitFailed, "": exitFailed} {
		f := resting(t)
		f.asked, f.stdin = []string{}, answer
		stdout, stderr, code := f.do("device", "add")
		if code != want || !strings.Contains(stderr, controltest.Me.Fingerprint()) || !strings.Contains(stdout, "humdev:") {
			t.Errorf("answered %q: %d, %q, %q", answer, code, stdout, stderr)
		}
	}
	f := resting(t)
	f.asked = []string{}
	if stdout, _, code := f.do("device", "add", "--yes"); code != exitDone || !strings.Contains(stdout, controltest.Me.Fingerprint()) {
		t.Errorf("not asked: %d, %q", code, stdout)
	}
}
