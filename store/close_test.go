package store

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// A store that is closed while many write and read answers each of them: done, or that it is closed. What it called
// done is there when it is opened again, and of what it did not, each transaction is there whole or not at all.
func TestCloseUnderLoad(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Key: testKey})
	const writers, at = 16, 64 // transactions that are done when it is closed
	var done atomic.Int64
	var wg sync.WaitGroup
	enough := make(chan struct{})
	said := make([][]error, writers)
	two := func(w, i int) (Key, Key) { n := uint64(w)<<32 | uint64(2*i); return Event(n), Event(n + 1) }
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				a, b := two(w, i)
				value := binary.BigEndian.AppendUint64(nil, uint64(i))
				err := s.Update(func(tx Tx) error { return errors.Join(tx.Put(a, value), tx.Put(b, value)) })
				if said[w] = append(said[w], err); err != nil {
					return
				}
				if done.Add(1) == at {
					close(enough)
				}
			}
		})
	}
	for w := range 2 {
		wg.Go(func() {
			a, b := two(w, 0)
			for {
				err := s.View(func(tx Tx) error {
					if tx.Has(a) != tx.Has(b) {
						t.Error("half a transaction is seen")
					}
					return nil
				})
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("a reader is told %v", err)
					}
					return
				}
			}
		})
	}
	<-enough
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	s = open(t, dir, Options{Key: testKey})
	lost, kept := 0, 0
	if err := s.View(func(tx Tx) error {
		for w := range writers {
			for i, err := range said[w] {
				a, b := two(w, i)
				switch {
				case tx.Has(a) != tx.Has(b):
					t.Errorf("half of a transaction is there, which was answered %v", err)
				case err == nil && !tx.Has(a):
					lost++
				case err == nil:
					kept++
				case !errors.Is(err, ErrClosed):
					t.Errorf("a writer is told %v", err)
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if lost > 0 || kept < at {
		t.Errorf("%d of %d that were called done are lost", lost, lost+kept)
	}
}
