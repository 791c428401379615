package store

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The test binary run again with HUM_STORE_CHILD set is another process that uses a home.
func TestMain(m *testing.M) {
	if job := os.Getenv("HUM_STORE_CHILD"); job != "" {
		if err := childJobs[job](os.Getenv("HUM_STORE_DIR")); err != nil {
			fmt.Println("error:", err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var childJobs = map[string]func(dir string) error{
	"write": childWrite,
	"hold":  childHold,
	"look":  childLook,
}

func child(t *testing.T, job, dir string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "HUM_STORE_CHILD="+job, "HUM_STORE_DIR="+dir)
	return c
}

// childWrite prints the number of each event once Update has returned, until it is killed.
func childWrite(dir string) error {
	s, err := Open(dir, Options{Key: testKey})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range uint64(8) {
		wg.Go(func() {
			for i := w * 1_000_000; ; i++ {
				err := s.Update(func(tx Tx) error {
					tx.Put(Outbox([32]byte{byte(i >> 16), byte(i >> 8), byte(i)}), make([]byte, 20_000))
					return tx.Put(Event(i), nil)
				})
				mu.Lock()
				if err != nil {
					fmt.Println("error:", err)
				} else {
					fmt.Println(i)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

// childHold holds the home until it is killed.
func childHold(dir string) error {
	if _, err := Open(dir, Options{}); err != nil {
		return err
	}
	fmt.Println("open")
	select {}
}

// childLook opens a home, reads it all, writes a row and closes it.
func childLook(dir string) error {
	s, err := Open(dir, Options{Key: lookKey()})
	if err != nil {
		return err
	}
	err = s.View(func(tx Tx) error {
		n := 0
		for k := range tx.Scan(AllEvents(), ScanOptions{}) {
			if k.Num() < 1000 {
				n++
			}
		}
		fmt.Println(n, "rows")
		return nil
	})
	if err == nil {
		err = s.Update(func(tx Tx) error { return tx.Put(Meta("looked"), nil) })
	}
	return errors.Join(err, s.Close())
}

func lookKey() []byte {
	if os.Getenv("HUM_STORE_KEY") == "" {
		return nil
	}
	return testKey
}

// TestKill kills a writer at random instants: what it acknowledged is there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 3 {
		c := child(t, "write", dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		n := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n++; n == 40 { // however long a busy machine takes until then
				time.AfterFunc(rand.N(300*time.Millisecond), func() { c.Process.Kill() })
			}
			if strings.HasPrefix(lines.Text(), "error") {
				t.Fatal(lines.Text())
			}
			acked[lines.Text()] = true
		}
		c.Wait()
		s := open(t, dir, Options{Key: testKey})
		err = s.View(func(tx Tx) error {
			for n := range acked {
				var i uint64
				fmt.Sscan(n, &i)
				if !tx.Has(Event(i)) || !tx.Has(Outbox([32]byte{byte(i >> 16), byte(i >> 8), byte(i)})) {
					t.Errorf("round %d: %s was acknowledged and is lost", round, n)
				}
			}
			return nil
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged", len(acked))
	if len(acked) < 100 {
		t.Errorf("only %d acknowledged", len(acked))
	}
}

func TestLockedBySecondProcess(t *testing.T) {
	dir := t.TempDir()
	c := child(t, "hold", dir)
	out, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("child: %q", line)
	}
	for _, o := range []Options{{}, {ReadOnly: true}} {
		if _, err := Open(dir, o); !errors.Is(err, ErrLocked) {
			t.Errorf("second process: %v", err)
		}
	}
	c.Process.Kill()
	c.Wait()
	if _, err := Open(dir, Options{ReadOnly: true}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("read-only after a crash: %v", err)
	}
	s := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second time in one process: %v", err)
	}
	s.Close()
	a, b := open(t, dir, Options{ReadOnly: true}), open(t, dir, Options{ReadOnly: true})
	a.Close()
	b.Close()
}

func TestWrongKey(t *testing.T) {
	other := []byte(strings.Repeat("k", 32))
	tests := []struct {
		name      string
		made, now []byte
	}{
		{"another key", testKey, other},
		{"no key", testKey, nil},
		{"key for a plain home", nil, testKey},
		{"short key", testKey, testKey[:16]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Options{Key: tt.made})
			put(t, s, Meta("a"), "1")
			s.Close()
			if _, err := Open(dir, Options{Key: tt.now}); !errors.Is(err, ErrKey) {
				t.Errorf("got %v", err)
			}
			if got := get(t, open(t, dir, Options{Key: tt.made}), Meta("a")); got != "1" {
				t.Errorf("afterwards, with the right key: %s", got)
			}
		})
	}
}

func TestNothingReadableOnDisk(t *testing.T) {
	for _, key := range [][]byte{nil, testKey} {
		dir := t.TempDir()
		s := open(t, dir, Options{Key: key})
		put(t, s, Meta("name-of-a-secret"), "meet me at the old mill")
		s.Close()
		found := false
		for _, name := range files(t, dir, "*") {
			b, _ := os.ReadFile(name)
			found = found || strings.Contains(string(b), "the old mill") || strings.Contains(string(b), "of-a-secret")
		}
		if found != (key == nil) { // without a key it must be found, or this test sees nothing
			t.Errorf("key %x: found %v", key, found)
		}
	}
}

func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	filepath.WalkDir(to, func(p string, _ fs.DirEntry, _ error) error { return os.Chmod(p, 0o700) })
	return to
}

// TestEmptyLog is what a kill in the middle of badger's making or removing a log leaves.
func TestEmptyLog(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Key: testKey})
	put(t, s, Meta("a"), "1")
	s.Close()
	os.WriteFile(filepath.Join(dir, "00009.mem"), nil, 0o600)
	if _, err := Open(dir, Options{Key: testKey, ReadOnly: true}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("read-only: %v", err)
	}
	if got := get(t, open(t, dir, Options{Key: testKey}), Meta("a")); got != "1" {
		t.Errorf("got %s", got)
	}
}
