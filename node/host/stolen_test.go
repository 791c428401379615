package host

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A device that was removed has the key of the old mailbox and that of a reader there (SPEC 14.129). Once the mailbox was
// handed over neither is good for anything: it cannot list, take anything away, open or revoke a cap, hand the mailbox to
// itself, or end it; what lies there is read by those who are left.
func TestStolenReaderOfAnOldMailbox(t *testing.T) {
	c := &clock{1_763_800_000_000}
	h := open(t, filepath.Join(t.TempDir(), "d"), c, 0)
	inv, err := h.Invite(1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	token := inv.ID.Member([16]byte{1})
	m, heir, stolen, left := identity.NewSigningKey([32]byte{1}), identity.NewSigningKey([32]byte{2}), identity.NewSigningKey([32]byte{3}), identity.NewSigningKey([32]byte{4})
	item := wire.MboxItem{AckBox: wire.AckBox{Box: make([]byte, 289)}.Append(nil)}
	ask := func(op uint32, payload []byte) (wire.FrameStatus, []byte) {
		c.wall++
		return h.HandleMbox(t.Context(), "peer", wire.Nonce{5}, wire.Frame{ID: 1, Op: op, Payload: payload})
	}
	say := func(op uint32, k identity.SigningKey, typ wire.Type, body []byte) wire.FrameStatus {
		s, _ := ask(op, wire.Sign(k, typ, body).Append(nil))
		return s
	}
	reg := func(op uint32, k identity.SigningKey, change func(*wire.MboxReg)) wire.FrameStatus {
		r := wire.MboxReg{Mbox: m.Public(), Readers: []wire.PublicKey{left.Public()}, Token: token, Seq: c.wall, PoWBits: 4}
		change(&r)
		return say(op, k, wire.TypeMboxReg, r.Append(nil))
	}
	steals := func(r *wire.MboxReg) { r.Readers = append(r.Readers, stolen.Public()) }
	list := func(k identity.SigningKey) (wire.FrameStatus, int) {
		s, b := ask(wire.OpList, wire.Sign(k, wire.TypeMboxList, wire.MboxList{Mbox: m.Public(), Nonce: wire.Nonce{5}, Peer: []byte(h.net.Self())}.Append(nil)).Append(nil))
		l, _ := wire.ParseMboxListing(b)
		return s, len(l.Items)
	}
	revoke := func(k identity.SigningKey) wire.FrameStatus {
		return say(wire.OpCap, k, wire.TypeMboxCap, wire.MboxCap{Mbox: m.Public(), Cap: wire.Cap{7}.Hash(), Mode: wire.CapRevoked, Seq: c.wall}.Append(nil))
	}
	commit := func(k identity.SigningKey) wire.FrameStatus {
		return say(wire.OpCommit, k, wire.TypeMboxCommit, wire.MboxCommit{Mbox: m.Public(), Digests: [][32]byte{item.Digest()}}.Append(nil))
	}
	is := func(what string, got, want wire.FrameStatus) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	is("opened", reg(wire.OpReg, m, steals), wire.OK)
	pow, _ := wire.Work(m.Public(), item.Payload(), uint64(c.wall)/3_600_000, 4, 1<<12)
	s, _ := ask(wire.OpDeposit, wire.Deposit{Mbox: m.Public(), Item: item, PoW: pow}.Append(nil))
	is("deposited", s, wire.OK)
	if s, n := list(stolen); s != wire.OK || n != 1 {
		t.Errorf("before it was removed it reads %v, %d items", s, n)
	}
	is("handed over", reg(wire.OpReg, m, func(r *wire.MboxReg) { r.Heir = heir.Public() }), wire.OK)
	s, n := list(stolen)
	if is("listed by the stolen key", s, wire.DENIED); n != 0 {
		t.Errorf("it reads %d items", n)
	}
	is("committed by the stolen key", commit(stolen), wire.DENIED)
	is("a cap revoked by the stolen key", revoke(stolen), wire.DENIED)
	for what, k := range map[string]identity.SigningKey{"the old mailbox": m, "the stolen reader": stolen} {
		is("read again, by the word of "+what, reg(wire.OpReg, k, steals), wire.DENIED)
		is("handed on, by the word of "+what, reg(wire.OpReg, k, func(r *wire.MboxReg) { r.Heir = stolen.Public() }), wire.DENIED)
		is("ended, by the word of "+what, reg(wire.OpOnce, k, func(r *wire.MboxReg) { r.Until = 1 }), wire.DENIED)
	}
	if s, n := list(left); s != wire.OK || n != 1 {
		t.Errorf("who is left reads %v, %d items", s, n)
	}
	is("committed by who is left", commit(left), wire.OK)
	if st, err := h.Status(); err != nil || st.Items != 0 || st.Mailboxes != 1 {
		t.Errorf("status %+v, %v", st, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
