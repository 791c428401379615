package store

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestMemoryOutlivesItsStore: what one store wrote is there for the next, and a clone keeps what was there when it
// was made, whatever is written to the other afterwards.
func TestMemoryOutlivesItsStore(t *testing.T) {
	m := NewMemory()
	s := open(t, "", Options{Memory: m})
	put(t, s, Meta("name"), "alice")
	left := m.Clone()
	put(t, s, Meta("name"), "too late")
	put(t, s, Meta("more"), "too late")
	s.Close()
	if got := get(t, open(t, "", Options{Memory: m}), Meta("name")); got != "too late" {
		t.Errorf("the next store reads %q", got)
	}
	dead := open(t, "", Options{Memory: left})
	if got := get(t, dead, Meta("name")) + "|" + get(t, dead, Meta("more")); got != "alice|-" {
		t.Errorf("the clone reads %q", got)
	}
	if rows, bytes := left.Len(); rows != 2 || bytes < 20 {
		t.Errorf("%d rows, %d bytes", rows, bytes)
	}
}

// TestMemorySlow: what a slow disk has not taken yet nobody reads, and a kill forgets; a callback of an old slice
// does not change what is kept.
func TestMemorySlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		m.Sync = func() { time.Sleep(30 * time.Millisecond) }
		s, err := Open("", Options{Memory: m})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		began := time.Now()
		go s.Update(func(tx Tx) error { return tx.Put(Meta("name"), []byte("alice")) })
		time.Sleep(29 * time.Millisecond)
		if got := get(t, s, Meta("name")) + get(t, open2(t, m.Clone()), Meta("name")); got != "--" {
			t.Errorf("read before it was kept: %q", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := get(t, s, Meta("name")); got != "alice" || time.Since(began) != 31*time.Millisecond {
			t.Errorf("%q after %v", got, time.Since(began))
		}
		var kept []byte
		if err := s.View(func(tx Tx) (err error) { kept, err = tx.Get(Meta("name")); return err }); err != nil {
			t.Fatal(err)
		}
		kept[0] = 'X'
		if got := get(t, s, Meta("name")); got != "alice" {
			t.Errorf("a reader changed it to %q", got)
		}
	})
}

// open2 opens a store of which nothing is asked but reading, and closes it at the end of the bubble.
func open2(t *testing.T, m *Memory) *Store {
	m.Sync = nil
	s, err := Open("", Options{Memory: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestMemoryScansAsBadger: both kinds of store yield the same rows in the same order, from everywhere, either way.
func TestMemoryScansAsBadger(t *testing.T) {
	disk, memory := open(t, t.TempDir(), Options{}), inMemory(t)
	for _, s := range []*Store{disk, memory} {
		for _, k := range oneOfEach() {
			put(t, s, k, "v")
		}
		for i := range uint64(20) {
			put(t, s, Event(3*i), "v")
			put(t, s, Trace([32]byte{byte(i)}, uint32(i)), "v")
		}
	}
	list := func(s *Store, p Prefix, o ScanOptions) (all string) {
		if err := s.View(func(tx Tx) error {
			for k, v := range tx.Scan(p, o) {
				all += k.String() + "=" + string(v) + " "
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	for _, reverse := range []bool{false, true} {
		for _, p := range []Prefix{{}, AllEvents(), AllContacts(), AllMeta()} {
			for _, from := range []Key{{}, Event(0), Event(4), Event(9), Event(1000), Meta("a"), Meta("zzz"), ViewNamed("work")} {
				o := ScanOptions{From: from, Reverse: reverse}
				if a, b := list(disk, p, o), list(memory, p, o); a != b {
					t.Errorf("scan %v %+v:\ndisk   %s\nmemory %s", p, o, a, b)
				}
			}
		}
	}
}
