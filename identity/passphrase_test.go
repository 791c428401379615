package identity

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// cheap spares the tests most of the time that scrypt takes on purpose.
func cheap() KeyringConfig {
	cfg := config(1)
	cfg.work = 10
	return cfg
}

func TestPassphrase(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, cheap())
	if err := k.SetPassphrase([]byte{}); !errors.Is(err, ErrPassphrase) || k.Sealed() {
		t.Fatalf("an empty passphrase: %v", err)
	}
	if err := k.SetPassphrase([]byte("one")); err != nil {
		t.Fatal(err)
	}
	expectSealed(t, dir, k)
	if err := k.RotatePreKey(t0+1, source(2)); err != nil {
		t.Fatal(err)
	}
	sameKeys(t, open(t, dir, saying("one")), k)
	if _, err := OpenKeyring(dir, saying("two")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := OpenKeyring(dir, nil); !errors.Is(err, ErrNeedsPassphrase) {
		t.Errorf("nobody to ask: %v", err)
	}
	if _, err := OpenKeyring(dir, func() ([]byte, error) { return nil, io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("the user went away: %v", err)
	}

	sealBefore, err := os.ReadFile(filepath.Join(k.dir.path, sealFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.SetPassphrase([]byte("two")); err != nil {
		t.Fatal(err)
	}
	expectSealed(t, dir, k)
	sameKeys(t, open(t, dir, saying("two")), k)
	// Whoever kept the old seal and its passphrase gets nothing from the files of today.
	if err := os.WriteFile(filepath.Join(k.dir.path, sealFile), sealBefore, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyring(dir, saying("one")); !errors.Is(err, ErrDamaged) {
		t.Errorf("an old seal: %v", err)
	}

	if err := k.SetPassphrase(nil); err != nil {
		t.Fatal(err)
	}
	if k.Sealed() {
		t.Error("still sealed")
	}
	sameKeys(t, open(t, dir, nil), k)
}

func expectSealed(t *testing.T, dir string, k *Keyring) {
	t.Helper()
	if !k.Sealed() {
		t.Error("not sealed")
	}
	all := tell(k)
	p, _ := k.PreKey(all.PreKeys[0].ID)
	for _, secret := range [][32]byte{all.A, all.D, all.T, all.StoreBy, all.Commitment, p.Seed()} {
		if f := filesWith(t, dir, secret); f != nil {
			t.Errorf("readable in %v", f)
		}
	}
}

func TestCreateSealed(t *testing.T) {
	cfg := cheap()
	cfg.Passphrase = []byte("one")
	dir := t.TempDir()
	k := create(t, dir, cfg)
	expectSealed(t, dir, k)
	if err := k.ReplaceTransport(source(2)); err != nil {
		t.Fatal(err)
	}
	expectSealed(t, dir, k)
	sameKeys(t, open(t, dir, saying("one")), k)
}

// A crash leaves the new folder unfinished, or both folders; never anything between.
func TestPassphraseSurvivesACrash(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, cheap())
	before := filepath.Join(dir, "keys", "1")
	aside := filepath.Join(dir, "aside")
	if err := os.CopyFS(aside, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	if err := k.SetPassphrase([]byte("one")); err != nil {
		t.Fatal(err)
	}
	// Between the renaming and the removal of the readable files.
	if err := os.CopyFS(before, os.DirFS(aside)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(aside); err != nil {
		t.Fatal(err)
	}
	sameKeys(t, open(t, dir, saying("one")), k)
	expectSealed(t, dir, k)

	// While the folder of the next change was being written.
	half := filepath.Join(dir, "keys", newFolder)
	if err := errors.Join(os.MkdirAll(half, 0o700), os.WriteFile(filepath.Join(half, identityFile), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, saying("one"))
	sameKeys(t, again, k)
	if err := again.SetPassphrase(nil); err != nil {
		t.Fatal(err)
	}
	sameKeys(t, open(t, dir, nil), k)
}

func TestStream(t *testing.T) {
	plain := bytes.Repeat([]byte("backup"), 30000) // more than one chunk of 64 KiB
	sealed := seal(t, plain, 10)
	if got, err := unseal("one", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(plain))
	}
	if _, err := unseal("two", sealed); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := unseal("", sealed); !errors.Is(err, ErrPassphrase) {
		t.Errorf("no passphrase: %v", err)
	}
	if _, err := unseal("one", sealed[:len(sealed)-1]); err == nil {
		t.Error("a cut backup was read to its end")
	}
	if _, err := unseal("one", plain); err == nil || errors.Is(err, ErrPassphrase) {
		t.Errorf("not a sealed stream: %v", err)
	}
	greedy := bytes.Replace(sealed, []byte(" 10\n"), []byte(" 21\n"), 1)
	if _, err := unseal("one", greedy); err == nil {
		t.Error("a file may ask for any amount of memory")
	}
}

func TestStreamAtFullStrength(t *testing.T) {
	var sealed bytes.Buffer
	w, err := SealStream([]byte("one"), &sealed)
	if err != nil {
		t.Fatal(err)
	}
	finish(t, w, []byte("backup"))
	if !bytes.Contains(sealed.Bytes(), []byte(" 17\n")) {
		t.Errorf("scrypt is not asked to work: %.150q", sealed.Bytes())
	}
	if got, err := unseal("one", sealed.Bytes()); err != nil || string(got) != "backup" {
		t.Errorf("got %q, %v", got, err)
	}
}

func seal(t *testing.T, plain []byte, work int) []byte {
	t.Helper()
	var sealed bytes.Buffer
	w, err := sealStream([]byte("one"), &sealed, work)
	if err != nil {
		t.Fatal(err)
	}
	finish(t, w, plain)
	return sealed.Bytes()
}

func finish(t *testing.T, w io.WriteCloser, plain []byte) {
	t.Helper()
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func unseal(passphrase string, sealed []byte) ([]byte, error) {
	r, err := OpenStream([]byte(passphrase), bytes.NewReader(sealed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
