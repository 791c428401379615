package node

import (
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/replica"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/ports"
)

// join makes a second home a device of a's address, and starts it.
func (a *actor) join(name string, d NewDevice) *actor {
	a.t.Helper()
	b := &actor{t: a.t, home: filepath.Join(a.t.TempDir(), name), listen: ports.TCP(a.t), clock: &handClock{real: SystemClock()}, ttl: a.ttl}
	a.t.Cleanup(b.stop)
	a.pair(b, d)
	b.who.Name = name
	b.up()
	return b
}

// pair makes b's home, in which no node runs, a device of a's address.
func (a *actor) pair(b *actor, d NewDevice) {
	a.t.Helper()
	codes, made := make(chan wire.PairCode, 1), make(chan error, 1)
	go func() {
		j, err := Join(a.t.Context(), JoinConfig{Home: b.home, Listen: []string{b.listen}, Clock: b.clock.now, Rand: rand.Reader,
			Show: func(c wire.PairCode) { codes <- c }})
		b.who = j.Self
		made <- err
	}()
	select {
	case code := <-codes:
		d.Code = code.String()
	case err := <-made:
		a.t.Fatal(err)
	}
	line := must(a.AddDevice(a.t.Context(), d))(a.t)
	if err := <-made; err != nil {
		a.t.Fatal(err)
	}
	if b.who.Address != a.who.Address || b.who.Device != line.ID {
		a.t.Fatalf("%+v joined %+v as %+v", b.who, a.who, line)
	}
}

func (a *actor) linked(b *actor) {
	a.t.Helper()
	eventually(a.t, a.who.Name+" and "+b.who.Name+" are connected", func() bool { return a.online(b.who.Device) && b.online(a.who.Device) })
}

// TestSecondDevice adds a device, and has what the user did on either be true on both.
func TestSecondDevice(t *testing.T) {
	t.Parallel()
	bob, alice, carol := start(t, "bob"), start(t, "alice"), start(t, "carol")
	bob.befriend(alice)
	must(bob.Block(t.Context(), carol.address(), "im"))(t)
	two := bob.join("two", NewDevice{})
	for _, x := range []*actor{bob, two} {
		eventually(t, "the devices are listed at "+x.who.Name, func() bool {
			d := must(x.Devices(t.Context()))(t)
			return len(d) == 2 && d[0].This != d[1].This && d[0].Online && d[1].Online
		})
	}
	if d := must(two.Devices(t.Context()))(t); strings.Join(two.deviceRoles(bob.who.Device), " ") != "admin inbox publisher" || strings.Join(two.deviceRoles(two.who.Device), " ") != "inbox publisher" {
		t.Errorf("roles %+v", d)
	}
	eventually(t, "what was before is here", func() bool {
		c := must(two.Contacts(t.Context()))(t)
		return len(c) == 1 && c[0].Petname == "alice" && len(must(two.Blocks(t.Context()))(t)) == 1
	})
	must(two.Add(t.Context(), alice.address(), "ally"))(t)
	must(two.Unblock(t.Context(), carol.address()))(t)
	eventually(t, "what was done on the second is true on the first", func() bool {
		return bob.petname(alice.who.Address) == "ally" && len(must(bob.Blocks(t.Context()))(t)) == 0
	})
	must(bob.Forget(t.Context(), "ally"))(t)
	eventually(t, "who was forgotten is", func() bool { return len(must(two.Contacts(t.Context()))(t)) == 0 })
	two.stop()
	must(bob.Add(t.Context(), alice.address(), "alice"))(t)
	two.up()
	eventually(t, "what was done while it was off has come", func() bool { return two.petname(alice.who.Address) == "alice" })
	if two.keys.Admin() || two.addDeviceErr(NewDevice{Code: wire.PairCode{Peer: []byte("p")}.String()}) != "not-admin" {
		t.Error("the second device has the key of the address")
	}
}

func (a *actor) deviceRoles(id identity.DeviceID) []string {
	for _, d := range must(a.Devices(a.t.Context()))(a.t) {
		if d.ID == id {
			return d.Roles
		}
	}
	return nil
}

func (a *actor) addDeviceErr(d NewDevice) string {
	_, err := a.AddDevice(a.t.Context(), d)
	if e, ok := err.(*Error); ok {
		return e.Code
	}
	return ""
}

// TestAdminDevice gives the key of the address to the second device, which then adds a third.
func TestAdminDevice(t *testing.T) {
	t.Parallel()
	bob := start(t, "bob")
	two := bob.join("two", NewDevice{Admin: true, Roles: identity.RoleInbox})
	if got := two.deviceRoles(two.who.Device); !slices.Equal(got, []string{"admin", "inbox"}) {
		t.Errorf("roles %v", got)
	}
	three := two.join("three", NewDevice{Roles: identity.RolePublisher})
	eventually(t, "all know all", func() bool {
		for _, x := range []*actor{bob, two, three} {
			if len(must(x.Devices(t.Context()))(t)) != 3 || len(x.others()) != 2 {
				return false
			}
		}
		return true
	})
	if three.self.Services != identity.Presentity || three.keys.Admin() {
		t.Errorf("three is %+v", three.self)
	}
}

