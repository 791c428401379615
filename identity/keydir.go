package identity

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// ErrDamaged says that a key file cannot be read; the error names it.
var ErrDamaged = errors.New("key file is damaged")

// Key files live in numbered folders, keys/1, keys/2 and so on, of which the highest counts. A
// folder is written whole as keys/new and renamed when every file in it is on disk, so that a change
// of all files, such as another passphrase, is there or not, whenever the power fails.
const (
	keysFolder = "keys"
	newFolder  = "new"
	sealFile   = "seal" // the file key, sealed with the passphrase; absent if there is none
	tempSuffix = ".tmp"
	sealMagic  = "hum-sealed-1\n"
)

// A keyDir is one numbered folder and the way its files are sealed.
type keyDir struct {
	path string
	key  *[32]byte // file key, nil if the files are not sealed
	work int       // of scrypt, should the files be sealed
}

// write puts a file in place: whole or not at all, and on disk when it returns.
func (d keyDir) write(name string, body []byte) error {
	return writeFile(filepath.Join(d.path, name), d.encode(name, body))
}

// read returns the body of a file, or ErrDamaged.
func (d keyDir) read(name string) ([]byte, error) {
	path := filepath.Join(d.path, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	body, ok := d.decode(name, b)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, path)
	}
	return body, nil
}

// remove unlinks a file and has that on disk when it returns.
func (d keyDir) remove(name string) error {
	if err := os.Remove(filepath.Join(d.path, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(d.path)
}

// encode binds a body to its file's name: sealed with the file key, or readable with a check line,
// because one wrong bit in a seed would otherwise be another person.
func (d keyDir) encode(name string, body []byte) []byte {
	if d.key == nil {
		return append(append(bytes.Clone(body), '\n'), checkLine(name, body)...)
	}
	// What is at rest decides nothing, so the nonce may come from the system.
	return append([]byte(sealMagic), Seal(rand.Reader, *d.key, body, labelled("keyfile", []byte(name)))...)
}

func (d keyDir) decode(name string, b []byte) ([]byte, bool) {
	if d.key == nil {
		body, check, _ := bytes.Cut(b, []byte("\n"))
		return body, bytes.Equal(check, checkLine(name, body))
	}
	sealed, ok := bytes.CutPrefix(b, []byte(sealMagic))
	if !ok {
		return nil, false
	}
	body, err := Open(*d.key, sealed, labelled("keyfile", []byte(name)))
	return body, err == nil
}

func checkLine(name string, body []byte) []byte {
	h := Hash("keyfile", append([]byte(name+"\x00"), body...))
	return []byte("check " + hex.EncodeToString(h[:16]) + "\n")
}

// names lists the finished files whose names begin with prefix.
func (d keyDir) names(prefix string) ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && !strings.HasSuffix(e.Name(), tempSuffix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// lock gives d a fresh file key and leaves it sealed with the passphrase; nil leaves d readable.
func (d *keyDir) lock(passphrase []byte) error {
	if passphrase == nil {
		return nil
	}
	key, err := random32(rand.Reader)
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := sealStream(passphrase, &sealed, d.work)
	if err != nil {
		return err
	}
	if _, err := w.Write(key[:]); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	d.key = &key
	return writeFile(filepath.Join(d.path, sealFile), sealed.Bytes())
}

// unlock finds the file key, asking for the passphrase only if d is sealed.
func (d *keyDir) unlock(ask func() ([]byte, error)) error {
	path := filepath.Join(d.path, sealFile)
	sealed, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if ask == nil {
		return ErrNeedsPassphrase
	}
	passphrase, err := ask()
	if err != nil {
		return err
	}
	r, err := OpenStream(passphrase, bytes.NewReader(sealed))
	if errors.Is(err, ErrPassphrase) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %s", ErrDamaged, path)
	}
	key, err := io.ReadAll(r)
	if err != nil || len(key) != 32 {
		return fmt.Errorf("%w: %s", ErrDamaged, path)
	}
	d.key = (*[32]byte)(key)
	return nil
}

// generations lists the numbers of the finished folders below keys, rising.
func generations(keys string) ([]int, error) {
	entries, err := os.ReadDir(keys)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 && e.IsDir() {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	return found, nil
}

func generationPath(keys string, n int) string { return filepath.Join(keys, strconv.Itoa(n)) }

// begin makes an empty keys/new, sealed with the passphrase if there is one.
func begin(keys string, passphrase []byte, work int) (keyDir, error) {
	d := keyDir{path: filepath.Join(keys, newFolder), work: work}
	if err := os.RemoveAll(d.path); err != nil {
		return d, err
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return d, err
	}
	return d, d.lock(passphrase)
}

// finish makes keys/new the folder with number n. Its files are on disk, each by its write.
func (d *keyDir) finish(keys string, n int) error {
	path := generationPath(keys, n)
	if err := os.Rename(d.path, path); err != nil {
		return err
	}
	d.path = path
	return errors.Join(syncDir(keys), syncDir(filepath.Dir(keys)))
}

// sweep removes the folders before n, which a crash may have left.
func sweep(keys string, n int) error {
	found, err := generations(keys)
	for _, g := range found {
		if g < n {
			err = errors.Join(err, os.RemoveAll(generationPath(keys, g)), syncDir(keys))
		}
	}
	return err
}

// writeFile replaces path with b: temporary file, fsync, rename, fsync of the folder.
func writeFile(path string, b []byte) error {
	temp := path + tempSuffix
	if err := writeSynced(temp, b); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir has the names in a folder on disk. Windows offers no such call and needs none.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
