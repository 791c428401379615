package store

import (
	"iter"
	"strings"
	"sync"

	"github.com/tidwall/btree"
)

// A Memory keeps the rows of a store that has no disk, such as a node's in a simulation, where a database for
// each of thousands would be most of what they cost. It outlives the stores that are opened on it, as a disk
// does; what one of them was told is written is there for the next.
type Memory struct {
	// Sync is called before what was written is kept, where another store waits for its disk. It may take its
	// time, as a slow disk does; nil takes none.
	Sync func()

	mu   sync.Mutex
	rows btree.Map[string, []byte]
}

// NewMemory returns one without rows.
func NewMemory() *Memory { return &Memory{} }

// Clone returns what is kept now. It is what a process that is killed in this instant leaves behind, whatever the
// store that it had open still tries to write.
func (m *Memory) Clone() *Memory { return &Memory{Sync: m.Sync, rows: *m.state()} }

// Len returns how many rows there are, and how many bytes their keys and values have.
func (m *Memory) Len() (rows int, bytes int64) {
	m.state().Scan(func(k string, v []byte) bool {
		bytes += int64(len(k) + len(v))
		return true
	})
	return m.state().Len(), bytes
}

// state is what is kept now; it does not change any more.
func (m *Memory) state() *btree.Map[string, []byte] {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows.Copy()
}

// keep takes all of w, or nothing while Sync runs.
func (m *Memory) keep(w *writes) {
	if m.Sync != nil {
		m.Sync()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range w.rows {
		if v == nil {
			m.rows.Delete(k)
		} else {
			m.rows.Set(k, v)
		}
	}
}

// memoryState is one state of a Memory.
type memoryState struct{ rows *btree.Map[string, []byte] }

func (s memoryState) get(k string) ([]byte, error) {
	v, ok := s.rows.Get(k)
	if !ok {
		return nil, ErrNotFound
	}
	return v, nil
}

func (s memoryState) has(k string) (bool, error) {
	_, ok := s.rows.Get(k)
	return ok, nil
}

// scan goes from where o says to the end of p.
func (s memoryState) scan(p Prefix, o ScanOptions) iter.Seq2[Key, lazily] {
	return func(yield func(Key, lazily) bool) {
		visit := func(k string, v []byte) bool {
			return strings.HasPrefix(k, p.s) && yield(Key{k}, func() ([]byte, error) { return v, nil })
		}
		if from := string(o.start(p)); o.Reverse {
			s.rows.Descend(from, visit)
		} else {
			s.rows.Ascend(from, visit)
		}
	}
}

func (memoryState) discard() {}