// TestRevokedDevice removes a device: it says so to its user, and nobody listens to it.
func TestRevokedDevice(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	line := must(bob.RevokeDevice(t.Context(), two.who.Device.String()[:6]))(t)
	if line.ID != two.who.Device || line.Revoked.IsZero() {
		t.Errorf("removed %+v", line)
	}
	eventually(t, "the removed device knows", func() bool { return two.revoked() })
	told := two.told("node", nil)
	if last := told[len(told)-1]; !strings.HasPrefix(last, "revoked ") {
		t.Errorf("its user is told %q", last)
	}
	if code := two.addDeviceErr(NewDevice{Code: wire.PairCode{Peer: []byte("p")}.String()}); code != "revoked" {
		t.Errorf("it is told %q", code)
	}
	must(bob.Add(t.Context(), alice.address(), "alice"))(t)
	time.Sleep(300 * time.Millisecond)
	if len(must(two.Contacts(t.Context()))(t)) != 0 {
		t.Error("a removed device still hears what the others write")
	}
	two.stop()
	two.up()
	if !two.revoked() {
		t.Error("it has forgotten after a restart")
	}
}

// TestRevokedInbox takes the keys of presence from a device that was for messages only: it had them as all do.
func TestRevokedInbox(t *testing.T) {
	t.Parallel()
	bob := start(t, "bob")
	two := bob.join("two", NewDevice{Roles: identity.RoleInbox})
	bob.linked(two)
	eventually(t, "the second device has the epochs", func() bool { return bob.epochs() != "" && bob.epochs() == two.epochs() })
	before := bob.epochs()
	must(bob.RevokeDevice(t.Context(), two.who.Device.String()))(t)
	eventually(t, "the epochs have changed", func() bool { now := bob.epochs(); return now != "" && now != before })
}

// TestOwedOfRowsGone has rows that went without a word hold up nothing that a device which was off still lacks.
func TestOwedOfRowsGone(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	two.stop()
	if err := bob.update(func(t *txn) error {
		for i := range 2 * syncItems {
			row := sharedRow{Row: replica.Row{Word: replica.Word{T: identity.Stamp(t.now.Wall), Author: bob.who.Device}}}
			if err := bob.saveShared(t, wire.SyncRule, append(make([]byte, 30), byte(i>>8), byte(i)), row); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	must(bob.Add(t.Context(), alice.address(), "alice"))(t)
	two.up()
	eventually(t, "what was done while it was off has come", func() bool { return two.petname(alice.who.Address) == "alice" })
}

// TestPairingRefusals has no stranger adopt a waiting home, and no wrong device take the place of another.
func TestPairingRefusals(t *testing.T) {
	t.Parallel()
	bob, mallory := start(t, "bob"), start(t, "mallory")
	home := filepath.Join(t.TempDir(), "two")
	codes := make(chan wire.PairCode, 1)
	made := make(chan Joined, 1)
	go func() {
		j, _ := Join(t.Context(), JoinConfig{Home: home, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Clock: SystemClock(), Rand: rand.Reader, Show: func(c wire.PairCode) { codes <- c }})
		made <- j
	}()
	code := <-codes
	guess := code
	guess.Secret[0]++
	if got := mallory.addDeviceErr(NewDevice{Code: guess.String()}); got != "not-waiting" {
		t.Errorf("without the secret: %q", got)
	}
	other := code
	other.Device[0]++
	if got := bob.addDeviceErr(NewDevice{Code: other.String()}); got != wire.ReasonBindingInvalid.String() && got != "not-waiting" {
		t.Errorf("another device: %q", got)
	}
	lost := code
	lost.Addrs = nil
	lost.Peer = []byte(mallory.net.Self())
	if got := bob.addDeviceErr(NewDevice{Code: lost.String()}); got == "" {
		t.Error("a node that waits for nobody was added")
	}
	if len(must(bob.Devices(t.Context()))(t)) != 1 {
		t.Error("a device was listed that never was")
	}
	if got := bob.addDeviceErr(NewDevice{Code: "humdev:nonsense"}); got != "bad-code" {
		t.Errorf("nonsense: %q", got)
	}
	must(bob.AddDevice(t.Context(), NewDevice{Code: code.String()}))(t)
	if j := <-made; j.Self.Address != bob.who.Address {
		t.Errorf("joined %+v", j)
	}
	if got := bob.addDeviceErr(NewDevice{Code: code.String()}); got != "exists" {
		t.Errorf("twice: %q", got)
	}
}
