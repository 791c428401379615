//go:build linux

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mount makes a small file system of its own, for which a test must be root.
func mount(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("this test mounts a file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestReadOnlyDisk(t *testing.T) {
	disk := mount(t, "100m")
	dir := filepath.Join(disk, "home")
	s := open(t, dir, Options{Key: testKey})
	put(t, s, Meta("a"), "1")
	s.Close()
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Key: testKey}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("open: %v", err)
	}
	if _, err := Open(filepath.Join(disk, "other"), Options{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("make: %v", err)
	}
	if got := get(t, open(t, dir, Options{Key: testKey, ReadOnly: true}), Meta("a")); got != "1" {
		t.Errorf("read-only: %s", got)
	}
}

// TestFullDisk fills the disk under an open home: writing is refused, reading goes on, and when there
// is space again so does writing. In the end the disk is full when the home is closed.
func TestFullDisk(t *testing.T) {
	disk := mount(t, "100m")
	dir, ballast := filepath.Join(disk, "home"), filepath.Join(disk, "ballast")
	s := open(t, dir, Options{Key: testKey})
	put(t, s, Meta("a"), "1")
	write := func() error {
		return s.Update(func(tx Tx) error { return tx.Put(Meta("b"), make([]byte, 100_000)) })
	}
	fill(t, ballast)
	for range 3 {
		if err := write(); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("full: %v", err)
		}
	}
	if got := get(t, s, Meta("a")) + get(t, s, Meta("b")); got != "1-" {
		t.Errorf("full: read %q", got)
	}
	if err := s.tidy(); err != nil {
		t.Errorf("full: %v", err)
	}
	os.Remove(ballast)
	if err := write(); err != nil {
		t.Fatalf("space again: %v", err)
	}
	fill(t, ballast)
	if err := s.Close(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("close: %v", err)
	}
	if _, err := Open(filepath.Join(disk, "new"), Options{}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("open another: %v", err)
	}
	os.Remove(ballast)
	s.lock.release() // as the end of the process does
	s = open(t, copyDir(t, dir), Options{Key: testKey})
	if got := get(t, s, Meta("a")); got != "1" || len(get(t, s, Meta("b"))) != 100_000 {
		t.Errorf("after all: %q", got)
	}
}

// TestDiskFillsUp writes until there is no more space: the last word is an error, not a death.
func TestDiskFillsUp(t *testing.T) {
	s := open(t, filepath.Join(mount(t, "90m"), "home"), Options{})
	n := 0
	for ; n < 5000; n++ {
		err := s.Update(func(tx Tx) error { return tx.Put(Event(uint64(n)), make([]byte, 100_000)) })
		if errors.Is(err, ErrNoSpace) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n < 50 || n == 5000 {
		t.Errorf("refused after %d rows", n)
	}
	s.View(func(tx Tx) error {
		if got := tx.Count(AllEvents()); got != n {
			t.Errorf("%d rows, want %d", got, n)
		}
		return nil
	})
	if err := s.Close(); err != nil && !errors.Is(err, ErrNoSpace) {
		t.Error(err)
	}
}

func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(b)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestNewerSchema: not a byte of a home that is not understood changes.
func TestNewerSchema(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	put(t, s, Meta("a"), "1")
	s.Close()
	os.WriteFile(filepath.Join(dir, markFile), []byte("7\n"), 0o600)
	before := contents(t, dir)
	var newer *SchemaError
	for _, o := range []Options{{}, {ReadOnly: true}} {
		if _, err := Open(dir, o); !errors.As(err, &newer) || *newer != (SchemaError{7, Schema}) {
			t.Errorf("got %v", err)
		}
	}
	if contents(t, dir) != before {
		t.Error("the home was changed")
	}
	os.Remove(filepath.Join(dir, markFile)) // the row counts as well
	s = open(t, dir, Options{})
	s.Update(func(tx Tx) error { return tx.Put(schemaKey, u64(9)) })
	s.Close()
	if _, err := Open(dir, Options{}); !errors.As(err, &newer) || newer.Have != 9 {
		t.Errorf("got %v", err)
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range files(t, dir, "*") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(name)
		all.Write(b)
	}
	return all.String()
}
