package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamage breaks every file of a home in turn, each in another way, and opens it in a child, where
// not even a panic on a goroutine of badger's escapes.
func TestDamage(t *testing.T) {
	for _, key := range [][]byte{nil, testKey} {
		home := t.TempDir()
		s := open(t, home, Options{Key: key})
		for i := range uint64(300) {
			put(t, s, Event(i), strings.Repeat("event ", 50))
		}
		s.Close() // makes a table
		s = open(t, home, Options{Key: key})
		for i := range uint64(50) {
			put(t, s, Event(1000+i), strings.Repeat("later ", 50))
		}
		running := copyDir(t, home) // as a crash leaves it, with a log
		s.Close()
		for _, name := range files(t, running, "*") {
			for _, how := range damages {
				if key == nil && !strings.HasSuffix(name, ".sst") {
					continue // the other files are alike but for the encryption
				}
				unused := strings.HasSuffix(name, ".vlog") || strings.HasSuffix(name, "DISCARD")
				if unused && how.name != "emptied" && how.name != "zeros" && how.name != "gone" {
					continue // nothing of ours is in it
				}
				t.Run(fmt.Sprintf("%v/%s %s", key != nil, filepath.Base(name), how.name), func(t *testing.T) {
					damageOne(t, running, filepath.Base(name), key, how.do)
				})
			}
		}
	}
}

var damages = []struct {
	name string
	do   func([]byte) []byte
}{
	{"emptied", func(b []byte) []byte { return nil }},
	{"cut in half", func(b []byte) []byte { return b[:len(b)/2] }},
	{"cut by a byte", func(b []byte) []byte { return b[:max(0, len(b)-1)] }},
	{"first byte", func(b []byte) []byte { return flip(b, 0) }},
	{"byte 30", func(b []byte) []byte { return flip(b, 30) }},
	{"byte 2000", func(b []byte) []byte { return flip(b, 2000) }},
	{"middle", func(b []byte) []byte { return flip(b, len(b)/2) }},
	{"length at the end", func(b []byte) []byte { return flip(b, len(b)-2) }},
	{"last byte", func(b []byte) []byte { return flip(b, len(b)-1) }},
	{"zeros", func(b []byte) []byte { clear(b); return b }},
	{"gone", nil},
}

func flip(b []byte, i int) []byte {
	if i >= 0 && i < len(b) {
		b[i] ^= 0xff
	}
	return b
}

func damageOne(t *testing.T, home, name string, key []byte, do func([]byte) []byte) {
	t.Parallel()
	dir := copyDir(t, home)
	file := filepath.Join(dir, name)
	if do == nil {
		os.Remove(file)
	} else {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(file, do(b), 0o600)
	}
	c := child(t, "look", dir)
	if key != nil {
		c.Env = append(c.Env, "HUM_STORE_KEY=1")
	}
	out, err := c.CombinedOutput()
	switch code := c.ProcessState.ExitCode(); {
	case code == 3 && !strings.Contains(string(out), "damaged") && !strings.Contains(string(out), "this key"):
		t.Errorf("no clear error: %s", out)
	case code == 0 && !strings.Contains(string(out), "300 rows"): // only the log may lose its end
		t.Errorf("opened as if nothing were missing: %s", out)
	case code != 0 && code != 3:
		t.Errorf("died: %v\n%.1500s", err, out)
	}
}
