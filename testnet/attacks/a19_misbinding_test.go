package attacks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// TestAttack_19_Misbinding: whatever is re-addressed, moved, exchanged or laid to another's name is
// refused with its reason, and nothing of it is kept.
func TestAttack_19_Misbinding(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		bob, carol := s.machine("bob"), s.machine("carol")
		c := s.stranger("mallory")
		l, atCarol := c.dial(bob, wire.ParcelProtocol), c.dial(carol, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		k := atCarol.recipient(carol.Self().Address)
		other := newPerson("other")
		plain := func(m wire.IM) wire.Inner {
			return wire.Inner{Signed: c.signIM(m), Attached: c.records()}
		}
		im := func(edit func(*wire.IM)) wire.IM {
			m := c.im(b.Address, "hello")
			if edit != nil {
				edit(&m)
			}
			return m
		}
		for _, row := range []struct {
			name string
			make func() letter
			want string
		}{
			{"the control: what is right", func() letter { return c.seal(plain(im(nil)), b) }, "delivered"},
			{"re-addressed: signed for carol, sealed to bob", func() letter {
				return c.seal(plain(im(func(m *wire.IM) { m.To = carol.Self().Address })), b)
			}, "failed(recipient-mismatch)"},
			{"the Wrap of carol's device beside bob's kid", func() letter {
				x := c.seal(plain(im(nil)), b, k)
				x.parcel.Wraps = []wire.Wrap{{Kid: b.Kid, Sealed: x.parcel.Wraps[1].Sealed}}
				return x
			}, "silence"},
			{"sealed to bob's key as carol's device", func() letter {
				as := b
				as.Device = k.Device
				return c.seal(plain(im(nil)), as)
			}, "silence"},
			{"sealed to bob's key as carol", func() letter {
				as := b
				as.Address = k.Address
				return c.seal(plain(im(nil)), as)
			}, "silence"},
			{"ct exchanged for that of another Parcel of one CEK", func() letter {
				x, y := c.seal(plain(im(nil)), b), c.seal(plain(im(nil)), b)
				x.parcel.CT = y.parcel.CT
				return x
			}, "silence"},
			{"ct sealed anew under the same CEK", func() letter {
				x := c.seal(plain(im(nil)), b)
				x.parcel.CT, _ = wire.SealInner(c.rand, x.cek, plain(im(nil)))
				return x
			}, "silence"},
			{"from another, whose record is attached", func() letter {
				m := im(func(m *wire.IM) { m.From = other.address })
				return c.seal(wire.Inner{Signed: c.signIM(m), Attached: other.records()}, b)
			}, "failed(bad-signature)"},
			{"from another, with one's own record", func() letter {
				return c.seal(plain(im(func(m *wire.IM) { m.From = other.address })), b)
			}, "failed(stale-record)"},
			{"from carol, with a record of her signed by mallory", func() letter {
				forged := *c.person
				forged.address = carol.Self().Address
				m := im(func(m *wire.IM) { m.From = forged.address })
				return c.seal(wire.Inner{Signed: c.signIM(m), Attached: forged.records()}, b)
			}, "failed(stale-record)"},
			{"from nobody", func() letter {
				return c.seal(plain(im(func(m *wire.IM) { m.From = identity.Address{} })), b)
			}, "failed(bad-signature) failed(refused-anonymous) forbidden(refused-anonymous) failed(malformed)"},
			{"from bob himself", func() letter {
				return c.seal(plain(im(func(m *wire.IM) { m.From = b.Address })), b)
			}, "failed(stale-record) failed(bad-signature)"},
			{"the id of another device", func() letter {
				return c.seal(plain(im(func(m *wire.IM) { m.Device = other.device() })), b)
			}, "failed(bad-signature)"},
			{"signed by a device that is not listed", func() letter {
				m := im(func(m *wire.IM) { m.Device = other.device() })
				return c.seal(wire.Inner{Signed: other.signIM(m), Attached: c.records()}, b)
			}, "failed(bad-signature)"},
			{"a signature of another message", func() letter {
				x := plain(im(nil))
				x.Signed.Sig = plain(im(nil)).Signed.Sig
				return c.seal(x, b)
			}, "failed(bad-signature)"},
			{"signed under the label of another type", func() letter {
				x := plain(im(nil))
				x.Signed.Sig = c.d.Sign(wire.TypeSubState.Label(), x.Signed.Body)
				return c.seal(x, b)
			}, "failed(bad-signature)"},
			{"a device without the inbox role", func() letter {
				poor := *newPerson("poor")
				poor.roles = identity.RolePublisher
				return c.seal(wire.Inner{Signed: poor.signIM(poor.im(b.Address, "hi")), Attached: poor.records()}, b)
			}, "failed(bad-signature)"},
			{"a delegate", func() letter {
				d := *newPerson("delegate")
				d.roles = identity.RoleInbox | identity.RoleDelegate
				return c.seal(wire.Inner{Signed: d.signIM(d.im(b.Address, "hi")), Attached: d.records()}, b)
			}, "failed(bad-signature)"},
			{"the record of a device attached by another address", func() letter {
				p := *newPerson("victim")
				rec := p.deviceRecord()
				rec.Key, rec.Sig = c.d.Public(), c.d.Sign(wire.TypeDeviceRecord.Label(), rec.Body)
				return c.seal(wire.Inner{Signed: p.signIM(p.im(b.Address, "from victim")), Attached: []wire.Signed{p.addressRecord(), rec}}, b)
			}, "delivered"}, // the message is the victim's own; the record is not
		} {
			x := row.make()
			status := l.put(x.parcel)
			if status != wire.OK {
				t.Errorf("%s: %v instead of TAKEN", row.name, status)
				continue
			}
			if got := answer(c.acked(x)); !oneOf(row.want, got) {
				t.Errorf("%s: %s, want %s", row.name, got, row.want)
			}
			pass(time.Second) // the rate of strangers
		}
		if got := bob.inbox(); fmt.Sprint(got) != "[hello from victim]" {
			t.Errorf("bob has %q", got)
		}
		victim := newPerson("victim")
		r, err := bob.Resolve(context.Background(), victim.address.String())
		if err != nil || r.Devices != 1 {
			t.Errorf("victim: %+v, %v", r, err)
		}
	})
}

