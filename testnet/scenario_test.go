package testnet

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	rewrite = flag.Bool("rewrite", false, "write what users really saw into testdata/*.txt; broken promises still fail")
	stories = flag.String("stories", "testdata/*.txt", "which scenarios to tell")
	logs    = flag.Bool("logs", false, "log what the machines log")
)

// patience is how long one story may take outside of its bubble. It takes a few seconds; with the race detector, on
// a machine that has other work, minutes.
const patience = 8 * time.Minute

// tell runs a story in a bubble of its own.
func tell(t *testing.T, text string, prepare func(*World)) (told string, err error) {
	t.Helper()
	dir := t.TempDir()
	var tired atomic.Bool
	defer time.AfterFunc(patience, func() { tired.Store(true) }).Stop()
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(dir, Config{Seed: 1})
		w.Tired = tired.Load
		if *logs {
			h := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
			w.Log = func(name string) *slog.Logger { return slog.New(h).With("node", name) }
		}
		if prepare != nil {
			prepare(w)
		}
		told, err = Tell(w, text)
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		time.Sleep(time.Minute) // what was closed may still wait for something
	})
	return told, err
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(*stories)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tell(t, string(want), nil)
			if err != nil {
				t.Errorf("%v\nuntil then:\n%s", err, got)
				return
			}
			if got == string(want) {
				return
			}
			if !*rewrite {
				t.Errorf("users see something else:\n%s", difference(string(want), got))
				return
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// difference shows got, with the lines that are not in want marked, and those of want that are missing.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(a) > 0 && len(b) > 0 && a[0] == b[0]:
			out = append(out, "  "+a[0])
			a, b = a[1:], b[1:]
		case len(a) > 0 && (len(b) == 0 || strings.HasPrefix(a[0], "\t")):
			out = append(out, "- "+a[0])
			a = a[1:]
		default:
			out = append(out, "+ "+b[0])
			b = b[1:]
		}
	}
	return strings.Join(out, "\n")
}
