package host

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// One-time mailboxes are counted apart from those that last; when one ends, by its key's word or by itself, nothing of it is
// left, also past a restart, and there is room for the next.
func TestOnceMailboxes(t *testing.T) {
	c := &clock{1_763_800_000_000}
	home := filepath.Join(t.TempDir(), "d")
	h := open(t, home, c, 0)
	h.cfg.Limits.Once, h.cfg.Limits.Boxes = 2, 1
	inv, err := h.Invite(1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	token := inv.ID.Member([16]byte{1})
	ask := func(op uint32, payload []byte) wire.FrameStatus {
		s, _ := h.HandleMbox(t.Context(), "peer", wire.Nonce{5}, wire.Frame{ID: 1, Op: op, Payload: payload})
		return s
	}
	reg := func(op uint32, b byte, until wire.Time) wire.FrameStatus {
		c.wall++
		k := identity.NewSigningKey([32]byte{b})
		return ask(op, wire.Sign(k, wire.TypeMboxReg, wire.MboxReg{Mbox: k.Public(), Readers: []wire.PublicKey{k.Public()}, Token: token, Seq: c.wall, Until: until, PoWBits: 4}.Append(nil)).Append(nil))
	}
	deposit := func(b byte) wire.FrameStatus {
		mbox := identity.NewSigningKey([32]byte{b}).Public()
		item := wire.MboxItem{AckBox: wire.AckBox{Box: make([]byte, 289)}.Append(nil)}
		pow, _ := wire.Work(mbox, item.Payload(), uint64(c.wall)/3_600_000, 4, 1<<12)
		return ask(wire.OpDeposit, wire.Deposit{Mbox: mbox, Item: item, PoW: pow}.Append(nil))
	}
	day := c.wall.Add(24 * time.Hour)
	is := func(what string, got, want wire.FrameStatus) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	counts := func(what string, lasting, once, items int) {
		t.Helper()
		st, err := h.Status()
		rows := 0
		if err == nil {
			err = h.store.View(func(tx store.Tx) error {
				rows = tx.Count(store.AllBoxes())
				return nil
			})
		}
		if err != nil || st.Mailboxes != lasting || st.Once != once || st.Items != items || rows != lasting+once || st.Held != st.Bytes {
			t.Errorf("%s: %+v, %d rows, %v", what, st, rows, err)
		}
	}
	is("one that lasts", reg(wire.OpReg, 1, 0), wire.OK)
	is("a second that lasts", reg(wire.OpReg, 2, 0), wire.QUOTA)
	is("one that lasts, by the other op", reg(wire.OpOnce, 2, 0), wire.MALFORMED)
	is("one for once, by the other op", reg(wire.OpReg, 2, day), wire.MALFORMED)
	is("one for once", reg(wire.OpOnce, 3, day), wire.OK)
	is("a second for once", reg(wire.OpOnce, 4, day), wire.OK)
	is("a third for once", reg(wire.OpOnce, 5, day), wire.QUOTA)
	is("an ack in the first", deposit(3), wire.OK)
	is("an ack in the second", deposit(4), wire.OK)
	counts("opened", 1, 2, 2)
	is("the first, ended", reg(wire.OpOnce, 3, 1), wire.OK)
	is("the first, ended again", reg(wire.OpOnce, 3, 1), wire.OK)
	is("an ack in what has ended", deposit(3), wire.NOT_FOUND)
	counts("ended", 1, 1, 1)
	is("one in its place", reg(wire.OpOnce, 5, day), wire.OK)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = open(t, home, c, 0)
	h.cfg.Limits.Once, h.cfg.Limits.Boxes = 2, 1
	counts("opened anew", 1, 2, 1)
	is("one too many, past a restart", reg(wire.OpOnce, 6, day), wire.QUOTA)
	c.wall = day + 1
	is("an ack in one that is over", deposit(5), wire.NOT_FOUND)
	if err := h.purgeOnce(); err != nil {
		t.Fatal(err)
	}
	counts("over", 1, 0, 0)
	is("one more", reg(wire.OpOnce, 7, day.Add(time.Hour)), wire.OK)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
