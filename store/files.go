package store

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// dropEmptyLogs removes what badger leaves if it is killed between making a log and giving it its
// length, or between emptying and removing one; badger itself would refuse to open it.
func (s *Store) dropEmptyLogs() error {
	logs, err := filepath.Glob(filepath.Join(s.dir, "*.mem"))
	for _, name := range logs {
		fi, err := os.Stat(name)
		switch {
		case err != nil:
			return err
		case fi.Size() > 0:
		case s.opts.ReadOnly:
			return badger.ErrTruncateNeeded
		default:
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return err
}

// syncFiles makes sure that the logs of dir, and its list of files, are on the disk.
func syncFiles(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil || len(logs) == 0 {
		return err
	}
	for _, name := range logs {
		if err := syncFile(name); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// newestLog returns the log that badger appends to.
func newestLog(dir string) (string, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err == nil && len(logs) == 0 {
		err = errors.New("no log")
	}
	if err != nil {
		return "", err
	}
	return slices.MaxFunc(logs, func(a, b string) int { // 99999.mem is older than 100000.mem
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	}), nil
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0) // some systems sync only what may be written
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
