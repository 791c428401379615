package host

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Deposits a second of 2 kB each, 64 at once over eight mailboxes, each receipted after its synced commit, against
// bare synced puts of the same size, 64 at once, in the same store. Then retrievals: what waits is listed and committed by
// the readers of the eight mailboxes at once, 64 items with each synced commit.
func BenchmarkMailbox(b *testing.B) {
	c := &clock{1_763_800_000_000}
	h, err := Open(Config{Home: filepath.Join(b.TempDir(), "d"), Clock: c.now, Rand: rand.Reader, Roles: wire.RoleMailbox, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		b.Fatal(err)
	}
	h.cfg.Limits.BoxItems, h.cfg.Limits.BoxBytes, h.cfg.Limits.CapBytesDay = 1<<30, 1<<40, 1<<40
	defer func() { _ = h.Close() }()
	inv, err := h.Invite(100, 0)
	if err != nil {
		b.Fatal(err)
	}
	secret := wire.Cap{7}
	var boxes []wire.MailboxID
	for i := range 8 {
		m, r := identity.NewSigningKey([32]byte{1, byte(i)}), identity.NewSigningKey([32]byte{2})
		reg := wire.MboxReg{Mbox: m.Public(), Readers: []wire.PublicKey{r.Public()}, Token: inv.ID.Member([16]byte{byte(i)}), Seq: c.wall}
		set := wire.MboxCap{Mbox: m.Public(), Cap: secret.Hash(), Mode: wire.CapOpen, Seq: c.wall, BytesDay: 1 << 40, Items: 1 << 30}
		for op, s := range map[uint32]wire.Signed{wire.OpReg: wire.Sign(m, wire.TypeMboxReg, reg.Append(nil))} {
			if got, _ := h.HandleMbox(b.Context(), "p", wire.Nonce{}, wire.Frame{ID: 1, Op: op, Payload: s.Append(nil)}); got != wire.OK {
				b.Fatal(got)
			}
		}
		if got, _ := h.HandleMbox(b.Context(), "p", wire.Nonce{}, wire.Frame{ID: 1, Op: wire.OpCap, Payload: wire.Sign(r, wire.TypeMboxCap, set.Append(nil)).Append(nil)}); got != wire.OK {
			b.Fatal(got)
		}
		boxes = append(boxes, m.Public())
	}
	at64 := func(b *testing.B, do func(i int64) error) {
		var next atomic.Int64
		var all sync.WaitGroup
		b.ResetTimer()
		for range 64 {
			all.Go(func() {
				for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
					if err := do(i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
	}
	pad := make([]byte, 2000)
	b.Run("deposit", func(b *testing.B) {
		run := b.N
		at64(b, func(i int64) error {
			item := wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: append(fmt.Appendf(nil, "%d %d ", run, i), pad...)}.Append(nil)}
			s, _ := h.HandleMbox(b.Context(), "p", wire.Nonce{}, wire.Frame{ID: 1, Op: wire.OpDeposit, Payload: wire.Deposit{Mbox: boxes[i%8], Item: item, Cap: secret[:]}.Append(nil)})
			if s != wire.OK {
				return fmt.Errorf("deposit: %v", s)
			}
			return nil
		})
	})
	b.Run("retrieve", func(b *testing.B) {
		leave, reader := b.N, identity.NewSigningKey([32]byte{2})
		ask := func(box int, op uint32, typ wire.Type, body []byte) []byte {
			s, reply := h.HandleMbox(b.Context(), "p", wire.Nonce{}, wire.Frame{ID: 1, Op: op, Payload: wire.Sign(reader, typ, body).Append(nil)})
			if s != wire.OK {
				b.Errorf("op %d at mailbox %d: %v", op, box, s)
			}
			return reply
		}
		empty := func(box int) (n int) {
			for !b.Failed() {
				list := wire.MboxList{Mbox: boxes[box], Peer: []byte(h.net.Self())}
				items, err := wire.ParseMboxListing(ask(box, wire.OpList, wire.TypeMboxList, list.Append(nil)))
				if err != nil || len(items.Items) == 0 {
					return n
				}
				var have [][32]byte
				for _, raw := range items.Items {
					item, err := wire.ParseMboxItem(raw)
					if err != nil {
						b.Error(err)
					}
					have = append(have, item.Digest())
				}
				n += len(have)
				for part := range slices.Chunk(have, wire.MaxMIDs) {
					ask(box, wire.OpCommit, wire.TypeMboxCommit, wire.MboxCommit{Mbox: boxes[box], Digests: part}.Append(nil))
				}
			}
			return n
		}
		each := func() (n int64) {
			var all sync.WaitGroup
			var sum atomic.Int64
			for box := range boxes {
				all.Go(func() { sum.Add(int64(empty(box))) })
			}
			all.Wait()
			return sum.Load()
		}
		each() // what was left before
		at64(b, func(i int64) error {
			item := wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: append(fmt.Appendf(nil, "r %d %d ", leave, i), pad...)}.Append(nil)}
			h.HandleMbox(b.Context(), "p", wire.Nonce{}, wire.Frame{ID: 1, Op: wire.OpDeposit, Payload: wire.Deposit{Mbox: boxes[i%8], Item: item, Cap: secret[:]}.Append(nil)})
			return nil
		})
		b.ResetTimer()
		if n := each(); n != int64(leave) {
			b.Errorf("%d of %d were there", n, leave)
		}
		b.ReportMetric(float64(leave)/b.Elapsed().Seconds(), "/s")
	})
	b.Run("floor", func(b *testing.B) {
		at64(b, func(i int64) error {
			return h.store.Update(func(tx store.Tx) error { return tx.Put(store.Item([32]byte{9}, wire.Time(i)), pad) })
		})
	})
}
