package identity

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSucceed(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		dir := t.TempDir()
		cfg := config(1)
		ask := func() ([]byte, error) { return nil, errors.New("asked for nothing") }
		if sealed {
			cfg.Passphrase, cfg.work = []byte("open"), 2
			ask = saying("open")
		}
		k := create(t, dir, cfg)
		before := tell(k)
		if err := k.Succeed(cfg.Seed.Keys(4, k.Services()), KeyringConfig{Now: t0.Add(day), Rand: source(2)}); err != nil {
			t.Fatal(err)
		}
		after := tell(k)
		if after.Index != 4 || after.A != cfg.Seed.AddressKey(4).Seed() || after.Commitment != cfg.Seed.Commitment(4) {
			t.Errorf("moved to index %d, %v", after.Index, after.Address)
		}
		if after.D == before.D || after.PreKeys[0].ID == before.PreKeys[0].ID || len(after.PreKeys) != 1 {
			t.Error("the new address shares the device key or a prekey with the old one")
		}
		if after.T != before.T || after.StoreBy != before.StoreBy || after.Services != before.Services || k.Sealed() != sealed {
			t.Error("the place or the seal changed")
		}
		sameKeys(t, open(t, dir, ask), k)
		for name, secret := range map[string][32]byte{"address": before.A, "device": before.D} {
			if found := filesWith(t, dir, secret); len(found) > 0 {
				t.Errorf("the old %s key is in %v", name, found)
			}
		}
		if err := k.RotatePreKey(t0.Add(2*day), source(3)); err != nil {
			t.Fatal(err)
		}
		sameKeys(t, open(t, dir, ask), k)
	}
}

// A move that is stopped before the rename has not happened.
func TestSucceedSurvivesACrash(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
	path := filepath.Join(dir, keysFolder, newFolder)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, identityFile), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	sameKeys(t, open(t, dir, nil), k)
	if err := k.Succeed(Seed{1}.Keys(4, k.Services()), KeyringConfig{Now: t0, Rand: source(2)}); err != nil {
		t.Fatal(err)
	}
	sameKeys(t, open(t, dir, nil), k)
	if k.Index() != 4 {
		t.Errorf("index %d", k.Index())
	}
}

// Keys that were shown before are those that the home then has, and T is among them.
func TestSucceedDrafted(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
	before := tell(k)
	d, err := DraftDevice(source(9))
	if err != nil {
		t.Fatal(err)
	}
	of := Address(Seed{7}.AddressKey(0).Public())
	if err := k.Succeed(PortableKeys{Services: Inbox, Of: of}, KeyringConfig{Now: t0, Rand: source(2), Device: d}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*Keyring{k, open(t, dir, nil)} {
		if k.Address() != of || k.Admin() || k.Device().Public() != d.Device().Public() || k.Transport() != d.Transport() || k.StoreKey() != before.StoreBy ||
			len(k.PreKeys()) != 1 || string(k.PreKeys()[0].Public) != string(d.PreKey().Public()) {
			t.Error("these are not the drafted keys")
		}
	}
}
