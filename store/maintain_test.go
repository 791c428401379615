package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestMaintain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, Options{Key: testKey})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- s.Maintain(ctx) }()
		time.Sleep(3 * maintainEvery)
		put(t, s, Meta("a"), "1")
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("ended by itself: %v", err)
		default:
		}
		cancel()
		if err := <-result; err != nil {
			t.Errorf("cancelled: %v", err)
		}
		go func() { result <- s.Maintain(context.Background()) }()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestSpaceComesBack: rows that are rewritten or deleted do not fill the disk.
func TestSpaceComesBack(t *testing.T) {
	s := open(t, t.TempDir(), Options{Key: testKey})
	for i := range uint64(150) { // 60 MB through 10 rows
		err := s.Update(func(tx Tx) error { return tx.Put(Event(i%10), make([]byte, 400_000)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	n, err := s.Size()
	for end := time.Now().Add(2 * time.Minute); n > 45<<20 && err == nil && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond) // tables are compacted behind the writers
		n, err = s.Size()
	}
	if err != nil || n > 45<<20 {
		t.Errorf("10 rows of 400 kB take %d MiB (%v)", n>>20, err)
	}
}
