package exact

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goroot is Go's own source, or a skip if another Go runs the tests: the patches are refused with it anyway.
func goroot(t *testing.T) string {
	t.Helper()
	version, root, err := toolchain(context.Background(), ".")
	if err != nil {
		t.Fatal(err)
	}
	if version != Go {
		t.Skipf("NOT SHOWN: exact runs, which are made for %s; this is %s", Go, version)
	}
	return root
}

// TestPatchesFit makes every patch of the Go that is here.
func TestPatchesFit(t *testing.T) {
	root, work := goroot(t), t.TempDir()
	list, err := writeOverlay(root, work)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(list)
	if err != nil || strings.Count(string(b), work) != 18 {
		t.Errorf("%v: %s", err, b)
	}
	patched, err := os.ReadFile(filepath.Join(work, "runtime_rand.go"))
	if err != nil || !strings.Contains(string(patched), "simEnter") {
		t.Errorf("the patched file has no simEnter: %v", err)
	}
}

// TestAnotherRuntimeIsRefused changes one file as another version of Go might: nothing must be built.
func TestAnotherRuntimeIsRefused(t *testing.T) {
	root, fake := goroot(t), t.TempDir()
	seen := map[string]bool{}
	for _, p := range patches {
		if seen[p.file] {
			continue
		}
		seen[p.file] = true
		b, err := os.ReadFile(filepath.Join(root, "src", p.file))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(fake, "src", p.file)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := writeOverlay(fake, t.TempDir()); err != nil {
		t.Fatalf("a copy of the real one is refused: %v", err)
	}
	for _, p := range patches {
		name := filepath.Join(fake, "src", p.file)
		b, _ := os.ReadFile(name)
		for what, other := range map[string]string{
			"without": strings.ReplaceAll(string(b), p.old, ""),
			"twice":   string(b) + p.old,
		} {
			if err := os.WriteFile(name, []byte(other), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := writeOverlay(fake, t.TempDir()); err == nil || !strings.Contains(err.Error(), p.file) {
				t.Errorf("%s with what is patched %s: %v", p.file, what, err)
			}
		}
		os.WriteFile(name, b, 0o644)
	}
}

// TestNoHalves: a program that asks for exactness does not link without the patches.
func TestNoHalves(t *testing.T) {
	out, err := exec.Command("go", "build", "-tags", "exact", "-o", os.DevNull, "../virtual/testdata/clock").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "invalid reference") && !strings.Contains(string(out), "not defined") {
		t.Errorf("%v: %s", err, out)
	}
}
