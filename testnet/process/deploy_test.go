//go:build netns

package process

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
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

// What the Dockerfile says, done without Docker: its build makes one static binary, which runs as its user in a root
// that holds nothing else, takes a member, and ends when it is told to. It needs root, for chroot(2); where nothing
// was built with the same flags before, it builds all packages first, which takes more than a minute of CPU.
func TestEmptyRoot(t *testing.T) {
	b, err := os.ReadFile("../../deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	steps := func(word string) (out []string) {
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), word+" "); ok {
				out = append(out, rest)
			}
		}
		return out
	}
	if from := steps("FROM"); len(from) != 2 || from[1] != "scratch" {
		t.Fatalf("from %v", from)
	}
	build, root := t.TempDir(), t.TempDir()
	for _, run := range steps("RUN") {
		if run == "go mod download" {
			continue
		}
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(run, "/out", build))
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", run, err, out)
		}
	}
	const user = 65532
	for _, c := range steps("COPY") {
		f := strings.Fields(c)
		if !slices.Contains(f, "--from=build") {
			continue
		}
		from, to := f[len(f)-2], filepath.Join(root, f[len(f)-1])
		if strings.HasPrefix(from, "/etc/ssl/") {
			continue // of the image golang
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-a", strings.Replace(from, "/out", build, 1), to).CombinedOutput(); err != nil {
			t.Fatalf("COPY %s: %v\n%s", c, err, out)
		}
		if slices.Contains(f, "--chown=65532:65532") {
			if err := os.Chown(to, user, user); err != nil {
				t.Fatal(err)
			}
		}
	}
	x, err := elf.Open(filepath.Join(root, "hum"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.Close() }()
	for _, p := range x.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Error("the binary is not static")
		}
	}
	var entry []string
	if err := json.Unmarshal([]byte(steps("ENTRYPOINT")[0]), &entry); err != nil || !slices.Equal(entry, []string{"/hum", "--home", "/home/hum", "community", "up"}) {
		t.Fatalf("the entry is %v, %v", entry, err)
	}
	if u := steps("USER"); len(u) != 1 || u[0] != "65532:65532" {
		t.Errorf("user %v", u)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	d := newOperator(t, "/hum", "d")
	d.home, d.dir, d.env = "/home/hum", "/", []string{"PATH=/"}
	d.attr = syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}}
	d.up()
	alice := New(t, filepath.Join(root, "hum"), "alice")
	if err := alice.Up(); err != nil {
		t.Fatal(err)
	}
	if m := alice.Must(t, "join", d.invite)[0]; m["name"] != "d" {
		t.Errorf("joined %v", m)
	}
	if code, body := d.ask("/readyz"); code != 200 {
		t.Errorf("/readyz: %d %s", code, body)
	}
	d.stop()
	if keys, err := os.ReadDir(filepath.Join(root, "home/hum/keys")); err != nil || len(keys) == 0 {
		t.Errorf("the volume holds no keys: %v", err)
	}
}
