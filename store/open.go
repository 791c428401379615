package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Options say how a store is opened.
type Options struct {
	Key      []byte       // 32 bytes that encrypt everything on the disk; nil: not encrypted
	Memory   *Memory      // keep everything there and nothing on a disk; the directory is ignored
	Logger   *slog.Logger // nil: silent
	ReadOnly bool         // beside other readers; the home must have been closed cleanly
}

const (
	memtable       = 8 << 20  // bytes that are written before a table is
	flushSpace     = 16 << 20 // free bytes that opening and closing may need: tables of what the log holds
	workSpace      = 48 << 20 // free bytes that writing may need, with the compaction it sets off
	dataKeyRotates = 30 * 24 * time.Hour
)

// A Store is one open home. Its methods may be called from any goroutine.
type Store struct {
	dir   string
	opts  Options
	lock  *dirLock // nil in memory
	queue chan *update
	space func(need uint64) error // ErrNoSpace if the disk has less
	sync  func() error            // syncLog
	limit limit
	close func() error
	stop  chan struct{} // closed: take no more updates
	ended chan struct{} // closed: the committer has returned
	reads snapshots

	// The committer's alone, once it runs.
	wounds error     // why the database must be opened anew
	log    syncedLog // the newest log
	logs   int       // and its number

	compact compactors

	mu   sync.RWMutex // held for reading while db is in use
	db   *badger.DB   // nil once closed, or while it cannot be opened anew
	down error        // why nothing can be read

	abandoned bool // by halt, on a full disk
}

// Open opens the home in dir, and makes it if there is none. Its errors are ErrLocked, ErrKey,
// ErrDamaged, ErrNoSpace, ErrReadOnly and [*SchemaError], with what the system said, or what the system
// said alone.
func Open(dir string, o Options) (*Store, error) {
	if o.Key != nil && len(o.Key) != 32 {
		return nil, fmt.Errorf("a key of %d bytes: %w", len(o.Key), ErrKey)
	}
	s := &Store{
		dir: dir, opts: o,
		queue: make(chan *update), stop: make(chan struct{}), ended: make(chan struct{}),
		space: func(need uint64) error { return freeSpace(dir, need) },
		limit: limit{MaxUpdate, 10_000},
		reads: snapshots{active: map[uint64]int{}},
	}
	if o.Memory != nil {
		s.space = func(uint64) error { return nil }
	}
	s.close, s.sync = sync.OnceValue(s.shut), s.syncLog
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if s.opts.Memory == nil {
		if err := s.prepare(); err != nil {
			return err
		}
		defer func() {
			if err != nil && !s.abandoned {
				s.lock.release()
			}
		}()
		if err := s.attach(); err != nil {
			return err
		}
	}
	go s.commitLoop()
	if err := s.migrate(steps); err != nil {
		return errors.Join(err, s.halt())
	}
	return nil
}

// prepare finds everything that stands in the way before a byte is changed.
func (s *Store) prepare() error {
	if !s.opts.ReadOnly {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return openError(err)
		}
		if err := writable(s.dir); err != nil {
			return openError(err)
		}
	}
	lock, err := lockDir(s.dir, s.opts.ReadOnly)
	if err != nil {
		return openError(err)
	}
	s.lock = lock
	err = s.checkMark()
	if err == nil && !s.opts.ReadOnly {
		err = s.space(flushSpace)
	}
	if err != nil {
		s.lock.release()
	}
	return err
}

// attach opens the database, and serves what is in it.
func (s *Store) attach() (err error) {
	defer func() {
		if p := recover(); p != nil { // badger trusts its files in places
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	if err := s.verify(); err != nil {
		return openError(err)
	}
	if err := s.dropEmptyLogs(); err != nil {
		return openError(err)
	}
	if !s.opts.ReadOnly {
		// A killed process leaves a log that the system has and the disk may not: what is read from
		// it from now on must stay.
		if err := syncFiles(s.dir); err != nil {
			return openError(err)
		}
	}
	db, err := badger.OpenManaged(s.badgerOptions())
	if err != nil {
		return openError(err)
	}
	s.db, s.down = db, nil
	s.reads.set(db.MaxVersion())
	if s.opts.ReadOnly {
		return nil
	}
	s.awake()
	name, err := newestLog(s.dir)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(filepath.Base(name), "%d.mem", &s.logs); err != nil {
		return err
	}
	return errors.Join(s.log.follow(name), syncDir(s.dir))
}

func (s *Store) badgerOptions() badger.Options {
	o := badger.DefaultOptions(s.dir).WithReadOnly(s.opts.ReadOnly).
		WithLogger(badgerLog(s.opts.Logger)).WithMetricsEnabled(false).
		WithMemTableSize(memtable).WithNumMemtables(2).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(6).WithBaseLevelSize(8 << 20).
		WithNumCompactors(2).WithNumVersionsToKeep(1).WithDetectConflicts(false).
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(0).
		WithChecksumVerificationMode(options.OnBlockRead). // verify has read the tables whole
		// The committer syncs, once for many. All values lie in the log that it syncs, none in the
		// value log, whose sync errors badger only logs.
		WithSyncWrites(false).WithValueThreshold(1 << 20).WithValueLogFileSize(1 << 20).
		WithBypassLockGuard(true) // dirLock is ours, and kept while the database is opened anew
	if s.opts.Key != nil {
		o = o.WithEncryptionKey(s.opts.Key).WithEncryptionKeyRotationDuration(dataKeyRotates).
			WithBlockCacheSize(8 << 20).WithIndexCacheSize(4 << 20)
	}
	return o
}

// Close waits for what is under way, then closes the home. Later calls return what the first did.
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	err := s.halt()
	if s.lock != nil && !s.abandoned {
		err = errors.Join(err, s.lock.release())
	}
	return err
}

// halt ends the committer and the database. On a full disk the database is left as it stands, lock and
// all, until the process ends: badger would die writing a table through a memory map, and the log holds
// everything.
func (s *Store) halt() error {
	close(s.stop)
	<-s.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Memory != nil || s.db == nil || s.opts.ReadOnly {
		return s.detach(ErrClosed)
	}
	if err := s.space(flushSpace); err != nil {
		err = fmt.Errorf("close without tidying up: %w", errors.Join(err, s.sync(), s.log.close()))
		s.db, s.down, s.abandoned = nil, ErrClosed, true
		return err
	}
	return s.detach(ErrClosed)
}

// detach closes the database; until another is attached, why is what View answers.
func (s *Store) detach(why error) error {
	db := s.db
	s.db, s.down = nil, why
	if db == nil {
		return nil
	}
	s.unrest()
	return errors.Join(db.Close(), s.log.close())
}
