package host

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// Whatever is deposited, committed, purged and restarted in whatever order, an item that was receipted lies in the
// mailbox until all readers have committed it or its time is over, and no longer (SPEC 11.2, I19).
func TestI19_ReceiptsHold(t *testing.T) {
	dir := t.TempDir()
	for run := range 12 {
		rnd := mrand.New(mrand.NewPCG(19, uint64(run)))
		c := &clock{1_763_800_000_000}
		home := filepath.Join(dir, fmt.Sprint(run))
		start := func() *Host {
			h, err := Open(Config{Home: home, Clock: c.now, Rand: rand.Reader, Roles: wire.RoleMailbox, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		h := start()
		inv, err := h.Invite(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		m, secret := identity.NewSigningKey([32]byte{1}), wire.Cap{7}
		readers := []identity.SigningKey{identity.NewSigningKey([32]byte{2}), identity.NewSigningKey([32]byte{3})}
		ask := func(op uint32, payload []byte) (wire.FrameStatus, []byte) {
			return h.HandleMbox(t.Context(), "peer", wire.Nonce{5}, wire.Frame{ID: 1, Op: op, Payload: payload})
		}
		say := func(op uint32, k identity.SigningKey, typ wire.Type, body []byte) {
			if s, _ := ask(op, wire.Sign(k, typ, body).Append(nil)); s != wire.OK {
				t.Fatalf("op %d: %v", op, s)
			}
		}
		say(wire.OpReg, m, wire.TypeMboxReg, wire.MboxReg{Mbox: m.Public(), Readers: []wire.PublicKey{readers[0].Public(), readers[1].Public()},
			RetentionS: 3600, Token: inv.ID.Member([16]byte{1}), Seq: c.wall}.Append(nil))
		say(wire.OpCap, readers[0], wire.TypeMboxCap, wire.MboxCap{Mbox: m.Public(), Cap: secret.Hash(), Mode: wire.CapOpen, Seq: c.wall}.Append(nil))
		type lying struct {
			until wire.Time
			by    [2]bool
		}
		held := map[[32]byte]*lying{}
		listed := func(k identity.SigningKey) map[[32]byte]bool {
			l := wire.MboxList{Mbox: m.Public(), Nonce: wire.Nonce{5}, Peer: []byte(h.net.Self())}
			s, reply := ask(wire.OpList, wire.Sign(k, wire.TypeMboxList, l.Append(nil)).Append(nil))
			listing, err := wire.ParseMboxListing(reply)
			if s != wire.OK || err != nil {
				t.Fatalf("list: %v, %v", s, err)
			}
			out := map[[32]byte]bool{}
			for _, raw := range listing.Items {
				item, err := wire.ParseMboxItem(raw)
				if err != nil {
					t.Fatal(err)
				}
				out[item.Digest()] = true
			}
			return out
		}
		for i := range 1 + rnd.IntN(12) {
			switch rnd.IntN(5) {
			case 0, 1:
				item := wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: fmt.Append(nil, "sealed ", i)}.Append(nil)}
				s, reply := ask(wire.OpDeposit, wire.Deposit{Mbox: m.Public(), Item: item, Cap: secret[:]}.Append(nil))
				signed, err := wire.ParseSigned(reply)
				if s != wire.OK || err != nil {
					t.Fatalf("deposit: %v, %v", s, err)
				}
				r, err := wire.ParseMboxReceipt(signed.Body)
				if err != nil {
					t.Fatal(err)
				}
				held[r.Digest] = &lying{until: r.Until}
			case 2:
				who := rnd.IntN(2)
				for d, x := range held {
					if !x.by[who] {
						say(wire.OpCommit, readers[who], wire.TypeMboxCommit, wire.MboxCommit{Mbox: m.Public(), Digests: [][32]byte{d}}.Append(nil))
						x.by[who] = true
						break
					}
				}
			case 3:
				c.wall = c.wall.Add(time.Duration((1 + rnd.IntN(40))) * time.Minute)
				if err := h.purgeOnce(); err != nil {
					t.Fatal(err)
				}
			case 4:
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
				h = start()
			}
			for who, k := range readers {
				has := listed(k)
				for d, x := range held {
					want := !x.by[who] && !(x.by[0] && x.by[1]) && c.wall <= x.until
					if has[d] != want && c.wall <= x.until {
						t.Fatalf("reader %d: an item is listed %v, want %v: %+v at %v", who, has[d], want, x, c.wall)
					}
				}
			}
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}
