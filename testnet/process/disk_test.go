//go:build linux

package process

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk fills the disk under a running node, on a small file system of its own: what cannot be
// saved is refused with a sentence, what was promised stays, and with room again all goes on. Then the disk
// becomes read-only between two runs: the node says so and does not start, and loses nothing. The test mounts
// a tmpfs, so it needs root, as the store's own tests do.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	bob := one(t, bin, "bob")
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=160m"); err != nil {
		t.Fatalf("a tmpfs is needed: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	alice := New(t, bin, "alice")
	alice.Dir = filepath.Join(dir, "alice")
	if err := alice.Up(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(alice.Kill)
	alice.Must(t, "add", bob.Must(t, "card")[0]["card"].(string), "--as", "bob")
	alice.Must(t, "send", "bob", "there is room", "--wait", Patience.String())

	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	says(t, alice.Run("send", "bob", "there is none"), 1, "disk is full", "room")
	says(t, alice.Run("set", "away"), 1, "disk is full")
	alice.Must(t, "status") // it runs, and reads

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	alice.Must(t, "send", "bob", "room again", "--wait", Patience.String())
	if got := bob.Must(t, "inbox"); len(got) != 2 {
		t.Errorf("bob has %d messages, want 2: %v", len(got), got)
	}
	if got := alice.Must(t, "outbox"); len(got) != 2 {
		t.Errorf("alice's outbox has %d messages, want the 2 that were accepted", len(got))
	}

	alice.Must(t, "down")
	alice.Kill()
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, "size=160m"); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	says(t, alice.Run("up", "--listen", alice.Listen), 1, "read-only", "cannot be written", "mount")
	remount(0)
	if err := alice.Up(); err != nil {
		t.Fatal(err)
	}
	if got := alice.Must(t, "outbox"); len(got) != 2 {
		t.Errorf("after a read-only disk alice's outbox has %d messages", len(got))
	}
}

// TestFullDiskOfTheRecipient: what cannot be kept is not acknowledged; its sender is told to wait, and has it
// delivered once there is room (SPEC 3.6, BUSY; 5.4).
func TestFullDiskOfTheRecipient(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	alice, bob := one(t, bin, "alice"), New(t, bin, "bob")
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=160m"); err != nil {
		t.Fatalf("a tmpfs is needed: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	bob.Dir = filepath.Join(dir, "bob")
	if err := bob.Up(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bob.Kill)
	alice.Must(t, "add", bob.Must(t, "card")[0]["card"].(string), "--as", "bob")
	alice.Must(t, "send", "bob", "there is room", "--wait", Patience.String())

	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	send := func(text string) string {
		return alice.Must(t, "send", "bob", text, "--expires", "1h")[0]["id"].(string)
	}
	ids := []string{send("the first that finds none")}
	busy := func() bool {
		for _, id := range ids {
			for _, step := range alice.Must(t, "trace", id) {
				if evidence, _ := step["evidence"].(string); strings.Contains(evidence, "BUSY") {
					return true
				}
			}
		}
		return false
	}
	Eventually(t, Patience, "alice is told to wait", func() bool {
		if len(ids) < 20 && !busy() {
			ids = append(ids, send("another"))
		}
		return busy()
	})
	for _, id := range ids {
		if state := alice.Must(t, "outbox", id)[0]["state"]; state == "delivered" || state == "failed" {
			t.Errorf("%s is %v while the disk is full", id, state)
		}
	}
	if got := bob.Must(t, "inbox"); len(got) != 1 {
		t.Errorf("bob has %d messages", len(got))
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		Eventually(t, Patience, "what waited is delivered", func() bool { return alice.Must(t, "outbox", id)[0]["state"] == "delivered" })
	}
	if got := bob.Must(t, "inbox", "--limit", "50"); len(got) != 1+len(ids) {
		t.Errorf("bob has %d messages, want %d", len(got), 1+len(ids))
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for range 1000 {
		if _, err := f.Write(block); err != nil {
			break
		}
	}
	if err := f.Close(); err != nil && !os.IsExist(err) {
		t.Log(err)
	}
}