func oneOf(list, word string) bool {
	for list != "" {
		var w string
		for i := 0; ; i++ {
			if i == len(list) || list[i] == ' ' {
				w, list = list[:i], list[min(i+1, len(list)):]
				break
			}
		}
		if w == word {
			return true
		}
	}
	return false
}

// TestAttack_19_BundleOfAnother: the node at a card's place serves the records of another address, or a
// record of the right one that is not signed by it: binding-invalid, and nothing is sent there.
func TestAttack_19_BundleOfAnother(t *testing.T) {
	other := newPerson("other")
	victim := newPerson("victim")
	for _, row := range []struct {
		name   string
		bound  bool // to the right address, or no Bundle at all
		bundle func(*stranger) []byte
	}{
		{"another's", false, func(x *stranger) []byte { return other.bundle().Append(nil) }},
		{"its own", false, func(x *stranger) []byte { return x.bundle().Append(nil) }},
		{"the right address, signed by itself", false, func(x *stranger) []byte {
			p := *x.person
			p.address = victim.address
			return p.bundle().Append(nil)
		}},
		{"the right record with a device that it does not list", true, func(x *stranger) []byte {
			return wire.Bundle{Address: victim.addressRecord(), Devices: []wire.Signed{x.deviceRecord()}}.Append(nil)
		}},
		{"garbage", true, func(x *stranger) []byte { return []byte("garbage") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				bob := s.machine("bob")
				x := s.stranger("mallory")
				x.bundles = func(identity.Address) (wire.FrameStatus, []byte) { return wire.OK, row.bundle(x) }
				card := identity.Card{Address: victim.address, Dial: []string{fmt.Sprintf("%v/p2p/%v", x.at, x.transport)}}
				if _, err := bob.Add(context.Background(), card.String(), "victim"); err != nil {
					t.Fatal(err)
				}
				if _, err := bob.Watch(context.Background(), "victim", "", 0); err != nil {
					t.Fatal(err)
				}
				id := bob.send(&machine{s: s, name: "victim"}, "for the victim alone", time.Hour)
				pass(2 * time.Minute)
				if x.asked == 0 {
					t.Error("was never asked")
				}
				if len(x.pushed) != 0 {
					t.Errorf("%d parcels were sent to the wrong node", len(x.pushed))
				}
				if bound := bob.refused("binding-invalid") == 0; bound != row.bound {
					t.Errorf("nothing was refused as binding-invalid: %v, want %v", bound, row.bound)
				}
				if st := bob.sent(id).State; st != "queued" && st != "sending" {
					t.Errorf("the message is %s", st)
				}
			})
		})
	}
}

