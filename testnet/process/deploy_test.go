//go:build netns

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// This test needs systemd-analyze(1), of Debian's package systemd.

// exposure is the most that systemd's own judgement of a unit may come to, in tenths.
const exposure = "20"

// The shipped unit is one that systemd understands, and that leaves the node no more of the machine than it needs; one
// without its walls is found out.
func TestUnit(t *testing.T) {
	b, err := os.ReadFile("../../deploy/hum-community.service")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "hum")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"), 0o755); err != nil { // verify wants it to be there
		t.Fatal(err)
	}
	unit := strings.Replace(string(b), "/usr/local/bin/hum", bin, 1)
	if !strings.Contains(string(b), "ExecStart=/usr/local/bin/hum --home /var/lib/hum-community community up --config /etc/hum/community.toml\n") {
		t.Error("the unit runs something else")
	}
	analyze := func(name, unit string, args ...string) (string, error) {
		file := filepath.Join(dir, name+".service")
		if err := os.WriteFile(file, []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", append(args, file)...).CombinedOutput()
		return string(out), err
	}
	if out, err := analyze("good", unit, "verify", "--man=no"); err != nil || out != "" {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := analyze("good", unit, "security", "--offline=true", "--threshold="+exposure); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	if out, err := analyze("bad", strings.Replace(unit, "Restart=always", "Restart=sometimes", 1), "verify", "--man=no"); err == nil && out == "" {
		t.Error("a unit with a word that there is not passes")
	}
	open := regexp.MustCompile(`(?m)^(Protect|Private|Restrict|SystemCall|Capability|NoNew|Lock|Memory|Dynamic)\w*=.*$`).ReplaceAllString(unit, "")
	if _, err := analyze("open", open, "security", "--offline=true", "--threshold="+exposure); err == nil {
		t.Error("a unit without walls passes")
	}
}
