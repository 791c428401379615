package identity

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Succeed makes this home that of another address, with a device key and a prekey of its own. T and the
// store key stay, so that contacts find it where it was, and so does the passphrase. If the power fails it
// has happened or not.
func (k *Keyring) Succeed(keys PortableKeys, now Time, rand io.Reader) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	id, err := newIdentityKeys(keys, rand)
	if err != nil {
		return fmt.Errorf("succeed: %w", err)
	}
	id.Transport, id.Store = k.id.Transport, k.id.Store
	first, err := newPreKeyEntry(1, now, rand)
	if err != nil {
		return fmt.Errorf("succeed: %w", err)
	}
	if err := errors.Join(id.derive(), k.replace(id, first)); err != nil {
		return fmt.Errorf("succeed: %w", err)
	}
	return nil
}

// replace writes a new folder with these keys alone, under the seal of the present one.
func (k *Keyring) replace(id *identityKeys, first preKeyEntry) error {
	d, err := begin(k.keys, nil, k.dir.work)
	if err != nil {
		return err
	}
	if d.key = k.dir.key; d.key != nil {
		seal, err := os.ReadFile(filepath.Join(k.dir.path, sealFile))
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(d.path, sealFile), seal); err != nil {
			return err
		}
	}
	if err := errors.Join(d.write(identityFile, encodeKeys(id)), d.write(first.file(), first.encode())); err != nil {
		return err
	}
	n := k.generation + 1
	err = d.finish(k.keys, n)
	if d.path != generationPath(k.keys, n) {
		return errors.Join(err, os.RemoveAll(d.path))
	}
	k.dir, k.generation, k.id, k.prekeys = d, n, id, []preKeyEntry{first}
	return errors.Join(err, sweep(k.keys, n))
}
