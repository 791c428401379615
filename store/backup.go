package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// A backup is
//
//	magic   16 bytes  backupMagic
//	schema  u64
//	row*    u32 length of the key, at least 1; u32 length of the value; key; value
//	end     u32 0
//	digest  32 bytes  SHA-256 of everything before it
//
// with the rows in the order of their keys.
const backupMagic = "hum home backup\n"

// maxValue bounds what a reader of backups allocates: no row of an Update is larger.
const maxValue = MaxUpdate

// Backup writes the rows of all tables to w, of one durable state, except what means nothing on another
// device: stamps, epochs, what was heard, the presence of others, keys of acks, events and traces (SPEC 2.1,
// 5.6). The stream is in the clear; it is the caller who seals it. The node goes
// on meanwhile.
func (s *Store) Backup(w io.Writer) error {
	b := newBackupWriter(w)
	err := s.View(func(tx Tx) error {
		for k, v := range tx.Scan(Prefix{}, ScanOptions{}) {
			if portable(k) {
				b.row(k, v)
			}
			if b.err != nil {
				return b.err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return b.end()
}

// portable reports whether the row k belongs in a backup.
func portable(k Key) bool {
	return k != schemaKey && k != cursorKey && !tables[k.s[0]].device
}

type backupWriter struct {
	w   *bufio.Writer
	sum hash.Hash
	err error // the first
}

func newBackupWriter(w io.Writer) *backupWriter {
	b := &backupWriter{w: bufio.NewWriter(w), sum: sha256.New()}
	b.put([]byte(backupMagic), u64(Schema))
	return b
}

func (b *backupWriter) put(parts ...[]byte) {
	for _, p := range parts {
		if b.err == nil {
			b.sum.Write(p)
			_, b.err = b.w.Write(p)
		}
	}
}

func (b *backupWriter) row(k Key, v []byte) {
	b.put(u32(len(k.s)), u32(len(v)), []byte(k.s), v)
}

func (b *backupWriter) end() error {
	b.put(u32(0))
	b.put(b.sum.Sum(nil))
	if b.err != nil {
		return fmt.Errorf("backup: %w", b.err)
	}
	return b.w.Flush()
}

// Restore makes a home in dir, which must hold none, from a backup read from r. ErrBackup: r is not
// one, or not all of one; *SchemaError: it is of another schema. After an error dir holds no
// home, but perhaps files, which the next attempt does away with.
func Restore(r io.Reader, dir string, o Options) (err error) {
	dir = filepath.Clean(dir)
	if err := emptyHome(dir); err != nil {
		return fmt.Errorf("restore into %s: %w", dir, err)
	}
	// Rows are written before the digest is known to be right, so the home is built aside.
	aside := dir + ".restoring"
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := restoreInto(r, aside, o); err != nil {
		return fmt.Errorf("restore: %w", errors.Join(err, os.RemoveAll(aside)))
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("restore: %w", err)
	}
	if err := os.Rename(aside, dir); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}

// emptyHome refuses a directory with anything in it.
func emptyHome(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err == nil && len(entries) > 0 {
		return ErrNotEmpty
	}
	return err
}

func restoreInto(r io.Reader, dir string, o Options) error {
	o.ReadOnly, o.Memory = false, nil
	s, err := Open(dir, o)
	if err != nil {
		return err
	}
	return errors.Join(s.load(r), s.Close())
}

// load writes the rows of a backup, many to an Update.
func (s *Store) load(r io.Reader) error {
	var chunk []row
	size := 0
	flush := func() error {
		rows := chunk
		chunk, size = nil, 0
		return s.Update(func(tx Tx) error {
			for _, r := range rows {
				if err := tx.Put(r.k, r.v); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := readBackup(r, func(k Key, v []byte) error {
		if n := len(k.s) + len(v) + rowCost; len(chunk) == s.limit.rows || size+n > s.limit.size {
			if err := flush(); err != nil {
				return err
			}
		}
		chunk = append(chunk, row{k, v})
		size += len(k.s) + len(v) + rowCost
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// readBackup calls put with each row of a backup, and reports whether the backup was whole.
func readBackup(r io.Reader, put func(Key, []byte) error) error {
	b := backupReader{r: bufio.NewReader(r), sum: sha256.New()}
	if string(b.take(len(backupMagic))) != backupMagic {
		return errors.Join(ErrBackup, b.err)
	}
	if schema := b.take(8); b.err == nil { // schema 2 reads all rows of schema 1
		if have := binary.BigEndian.Uint64(schema); have < 1 || have > Schema {
			return &SchemaError{int(have), Schema}
		}
	}
	for last := (Key{}); ; {
		n := b.len(maxKey)
		if n == 0 {
			return b.end()
		}
		m := b.len(maxValue)
		k, v := b.take(n), b.take(m)
		if b.err != nil {
			return errors.Join(ErrBackup, b.err)
		}
		parsed, err := ParseKey(k)
		if err != nil || !portable(parsed) || parsed.s <= last.s {
			return fmt.Errorf("%w: row %x", ErrBackup, k)
		}
		if err := put(parsed, v); err != nil {
			return err
		}
		last = parsed
	}
}

type backupReader struct {
	r   *bufio.Reader
	sum hash.Hash
	err error // the first
}

// take returns the next n bytes, nil after an error.
func (b *backupReader) take(n int) []byte {
	p := make([]byte, n)
	if b.err == nil {
		_, b.err = io.ReadFull(b.r, p)
	}
	if b.err != nil {
		return nil
	}
	b.sum.Write(p)
	return p
}

// len reads a length, which is at most limit; 0 after an error.
func (b *backupReader) len(limit int) int {
	p := b.take(4)
	if p == nil {
		return 0
	}
	n := binary.BigEndian.Uint32(p)
	if n > uint32(limit) {
		b.err = fmt.Errorf("a length of %d", n)
		return 0
	}
	return int(n)
}

func (b *backupReader) end() error {
	want := b.sum.Sum(nil)
	if got := b.take(len(want)); !bytes.Equal(got, want) {
		return errors.Join(ErrBackup, b.err)
	}
	if _, err := b.r.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: more behind its end", ErrBackup)
	}
	return nil
}

func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
