//go:build !linux

package store

import "github.com/dgraph-io/badger/v4"

// A syncedLog is a log that badger appends to. Elsewhere than on Linux only who mapped a file may sync it.
type syncedLog struct{}

func (l *syncedLog) follow(string) error      { return nil }
func (l *syncedLog) sync(db *badger.DB) error { return db.Sync() }
func (l *syncedLog) close() error             { return nil }