// TestAttack_19_GrantOfAnother: mallory, who watches bob too, tells alice in her own grant the key of his
// topic. Alice goes on reading bob, and goes on when mallory ends what she gave.
func TestAttack_19_GrantOfAnother(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		befriend(alice, bob)
		l, atAlice := c.dial(bob, wire.ParcelProtocol), c.dial(alice, wire.ParcelProtocol)
		b, a := l.recipient(bob.Self().Address), atAlice.recipient(alice.Self().Address)
		mine := c.subID()
		l.put(c.seal(wire.Inner{Signed: wire.Sign(c.d, wire.TypeSubRequest, c.subRequest(b.Address, mine).Append(nil)), Attached: c.records()}, b).parcel)
		pass(2 * time.Second)
		if _, err := bob.Approve(context.Background(), c.address.String()); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		states := c.states(mine)
		if len(states) == 0 || states[len(states)-1].Grant == nil {
			t.Fatalf("mallory has no grant: %+v", states)
		}
		stolen := *states[len(states)-1].Grant

		card := identity.Card{Address: c.address, Dial: []string{fmt.Sprintf("%v/p2p/%v", c.at, c.transport)}}
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
		var sub wire.SubID
		for _, x := range subs {
			if x.Address == c.address {
				sub = x.ID
			}
		}
		tell := func(edit func(*wire.SubState)) {
			st := wire.SubState{From: c.address, To: a.Address, Sub: sub, Seq: now(), State: wire.SubActive, Expires: now().Add(wire.SubscriptionLife)}
			edit(&st)
			x := c.seal(wire.Inner{Signed: wire.Sign(c.d, wire.TypeSubState, st.Append(nil)), Attached: c.records()}, a)
			if f := atAlice.put(x.parcel); f != wire.OK {
				t.Errorf("SubState: %v", f)
			}
			if got := answer(c.acked(x)); got != "delivered" {
				t.Errorf("SubState: %s", got)
			}
		}
		reads := func(when string) {
			t.Helper()
			for i := range 12 {
				note := fmt.Sprint(when, " ", i)
				bob.say(note)
				if !soon(10*time.Second, func() bool { return alice.sees(bob).Note == note }) {
					t.Fatalf("%s: alice sees %q", note, alice.sees(bob).Note)
				}
			}
			if got, err := alice.Who(context.Background(), []string{"mallory"}); err != nil || got[0].Basic == "open" {
				t.Errorf("%s: mallory is shown as %+v, %v", when, got, err)
			}
		}
		reads("before")
		tell(func(st *wire.SubState) { st.Grant = &stolen })
		reads("with the right key")
		wrong := stolen
		wrong.K = [32]byte{1}
		tell(func(st *wire.SubState) { st.Grant = &wrong })
		reads("with a wrong key")
		tell(func(st *wire.SubState) { st.State, st.Reason, st.Expires = wire.SubTerminated, wire.ReasonPolicy, 0 })
		pass(2 * time.Minute)
		reads("after the end")
		pass(2*time.Hour + time.Minute) // and of every linger
		reads("later")
		alice.restart()
		alice.eventually(time.Minute, "sees bob", func() bool { return alice.sees(bob).Basic == "open" })
		reads("after a restart")
	})
}

// TestAttack_19_PlaceOfAnother: mallory, a contact, says that she lives at bob's peer, at addresses where
// nobody is. Alice still finds bob where he is.
func TestAttack_19_PlaceOfAnother(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		c := s.stranger("mallory")
		befriend(alice, bob)
		card := identity.Card{Address: c.address, Dial: []string{fmt.Sprintf("%v/p2p/%v", c.at, c.transport)}}
		if _, err := alice.Add(context.Background(), card.String(), "mallory"); err != nil {
			t.Fatal(err)
		}
		if _, err := alice.Watch(context.Background(), "mallory", "", 0); err != nil {
			t.Fatal(err)
		}
		l := c.dial(alice, wire.ParcelProtocol)
		a := l.recipient(alice.Self().Address)
		atBob := c.dial(bob, wire.ParcelProtocol)
		lie := func() {
			info := atBob.Conn().RemotePeer()
			m := c.im(a.Address, "I moved")
			x := c.seal(wire.Inner{Signed: c.signIM(m), Attached: []wire.Signed{c.addressRecord(), c.deviceRecord(),
				c.reachAt(info, testnet.Addr("10.9.9.9"))}}, a)
			l.put(x.parcel)
			if got := answer(c.acked(x)); got != "delivered" {
				t.Errorf("the lie: %s", got)
			}
		}
		lie()
		pass(5 * time.Second)
		s.net.Shut(alice.ip, true) // so that only alice can dial
		bob.kill()
		pass(10 * time.Minute) // longer than addresses that were let go are remembered
		lie()
		bob.start()
		id := alice.send(bob, "are you there?", 0)
		alice.eventually(20*time.Minute, "reaches bob", func() bool { return alice.sent(id).State == "delivered" })
	})
}
