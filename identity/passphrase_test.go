package identity

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestPassphrase goes through a keyring's life with one, since each scrypt takes its time.
func TestPassphrase(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
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

// A crash leaves the new folder unfinished, or both folders; never anything between.
func TestPassphraseSurvivesACrash(t *testing.T) {
	dir := t.TempDir()
	k := create(t, dir, config(1))
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
	var sealed bytes.Buffer
	w, err := SealStream([]byte("one"), &sealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := OpenStream([]byte("one"), bytes.NewReader(sealed.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(plain))
	}
	if _, err := OpenStream([]byte("two"), bytes.NewReader(sealed.Bytes())); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	r, err = OpenStream([]byte("one"), bytes.NewReader(sealed.Bytes()[:sealed.Len()-1]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err == nil {
		t.Error("a cut backup was read to its end")
	}
	if _, err := OpenStream([]byte("one"), bytes.NewReader(plain)); err == nil || errors.Is(err, ErrPassphrase) {
		t.Errorf("not a sealed stream: %v", err)
	}
}
