package identity

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func source(seed int64) io.Reader { return rand.New(rand.NewSource(seed)) }

func config(seed int64) KeyringConfig {
	return KeyringConfig{Seed: Seed{1}, Index: 3, Services: Inbox | Presentity, Now: t0, Rand: source(seed)}
}

func create(t testing.TB, dir string, cfg KeyringConfig) *Keyring {
	t.Helper()
	k, err := CreateKeyring(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func saying(words string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(words), nil }
}

func open(t testing.TB, dir string, passphrase func() ([]byte, error)) *Keyring {
	t.Helper()
	k, err := OpenKeyring(dir, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// all is everything that a keyring tells.
type all struct {
	Address                Address
	A, D                   [32]byte
	Device                 DeviceID
	Index                  uint32
	Services               Services
	Commitment, T, StoreBy [32]byte
	PreKeys                []PreKeyInfo
}

func tell(k *Keyring) all {
	return all{k.Address(), k.AddressKey().Seed(), k.Device().Seed(), k.DeviceID(), k.Index(), k.Services(),
		k.Commitment(), k.Transport(), k.StoreKey(), k.PreKeys()}
}

func sameKeys(t *testing.T, got, want *Keyring) {
	t.Helper()
	if g, w := tell(got), tell(want); !reflect.DeepEqual(g, w) {
		t.Errorf("got %+v\nwant %+v", g, w)
	}
}

// filesWith lists the files below dir that hold secret, raw or in hex.
func filesWith(t *testing.T, dir string, secret [32]byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, secret[:]) || bytes.Contains(b, []byte(hex.EncodeToString(secret[:]))) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestKeyring(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	if _, err := OpenKeyring(dir, nil); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("open nothing: %v", err)
	}
	k := create(t, dir, config(1))
	if want := (Seed{1}).AddressKey(3).Public(); k.Address().Key() != want || k.AddressKey().Public() != want {
		t.Errorf("address %v", k.Address())
	}
	if want := (Seed{1}).Commitment(3); k.Commitment() != want {
		t.Errorf("commitment %x, want %x", k.Commitment(), want)
	}
	if p := k.PreKeys(); len(p) != 1 || p[0].Created != t0 || p[0].Replaced != 0 {
		t.Errorf("prekeys %v", p)
	}
	if k.Sealed() {
		t.Error("sealed without a passphrase")
	}
	sameKeys(t, open(t, dir, nil), k)
	if _, err := CreateKeyring(dir, config(2)); !errors.Is(err, ErrExists) {
		t.Errorf("create again: %v", err)
	}
	sameKeys(t, open(t, dir, nil), k)
	for _, secret := range [][32]byte{{1}, (Seed{1}).RecoveryKey(3).Seed()} {
		if f := filesWith(t, dir, secret); f != nil {
			t.Errorf("what belongs on paper is in %v", f)
		}
	}
}

func TestKeyFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	create(t, dir, config(1))
	n := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		} else {
			n++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil || n != 2 {
		t.Errorf("%d files, want the identity and a prekey; %v", n, err)
	}
}

func TestRestore(t *testing.T) {
	old := create(t, t.TempDir(), config(1))
	k, err := CreateKeyringFrom(t.TempDir(), old.Export(), KeyringConfig{Now: t0 + 1, Rand: source(2)})
	if err != nil {
		t.Fatal(err)
	}
	a, b := tell(old), tell(k)
	if a.Address != b.Address || a.A != b.A || a.Index != b.Index || a.Services != b.Services || a.Commitment != b.Commitment {
		t.Errorf("another address: %+v, was %+v", b, a)
	}
	if a.D == b.D || a.T == b.T || a.StoreBy == b.StoreBy || a.PreKeys[0].ID == b.PreKeys[0].ID {
		t.Errorf("a key of the old device came back: %+v, was %+v", b, a)
	}
}

func TestCreateNeedsASeedAndRandomness(t *testing.T) {
	cfg := config(1)
	cfg.Seed = Seed{}
	if _, err := CreateKeyring(t.TempDir(), cfg); err == nil {
		t.Error("no seed, and yet keys")
	}
	cfg = config(1)
	cfg.Rand = io.LimitReader(cfg.Rand, 64)
	dir := t.TempDir()
	if _, err := CreateKeyring(dir, cfg); err == nil {
		t.Error("too little randomness, and yet keys")
	}
	cfg = config(1)
	cfg.Rand = bytes.NewReader(make([]byte, 1000))
	if _, err := CreateKeyring(dir, cfg); err == nil {
		t.Error("D and T are the same")
	}
	create(t, dir, config(1)) // nothing is in the way
}

func TestReplaceTransport(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
	before := tell(k)
	if err := k.ReplaceTransport(source(2)); err != nil {
		t.Fatal(err)
	}
	after := tell(k)
	if before.T == after.T {
		t.Error("the same key")
	}
	if f := filesWith(t, dir, before.T); f != nil {
		t.Errorf("the old key is still in %v", f)
	}
	before.T = after.T
	if !reflect.DeepEqual(before, after) {
		t.Errorf("more changed: %+v, was %+v", after, before)
	}
	sameKeys(t, open(t, dir, nil), k)
}

func TestPreKeysAreRotatedAndErased(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
	first, _ := k.PreKey(k.PreKeys()[0].ID)
	for i := 1; i <= 3; i++ {
		if err := k.RotatePreKey(t0.Add(time.Duration(i)*PreKeyRotate), source(int64(i)+1)); err != nil {
			t.Fatal(err)
		}
	}
	infos := k.PreKeys()
	for i, want := range []struct{ created, replaced time.Duration }{{21 * day, 0}, {14 * day, 21 * day}, {7 * day, 14 * day}, {0, 7 * day}} {
		got := infos[i]
		if got.Created != t0.Add(want.created) || want.replaced != 0 && got.Replaced != t0.Add(want.replaced) || want.replaced == 0 && got.Replaced != 0 {
			t.Errorf("prekey %d: %v to %v, want %v", i, got.Created.Go(), got.Replaced.Go(), want)
		}
		if s, ok := k.PreKey(got.ID); !ok || !bytes.Equal(s.Public(), got.Public) {
			t.Errorf("prekey %d is not found by its id", i)
		}
	}
	sameKeys(t, open(t, dir, nil), k)

	limit := t0.Add(7*day + PreKeyErase)
	for _, now := range []Now{at(limit), {Wall: limit + 1, Heard: limit}, {Wall: limit, Heard: limit + 1}} {
		if ids, err := k.ErasePreKeys(now); err != nil || ids != nil {
			t.Errorf("at %+v: erased %v, %v", now, ids, err)
		}
	}
	ids, err := k.ErasePreKeys(at(limit + 1))
	if err != nil || !reflect.DeepEqual(ids, []KeyID{first.ID()}) {
		t.Fatalf("erased %v, %v, want %v", ids, err, first.ID())
	}
	if f := filesWith(t, dir, first.Seed()); f != nil {
		t.Errorf("the erased key is still in %v", f)
	}
	if _, ok := k.PreKey(first.ID()); ok {
		t.Error("the erased key is still found")
	}
	sameKeys(t, open(t, dir, nil), k)
	if ids, err := k.ErasePreKeys(at(limit.Add(365 * day))); err != nil || len(ids) != 2 || len(k.PreKeys()) != 1 {
		t.Errorf("a year later: erased %v, %v; the newest must stay", ids, err)
	}
}

func TestErasingRemovesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
	p, _ := k.PreKey(k.PreKeys()[0].ID)
	left := []string{"new/prekey-x", "1/prekey-x.tmp", "1/identity.tmp"}
	for _, name := range left {
		path := filepath.Join(dir, "keys", name)
		seed := p.Seed()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, seed[:], 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	sameKeys(t, open(t, dir, nil), k)
	if _, err := k.ErasePreKeys(at(t0)); err != nil {
		t.Fatal(err)
	}
	if f := filesWith(t, dir, p.Seed()); len(f) != 1 {
		t.Errorf("the key is in %v, want its own file alone", f)
	}
}

// A prekey made while the clock ran a year ahead neither puts off the erasing of the one before by
// a year nor hides that rotation is due.
func TestPreKeysFromTheFuture(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
	if err := k.RotatePreKey(t0.Add(365*day), source(2)); err != nil {
		t.Fatal(err)
	}
	if ids, err := k.ErasePreKeys(at(t0.Add(day))); err != nil || ids != nil {
		t.Errorf("erased %v, %v", ids, err)
	}
	if p := k.PreKeys(); p[0].Created != t0.Add(day) || p[1].Replaced != t0.Add(day) {
		t.Errorf("created %v, replaced %v", p[0].Created.Go(), p[1].Replaced.Go())
	}
	sameKeys(t, open(t, dir, nil), k)
	if ids, err := k.ErasePreKeys(at(t0.Add(day+PreKeyErase) + 1)); err != nil || len(ids) != 1 {
		t.Errorf("erased %v, %v", ids, err)
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
	for _, name := range []string{identityFile, k.prekeys[0].file()} {
		path := filepath.Join(k.dir.path, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, bad := range map[string][]byte{"empty": {}, "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), '\n'), "one bit": oneBitOff(good)} {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenKeyring(dir, nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s: %v", name, what, err)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sameKeys(t, open(t, dir, nil), k)
	if err := os.Remove(filepath.Join(k.dir.path, identityFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyring(dir, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("no identity file: %v", err)
	}
	if _, err := CreateKeyring(dir, config(1)); !errors.Is(err, ErrExists) {
		t.Errorf("created over what is left: %v", err)
	}
}

func oneBitOff(b []byte) []byte {
	b = bytes.Clone(b)
	i := bytes.LastIndexByte(b, '"') - 1 // the last digit of a seed
	b[i] ^= 1
	return b
}
