package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
)

var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")
	// ErrLocked: another process has this home open.
	ErrLocked = errors.New("the home is in use by another process")
	// ErrKey: the home is encrypted under another key, or not encrypted at all.
	ErrKey = errors.New("the database does not open with this key")
	// ErrDamaged: what is on the disk is not what was written.
	ErrDamaged = errors.New("the database is damaged")
	// ErrNoSpace: the disk is full, or so nearly full that writing is refused.
	ErrNoSpace = errors.New("no space left on the disk")
	// ErrReadOnly: the directory cannot be written to, or the store was opened with ReadOnly.
	ErrReadOnly = errors.New("the database is read-only")
	// ErrTooBig: one Update writes more than one transaction holds (MaxUpdate), or a key is too long.
	ErrTooBig = errors.New("too much for one update")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrBackup: the stream is no whole backup of this program's.
	ErrBackup = errors.New("not a complete backup")
	// ErrNotEmpty: a backup is restored into a new home only.
	ErrNotEmpty = errors.New("the directory holds a database already")
)

// A SchemaError says that a home is of a schema that this program cannot use: a newer one (Have is
// above Know), which is left untouched, or an older one that was opened with ReadOnly.
type SchemaError struct{ Have, Know int }

func (e *SchemaError) Error() string {
	if e.Have > e.Know {
		return fmt.Sprintf("the home was written by a newer version: schema %d, this one knows %d", e.Have, e.Know)
	}
	return fmt.Sprintf("the home is of schema %d and must be opened for writing once, to become %d", e.Have, e.Know)
}

// openError says which of our errors err is. Badger does not wrap the errors of the system, it quotes
// them, so they are known by their text too.
func openError(err error) error {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) || strings.Contains(err.Error(), t.Error()) {
				return true
			}
		}
		return false
	}
	switch {
	case is(ErrLocked, ErrNoSpace, ErrReadOnly, ErrDamaged):
		return err
	case is(badger.ErrEncryptionKeyMismatch):
		return fmt.Errorf("%w: %w", ErrKey, err)
	case is(syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case is(syscall.EROFS, syscall.EACCES, syscall.EPERM):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case is(badger.ErrTruncateNeeded):
		return fmt.Errorf("not closed cleanly, to be opened for writing once: %w", err)
	case is(os.ErrNotExist, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOTDIR, syscall.EINTR):
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// readError says what a failed read of an open database means.
func readError(err error) error {
	if errors.Is(err, badger.ErrDBClosed) {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
