package store

import (
	"slices"
	"sync"
	"time"
	_ "unsafe" // for the names below

	"github.com/dgraph-io/badger/v4"
)

// Badger's compactors look for work 20 times a second each, whether anything was written or not, and have no
// setting for it: half of a percent of a core, which was most of what an idle home cost. So they rest while
// there is nothing for them to do. Badger stops and starts them itself around its Flatten and DropPrefix, by
// these two methods, which it does not export; that they are the ones of the version in go.mod is tested.

//go:linkname stopCompactions github.com/dgraph-io/badger/v4.(*DB).stopCompactions
func stopCompactions(*badger.DB)

//go:linkname startCompactions github.com/dgraph-io/badger/v4.(*DB).startCompactions
func startCompactions(*badger.DB)

// restAfter is how long the compactors look for work after the last that may have made some.
const restAfter = 10 * time.Second

// compactors say whether badger's are running, of a store that is written to.
type compactors struct {
	mu      sync.Mutex
	running bool
	written int         // bytes, since they were last woken
	timer   *time.Timer // of their rest
}

// awake notes that a database was opened, with its compactors running.
func (s *Store) awake() {
	c := &s.compact
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.written = true, 0
	c.timer = time.AfterFunc(restAfter, s.rest)
}

// wrote wakes the compactors four times for each table that is written: the next table may be too many.
func (s *Store) wrote(size int) {
	c := &s.compact
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written += size; c.written < memtable/4 {
		return
	}
	c.written = 0
	if !c.running {
		startCompactions(s.db)
		c.running = true
	}
	c.timer.Reset(restAfter)
}

// rest stops the compactors, unless a level holds more than it should.
func (s *Store) rest() {
	s.mu.RLock() // the database is not closed meanwhile
	defer s.mu.RUnlock()
	c := &s.compact
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.db == nil || !c.running:
	case slices.ContainsFunc(s.db.Levels(), func(l badger.LevelInfo) bool { return l.Score >= 1 }):
		c.timer.Reset(restAfter)
	default:
		stopCompactions(s.db)
		c.running = false
	}
}

// unrest ends the timer of a database that is about to be closed.
func (s *Store) unrest() {
	c := &s.compact
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
