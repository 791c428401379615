package attacks

import (
	"context"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_20_OtherProfiles: what later profiles send is ignored or refused with its name; nothing of it
// stops the node or changes what it holds.
func TestAttack_20_OtherProfiles(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		befriend(alice, bob)
		before := alice.table() + bob.table()
		c := s.stranger("mallory")
		l := c.dial(bob, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		// field is an unknown field of a number below 128, or above.
		field := func(n uint32) []byte {
			out := []byte{}
			for x := n<<3 | 2; ; x >>= 7 {
				if x < 0x80 {
					return append(append(out, byte(x)), 1, 'x')
				}
				out = append(out, byte(x)|0x80)
			}
		}
		im := func(edit func(*wire.IM), more []byte) wire.Signed {
			m := c.im(b.Address, "of a later profile")
			if edit != nil {
				edit(&m)
			}
			return wire.Sign(c.d, wire.TypeIM, append(m.Append(nil), more...))
		}
		sub := func(edit func(*wire.SubRequest), more []byte) wire.Signed {
			r := c.subRequest(b.Address, c.subID())
			edit(&r)
			return wire.Sign(c.d, wire.TypeSubRequest, append(r.Append(nil), more...))
		}
		endpoint := &wire.Endpoint{Peer: []byte(c.transport), Mbox: [32]byte{1}, Cap: [32]byte{2}}
		for _, row := range []struct {
			name   string
			signed wire.Signed
			want   string
		}{
			{"IM with an unknown field", im(nil, field(100)), "delivered"},
			{"IM with an unknown field that must be understood", im(nil, field(200)), "failed(malformed)"},
			{"IM with crit of an unknown field", im(func(m *wire.IM) {
				m.Crit, m.Unknown = []uint32{100}, []wire.Unknown{{Number: 100, Raw: field(100)}}
			}, nil), "failed(unsupported-required)"},
			{"IM with an unknown ext", im(func(m *wire.IM) { m.Ext = []wire.Ext{{Name: "x.example.org/a", Value: []byte{1}}} }, nil), "delivered"},
			{"IM with an unknown ext that must be understood", im(func(m *wire.IM) {
				m.Ext = []wire.Ext{{Name: "x.example.org/a", Value: []byte{1}, MustUnderstand: true}}
			}, nil), "failed(unsupported-required)"},
			{"IM with a reply mailbox [C2]", im(func(m *wire.IM) { m.Reply = endpoint }, nil), "delivered"},
			{"IM of another content type", im(func(m *wire.IM) { m.ContentType = "message/cpim" }, nil), "failed(unsupported-type)"},
			{"anonymous IM [C3]", im(func(m *wire.IM) { m.From = identity.Address{} }, nil), "forbidden(refused-anonymous)"},
			{"SubRequest with an invite and a reply mailbox", sub(func(r *wire.SubRequest) { r.Invite, r.Reply = make([]byte, 16), endpoint; r.Invite[0] = 1 }, nil), "silence"},
			{"SubRequest as a pseudonym [C1]", sub(func(r *wire.SubRequest) { r.Flags = 1 }, nil), "silence"},
			{"SubRequest with an unknown field that must be understood", sub(func(r *wire.SubRequest) {
				r.Crit, r.Unknown = []uint32{100}, []wire.Unknown{{Number: 100, Raw: field(100)}}
			}, nil), "failed(unsupported-required)"},
			{"Fetch that is none", wire.Sign(c.d, 23, []byte{0x0a, 1, 1}), "failed(malformed)"},
			{"FetchReply that is none", wire.Sign(c.d, 24, []byte{0x0a, 1, 1}), "failed(malformed)"},
			{"Sync that is none", wire.Sign(c.d, wire.TypeSync, []byte{0x0a, 1, 1}), "failed(malformed)"},
			{"Sync of another address", wire.Sign(c.d, wire.TypeSync, wire.Sync{Address: c.address, Device: identity.DeviceIDOf(c.d.Public()),
				Items: []wire.Item{{Kind: wire.SyncContact, Key: []byte("k"), Value: []byte("v"), T: now()}}}.Append(nil)), "failed(recipient-mismatch)"},
			{"an Ack in a Parcel, since acks are never acked", wire.Sign(c.d, wire.TypeAck, []byte{0x0a, 1, 1}), "silence"},
			{"a record as the main thing", c.addressRecord(), "failed(malformed)"},
			{"a mailbox's receipt", wire.Sign(c.d, 40, []byte{0x0a, 1, 1}), "failed(malformed)"},
		} {
			x := c.seal(wire.Inner{Signed: row.signed, Attached: c.records()}, b)
			if st := l.put(x.parcel); st != wire.OK {
				t.Errorf("%s: %v", row.name, st)
			} else if got := answer(c.acked(x)); got != row.want {
				t.Errorf("%s: %s, want %s", row.name, got, row.want)
			}
			pass(time.Second)
		}
		part(t, "records with fields of C2 and of nobody", func(t *testing.T) {
			p := newPerson("later")
			r := identity.AddressRecord{Address: p.address, Seq: now(), Expires: now().Add(identity.AddressRecordLife), Services: 1 | 2 | 64,
				Devices: []identity.Device{{Key: p.d.Public(), Roles: 7 | 32}}, Recovery: p.commit, Mailboxes: []wire.Endpoint{*endpoint},
				Policy: &identity.Policy{Flags: 31, PoWBits: 20}, Handles: []string{"later@example.org"}, Homes: []wire.Endpoint{*endpoint}}
			rec := wire.Sign(p.a, wire.TypeAddressRecord, append(wire.AppendAddressRecord(nil, r), field(99)...))
			x := p.seal(wire.Inner{Signed: p.signIM(p.im(b.Address, "hello from the future")), Attached: []wire.Signed{rec, p.deviceRecord()}}, b)
			l.put(x.parcel)
			if got := answer(c.acked(x)); got != "delivered" {
				t.Error(got)
			}
		})
		part(t, "Parcels", func(t *testing.T) {
			good := func() wire.Parcel { return c.seal(wire.Inner{Signed: im(nil, nil), Attached: c.records()}, b).parcel }
			for _, row := range []struct {
				name string
				make func() []byte
				want wire.FrameStatus
			}{
				{"an unknown field", func() []byte { return append(good().Append(nil), field(100)...) }, wire.MALFORMED},
				{"without a Wrap (suite 0), which is taken and then not opened", func() []byte { p := good(); p.Wraps, p.Suite = nil, 0; return p.Append(nil) }, wire.OK},
				{"a Wrap of a session [C3.10]", func() []byte { p := good(); p.Wraps[0].Kid = wire.KeyID{1}; return p.Append(nil) }, wire.NO_KEY},
			} {
				if got := l.ask(wire.OpParcel, row.make()).Status; got != row.want {
					t.Errorf("%s: %v, want %v", row.name, got, row.want)
				}
			}
			p := good()
			p.Suite = 2
			if got := l.put(p); got != wire.OK && got != wire.NO_KEY && got != wire.MALFORMED {
				t.Errorf("suite 2: %v", got)
			}
		})
		part(t, "ops", func(t *testing.T) {
			for op := range uint32(12) {
				if op == 0 || op == wire.OpParcel || op == wire.OpRecords {
					continue
				}
				want := wire.UNKNOWN_OP
				if op == wire.OpSession {
					want = wire.MALFORMED
				}
				if got := l.ask(op, []byte{0x0a, 1, 1}).Status; got != want {
					t.Errorf("/hum/parcel/1 op %d: %v", op, got)
				}
			}
			for _, op := range []uint32{4, 99, 1 << 31} {
				l.Write(wire.AppendFrame(nil, wire.Frame{Op: op, Payload: []byte("x")}))
			}
			w := c.dial(bob, wire.PresenceProtocol)
			for op := range uint32(12) {
				if op <= wire.OpGet {
					continue
				}
				if got := w.ask(op, []byte{0x0a, 1, 1}).Status; got != wire.UNKNOWN_OP {
					t.Errorf("/hum/presence/1 op %d: %v", op, got)
				}
			}
			if pass(time.Second); l.ended() || w.ended() {
				t.Error("an unknown op ended a stream")
			}
			if _, err := c.tryDial(bob, "/hum/mbox/1"); err == nil {
				t.Error("/hum/mbox/1 is spoken")
			}
		})
		// SubStates for a subscription of alice's, by a presentity of a later profile.
		part(t, "states", func(t *testing.T) {
			at := c.dial(alice, wire.ParcelProtocol)
			a := at.recipient(alice.Self().Address)
			card := identity.Card{Address: c.address, Dial: []string{c.at.String() + "/p2p/" + c.transport.String()}}
			if _, err := alice.Add(context.Background(), card.String(), "mallory"); err != nil {
				t.Fatal(err)
			}
			if _, err := alice.Watch(context.Background(), "mallory", "", 0); err != nil {
				t.Fatal(err)
			}
			pass(5 * time.Second)
			subs, err := alice.Watching(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			var mine wire.SubID
			for _, x := range subs {
				if x.Address == c.address {
					mine = x.ID
				}
			}
			tell := func(edit func(*wire.SubState), more []byte) string {
				st := wire.SubState{From: c.address, To: a.Address, Sub: mine, Seq: now(), State: wire.SubActive, Expires: now().Add(wire.SubscriptionLife),
					Grant: &wire.Grant{E: c.a.Public(), K: [32]byte{1}, NotBefore: now(), NotAfter: now().Add(wire.GrantLife), TTL: 150,
						Anchors: []wire.Endpoint{*endpoint}, Slot: [32]byte{3}, IM: endpoint}}
				edit(&st)
				x := c.seal(wire.Inner{Signed: wire.Sign(c.d, wire.TypeSubState, append(st.Append(nil), more...)), Attached: c.records()}, a)
				at.put(x.parcel)
				pass(time.Second)
				return answer(c.acked(x))
			}
			for _, row := range []struct {
				name string
				edit func(*wire.SubState)
				more []byte
				want string
				then string
			}{
				{"a state of nobody", func(st *wire.SubState) { st.State = 6 }, nil, "failed(unsupported-required)", "requested"},
				{"with crit", func(st *wire.SubState) {
					st.Crit, st.Unknown = []uint32{100}, []wire.Unknown{{Number: 100, Raw: field(100)}}
				}, nil, "failed(unsupported-required)", "requested"},
				{"with anchors, a slot, a mailbox and an unknown field", func(*wire.SubState) {}, field(100), "delivered", "active"},
				{"for an epoch of 9 days", func(st *wire.SubState) { st.Grant.NotAfter = st.Grant.NotBefore.Add(9 * 24 * time.Hour) }, nil, "failed(malformed)", "active"},
				{"with a key of small order", func(st *wire.SubState) { st.Grant.E = wire.PublicKey{1} }, nil, "delivered silence failed(malformed)", "active"},
			} {
				if got := tell(row.edit, row.more); !oneOf(row.want, got) {
					t.Errorf("%s: %s, want %s", row.name, got, row.want)
				}
				state := ""
				subs, _ := alice.Watching(context.Background())
				for _, x := range subs {
					if x.ID == mine {
						state = x.State
					}
				}
				if state != row.then {
					t.Errorf("%s: then %s, want %s", row.name, state, row.then)
				}
			}
			if _, err := alice.Unwatch(context.Background(), "mallory"); err != nil {
				t.Fatal(err)
			}
		})
		bob.say("untouched")
		alice.eventually(30*time.Second, "reads bob", func() bool { return alice.sees(bob).Note == "untouched" })
		if alice.watching(bob) != "active" || bob.watcher(alice) != "active" {
			t.Errorf("before:\n%s\nafter:\n%s", before, alice.table()+bob.table())
		}
	})
}

// TestAttack_20_ThisProfile is what 20 must be able to find: the same letters, Parcels, ops and states
// without what is of another profile are taken, answered and acted upon, so that what is refused there is
// refused for that alone, and a node that ignores everything does not pass.
func TestAttack_20_ThisProfile(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		alice.add(bob)
		l, at := c.dial(bob, wire.ParcelProtocol), c.dial(alice, wire.ParcelProtocol)
		b, a := l.recipient(bob.Self().Address), at.recipient(alice.Self().Address)
		sub := c.subID()
		part(t, "letters", func(t *testing.T) {
			im := c.seal(wire.Inner{Signed: c.signIM(c.im(b.Address, "of this profile")), Attached: c.records()}, b)
			if st, got := l.put(im.parcel), answer(c.acked(im)); st != wire.OK || got != "delivered" {
				t.Errorf("IM: %v, %s", st, got)
			}
			for _, row := range []struct {
				name string
				crit []uint32
				rows int // of mallory at bob
			}{{"with crit", []uint32{100}, 0}, {"without", nil, 1}} {
				r := c.subRequest(b.Address, sub)
				if r.Crit = row.crit; r.Crit != nil {
					r.Unknown = []wire.Unknown{{Number: 100, Raw: []byte{0xa2, 0x06, 1, 'x'}}}
				}
				l.put(c.seal(wire.Inner{Signed: wire.Sign(c.d, wire.TypeSubRequest, r.Append(nil)), Attached: c.records()}, b).parcel)
				pass(5 * time.Second)
				all, err := bob.Watchers(context.Background())
				if err != nil || len(all) != row.rows || len(c.states(sub)) != row.rows {
					t.Errorf("SubRequest %s: %d rows and %d answers, %v; want %d", row.name, len(all), len(c.states(sub)), err, row.rows)
				}
			}
		})
		var grant *wire.Grant
		part(t, "the answer", func(t *testing.T) {
			if _, err := bob.Approve(context.Background(), c.address.String()); err != nil {
				t.Fatal(err)
			}
			pass(5 * time.Second)
			if st := c.states(sub); len(st) > 0 {
				grant = st[len(st)-1].Grant
			}
			if grant == nil {
				t.Fatal("mallory has no grant")
			}
		})
		part(t, "ops", func(t *testing.T) {
			w := c.dial(bob, wire.PresenceProtocol)
			for _, row := range []struct {
				name    string
				on      *line
				op      uint32
				payload []byte
				want    wire.FrameStatus
			}{
				{"an unknown op", l, 9, nil, wire.UNKNOWN_OP},
				{"RECORDS after it", l, wire.OpRecords, wire.RecordsRequest{Address: b.Address}.Append(nil), wire.OK},
				{"PARCEL after it", l, wire.OpParcel, c.seal(wire.Inner{Signed: c.signIM(c.im(b.Address, "and another")), Attached: c.records()}, b).parcel.Append(nil), wire.OK},
				{"an unknown op of presence", w, 9, nil, wire.UNKNOWN_OP},
				{"GET after it", w, wire.OpGet, wire.GetRequest{Key: grant.E}.Append(nil), wire.OK},
				{"WATCH after it", w, wire.OpWatch, wire.WatchRequest{Keys: []wire.PublicKey{grant.E}}.Append(nil), wire.OK},
			} {
				if got := row.on.ask(row.op, row.payload).Status; got != row.want {
					t.Errorf("%s: %v, want %v", row.name, got, row.want)
				}
			}
			bob.say("of this profile")
			pass(5 * time.Second)
			if w.lastUpdate(grant.E).T == 0 {
				t.Error("WATCH brought nothing")
			}
		})
		part(t, "states", func(t *testing.T) {
			card := identity.Card{Address: c.address, Dial: []string{c.at.String() + "/p2p/" + c.transport.String()}}
			if _, err := alice.Add(context.Background(), card.String(), "mallory"); err != nil {
				t.Fatal(err)
			}
			if _, err := alice.Watch(context.Background(), "mallory", "", 0); err != nil {
				t.Fatal(err)
			}
			pass(5 * time.Second)
			for _, row := range []struct {
				state wire.SubStateCode
				want  string
				then  string
			}{
				{wire.SubPending, "delivered", "pending"},
				{6, "failed(unsupported-required)", "pending"},
				{wire.SubDenied, "delivered", "denied"},
			} {
				st := wire.SubState{From: c.address, To: a.Address, Sub: alice.sub(c.address), Seq: now(), State: row.state}
				if row.state == wire.SubPending {
					st.Expires = now().Add(wire.SubscriptionLife)
				}
				x := c.seal(wire.Inner{Signed: wire.Sign(c.d, wire.TypeSubState, st.Append(nil)), Attached: c.records()}, a)
				at.put(x.parcel)
				if got := answer(c.acked(x)); got != row.want {
					t.Errorf("state %v: %s, want %s", row.state, got, row.want)
				}
				if got := alice.watchingOf(c.address); got != row.then {
					t.Errorf("state %v: then %s, want %s", row.state, got, row.then)
				}
			}
		})
		if got := bob.inbox(); len(got) != 2 {
			t.Errorf("bob has %q", got)
		}
	})
}
