package store

import (
	"crypto/aes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	sst "github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// verify reads all that badger keeps in tables before badger does. Badger opens tables in goroutines of its
// own, where a damaged one ends the process; it makes a new, empty home where its list of tables is
// gone; and its iterators end silently at a damaged block. The log needs none of this: its end may
// always be missing, and is cut where a record is not whole.
func (s *Store) verify() (err error) {
	defer func() {
		if p := recover(); p != nil { // a length that points nowhere
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	manifest, err := s.manifest()
	if err != nil || len(manifest.Tables) == 0 {
		return err
	}
	keys, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: s.dir, ReadOnly: true, EncryptionKey: s.opts.Key})
	if err != nil {
		return err
	}
	defer keys.Close()
	for id, t := range manifest.Tables {
		key, err := keys.DataKey(t.KeyID)
		if err != nil {
			return err
		}
		if err := verifyTable(sst.NewFilename(id, s.dir), key); err != nil {
			return fmt.Errorf("%w: table %d: %w", ErrDamaged, id, err)
		}
	}
	return nil
}

// manifest returns badger's list of tables, an empty one for a home that is not made yet.
func (s *Store) manifest() (m badger.Manifest, err error) {
	f, err := os.Open(filepath.Join(s.dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return m, s.expectNew(err)
	} else if err != nil {
		return m, err
	}
	defer f.Close()
	m, whole, err := badger.ReplayManifestFile(f, 0, s.badgerOptions())
	if err != nil {
		return m, err
	}
	if _, err := os.Stat(filepath.Join(s.dir, badger.KeyRegistryFileName)); err != nil {
		return m, s.expectNew(err)
	}
	return m, s.checkTail(f, whole)
}

// expectNew reports the missing file if the home was ever made.
func (s *Store) expectNew(missing error) error {
	for _, pattern := range []string{markFile, "*.mem", "*.sst"} {
		if found, _ := filepath.Glob(filepath.Join(s.dir, pattern)); len(found) > 0 {
			return fmt.Errorf("%w: %w", ErrDamaged, missing)
		}
	}
	return nil
}

// checkTail lets pass a list of tables whose last entry was being written in a crash. While a home is
// open there is a log, so without one it was closed, and nothing was being written.
func (s *Store) checkTail(manifest *os.File, whole int64) error {
	fi, err := manifest.Stat()
	if err != nil || fi.Size() == whole {
		return err
	}
	if logs, _ := filepath.Glob(filepath.Join(s.dir, "*.mem")); len(logs) == 0 {
		return fmt.Errorf("%w: %s ends within an entry", ErrDamaged, badger.ManifestFilename)
	}
	return nil
}

// verifyTable checks every checksum in the file of a table: of its index, which stands at the end, and
// of the blocks that the index lists.
func verifyTable(name string, key *pb.DataKey) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	rest, sum, err := cutChecksum(b)
	if err != nil {
		return err
	}
	rest, n := cutLength(rest)
	raw := rest[len(rest)-n:]
	if err := y.VerifyChecksum(raw, sum); err != nil {
		return err
	}
	raw, err = decrypt(raw, key)
	if err != nil {
		return err
	}
	index := fb.GetRootAsTableIndex(raw, 0)
	for i := range index.OffsetsLength() {
		var at fb.BlockOffset
		index.Offsets(&at, i)
		if err := verifyBlock(b[at.Offset():at.Offset()+at.Len()], key); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
	}
	return nil
}

func verifyBlock(b []byte, key *pb.DataKey) error {
	b, err := decrypt(b, key)
	if err != nil {
		return err
	}
	data, sum, err := cutChecksum(b)
	if err != nil {
		return err
	}
	return y.VerifyChecksum(data, sum)
}

// cutChecksum splits what a checksum covers from the checksum and its length behind it.
func cutChecksum(b []byte) ([]byte, *pb.Checksum, error) {
	b, n := cutLength(b)
	sum := new(pb.Checksum)
	err := proto.Unmarshal(b[len(b)-n:], sum)
	return b[:len(b)-n], sum, err
}

func cutLength(b []byte) ([]byte, int) {
	end := len(b) - 4
	return b[:end], int(y.BytesToU32(b[end:]))
}

// decrypt undoes the encryption of an index or a block, whose last bytes are the initialisation vector.
func decrypt(b []byte, key *pb.DataKey) ([]byte, error) {
	if key == nil {
		return b, nil
	}
	end := len(b) - aes.BlockSize
	return y.XORBlockAllocate(b[:end], key.Data, b[end:])
}
