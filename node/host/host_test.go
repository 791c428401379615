package host

import (
	"bytes"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A clock that a test moves.
type clock struct{ wall identity.Time }

func (c *clock) now() identity.Now { return identity.Now{Wall: c.wall, Heard: c.wall} }

func open(t *testing.T, home string, c *clock, roles wire.CommunityRoles) *Host {
	t.Helper()
	h, err := Open(Config{Home: home, Clock: c.now, Rand: rand.Reader, Roles: roles, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Name: "D"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A member opens a mailbox, a contact leaves something in it; the node is closed at once, as in a crash after the
// receipt, and opened again: all of it is there, and goes when the reader has it.
func TestReceiptsOutliveTheNode(t *testing.T) {
	c := &clock{1_763_800_000_000}
	home := filepath.Join(t.TempDir(), "d")
	h := open(t, home, c, 0)
	inv, err := h.Invite(1, time.Hour)
	if err != nil || inv.Name != "D" || inv.Roles != AllRoles {
		t.Fatalf("invite %+v, %v", inv, err)
	}
	m, reader, e := identity.NewSigningKey([32]byte{1}), identity.NewSigningKey([32]byte{2}), identity.NewSigningKey([32]byte{3})
	mbox, secret := m.Public(), wire.Cap{7}
	token := inv.ID.Member([16]byte{1})
	ask := func(op uint32, payload []byte) (wire.FrameStatus, []byte) {
		return h.HandleMbox(t.Context(), "peer", wire.Nonce{5}, wire.Frame{ID: 1, Op: op, Payload: payload})
	}
	say := func(k identity.SigningKey, typ wire.Type, body []byte) []byte {
		return wire.Sign(k, typ, body).Append(nil)
	}
	reg := func(k identity.SigningKey, token []byte, seq wire.Stamp) []byte {
		return say(k, wire.TypeMboxReg, wire.MboxReg{Mbox: mbox, Readers: []wire.PublicKey{reader.Public()}, Token: token, Seq: seq}.Append(nil))
	}
	setCap := say(reader, wire.TypeMboxCap, wire.MboxCap{Mbox: mbox, Cap: secret.Hash(), Mode: wire.CapOpen, Seq: c.wall}.Append(nil))
	item := wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: []byte("sealed")}.Append(nil)}
	digest := item.Digest()
	dep := wire.Deposit{Mbox: mbox, Item: item, Cap: secret[:]}.Append(nil)
	list := func(nonce wire.Nonce) []byte {
		return say(reader, wire.TypeMboxList, wire.MboxList{Mbox: mbox, Nonce: nonce, Peer: []byte(h.net.Self())}.Append(nil))
	}
	commit := say(reader, wire.TypeMboxCommit, wire.MboxCommit{Mbox: mbox, Digests: [][32]byte{digest}}.Append(nil))
	forged := wire.Sign(reader, wire.TypeMboxCap, wire.MboxCap{Mbox: mbox, Cap: secret.Hash(), Mode: wire.CapRevoked, Seq: c.wall + 1}.Append(nil))
	forged.Sig[0] ^= 1
	steps := []struct {
		name    string
		op      uint32
		payload []byte
		want    wire.FrameStatus
	}{
		{"deposited before there is a mailbox", wire.OpDeposit, dep, wire.NOT_FOUND},
		{"opened without a token", wire.OpReg, reg(m, nil, c.wall), wire.DENIED},
		{"opened by another's key", wire.OpReg, reg(reader, token, c.wall), wire.DENIED},
		{"opened", wire.OpReg, reg(m, token, c.wall), wire.OK},
		{"opened by a second member of an invite for one", wire.OpReg, reg(m, inv.ID.Member([16]byte{2}), c.wall+1), wire.DENIED},
		{"deposited by a cap that is not known", wire.OpDeposit, dep, wire.DENIED},
		{"a cap", wire.OpCap, setCap, wire.OK},
		{"the same cap replayed", wire.OpCap, setCap, wire.STALE},
		{"a forged revocation", wire.OpCap, forged.Append(nil), wire.MALFORMED},
		{"deposited", wire.OpDeposit, dep, wire.OK},
		{"deposited again", wire.OpDeposit, dep, wire.OK},
		{"listed by replay", wire.OpList, list(wire.Nonce{6}), wire.DENIED},
		{"a list as a commit", wire.OpCommit, list(wire.Nonce{5}), wire.MALFORMED},
		{"rubbish", wire.OpDeposit, []byte("rubbish"), wire.MALFORMED},
	}
	var receipts [][]byte
	for _, s := range steps {
		got, reply := ask(s.op, s.payload)
		if got != s.want {
			t.Errorf("%s: %v, want %v", s.name, got, s.want)
		}
		if s.op == wire.OpDeposit && got == wire.OK {
			receipts = append(receipts, reply)
		}
	}
	if len(receipts) != 2 || !bytes.Equal(receipts[0], receipts[1]) {
		t.Errorf("receipts %x", receipts)
	}
	ct := make([]byte, 28+256)
	rec := wire.NewUpdate(e, wire.Tag{1}, c.wall, ct)
	until, s := h.HandleHost("peer", wire.HostRequest{Key: e.Public(), Until: c.wall.Add(time.Hour), Token: token})
	if s != wire.OK || until != c.wall.Add(time.Hour) {
		t.Errorf("hosted until %v, %v", until, s)
	}
	if err := h.HandleRecKept(e.Public(), rec); err != nil {
		t.Error(err)
	}
	if s := h.HandlePut(wire.ContextSlot, e.Public(), wire.NewKept(wire.ContextSlot, e, c.wall, []byte("slot")).Raw); s != wire.OK {
		t.Errorf("put: %v", s)
	}

	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = open(t, home, c, 0)
	if held := h.net.Held(e.Public()); len(held) != 1 || held[0].T != rec.T {
		t.Errorf("held after a restart: %v", held)
	}
	if err := h.HandleRecKept(e.Public(), wire.NewUpdate(e, wire.Tag{1}, c.wall-1, ct)); err != nil {
		t.Error(err)
	}
	if raw, ok := h.HandleGet(e.Public()); !ok || len(raw) == 0 {
		t.Error("the slot is empty after a restart")
	}
	got, reply := ask(wire.OpWait, list(wire.Nonce{5}))
	l, err := wire.ParseMboxListing(reply)
	if got != wire.OK || err != nil || len(l.Items) != 1 || !bytes.Equal(l.Items[0], item.Append(nil)) {
		t.Fatalf("listed %v, %+v, %v", got, l, err)
	}
	if st, err := h.Status(); err != nil || st.Members != 1 || st.Items != 1 || st.Keys != 1 || st.Mailboxes != 1 {
		t.Errorf("status %+v, %v", st, err)
	}
	if got, _ := ask(wire.OpCommit, commit); got != wire.OK {
		t.Errorf("committed: %v", got)
	}
	if _, reply := ask(wire.OpList, list(wire.Nonce{5})); len(reply) != 0 {
		t.Errorf("listed after the commit: %x", reply)
	}
	c.wall = c.wall.Add(2 * time.Hour)
	if err := h.purgeOnce(); err != nil {
		t.Fatal(err)
	}
	if st, err := h.Status(); err != nil || st.Keys != 0 || st.Items != 0 || st.Bytes != 0 {
		t.Errorf("status after the end %+v, %v", st, err)
	}
	if raw, ok := h.HandleGet(e.Public()); ok {
		t.Errorf("a slot that has ended holds %x", raw)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// A role that is off answers as if it were not there.
func TestRolesApart(t *testing.T) {
	c := &clock{1_763_800_000_000}
	h := open(t, filepath.Join(t.TempDir(), "d"), c, wire.RoleMailbox)
	if _, s := h.HandleHost("peer", wire.HostRequest{Key: h.key.Public(), Until: c.wall + 1}); s != wire.DENIED {
		t.Errorf("a mailbox hosts: %v", s)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = open(t, filepath.Join(t.TempDir(), "e"), c, wire.RoleAnchor)
	if s, _ := h.HandleMbox(t.Context(), "peer", wire.Nonce{}, wire.Frame{ID: 1, Op: wire.OpList}); s != wire.UNKNOWN_OP {
		t.Errorf("an anchor lists: %v", s)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
