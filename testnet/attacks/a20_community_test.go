package attacks

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_20_Custodians: what is asked of anchors and mailboxes, rightly made, asked of somebody's own node is not known
// there or denied, and ends no stream; asked of a community's node with something of a later profile in it, it is taken as
// if that were not there, or refused by name, and the next right request is answered as before.
func TestAttack_20_Custodians(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		bob, o, c := s.machine("bob"), s.operator("o"), s.stranger("mallory")
		epoch, box := identity.NewSigningKey([32]byte{'e'}), identity.NewSigningKey([32]byte{'m'})
		token := o.token()
		until := now().Add(time.Hour)
		rec := func() []byte {
			return wire.NewUpdate(epoch, wire.Tag{1}, now(), make([]byte, 284)).Raw
		}
		hostFor := func() []byte {
			return wire.HostRequest{Key: epoch.Public(), Until: until, Token: token}.Append(nil)
		}
		put := func() []byte {
			return wire.PutRequest{Ctx: wire.ContextTopic, Key: epoch.Public(), Rec: rec()}.Append(nil)
		}
		up := &wire.Endpoint{Peer: []byte(c.transport), Addrs: [][]byte{c.at.Bytes()}}
		watch := wire.WatchRequest{Keys: []wire.PublicKey{epoch.Public()}, Upstream: up, Token: []byte("token")}
		get := wire.GetRequest{Key: epoch.Public(), Upstream: up, Token: []byte("token")}
		claim := wire.Claim{Handle: "mallory@example.org", Record: c.addressRecord().Append(nil), Token: token}
		part(t, "asked of a user's node", func(t *testing.T) {
			l := c.dial(bob, wire.PresenceProtocol)
			for _, row := range []struct {
				name    string
				op      uint32
				payload []byte
				want    wire.FrameStatus
			}{
				{"HOST", wire.OpHost, hostFor(), wire.UNKNOWN_OP},
				{"PUT", wire.OpPut, put(), wire.UNKNOWN_OP},
				{"CLAIM", wire.OpClaim, claim.Append(nil), wire.UNKNOWN_OP},
				{"WATCH upstream", wire.OpWatch, watch.Append(nil), wire.DENIED},
				{"GET upstream", wire.OpGet, get.Append(nil), wire.DENIED},
				{"GET after all that", wire.OpGet, wire.GetRequest{Key: epoch.Public()}.Append(nil), wire.NOT_FOUND},
			} {
				if got := l.ask(row.op, row.payload).Status; got != row.want {
					t.Errorf("%s: %v, want %v", row.name, got, row.want)
				}
			}
			if l.ended() {
				t.Error("the stream was ended")
			}
		})
		part(t, "asked of a community's node", func(t *testing.T) {
			l, m, p := c.dialAt(o, wire.PresenceProtocol), c.dialAt(o, wire.MboxProtocol), c.dialAt(o, wire.ParcelProtocol)
			later := func(b []byte) []byte { return append(b, 0xa2, 0x06, 1, 'x') }    // field 100
			required := func(b []byte) []byte { return append(b, 0xc2, 0x0c, 1, 'x') } // field 200
			reg := func(edit func([]byte) []byte, seq wire.Stamp) []byte {
				r := wire.MboxReg{Mbox: box.Public(), Readers: []wire.PublicKey{c.d.Public()}, Token: token, Seq: seq}
				return wire.Sign(box, wire.TypeMboxReg, edit(r.Append(nil))).Append(nil)
			}
			same := func(b []byte) []byte { return b }
			for _, row := range []struct {
				name    string
				on      *line
				op      uint32
				payload func() []byte
				want    wire.FrameStatus
			}{
				{"HOST", l, wire.OpHost, hostFor, wire.OK},
				{"HOST with a field of later", l, wire.OpHost, func() []byte { return later(hostFor()) }, wire.OK},
				{"HOST with a field that must be understood", l, wire.OpHost, func() []byte { return required(hostFor()) }, wire.MALFORMED},
				{"PUT", l, wire.OpPut, put, wire.OK},
				{"PUT with a field of later", l, wire.OpPut, func() []byte { return later(put()) }, wire.OK},
				{"PUT of a context of nobody", l, wire.OpPut, func() []byte {
					return wire.PutRequest{Ctx: 9, Key: epoch.Public(), Rec: rec()}.Append(nil)
				}, wire.MALFORMED},
				{"PUT of a Rec with a field of later", l, wire.OpPut, func() []byte {
					return wire.PutRequest{Ctx: wire.ContextTopic, Key: epoch.Public(), Rec: later(rec())}.Append(nil)
				}, wire.MALFORMED},
				{"an op of later", l, 9, func() []byte { return []byte{0x0a, 1, 1} }, wire.UNKNOWN_OP},
				{"GET after it", l, wire.OpGet, func() []byte { return wire.GetRequest{Key: epoch.Public()}.Append(nil) }, wire.OK},
				{"REG", m, wire.OpReg, func() []byte { return reg(same, now()) }, wire.OK},
				{"REG with a field of later", m, wire.OpReg, func() []byte { return reg(later, now()) }, wire.OK},
				{"REG with a field that must be understood", m, wire.OpReg, func() []byte { return reg(required, now()) }, wire.MALFORMED},
				{"REG, the Signed with a field of later", m, wire.OpReg, func() []byte { return later(reg(same, now())) }, wire.MALFORMED},
				{"an op of later at the mailbox", m, 99, func() []byte { return []byte{0x0a, 1, 1} }, wire.UNKNOWN_OP},
				{"REG after it", m, wire.OpReg, func() []byte { return reg(same, now()) }, wire.OK},
				{"RECORDS, as nobody lives there", p, wire.OpRecords, func() []byte { return wire.RecordsRequest{Address: bob.Self().Address}.Append(nil) }, wire.NOT_FOUND},
			} {
				if got := row.on.ask(row.op, row.payload()).Status; got != row.want {
					t.Errorf("%s: %v, want %v", row.name, got, row.want)
				}
				pass(2 * time.Second)
			}
			for _, at := range []*line{l, m, p} {
				if at.ended() {
					t.Error("a stream was ended")
				}
			}
			if st, err := o.Status(); err != nil || st.Members != 1 || st.Keys != 1 || st.Mailboxes != 1 {
				t.Errorf("it keeps %+v, %v", st, err)
			}
		})
	})
}
