package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/store"
)

// A backup of a community node is sealed with a passphrase; inside, a header with the key that members know it by,
// and the rows of its store follow. What was left here after it was made is not in it: those who left it still have
// it, as they keep a message until its recipient's own word comes.
type backupHeader struct {
	Version uint32
	Kind    string // tells it from the backup of a person's home
	Name    string
	Made    identity.Time
	Key     [32]byte // T
}

const (
	backupVersion = 1
	backupKind    = "community"
)

// What is wrong with a backup.
var (
	ErrNoBackup     = errors.New("not a whole backup of a community node")
	ErrNewerBackup  = errors.New("written by a newer hum")
	ErrNoPassphrase = errors.New("a backup needs a passphrase: whoever has it can stand in the place of this node")
	ErrHasHome      = identity.ErrExists
)

// Backup writes a copy of this node to a file that must not exist, while it runs or not, and returns its size in bytes.
func (h *Host) Backup(file string, passphrase []byte) (size int64, err error) {
	if len(passphrase) == 0 {
		return 0, ErrNoPassphrase
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	size, err = h.writeBackup(f, passphrase)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(file)
		return 0, fmt.Errorf("backup: %w", err)
	}
	return size, nil
}

func (h *Host) writeBackup(f *os.File, passphrase []byte) (int64, error) {
	w, err := identity.SealStream(passphrase, f)
	if err != nil {
		return 0, err
	}
	head := backupHeader{Version: backupVersion, Kind: backupKind, Name: h.cfg.Name, Made: h.cfg.Clock().Wall, Key: h.keys.Transport()}
	if err := cbor.NewEncoder(w).Encode(head); err != nil {
		return 0, err
	}
	if err := errors.Join(h.store.Backup(w), w.Close(), f.Sync()); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// BackupHome is Backup for a node that does not run.
func BackupHome(c Config, file string, passphrase []byte) (size int64, err error) {
	h := &Host{cfg: c, log: c.Log}
	if h.keys, err = identity.OpenKeyring(c.Home, c.Passphrase); err != nil {
		return 0, err
	}
	k := h.keys.StoreKey()
	if h.store, err = store.Open(filepath.Join(c.Home, "store"), store.Options{Key: k[:]}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.store.Close()) }()
	return h.Backup(file, passphrase)
}

// A Restored is what a backup brought back.
type Restored struct {
	Name string
	Made identity.Time
}

// Restore makes a home from a backup, in a folder that holds none: the same node to its members. The one that the
// backup was made of must not run any more.
func Restore(file string, c Config, passphrase []byte) (r Restored, err error) {
	if _, err := os.Stat(filepath.Join(c.Home, "keys")); err == nil {
		return r, fmt.Errorf("%s: %w", c.Home, ErrHasHome)
	}
	f, err := os.Open(file)
	if err != nil {
		return r, err
	}
	defer func() { _ = f.Close() }()
	plain, err := identity.OpenStream(passphrase, bufio.NewReader(f))
	if errors.Is(err, identity.ErrPassphrase) {
		return r, err
	}
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	stream := bufio.NewReader(plain)
	dec := cbor.NewDecoder(stream)
	var head backupHeader
	if err := dec.Decode(&head); err != nil || head.Kind != backupKind || head.Key == ([32]byte{}) {
		return r, ErrNoBackup
	}
	if head.Version != backupVersion {
		return r, ErrNewerBackup
	}
	r = Restored{Name: head.Name, Made: head.Made}
	return r, c.restore(head, io.MultiReader(dec.Buffered(), stream))
}

// restore builds the home aside and moves it into its place, the keys last: without them it is none.
func (c Config) restore(head backupHeader, rows io.Reader) error {
	aside := filepath.Join(c.Home, "restoring")
	defer func() { _ = os.RemoveAll(aside) }()
	if err := errors.Join(os.MkdirAll(c.Home, 0o700), os.RemoveAll(aside)); err != nil {
		return err
	}
	seed, err := identity.NewSeed(c.Rand)
	if err != nil {
		return err
	}
	keys, err := identity.CreateKeyring(aside, identity.KeyringConfig{Seed: seed, Transport: &head.Key, Now: c.Clock().Wall, Rand: c.Rand})
	if err != nil {
		return err
	}
	k := keys.StoreKey()
	if err := store.Restore(rows, filepath.Join(aside, "store"), store.Options{Key: k[:]}); err != nil {
		if errors.Is(err, store.ErrBackup) {
			return ErrNoBackup
		}
		return err
	}
	for _, part := range []string{"store", "keys"} {
		to := filepath.Join(c.Home, part)
		if err := errors.Join(os.RemoveAll(to), os.Rename(filepath.Join(aside, part), to)); err != nil {
			return err
		}
	}
	return nil
}
