package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/hum-presence/hum/store/crash"
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
	if s.down != nil {
		return s.down
	}
	ts := s.reads.begin()
	defer s.reads.end(ts)
	at := s.at(ts)
	defer at.discard()
	var failed error
	err := fn(Tx{at: at, failed: &failed})
	return firstError(err, failed)
}

// at is what a function reads. It is read-only: of a transaction that writes, badger lets one iterator live at a
// time, and scans nest.
func (s *Store) at(ts uint64) state {
	if m := s.opts.Memory; m != nil {
		return memoryState{m.state()}
	}
	return badgerState{s.db.NewTransactionAt(ts, false)}
}

// Update calls fn, and returns once what fn wrote is on the disk. Updates that come together share one
// transaction and one sync; their functions run one after the other, in the order of arrival, each
// seeing what the ones before it wrote. If fn returns an error, or a read or write of its Tx fails,
// nothing of it is written, and the others go on.
//
// fn runs in the committer: it must be quick, must not call the store, and must not end its goroutine
// (as testing.T.Fatal does); if it panics, Update does. What it reads may not be on the disk yet, but if Update returns nil, all
// of it is. With ErrNoSpace or ErrTooBig nothing was written. After any other error of the commit
// itself, fn's writes are there wholly or not at all, which is seen by looking.
func (s *Store) Update(fn func(Tx) error) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	u := &update{fn, make(chan error, 1)}
	select {
	case s.queue <- u: // unbuffered: callers wait here, so the queue needs no bound
	case <-s.stop:
		return ErrClosed
	case <-s.ended:
		return ErrClosed
	}
	err := u.wait(s.ended)
	if p, ok := err.(panicked); ok {
		panic(p.value)
	}
	return err
}

// wait returns the answer, or ErrClosed if there is none when the committer has ended: a function ended
// it with its own goroutine.
func (u *update) wait(ended <-chan struct{}) error {
	select {
	case err := <-u.done:
		return err
	case <-ended:
	}
	select {
	case err := <-u.done:
		return err
	default:
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

// gather returns first and the updates that wait behind it. As long as more arrive it lets others run, so
// that whoever was just answered and has more to write comes along.
func (s *Store) gather(first *update) []*update {
	us := []*update{first}
	for n := 0; n < len(us); {
		n = len(us)
		runtime.Gosched()
		us = s.drain(us)
	}
	return us
}

func (s *Store) drain(us []*update) []*update {
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

// A group is the updates that share one transaction.
type group struct {
	at     state // before it
	rows   *writes
	joined []*update
}

// commit runs the updates in as few transactions as they fit in.
func (s *Store) commit(us []*update) {
	g, err := s.begin()
	for i, u := range us {
		if err != nil {
			answer(us[i:], err)
			return
		}
		own, failed := s.run(u.fn, g)
		if failed != nil {
			u.done <- failed
			continue
		}
		if !g.rows.fits(own, s.limit) {
			// The rest goes into a transaction of its own, with what u has just written: it was
			// written on top of this group, so only if this group holds.
			if err = s.finish(g); err == nil {
				g, err = s.begin()
			}
			if err != nil {
				answer(us[i:], err)
				return
			}
		}
		g.rows.join(own)
		g.joined = append(g.joined, u)
	}
	s.finish(g)
}

func (s *Store) begin() (*group, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	return &group{at: s.at(s.reads.last()), rows: newWrites()}, nil
}

// run calls fn on top of what the group wrote, and returns what it wrote itself. If fn panics, that is
// its caller's affair, not the committer's.
func (s *Store) run(fn func(Tx) error, g *group) (own *writes, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked{p}
		}
	}()
	own, failed := newWrites(), error(nil)
	err = fn(Tx{g.at, g.rows, own, &failed, s.limit})
	return own, firstError(err, failed)
}

// panicked carries a panic of fn to the goroutine that called Update.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprint(p.value) }

// finish commits the group, syncs, and answers. Each transaction is synced before the next begins:
// badger's Sync knows only the newest log, and the next may start another.
func (s *Store) finish(g *group) error {
	g.at.discard()
	if crash.Planted(crash.AckFirst) { // what the callers are told may never come true
		answer(g.joined, nil)
		crash.Window()
		return s.write(g.rows)
	}
	err := s.write(g.rows)
	answer(g.joined, err)
	crash.Point("store: answered")
	return err
}

// write puts the rows on the disk, and only then shows them to View.
func (s *Store) write(w *writes) error {
	if len(w.rows) == 0 {
		return nil
	}
	if m := s.opts.Memory; m != nil {
		m.keep(w)
		return nil
	}
	ts := s.reads.last() + 1
	txn := s.db.NewTransactionAt(ts-1, true)
	defer txn.Discard()
	for k, v := range w.rows {
		if err := set(txn, []byte(k), v); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	crash.Point("store: before the log")
	err := txn.CommitAt(ts, nil)
	crash.Point("store: in the log, not synced")
	if err == nil {
		err = s.followLog()
	}
	if err == nil {
		err = s.sync()
	}
	crash.Point("store: synced, nobody answered")
	if err != nil {
		s.wounds = fmt.Errorf("commit: %w", err)
		return s.wounds
	}
	s.db.SetDiscardTs(s.reads.set(ts))
	s.wrote(w.size)
	return nil
}

// followLog notices when the commit began a new log, and syncs the directory: badger does not, and a log
// that no directory names is lost.
func (s *Store) followLog() error {
	name := filepath.Join(s.dir, fmt.Sprintf("%05d.mem", s.logs+1))
	if _, err := os.Lstat(name); err != nil {
		return nil
	}
	s.logs++
	return errors.Join(s.log.follow(name), syncDir(s.dir))
}

// syncLog puts on the disk what the last commit wrote. That lies in the newest log alone.
func (s *Store) syncLog() error { return s.log.sync(s.db) }

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
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.detach(s.wounds); err != nil && s.opts.Logger != nil {
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
