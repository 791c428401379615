package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hum-presence/hum/identity"
	"pgregory.net/rapid"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func inMemory(t testing.TB) *Store { return open(t, "", Options{Memory: NewMemory()}) }

func put(t testing.TB, s *Store, k Key, v string) {
	t.Helper()
	if err := s.Update(func(tx Tx) error { return tx.Put(k, []byte(v)) }); err != nil {
		t.Fatal(err)
	}
}

// get returns the value of k, "-" if there is none.
func get(t testing.TB, s *Store, k Key) string {
	t.Helper()
	got := "-"
	err := s.View(func(tx Tx) error {
		v, err := tx.Get(k)
		if err == nil {
			got = string(v)
		}
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReopen(t *testing.T) {
	for _, o := range []Options{{}, {Key: testKey}} {
		dir := filepath.Join(t.TempDir(), "a", "home")
		s := open(t, dir, o)
		put(t, s, Meta("name"), "alice")
		put(t, s, Meta("empty"), "")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.View(func(Tx) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("View of a closed store: %v", err)
		}
		if err := s.Update(func(Tx) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("Update of a closed store: %v", err)
		}
		s = open(t, dir, o)
		if got := get(t, s, Meta("name")) + "|" + get(t, s, Meta("empty")); got != "alice|" {
			t.Errorf("after reopening: %q", got)
		}
		n, err := s.Size()
		if err != nil || n < 1000 || n > 8<<20 || s.Path() != dir {
			t.Errorf("size %d (%v), path %s", n, err, s.Path())
		}
		s.Close()
		r := open(t, dir, Options{Key: o.Key, ReadOnly: true})
		if got := get(t, r, Meta("name")); got != "alice" {
			t.Errorf("read-only: %q", got)
		}
		if err := r.Update(func(Tx) error { return nil }); !errors.Is(err, ErrReadOnly) {
			t.Errorf("Update of a read-only store: %v", err)
		}
	}
}

func TestGroupCommit(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var syncs int // the committer's
	s.sync = func() error { syncs++; return s.syncLog() }
	const writers, each = 32, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				k := Event(uint64(w*each + i))
				if err := s.Update(func(tx Tx) error { return tx.Put(k, []byte("x")) }); err != nil {
					t.Error(err)
				}
				if got := get(t, s, k); got != "x" {
					t.Errorf("%v not visible after Update returned", k)
				}
			}
		})
	}
	wg.Wait()
	s.Close()
	if syncs == 0 || syncs > writers*each/2 {
		t.Errorf("%d syncs for %d updates", syncs, writers*each)
	}
}

// hold makes the committer wait, so that what is sent meanwhile forms one group.
func hold(t *testing.T, s *Store, then func()) {
	t.Helper()
	entered, leave := make(chan bool), make(chan bool)
	go s.Update(func(Tx) error { entered <- true; <-leave; return nil })
	<-entered
	then()
	synctest.Wait() // all of them wait for the committer
	close(leave)
}

func TestGroupSeesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.Close()
		boom := errors.New("boom")
		var errs [3]error
		var wg sync.WaitGroup
		step := func(i int, fn func(Tx) error) {
			wg.Go(func() { errs[i] = s.Update(fn) })
			synctest.Wait()
		}
		hold(t, s, func() {
			step(0, func(tx Tx) error { return tx.Put(Meta("a"), []byte("1")) })
			step(1, func(tx Tx) error {
				tx.Put(Meta("a"), []byte("2"))
				tx.Put(Meta("b"), []byte("2"))
				return boom
			})
			step(2, func(tx Tx) error {
				if v, _ := tx.Get(Meta("a")); string(v) != "1" {
					t.Errorf("the third saw a=%s", v)
				}
				if tx.Has(Meta("b")) || tx.Count(AllMeta()) != 2 { // a and schema
					t.Error("the third saw what the failed second wrote")
				}
				return tx.Put(Meta("c"), nil)
			})
		})
		wg.Wait()
		if errs != [3]error{nil, boom, nil} {
			t.Errorf("errors %v", errs)
		}
		if a, b, c := get(t, s, Meta("a")), get(t, s, Meta("b")), get(t, s, Meta("c")); a != "1" || b != "-" || c != "" {
			t.Errorf("a=%s b=%s c=%q", a, b, c)
		}
	})
}

