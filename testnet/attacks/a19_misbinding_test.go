package attacks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
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
		bundle func(*stranger) []byte
	}{
		{"another's", func(x *stranger) []byte { return other.bundle().Append(nil) }},
		{"its own", func(x *stranger) []byte { return x.bundle().Append(nil) }},
		{"the right address, signed by itself", func(x *stranger) []byte {
			p := *x.person
			p.address = victim.address
			return p.bundle().Append(nil)
		}},
		{"the right record with a device that it does not list", func(x *stranger) []byte {
			return wire.Bundle{Address: victim.addressRecord(), Devices: []wire.Signed{x.deviceRecord()}}.Append(nil)
		}},
		{"garbage", func(x *stranger) []byte { return []byte("garbage") }},
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
				if st := bob.sent(id).State; st != "queued" && st != "sending" {
					t.Errorf("the message is %s", st)
				}
			})
		})
	}
}
