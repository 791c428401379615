package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// maxGroup bounds how many updates share a commit, and with it how long the first of them waits.
const maxGroup = 256

// An update waits for its group to be on the disk.
type update struct {
	fn   func(Tx) error
	done chan error // holds one
}

// View calls fn with one consistent and durable state of the store: nothing that fn reads is lost in
// a crash, and no commit becomes visible to it while it runs. It returns fn's error, or that of a
// failed read. fn must not call View or Close.
func (s *Store) View(fn func(Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	ts := s.reads.begin()
	defer s.reads.end(ts)
	txn := s.db.NewTransactionAt(ts, false)
	defer txn.Discard()
	var failed error
	err := fn(Tx{at: txn, failed: &failed})
	return firstError(err, failed)
}

// Update calls fn, and returns once what fn wrote is on the disk. Updates that come together share one
// transaction and one sync; their functions run one after the other, in the order of arrival, each
// seeing what the ones before it wrote. If fn returns an error, or a read or write of its Tx fails,
// nothing of it is written, and the others go on.
//
// fn runs in the committer: it must be quick, must not call the store, and must not end its goroutine
// (as testing.T.Fatal does). What it reads may not be on the disk yet, but if Update returns nil, all
// of it is. With ErrNoSpace or ErrTooBig nothing was written. After any other error of the commit
// itself, fn's writes are there wholly or not at all, which is seen by looking.
func (s *Store) Update(fn func(Tx) error) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	u := &update{fn, make(chan error, 1)}
	select {
	case s.queue <- u: // unbuffered: callers wait here, so the queue needs no bound
		return <-u.done
	case <-s.stop:
		return ErrClosed
	}
}

// commitLoop is the committer: the only one who writes, so no transaction ever meets a conflict.
func (s *Store) commitLoop() {
	defer close(s.ended)
	for {
		select {
		case u := <-s.queue:
			s.commit(s.gather(u))
		case <-s.stop:
			return
		}
	}
}

// gather returns first and the updates that wait behind it.
func (s *Store) gather(first *update) []*update {
	us := []*update{first}
	for len(us) < maxGroup {
		select {
		case u := <-s.queue:
			us = append(us, u)
		default:
			return us
		}
	}
	return us
}

// commit runs the updates in as few transactions as they fit in. Each transaction is synced before the
// next begins: badger's Sync knows only the newest log, and the next may start another.
func (s *Store) commit(us []*update) {
	for len(us) > 0 {
		if err := s.ready(); err != nil {
			answer(us, err)
			return
		}
		us = s.commitSome(us)
	}
}

// commitSome commits a first part of us as one transaction, and returns the rest.
func (s *Store) commitSome(us []*update) []*update {
	txn := s.db.NewTransactionAt(s.reads.last(), true)
	defer txn.Discard()
	group := newWrites()
	var joined []*update
	for len(us) > 0 {
		own, err := s.run(us[0].fn, txn, group)
		if err != nil {
			us[0].done <- err
		} else if group.fits(own, s.limit) {
			group.join(own)
			joined = append(joined, us[0])
		} else {
			break // it runs again, first of the next transaction, on the state it has just seen
		}
		us = us[1:]
	}
	answer(joined, s.write(txn, group))
	return us
}

// run calls fn on top of what the group wrote, and returns what it wrote itself.
func (s *Store) run(fn func(Tx) error, at *badger.Txn, group *writes) (*writes, error) {
	own, failed := newWrites(), error(nil)
	err := fn(Tx{at, group, own, &failed, s.limit})
	return own, firstError(err, failed)
}

// write puts the rows on the disk, and only then shows them to View.
func (s *Store) write(txn *badger.Txn, w *writes) error {
	if len(w.rows) == 0 {
		return nil
	}
	for k, v := range w.rows {
		if err := set(txn, []byte(k), v); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	ts := s.reads.last() + 1
	err := txn.CommitAt(ts, nil)
	if err == nil {
		err = s.sync(s.db)
	}
	if err != nil {
		s.wounds = fmt.Errorf("commit: %w", err)
		return s.wounds
	}
	s.db.SetDiscardTs(s.reads.set(ts))
	return nil
}

func set(txn *badger.Txn, k, v []byte) error {
	if v == nil {
		return txn.Delete(k)
	}
	return txn.Set(k, v)
}

// ready returns why nothing can be written now. After a failed commit or sync nobody knows what the
// log holds: what the system could not write it may have forgotten, and what is appended behind it
// would be lost with it. So the database is closed and opened anew, which reads the log back, before
// the next word is promised.
func (s *Store) ready() error {
	if err := s.space(workSpace); err != nil {
		return err
	}
	if s.wounds == nil {
		return nil
	}
	if s.opts.Memory {
		return s.wounds
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.detach(); err != nil && s.opts.Logger != nil {
		s.opts.Logger.Warn("close after a failed commit", "err", err)
	}
	if err := s.attach(); err != nil {
		return errors.Join(s.wounds, err)
	}
	s.wounds = nil
	return nil
}

func answer(us []*update, err error) {
	for _, u := range us {
		u.done <- err
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// snapshots know which states are read, so that badger drops no row that one of them still shows.
type snapshots struct {
	mu      sync.Mutex
	durable uint64         // the newest state on the disk
	active  map[uint64]int // how many views read a state
}

func (r *snapshots) last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.durable
}

func (r *snapshots) begin() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[r.durable]++
	return r.durable
}

func (r *snapshots) end(ts uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active[ts]--; r.active[ts] == 0 {
		delete(r.active, ts)
	}
}

// set makes ts the newest state, and returns the oldest one that is still read.
func (r *snapshots) set(ts uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.durable = ts
	for t := range r.active {
		ts = min(ts, t)
	}
	return ts
}

// Path returns the directory of the store, empty for one in memory.
func (s *Store) Path() string {
	if s.opts.Memory {
		return ""
	}
	return s.dir
}

// Size returns the bytes that the home takes on the disk: blocks in use, which are far fewer than
// the lengths of the files, as logs are made at full length and filled later.
func (s *Store) Size() (int64, error) {
	if s.opts.Memory {
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
