package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// maintainEvery is the pause between two rounds of Maintain.
const maintainEvery = 10 * time.Minute

// Maintain gives back the space of what was deleted, a round every ten minutes, until ctx ends, when
// it returns nil; in memory there is nothing to give back, and it returns at once. It fails only when the
// store cannot be used any more.
func (s *Store) Maintain(ctx context.Context) error {
	if s.opts.Memory != nil {
		return nil
	}
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.tidy(); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
}

// tidy lets badger rewrite value logs that are half empty. Tables are compacted as they come. On a disk
// that is nearly full it does nothing: a rewrite needs space first.
func (s *Store) tidy() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case errors.Is(s.down, ErrClosed):
		return ErrClosed
	case s.db == nil || s.opts.ReadOnly || s.space(workSpace) != nil:
		return nil
	}
	for {
		err := s.db.RunValueLogGC(0.5)
		if errors.Is(err, badger.ErrNoRewrite) || errors.Is(err, badger.ErrRejected) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Path returns the directory of the store, empty for one in memory.
func (s *Store) Path() string {
	if s.opts.Memory != nil {
		return ""
	}
	return s.dir
}

// Size returns the bytes that the home takes on the disk: blocks in use, which are far fewer than
// the lengths of the files, as logs are made at full length and filled later.
func (s *Store) Size() (int64, error) {
	if s.opts.Memory != nil {
		return 0, nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, e := range entries {
		fi, err := os.Lstat(filepath.Join(s.dir, e.Name()))
		if err == nil { // else a file that compaction has just removed
			n += diskUsage(fi)
		}
	}
	return n, nil
}
