package attacks

import (
	"context"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_17_RestoredSeed: bob loses everything and makes his home anew from the seed. Alice accepts
// his new device on the first connection; the old one, which still runs somewhere, is refused from then
// on, and so is an older record that a hostile node serves.
func TestAttack_17_RestoredSeed(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, old := s.machine("alice"), s.machine("bob")
		tap := s.tap(alice)
		befriend(alice, old)
		pin, err := alice.Resolve(context.Background(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		stale := s.bundleOf(old)
		old.kill()
		pass(10 * time.Minute)

		bob := s.machineOf("bob anew", "bob")
		if bob.Self().Address != pin.Address || bob.Self().Device == old.device() {
			t.Fatal("the seed gives another address, or the same device")
		}
		bob.add(alice)
		id := bob.send(alice, "my disk died", 0)
		bob.eventually(time.Minute, "is heard by alice", func() bool { return bob.sent(id).State == "delivered" })
		now, err := alice.Resolve(context.Background(), "bob")
		if err != nil || now.Fingerprint != pin.Fingerprint || now.Devices != 1 || !now.Known {
			t.Errorf("alice's pin: %+v, %v", now, err)
		}
		for _, e := range events(t, alice) {
			if e.State == "fork" || e.State == "recovery-changed" {
				t.Errorf("alice is told: %s", e.Text)
			}
		}
		// She finds the way back, and watches him again once he agrees.
		reply := alice.send(&machine{s: s, name: "bob"}, "welcome back", 0)
		alice.eventually(20*time.Minute, "reaches the new device", func() bool { return alice.sent(reply).State == "delivered" })
		if got := bob.inbox(); len(got) != 1 {
			t.Errorf("bob has %q", got)
		}
		alice.restart() // she polls daily, and on every connection
		bob.eventually(time.Hour, "is asked again", func() bool { return bob.watcher(alice) != "" })
		if _, err := bob.Approve(context.Background(), alice.address()); err != nil {
			t.Fatal(err)
		}
		alice.eventually(2*time.Minute, "sees him", func() bool {
			p, err := alice.Who(context.Background(), []string{"bob"})
			return err == nil && p[0].Basic == "open"
		})

		// The old device comes back from the dead.
		before := alice.table()
		old.start()
		ghost := old.send(alice, "from the stolen machine", 0)
		pass(10 * time.Minute)
		if st := old.sent(ghost); st.State == "delivered" {
			t.Error("alice took a message of the old device")
		} else if len(alice.inbox()) != 1 {
			t.Errorf("alice has %q", alice.inbox())
		}
		if after := alice.table(); after != before {
			t.Errorf("alice's subscriptions were\n%s\nand are\n%s", before, after)
		}
		// Everything that it ever said is played again.
		c := s.stranger("mallory")
		l := c.dial(alice, wire.ParcelProtocol)
		for _, p := range tap.parcels() {
			l.put(p)
			pass(200 * time.Millisecond)
		}
		pass(5 * time.Second)
		if after := alice.table(); after != before || len(alice.inbox()) != 1 {
			t.Errorf("replays: %q and\n%s", alice.inbox(), after)
		}
		old.stop()

		// A hostile home serves the older record to somebody who has pinned the newer one.
		c.bundles = func(identity.Address) (wire.FrameStatus, []byte) { return wire.OK, stale }
		card := identity.Card{Address: pin.Address, Dial: []string{c.at.String() + "/p2p/" + c.transport.String()}}
		if _, err := alice.Add(context.Background(), card.String(), ""); err != nil {
			t.Fatal(err)
		}
		again := alice.send(&machine{s: s, name: "bob"}, "to the new device only", 0)
		alice.eventually(20*time.Minute, "reaches the new device still", func() bool { return alice.sent(again).State == "delivered" })
		c.hostile(alice, pin.Address, stale)
		if now, err := alice.Resolve(context.Background(), "bob"); err != nil || now.Devices != 1 {
			t.Errorf("alice's pin: %+v, %v", now, err)
		}
		again = alice.send(&machine{s: s, name: "bob"}, "and so is this", 0)
		alice.eventually(20*time.Minute, "reaches the new device still", func() bool { return alice.sent(again).State == "delivered" })
		if got := bob.inbox(); len(got) != 3 {
			t.Errorf("bob has %q", got)
		}
	})
}

// device reads the device of a machine that may be off from its home.
func (m *machine) device() identity.DeviceID {
	k, err := identity.OpenKeyring(m.home, nil)
	if err != nil {
		m.s.t.Fatal(err)
	}
	return k.DeviceID()
}

// bundleOf is what RECORDS answers at a machine.
func (s *stage) bundleOf(m *machine) []byte {
	s.t.Helper()
	x := s.stranger("asker of " + m.name)
	l := x.dial(m, wire.ParcelProtocol)
	f := l.ask(wire.OpRecords, wire.RecordsRequest{Address: m.Self().Address}.Append(nil))
	if f.Status != wire.OK {
		s.t.Fatalf("records: %v", f.Status)
	}
	x.host.Close()
	return f.Payload
}

// TestAttack_17_RightlyNewer is what 17 must be able to find: before the home is made anew, the old device
// is heard; the home that lost its table shows the loss; and what a strange home serves is pinned if the
// address signed it and it is newer, by the very way on which the older record is refused.
func TestAttack_17_RightlyNewer(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, old := s.machine("alice"), s.machine("bob")
		befriend(alice, old)
		old.kill()
		pass(10 * time.Minute)
		old.start()
		id := old.send(alice, "from the old device", 0)
		old.eventually(20*time.Minute, "is heard while no other is known", func() bool { return old.sent(id).State == "delivered" })
		stale, table := s.bundleOf(old), old.table()
		old.kill()
		pass(10 * time.Minute)

		bob := s.machineOf("bob anew", "bob")
		if bob.table() == table || bob.watcher(alice) != "" || bob.watching(alice) != "" {
			t.Errorf("a home that was made anew has the table\n%s", bob.table())
		}
		bob.add(alice)
		id = bob.send(alice, "my disk died", 0)
		bob.eventually(time.Minute, "is heard by alice", func() bool { return bob.sent(id).State == "delivered" })

		// Two devices of bob's, in a record that his address signs, as none but he can.
		c := s.stranger("mallory")
		both := author(bob)
		both.listed = []identity.Device{{Key: newPerson("bob's second device").d.Public(), Roles: identity.RoleInbox}}
		newer := func(key identity.SigningKey) func() []byte {
			return func() []byte {
				p := *both
				p.a = key
				bundle, err := wire.ParseBundle(s.bundleOf(bob))
				if err != nil {
					t.Fatal(err)
				}
				bundle.Address = p.addressRecord()
				return bundle.Append(nil)
			}
		}
		older := func() []byte { return stale }
		for _, row := range []struct {
			name    string
			bundle  func() []byte
			devices int // that alice has pinned then
		}{
			{"older, and bob's", older, 1},
			{"newer, and mallory's", newer(c.a), 1},
			{"newer, and bob's", newer(both.a), 2},
			{"older again, and bob's", older, 2},
		} {
			c.hostile(alice, bob.Self().Address, row.bundle())
			r, err := alice.Resolve(context.Background(), "bob")
			if err != nil || r.Devices != row.devices {
				t.Errorf("%s: alice has pinned %d devices, %v; want %d", row.name, r.Devices, err, row.devices)
			}
			pass(11 * time.Minute) // she asks once in ten
		}
		reply := alice.send(&machine{s: s, name: "bob"}, "to you alone", 0)
		alice.eventually(20*time.Minute, "reaches bob", func() bool { return alice.sent(reply).State == "delivered" })
	})
}

// hostile has somebody ask x for the records of another, and be answered with bundle: x hands him a
// message in the other's name that tells of a newer record. It must have been asked.
func (x *stranger) hostile(who *machine, of identity.Address, bundle []byte) {
	x.s.t.Helper()
	x.mu.Lock()
	asked := x.asked
	x.bundles = func(identity.Address) (wire.FrameStatus, []byte) { return wire.OK, bundle }
	x.mu.Unlock()
	l := x.dial(who, wire.ParcelProtocol)
	m := x.im(who.Self().Address, "my records are newer")
	m.From, m.ArSeq = of, now()
	l.put(x.seal(wire.Inner{Signed: x.signIM(m)}, l.recipient(who.Self().Address)).parcel)
	pass(5 * time.Second)
	l.Reset()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.asked == asked {
		x.s.t.Errorf("%s did not ask the hostile home", who.name)
	}
}
