package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// A dirLock keeps other processes out of a home. It dies with its process.
type dirLock struct{ f *os.File }

// lockDir locks dir, for writing alone or for reading with others. ErrLocked: somebody else has it.
func lockDir(dir string, shared bool) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "HOME.LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped))
	if err == nil {
		return &dirLock{f}, nil
	}
	f.Close()
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		err = ErrLocked
	}
	return nil, err
}

func (l *dirLock) release() error { return l.f.Close() }

// freeSpace returns ErrNoSpace if the disk of dir has less than need bytes free.
func freeSpace(dir string, need uint64) error {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return err
	}
	if free < need {
		return fmt.Errorf("%w: %d MiB free, %d MiB needed", ErrNoSpace, free>>20, need>>20)
	}
	return nil
}

// writable leaves it to the first write to find out.
func writable(string) error { return nil }

func diskUsage(fi fs.FileInfo) int64 { return fi.Size() }

// syncDir has nothing to do: the file system keeps its own log of names.
func syncDir(string) error { return nil }
