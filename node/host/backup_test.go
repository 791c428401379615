package host

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A community node whose disk is gone comes back from its backup as the same node: its peer id, its members, what
// lies in mailboxes; the backup itself says nothing without its passphrase, and is refused when it is cut, wrong, or of
// another kind.
func TestBackup(t *testing.T) {
	c, dir := &clock{1_763_800_000_000}, t.TempDir()
	h := open(t, filepath.Join(dir, "d"), c, 0)
	inv, err := h.Invite(2, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	m, reader, secret, e := identity.NewSigningKey([32]byte{1}), identity.NewSigningKey([32]byte{2}), wire.Cap{7}, identity.NewSigningKey([32]byte{3})
	token := inv.ID.Member([16]byte{1})
	ask := func(h *Host, op uint32, payload []byte) wire.FrameStatus {
		s, _ := h.HandleMbox(t.Context(), "peer", wire.Nonce{5}, wire.Frame{ID: 1, Op: op, Payload: payload})
		return s
	}
	for _, s := range []struct {
		op      uint32
		payload []byte
	}{
		{wire.OpReg, wire.Sign(m, wire.TypeMboxReg, wire.MboxReg{Mbox: m.Public(), Readers: []wire.PublicKey{reader.Public()}, Token: token, Seq: c.wall}.Append(nil)).Append(nil)},
		{wire.OpCap, wire.Sign(reader, wire.TypeMboxCap, wire.MboxCap{Mbox: m.Public(), Cap: secret.Hash(), Mode: wire.CapOpen, Seq: c.wall}.Append(nil)).Append(nil)},
		{wire.OpDeposit, wire.Deposit{Mbox: m.Public(), Item: wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: []byte("sealed")}.Append(nil)}, Cap: secret[:]}.Append(nil)},
	} {
		if got := ask(h, s.op, s.payload); got != wire.OK {
			t.Fatalf("op %d: %v", s.op, got)
		}
	}
	if _, s := h.HandleHost("peer", wire.HostRequest{Key: e.Public(), Until: c.wall.Add(time.Hour), Token: token}); s != wire.OK {
		t.Fatalf("host: %v", s)
	}
	want, err := h.Status()
	if err != nil {
		t.Fatal(err)
	}
	file, pass := filepath.Join(dir, "d.backup"), []byte("long words")
	if _, err := h.Backup(file, nil); !errors.Is(err, ErrNoPassphrase) {
		t.Errorf("without a passphrase: %v", err)
	}
	if size, err := h.Backup(file, pass); err != nil || size < 500 {
		t.Fatalf("backup of %d bytes: %v", size, err)
	}
	if _, err := h.Backup(file, pass); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	self := h.net.Self()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	atRest := filepath.Join(dir, "rest.backup")
	if _, err := BackupHome(Config{Home: filepath.Join(dir, "d"), Clock: c.now}, atRest, pass); err != nil {
		t.Errorf("at rest: %v", err)
	}

	into := func(name string) Config {
		return Config{Home: filepath.Join(dir, name), Clock: c.now, Rand: rand.Reader}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut")
	if err := os.WriteFile(cut, b[:len(b)-40], 0o600); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		file string
		pass string
		want error
	}{
		"another passphrase": {file, "other", identity.ErrPassphrase},
		"cut":                {cut, "long words", ErrNoBackup},
		"no backup":          {filepath.Join(dir, "d", "keys", "1"), "long words", nil},
		"none":               {filepath.Join(dir, "none"), "long words", os.ErrNotExist},
	} {
		_, err := Restore(bad.file, into("bad"), []byte(bad.pass))
		if err == nil || bad.want != nil && !errors.Is(err, bad.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := identity.OpenKeyring(filepath.Join(dir, "bad"), nil); !errors.Is(err, identity.ErrNoIdentity) {
			t.Errorf("%s leaves a home: %v", name, err)
		}
	}
	home := into("from " + filepath.Base(atRest))
	if r, err := Restore(atRest, home, pass); err != nil || r.Made != c.wall {
		t.Fatalf("restored %+v: %v", r, err)
	}
	if _, err := Restore(atRest, home, pass); !errors.Is(err, ErrHasHome) {
		t.Errorf("over a home: %v", err)
	}
	h = open(t, home.Home, c, 0)
	got, err := h.Status()
	if err != nil || got.Members != want.Members || got.Items != 1 || got.Bytes != want.Bytes || got.Keys != want.Keys || h.net.Self() != self {
		t.Errorf("restored %+v, of %+v, %v", got, want, err)
	}
	if bytes.Contains(b, []byte("sealed")) {
		t.Error("the backup can be read")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
