//go:build linux || darwin

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A dirLock keeps other processes out of a home. It dies with its process.
type dirLock struct{ f *os.File }

// lockDir locks dir, for writing alone or for reading with others. ErrLocked: somebody else has it.
func lockDir(dir string, shared bool) (*dirLock, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if err == nil {
		return &dirLock{f}, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, err
}

func (l *dirLock) release() error { return l.f.Close() }

// freeSpace returns ErrNoSpace if the disk of dir has less than need bytes free. Badger writes through
// memory maps of files with holes, so a disk that is full at the wrong moment kills the process; whoever
// writes asks first, with a wide margin.
func freeSpace(dir string, need uint64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	free := uint64(st.Bavail) * uint64(st.Bsize)
	if free < need {
		return fmt.Errorf("%w: %d MiB free, %d MiB needed", ErrNoSpace, free>>20, need>>20)
	}
	return nil
}

// writable returns why dir cannot be written to.
func writable(dir string) error { return unix.Access(dir, unix.W_OK) }

func diskUsage(fi fs.FileInfo) int64 { return fi.Sys().(*syscall.Stat_t).Blocks * 512 }

// syncDir puts the list of the files of dir on the disk.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
