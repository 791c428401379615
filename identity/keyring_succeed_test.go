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
		if err := k.Succeed(cfg.Seed.Keys(4, k.Services()), t0.Add(day), source(2)); err != nil {
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
	if err := k.Succeed(Seed{1}.Keys(4, k.Services()), t0, source(2)); err != nil {
		t.Fatal(err)
	}
	sameKeys(t, open(t, dir, nil), k)
	if k.Index() != 4 {
		t.Errorf("index %d", k.Index())
	}
}
