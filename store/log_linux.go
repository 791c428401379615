package store

import (
	"errors"
	"os"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// A syncedLog is a log that badger appends to, opened a second time to be synced. Badger's own Sync also
// syncs the value log, where nothing of ours is, and so waits for the disk twice. Here the system knows a
// page written through badger's memory map as a page of the file, whoever syncs it.
type syncedLog struct{ f *os.File }

func (l *syncedLog) follow(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	old := l.close()
	l.f = f
	return old
}

func (l *syncedLog) sync(*badger.DB) error {
	for {
		if err := unix.Fdatasync(int(l.f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (l *syncedLog) close() error {
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return f.Close()
}
