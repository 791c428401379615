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
		if got := bob.inbox(); len(got) != 2 {
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
