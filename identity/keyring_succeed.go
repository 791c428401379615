package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Succeed makes this home that of another address, or another device of the same, with a device key and a
// prekey of its own. The store key stays, and so does the passphrase; T does, so that contacts find the home
// where it was, unless the keys were drafted. If the power fails it has happened or not. Of cfg it takes Now,
// Rand and Device.
func (k *Keyring) Succeed(keys PortableKeys, cfg KeyringConfig) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	id, err := newIdentityKeys(keys, cfg.Rand)
	if err != nil {
		return fmt.Errorf("succeed: %w", err)
	}
	first, err := newPreKeyEntry(1, cfg.Now, cfg.Rand)
	if err != nil {
		return fmt.Errorf("succeed: %w", err)
	}
	id.Transport, id.Store = k.id.Transport, k.id.Store
	if err = id.derive(); cfg.Device != nil {
		err, first = cfg.Device.install(id), cfg.Device.entry(cfg.Now)
	}
	if err := errors.Join(err, k.replace(id, first)); err != nil {
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
