package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Schema is the number of the layout in the package comment.
const Schema = 2

// markFile holds the schema as text, so that an older program need not open, and so change, a home
// that it does not know. The row meta/schema is what counts.
const markFile = "SCHEMA"

var schemaKey, cursorKey = Meta("schema"), Meta("schema-cursor")

// A step takes a home from one schema to the next, a chunk at a time: it rewrites some rows from the
// key `from` on (zero: the first) and returns where the next chunk starts, zero when it is done. Each
// chunk is one Update, so a step that is cut short goes on where it was.
type step func(tx Tx, from Key) (next Key, err error)

// steps[i] takes schema i+1 to i+2.
var steps = []step{keepsOnce}

// keepsOnce rewrites nothing: rows that hold the whole are read as before. Only an older program must not read
// those that hold a digest.
func keepsOnce(Tx, Key) (Key, error) { return Key{}, nil }

// checkMark refuses the home of a newer schema before anything is touched.
func (s *Store) checkMark() error {
	b, err := os.ReadFile(filepath.Join(s.dir, markFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	have, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("%w: %s says %q", ErrDamaged, markFile, b)
	}
	if have > Schema {
		return &SchemaError{have, Schema}
	}
	return nil
}

// migrate brings the home to the schema that all of steps lead to.
func (s *Store) migrate(steps []step) error {
	know := len(steps) + 1
	have, err := s.schema()
	switch {
	case err != nil:
		return err
	case have > know, s.opts.ReadOnly && have != know:
		return &SchemaError{have, know}
	case s.opts.ReadOnly:
		return nil
	}
	if err := s.mark(know); err != nil {
		return err
	}
	if have == 0 { // new
		return s.Update(func(tx Tx) error { return tx.Put(schemaKey, u64(uint64(know))) })
	}
	for ; have < know; have++ {
		if err := s.migrateStep(have, steps[have-1]); err != nil {
			return fmt.Errorf("from schema %d: %w", have, err)
		}
	}
	return nil
}

func (s *Store) migrateStep(have int, do step) error {
	for done := false; !done; {
		err := s.Update(func(tx Tx) error {
			from, err := cursor(tx)
			if err != nil {
				return err
			}
			next, err := do(tx, from)
			if err != nil {
				return err
			}
			if done = next.IsZero(); !done {
				return tx.Put(cursorKey, next.Bytes())
			}
			return errors.Join(tx.Delete(cursorKey), tx.Put(schemaKey, u64(uint64(have+1))))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func cursor(tx Tx) (Key, error) {
	b, err := tx.Get(cursorKey)
	if errors.Is(err, ErrNotFound) {
		return Key{}, nil
	}
	return Key{string(b)}, err
}

// schema returns the schema of the home, 0 if it is empty.
func (s *Store) schema() (have int, err error) {
	err = s.View(func(tx Tx) error {
		b, err := tx.Get(schemaKey)
		switch {
		case errors.Is(err, ErrNotFound):
			for k := range tx.Scan(Prefix{}, ScanOptions{KeysOnly: true}) {
				return fmt.Errorf("%w: rows such as %v and no schema", ErrDamaged, k)
			}
			return nil
		case err != nil:
			return err
		case len(b) != 8 || binary.BigEndian.Uint64(b) == 0:
			return fmt.Errorf("%w: schema %x", ErrDamaged, b)
		}
		have = int(binary.BigEndian.Uint64(b))
		return nil
	})
	return have, err
}

// mark writes the mark file, before the first row of that schema.
func (s *Store) mark(schema int) error {
	name, want := filepath.Join(s.dir, markFile), strconv.Itoa(schema)+"\n"
	if b, err := os.ReadFile(name); s.opts.Memory != nil || err == nil && string(b) == want {
		return nil
	}
	if err := os.WriteFile(name+".new", []byte(want), 0o600); err != nil {
		return err
	}
	return errors.Join(syncFile(name+".new"), os.Rename(name+".new", name), syncDir(s.dir))
}
