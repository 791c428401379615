package identity

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const preKeyPrefix = "prekey-"

// PreKeyInfo is what may be told of a prekey.
type PreKeyInfo struct {
	ID       KeyID
	Public   []byte // PreKeySize bytes
	Created  Time
	Replaced Time // when the next one was made; 0 for the newest
}

// A preKeyEntry is one prekey file. The serial orders the prekeys whatever the clock did, and a
// prekey is replaced when the next one is created, so that rotation is the writing of one file.
type preKeyEntry struct {
	secret *PreKeySecret
	preKeyFile
}

type preKeyFile struct {
	Serial  uint64 `json:"serial"`
	Created Time   `json:"created"`
	Seed    key32  `json:"seed"`
}

func (p preKeyEntry) file() string   { return preKeyPrefix + p.secret.ID().String() }
func (p preKeyEntry) encode() []byte { return encodeKeys(p.preKeyFile) }

func newPreKeyEntry(serial uint64, now Time, rand io.Reader) (preKeyEntry, error) {
	secret, err := GeneratePreKey(rand)
	if err != nil {
		return preKeyEntry{}, err
	}
	return preKeyEntry{secret, preKeyFile{serial, now, secret.Seed()}}, nil
}

func loadPreKeys(d keyDir) ([]preKeyEntry, error) {
	names, err := d.names(preKeyPrefix)
	if err != nil {
		return nil, err
	}
	var entries []preKeyEntry
	for _, name := range names {
		body, err := d.read(name)
		if err != nil {
			return nil, err
		}
		e, err := parsePreKey(body)
		if err != nil || e.file() != name {
			return nil, fmt.Errorf("%w: %s", ErrDamaged, filepath.Join(d.path, name))
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b preKeyEntry) int { return cmp.Compare(a.Serial, b.Serial) })
	return entries, nil
}

func parsePreKey(body []byte) (e preKeyEntry, err error) {
	if err := decodeStrict(body, &e.preKeyFile); err != nil {
		return e, err
	}
	e.secret, err = NewPreKeySecret(e.Seed)
	return e, err
}

// PreKeys lists the prekeys, newest first.
func (k *Keyring) PreKeys() []PreKeyInfo {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var infos []PreKeyInfo
	for i, p := range k.prekeys {
		infos = append(infos, PreKeyInfo{p.secret.ID(), p.secret.Public(), p.Created, k.replaced(i)})
	}
	slices.Reverse(infos)
	return infos
}

// replaced returns when the i-th prekey was replaced, 0 if it is the newest.
func (k *Keyring) replaced(i int) Time {
	if i+1 == len(k.prekeys) {
		return 0
	}
	return k.prekeys[i+1].Created
}

// PreKey finds a prekey by the id that a Wrap names.
func (k *Keyring) PreKey(id KeyID) (*PreKeySecret, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, p := range k.prekeys {
		if p.secret.ID() == id {
			return p.secret, true
		}
	}
	return nil, false
}

// RotatePreKey makes a prekey that replaces the newest one. It is on disk when this returns.
func (k *Keyring) RotatePreKey(now Time, rand io.Reader) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	serial := uint64(1)
	if n := len(k.prekeys); n > 0 {
		serial = k.prekeys[n-1].Serial + 1
	}
	p, err := newPreKeyEntry(serial, now, rand)
	if err != nil {
		return fmt.Errorf("rotate prekey: %w", err)
	}
	if err := k.dir.write(p.file(), p.encode()); err != nil {
		return fmt.Errorf("rotate prekey: %w", err)
	}
	k.prekeys = append(k.prekeys, p)
	return nil
}

// ErasePreKeys erases the prekeys that were replaced more than PreKeyErase ago by both clocks
// (SPEC 1, 3.7) and returns their ids. Their files, and all that a crash left of them, are off the
// disk when it returns. A prekey made while the clock ran ahead counts as made now, so that it does
// not put off the erasing of the one before.
func (k *Keyring) ErasePreKeys(now Now) ([]KeyID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.tidy(); err != nil {
		return nil, fmt.Errorf("erase prekeys: %w", err)
	}
	if err := k.settle(now); err != nil {
		return nil, fmt.Errorf("erase prekeys: %w", err)
	}
	var erased []KeyID
	for k.outlived(now) { // oldest first: each says when the one before was replaced
		p := k.prekeys[0]
		if err := k.dir.remove(p.file()); err != nil {
			return erased, fmt.Errorf("erase prekey %v: %w", p.secret.ID(), err)
		}
		k.prekeys = slices.Clone(k.prekeys[1:])
		erased = append(erased, p.secret.ID())
	}
	return erased, nil
}

// outlived reports whether the oldest prekey is to be erased.
func (k *Keyring) outlived(now Now) bool {
	return len(k.prekeys) > 1 && now.Past(k.replaced(0).Add(PreKeyErase))
}

// settle writes prekeys from an impossible future again as made now (SPEC 1, "Stamps").
func (k *Keyring) settle(now Now) error {
	for i, p := range k.prekeys {
		if now.Stored(p.Created) == p.Created {
			continue
		}
		p.Created = now.Stored(p.Created)
		if err := k.dir.write(p.file(), p.encode()); err != nil {
			return err
		}
		k.prekeys[i] = p
	}
	return nil
}

// tidy removes what unfinished writes have left: they may hold any key.
func (k *Keyring) tidy() error {
	err := errors.Join(os.RemoveAll(filepath.Join(k.keys, newFolder)), sweep(k.keys, k.generation))
	entries, readErr := os.ReadDir(k.dir.path)
	err = errors.Join(err, readErr)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), tempSuffix) {
			err = errors.Join(err, k.dir.remove(e.Name()))
		}
	}
	return err
}
