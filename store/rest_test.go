package store

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// TestCompactorsRest: they run after the start and while much is written, so that no level overflows, and rest
// when there is nothing to do; little that is written does not wake them.
func TestCompactorsRest(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, Options{})
		running := func() bool {
			s.compact.mu.Lock()
			defer s.compact.mu.Unlock()
			return s.compact.running
		}
		if !running() {
			t.Error("they do not run after the start")
		}
		rested := func(when string) {
			t.Helper()
			for range 20 {
				time.Sleep(restAfter + time.Second)
				synctest.Wait()
				if !running() {
					return
				}
			}
			t.Errorf("they do not rest %s: %+v", when, s.db.Levels())
		}
		rested("after the start")
		put(t, s, Event(1), "little")
		if running() {
			t.Error("a single row woke them")
		}
		const rows = 400                                   // more than the six tables that the first level may hold
		row := bytes.Repeat([]byte("much"), MaxUpdate/4/8) // an eighth of what one update takes
		for i := range uint64(rows) {
			put(t, s, Event(i), string(row))
			time.Sleep(100 * time.Millisecond)
		}
		if !running() {
			t.Error("they rest while much is written")
		}
		rested("after much was written")
		if n := s.db.Levels()[0].NumTables; n >= 6 {
			t.Errorf("%d tables lie on the first level", n)
		}
		for i := range uint64(rows) {
			if get(t, s, Event(i)) != string(row) {
				t.Fatalf("row %d is not what was written", i)
			}
		}
	})
}