func TestFailedTx(t *testing.T) {
	s := inMemory(t)
	tests := []struct {
		name string
		fn   func(Tx) error
		want error
	}{
		{"zero key", func(tx Tx) error { tx.Put(Key{}, nil); return nil }, errBadKey},
		{"long key", func(tx Tx) error { tx.Put(Meta(string(make([]byte, 2000))), nil); return nil }, ErrTooBig},
		{"large value", func(tx Tx) error { tx.Put(Meta("x"), make([]byte, MaxUpdate)); return nil }, ErrTooBig},
		{"many rows", func(tx Tx) error {
			for i := range uint64(20_000) {
				tx.Put(Event(i), nil)
			}
			return nil
		}, ErrTooBig},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Update(func(tx Tx) error { tx.Put(Meta("y"), nil); return tt.fn(tx) })
			if !errors.Is(err, tt.want) || get(t, s, Meta("y")) != "-" {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	err := s.View(func(tx Tx) error { tx.Put(Meta("z"), nil); return nil })
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("Put in View: %v", err)
	}
}

// TestSplit sends one group that no single transaction holds.
func TestSplit(t *testing.T) {
	for _, o := range []Options{{}, {Key: testKey}, {Memory: NewMemory()}} {
		s := open(t, t.TempDir(), o)
		var wg sync.WaitGroup
		leave := make(chan bool)
		go s.Update(func(Tx) error { <-leave; return nil })
		size, count := s.limit.size/2, s.limit.rows/2
		for i := range 20 {
			wg.Go(func() {
				err := s.Update(func(tx Tx) error {
					if i%2 == 0 {
						return tx.Put(Outbox([32]byte{byte(i)}), make([]byte, size))
					}
					for j := range count {
						tx.Put(Event(uint64(i*100_000+j)), nil)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		close(leave)
		wg.Wait()
		s.View(func(tx Tx) error {
			if a, b := tx.Count(AllOutbox()), tx.Count(AllEvents()); a != 10 || b != 10*count {
				t.Errorf("%d and %d rows, want 10 and %d", a, b, 10*count)
			}
			return nil
		})
		s.Close()
	}
}

func TestSnapshot(t *testing.T) {
	s := open(t, t.TempDir(), Options{Key: testKey})
	put(t, s, Meta("a"), "1")
	err := s.View(func(tx Tx) error {
		for i := range 30 { // enough to fill tables, so that compaction would drop what is old
			put(t, s, Meta("a"), "2")
			s.Update(func(tx Tx) error { return tx.Put(Meta("big"), make([]byte, 900<<10)) })
			if v, err := tx.Get(Meta("a")); err != nil || string(v) != "1" {
				return fmt.Errorf("write %d: a = %s, %v", i, v, err)
			}
		}
		if n := tx.Count(AllMeta()); n != 2 {
			return fmt.Errorf("%d rows", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if got := get(t, s, Meta("a")); got != "2" {
		t.Errorf("afterwards a = %s", got)
	}
}

// TestDurableOnly: nobody reads what is not on the disk.
func TestDurableOnly(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	s.sync = func() error {
		if got := get(t, s, Meta("a")); got != "-" {
			t.Errorf("visible before the sync: %q", got)
		}
		return s.syncLog()
	}
	put(t, s, Meta("a"), "1")
	if got := get(t, s, Meta("a")); got != "1" {
		t.Errorf("after Update: %q", got)
	}
}

// TestFailedSync: everybody in the group is told, and the store recovers.
func TestFailedSync(t *testing.T) {
	s := open(t, t.TempDir(), Options{Key: testKey})
	put(t, s, Meta("before"), "1")
	broken := errors.New("i/o error")
	s.sync = func() error { return broken }
	if err := s.Update(func(tx Tx) error { return tx.Put(Meta("a"), nil) }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if got := get(t, s, Meta("a")); got != "-" {
		t.Error("what failed is visible")
	}
	old := s.db
	s.sync = s.syncLog
	put(t, s, Meta("after"), "1")
	if s.db == old || !old.IsClosed() {
		t.Error("the database was not opened anew")
	}
	if a, b := get(t, s, Meta("before")), get(t, s, Meta("after")); a+b != "11" {
		t.Errorf("before %s, after %s", a, b)
	}
	if err := s.tidy(); err != nil {
		t.Error(err)
	}
}

// TestModel compares reads and scans with a plain sorted map, in the middle of updates too.
func TestModel(t *testing.T) {
	s := inMemory(t)
	rapid.Check(t, func(t *rapid.T) {
		clear := func(tx Tx) error {
			for k := range tx.Scan(AllEvents(), ScanOptions{KeysOnly: true}) {
				tx.Delete(k)
			}
			return nil
		}
		if err := s.Update(clear); err != nil {
			t.Fatal(err)
		}
		model := map[uint64]string{}
		for range rapid.IntRange(1, 4).Draw(t, "updates") {
			err := s.Update(func(tx Tx) error {
				for range rapid.IntRange(0, 6).Draw(t, "writes") {
					n := rapid.Uint64Range(0, 12).Draw(t, "n")
					if rapid.Bool().Draw(t, "delete") {
						delete(model, n)
						tx.Delete(Event(n))
					} else {
						model[n] = rapid.StringN(0, 3, 3).Draw(t, "v")
						tx.Put(Event(n), []byte(model[n]))
					}
					compare(t, tx, model)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.View(func(tx Tx) error { compare(t, tx, model); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func compare(t *rapid.T, tx Tx, model map[uint64]string) {
	o := ScanOptions{Reverse: rapid.Bool().Draw(t, "reverse")}
	from, some := rapid.Uint64Range(0, 13).Draw(t, "from"), rapid.Bool().Draw(t, "some")
	if some {
		o.From = Event(from)
	}
	var want, got []string
	for n := range uint64(14) {
		if v, ok := model[n]; ok && (!some || o.Reverse && n <= from || !o.Reverse && n >= from) {
			want = append(want, fmt.Sprint(n, v))
		}
	}
	if o.Reverse {
		slices.Reverse(want)
	}
	for k, v := range tx.Scan(AllEvents(), o) {
		got = append(got, fmt.Sprint(k.Num(), string(v)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("scan %+v: got %q, want %q", o, got, want)
	}
	if n := tx.Count(AllEvents()); n != len(model) {
		t.Errorf("count %d, want %d", n, len(model))
	}
	n := rapid.Uint64Range(0, 12).Draw(t, "get")
	v, err := tx.Get(Event(n))
	if w, ok := model[n]; ok != (err == nil) || ok != tx.Has(Event(n)) || string(v) != w {
		t.Errorf("get %d: %q %v, want %q %v", n, v, err, w, ok)
	}
}

func TestScanStaysInPrefix(t *testing.T) {
	s := inMemory(t)
	a, b := identity.Address{1}, identity.Address{2}
	for i := range byte(3) {
		put(t, s, Watcher(a, [16]byte{i}), "a")
		put(t, s, Watcher(b, [16]byte{i}), "b")
		put(t, s, Watching(a, [16]byte{i}), "w")
	}
	tests := []struct {
		name string
		p    Prefix
		o    ScanOptions
		want int
	}{
		{"of a", WatchersOf(a), ScanOptions{}, 3},
		{"of a, backwards", WatchersOf(a), ScanOptions{Reverse: true}, 3},
		{"of b, backwards", WatchersOf(b), ScanOptions{Reverse: true}, 3},
		{"all", AllWatchers(), ScanOptions{}, 6},
		{"from the second", WatchersOf(a), ScanOptions{From: Watcher(a, [16]byte{1})}, 2},
		{"back from the second", WatchersOf(a), ScanOptions{From: Watcher(a, [16]byte{1}), Reverse: true}, 2},
		{"from between", WatchersOf(a), ScanOptions{From: Watcher(a, [16]byte{1, 1})}, 1},
		{"from before the prefix", WatchersOf(b), ScanOptions{From: Watcher(a, [16]byte{1})}, 3},
		{"back from before the prefix", WatchersOf(b), ScanOptions{From: Watcher(a, [16]byte{1}), Reverse: true}, 0},
		{"from behind the prefix", WatchersOf(a), ScanOptions{From: Watcher(b, [16]byte{1})}, 0},
		{"back from behind the prefix", WatchersOf(a), ScanOptions{From: Watcher(b, [16]byte{1}), Reverse: true}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.View(func(tx Tx) error {
				n := 0
				for k := range tx.Scan(tt.p, tt.o) {
					if n++; !k.In(tt.p) {
						t.Errorf("%v is elsewhere", k)
					}
				}
				if n != tt.want {
					t.Errorf("got %d rows, want %d", n, tt.want)
				}
				return nil
			})
		})
	}
}

// TestNestedScan reads within a scan, as joining two tables does.
func TestNestedScan(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for i := range byte(3) {
		put(t, s, Contact(identity.Address{i}), "c")
		put(t, s, Watcher(identity.Address{i}, [16]byte{i}), "w")
	}
	n := 0
	join := func(tx Tx) error {
		for k := range tx.Scan(AllContacts(), ScanOptions{}) {
			for w := range tx.Scan(WatchersOf(k.Address()), ScanOptions{}) {
				n += tx.Count(WatchersOf(w.Address()))
			}
		}
		return nil
	}
	if err := errors.Join(s.View(join), s.Update(join)); err != nil || n != 6 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestPanicIsTheCallers(t *testing.T) {
	s := inMemory(t)
	defer func() {
		if p := recover(); p != "mine" {
			t.Errorf("recovered %v", p)
		}
		put(t, s, Meta("a"), "1") // the committer lives
	}()
	s.Update(func(tx Tx) error {
		for range tx.Scan(AllMeta(), ScanOptions{}) {
			panic("mine")
		}
		return nil
	})
	t.Error("no panic")
}

// TestVirtualTime opens, works and closes in a bubble, whose end proves that no goroutine is left.
func TestVirtualTime(t *testing.T) {
	for _, o := range []Options{{Memory: NewMemory()}, {Key: testKey}} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			s, err := Open(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for i := range uint64(10) {
				wg.Go(func() { put(t, s, Event(i), "x") })
			}
			wg.Wait()
			synctest.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
