package store

import (
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// The three are compared within one run: many callers of Update, each told when its row is on the disk;
// one sync for each row; and the floor, one goroutine that appends the same bytes to a file and syncs.
const inFlight = 64

var benchRow = make([]byte, 512)

func BenchmarkGroupCommit(b *testing.B) {
	s := open(b, b.TempDir(), Options{Key: testKey})
	var n atomic.Uint64
	syncs := 0 // the committer's
	s.sync = func() error { syncs++; return s.syncLog() }
	b.SetParallelism(inFlight / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k := Event(n.Add(1))
			if err := s.Update(func(tx Tx) error { return tx.Put(k, benchRow) }); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/float64(syncs), "rows/sync")
}

// BenchmarkOneTransaction is the floor of grouping: one goroutine that puts as many rows as were in flight
// into one transaction of badger's, and syncs.
func BenchmarkOneTransaction(b *testing.B) {
	s := open(b, b.TempDir(), Options{Key: testKey})
	ts := s.reads.last()
	for done := 0; done < b.N; done += inFlight {
		txn := s.db.NewTransactionAt(ts, true)
		for i := range inFlight {
			if err := txn.Set([]byte(Event(uint64(done+i)).s), benchRow); err != nil {
				b.Fatal(err)
			}
		}
		ts++
		if err := txn.CommitAt(ts, nil); err != nil {
			b.Fatal(err)
		}
		if err := s.sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSyncEach(b *testing.B) {
	o := (&Store{dir: b.TempDir(), opts: Options{Key: testKey}}).badgerOptions().WithSyncWrites(true)
	db, err := badger.OpenManaged(o)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var n atomic.Uint64
	b.SetParallelism(inFlight / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ts := n.Add(1)
			txn := db.NewTransactionAt(ts, true)
			txn.Set([]byte(Event(ts).s), benchRow)
			if err := txn.CommitAt(ts, nil); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkAppendSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		f.Write(benchRow)
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLone is one caller by himself: an append, a sync, and two changes of goroutine.
func BenchmarkLone(b *testing.B) {
	s := open(b, b.TempDir(), Options{Key: testKey})
	for n := uint64(0); b.Loop(); n++ {
		if err := s.Update(func(tx Tx) error { return tx.Put(Event(n), benchRow) }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	open(b, dir, Options{Key: testKey}).Close()
	for b.Loop() {
		s, err := Open(dir, Options{Key: testKey})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}
