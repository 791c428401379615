// Package exact builds programs whose runs are repeated to the bit: the same seed gives the same order of all that
// happens in virtual time, whatever the machine does beside it.
//
// Go does not promise that order, and draws much of it by chance on purpose. An exact program is built with go build
// -overlay, which puts patched copies of a few files of the runtime in the place of the real ones, for this build alone.
// Nothing is installed, and no other program is changed. The patches belong to one version of Go and are refused
// with any other; each must find the text that it replaces exactly once, and a program with the build tag "exact"
// does not link without them: there is no way to have half of it.
//
// Such a program is for simulation. It must never run as a node, since its random numbers can be foretold.
package exact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Build says what to build.
type Build struct {
	Package string // as for go build
	Dir     string // where go build is called; the current one
	Out     string // the program to write; required
	Work    string // where the patched files are kept; Out with ".overlay" behind it
}

// Run builds the program, and returns the hash of the patches that it carries.
func (b Build) Run(ctx context.Context) (hash string, err error) {
	version, goroot, err := toolchain(ctx, b.Dir)
	if err != nil {
		return "", err
	}
	if version != Go {
		return "", fmt.Errorf("exact runs are made for %s, and this is %s: run it with GOTOOLCHAIN=%s in the environment", Go, version, Go)
	}
	out, err := filepath.Abs(b.Out)
	if err != nil {
		return "", err
	}
	work := b.Work
	if work == "" {
		work = out + ".overlay"
	}
	overlay, err := writeOverlay(goroot, work)
	if err != nil {
		return "", err
	}
	hash = Hash()
	args := []string{"build", "-overlay", overlay, "-tags", "exact", "-trimpath", "-o", out,
		"-ldflags", "-checklinkname=0 -X github.com/hum-presence/hum/testnet/virtual.overlay=" + hash, b.Package}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+os.Getenv("GOFLAGS"), "GOARCH=amd64", "GOOS=linux")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return hash, nil
}

// Hash is the SHA-256 of all patches, with the version of Go that they are for.
func Hash() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", Go)
	for _, p := range patches {
		fmt.Fprintf(h, "%q %q %q %d\n", p.file, p.old, p.new, p.times)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// toolchain asks for the version and the home of the Go that would build.
func toolchain(ctx context.Context, dir string) (version, goroot string, err error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOROOT", "GOHOSTOS", "GOHOSTARCH")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("exact runs need the go command, of %s: %w", Go, err)
	}
	f := strings.Fields(string(out))
	if len(f) != 4 {
		return "", "", fmt.Errorf("go env says %q", out)
	}
	if system := f[2] + "/" + f[3]; system != "linux/amd64" {
		return "", "", fmt.Errorf("exact runs are made for linux/amd64, and this is %s: use mode statistical", system)
	}
	return f[0], f[1], nil
}

// writeOverlay writes the patched files and the list of them, and returns the name of the list.
func writeOverlay(goroot, work string) (list string, err error) {
	text := map[string]string{}
	for _, p := range patches {
		name := filepath.Join(goroot, "src", filepath.FromSlash(p.file))
		if _, ok := text[name]; !ok {
			b, err := os.ReadFile(name)
			if err != nil {
				return "", err
			}
			text[name] = string(b)
		}
		if n := strings.Count(text[name], p.old); n != max(1, p.times) {
			return "", fmt.Errorf("%s is not the file of %s: it holds %d times, and not %d, %q", name, Go, n, max(1, p.times), p.old)
		}
		text[name] = strings.ReplaceAll(text[name], p.old, p.new)
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", err
	}
	var replace struct{ Replace map[string]string }
	replace.Replace = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(text)) {
		to := filepath.Join(work, strings.ReplaceAll(strings.TrimPrefix(name, goroot+"/src/"), "/", "_"))
		if err := os.WriteFile(to, []byte(text[name]), 0o644); err != nil {
			return "", err
		}
		replace.Replace[name] = to
	}
	b, err := json.Marshal(replace)
	if err != nil {
		return "", err
	}
	list = filepath.Join(work, "overlay.json")
	return list, os.WriteFile(list, b, 0o644)
}
