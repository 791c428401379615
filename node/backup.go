package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/store"
)

// A backup file is sealed with a passphrase; inside, a header tells the address and its keys, and the rows
// of the store follow. It holds no device key and no prekey: whoever restores it becomes a new device
// (SPEC 2.1, 5.6).
type backupHeader struct {
	Version uint32
	Name    string
	Made    identity.Time
	Keys    identity.PortableKeys
}

const backupVersion = 1

// Backup writes a copy of this home to a file that must not exist, and returns its size in bytes.
func (n *Node) Backup(_ context.Context, file string, passphrase []byte) (int64, error) {
	if len(passphrase) == 0 {
		return 0, &Error{Kind: KindUsage, Code: "passphrase", Message: "a backup needs a passphrase: it holds the key of your address"}
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, backupError(file, err)
	}
	size, err := n.writeBackup(f, passphrase)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(file)
		return 0, backupError(file, err)
	}
	return size, nil
}

func (n *Node) writeBackup(f *os.File, passphrase []byte) (int64, error) {
	w, err := identity.SealStream(passphrase, f)
	if err != nil {
		return 0, err
	}
	h := backupHeader{Version: backupVersion, Name: n.self.Name, Made: n.now().Wall, Keys: n.keys.Export()}
	if err := cbor.NewEncoder(w).Encode(h); err != nil {
		return 0, err
	}
	if err := errors.Join(n.store.Backup(w), w.Close()); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// BackupHome is Backup for a home in which no node runs.
func BackupHome(home string, passphrase func() ([]byte, error), file string, sealed []byte) (size int64, err error) {
	err = withStore(home, passphrase, func(n *Node) error {
		size, err = n.Backup(context.Background(), file, sealed)
		return err
	})
	return size, err
}

// withStore opens keys and store of a home without a network.
func withStore(home string, passphrase func() ([]byte, error), do func(*Node) error) error {
	settings, err := LoadSettings(home)
	if err != nil {
		return err
	}
	keys, err := identity.OpenKeyring(home, passphrase)
	if err != nil {
		return homeError(home, err)
	}
	n := &Node{cfg: Config{Home: home, Clock: SystemClock()}, settings: settings, keys: keys, self: selfOf(keys, settings.Name), log: slog.New(slog.DiscardHandler)}
	key := keys.StoreKey()
	if n.store, err = store.Open(storeDir(home), store.Options{Key: key[:]}); err != nil {
		return storeError(home, err)
	}
	defer func() { _ = n.store.Close() }()
	return do(n)
}

// Restored is a home that was made from a backup.
type Restored struct {
	Self  Self
	Made  time.Time // when the backup was made
	Alone bool      // it was of a device without the key of the address: an admin has to add it again, see Join
}

// RestoreHome makes a home from a backup, with a new device key; home must not have an identity. What was
// sent or received after the backup was made is not in it.
func RestoreHome(file, home string, passphrase []byte, clock func() identity.Now, rand io.Reader) (r Restored, err error) {
	f, err := os.Open(file)
	if err != nil {
		return r, backupError(file, err)
	}
	defer func() { _ = f.Close() }()
	plain, err := identity.OpenStream(passphrase, bufio.NewReader(f))
	if errors.Is(err, identity.ErrPassphrase) {
		return r, backupError(file, err)
	}
	if err != nil {
		return r, backupError(file, fmt.Errorf("%w: %w", errNoBackup, err))
	}
	stream := bufio.NewReader(plain)
	dec := cbor.NewDecoder(stream)
	var h backupHeader
	if err := dec.Decode(&h); err != nil {
		return r, backupError(file, fmt.Errorf("%w: %w", errNoBackup, err))
	}
	if h.Version != backupVersion {
		return r, &Error{Kind: KindFailed, Code: "newer-backup", Message: fmt.Sprintf("%s was written by a newer hum", file), Advice: "install the newer hum"}
	}
	if _, err := os.Stat(filepath.Join(home, "keys")); err == nil {
		return r, homeError(home, identity.ErrExists)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return r, homeError(home, err)
	}
	aside := filepath.Join(home, "restoring")
	defer func() { _ = os.RemoveAll(aside) }()
	if err := os.RemoveAll(aside); err != nil { // what a crash left
		return r, homeError(home, err)
	}
	keys, err := identity.CreateKeyringFrom(aside, h.Keys, identity.KeyringConfig{Now: clock().Wall, Rand: rand})
	if err != nil {
		return r, homeError(home, err)
	}
	key := keys.StoreKey()
	if err := store.Restore(io.MultiReader(dec.Buffered(), stream), storeDir(aside), store.Options{Key: key[:]}); err != nil {
		return r, backupError(file, err)
	}
	if err := errors.Join(saveName(home, h.Name), moveIn(aside, home)); err != nil {
		return r, homeError(home, err)
	}
	return Restored{Self: selfOf(keys, h.Name), Made: h.Made.Go(), Alone: !keys.Admin()}, nil
}

// moveIn puts a restored home in its place, the keys last: a home without them is none, and the backup can
// be restored again.
func moveIn(aside, home string) error {
	if err := os.RemoveAll(storeDir(home)); err != nil {
		return err
	}
	if err := os.Rename(storeDir(aside), storeDir(home)); err != nil {
		return err
	}
	return os.Rename(filepath.Join(aside, "keys"), filepath.Join(home, "keys"))
}

var errNoBackup = errors.New("not a backup of hum")

func backupError(file string, err error) error {
	say := func(code, message, advice string) error {
		return &Error{Kind: KindFailed, Code: code, Message: message, Advice: advice}
	}
	switch {
	case errors.Is(err, os.ErrExist):
		return say("exists", file+" exists already", "choose another name")
	case errors.Is(err, identity.ErrPassphrase):
		return say("passphrase", "that passphrase does not open "+file, "try again")
	case errors.Is(err, errNoBackup), errors.Is(err, store.ErrDamaged):
		return say("damaged", file+" is not a whole backup of hum", "try another copy of it")
	case errors.Is(err, os.ErrNotExist):
		return say("not-found", "there is no file "+file, "")
	}
	return fmt.Errorf("backup %s: %w", file, err)
}
