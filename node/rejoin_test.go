package node

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/testnet/ports"
)

// joinErr is the code by which a home, in which no node runs, refuses to be paired.
func (a *actor) joinErr(c JoinConfig) string {
	c.Home, c.Listen, c.Clock, c.Rand = a.home, []string{a.listen}, a.clock.now, rand.Reader
	_, err := Join(a.t.Context(), c)
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Bob has two devices and leaves his address on the first: the second says that it was left, is paired again,
// and has lost nothing, nor has the first of what the second had done alone.
func TestSuccessionOtherDevice(t *testing.T) {
	t.Parallel()
	bob, alice, carol := start(t, "bob"), start(t, "alice"), start(t, "carol")
	alice.subscribe(bob)
	bob.befriend(alice)
	bob.deliver(alice, "sent before")
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	eventually(t, "the second device has what was sent", func() bool { return len(must(two.Outbox(t.Context(), ""))(t)) == 1 })
	eventually(t, "alice knows both devices", func() bool { return len(alice.presenceOf(bob.who.Address).Tuples) == 2 })
	bob.stop()
	alice.deliver(bob, "received by the second alone")
	two.befriend(carol)
	two.stop()
	if got := two.joinErr(JoinConfig{}); got != "exists" {
		t.Errorf("a device that is listed is paired again: %q", got)
	}
	if s := must(SucceedHome(bob.home, SuccessionConfig{Seed: bob.seed, Reason: identity.MovedCompromised, Clock: bob.clock.now, Rand: rand.Reader}))(t); len(s.Left) != 1 || s.Left[0] != two.who.Device {
		t.Errorf("moved as %+v", s)
	} else {
		bob.who = s.Self
	}
	bob.up()
	two.up()
	eventually(t, "the second device knows that it was left behind", func() bool { return two.revoked() })
	if told := two.told("node", bob); len(told) != 1 {
		t.Errorf("its user is told %q", told)
	}
	for name, err := range map[string]error{
		"publishes": second(two.Set(t.Context(), Change{})), "writes": second(two.Send(t.Context(), Draft{To: "alice", Content: []byte("x")})),
	} {
		if e, ok := err.(*Error); !ok || e.Code != "left" {
			t.Errorf("a device that was left behind %s: %v", name, err)
		}
	}
	two.stop()
	two.up()
	if !two.revoked() {
		t.Error("it has forgotten after a restart")
	}
	two.stop()
	before := two.who.Device
	bob.pair(two, NewDevice{})
	if two.who.Device == before {
		t.Error("the device key is the one that the old address listed")
	}
	two.who.Name = "two"
	two.up()
	bob.linked(two)
	for _, x := range []*actor{bob, two} {
		eventually(t, x.who.Name+" has everything", func() bool {
			in, out := must(x.Inbox(t.Context(), InboxQuery{}))(t), must(x.Outbox(t.Context(), ""))(t)
			return len(in) == 1 && len(out) == 1 && x.petname(alice.who.Address) == "alice" && x.petname(carol.who.Address) == "carol"
		})
	}
	alice.follows(bob)
	eventually(t, "alice sees both devices", func() bool { return len(alice.presenceOf(bob.who.Address).Tuples) == 2 })
	two.deliver(alice, "from the second, by the new address")
	third := bob.join("third", NewDevice{})
	eventually(t, "a fresh device has what was written by the old address", func() bool {
		return len(must(third.Inbox(t.Context(), InboxQuery{}))(t)) == 1 && len(must(third.Outbox(t.Context(), ""))(t)) == 2
	})
}

func second[T any](_ T, err error) error { return err }

// A device that was removed is added again, with what it holds, by its own address and no other.
func TestRemovedAndAddedAgain(t *testing.T) {
	t.Parallel()
	bob, mallory := start(t, "bob"), start(t, "mallory")
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	must(bob.RevokeDevice(t.Context(), two.who.Device.String()))(t)
	eventually(t, "the removed device knows", func() bool { return two.revoked() })
	two.stop()
	codes := make(chan wire.PairCode, 1)
	made := make(chan string, 1)
	go func() { made <- two.joinErr(JoinConfig{Show: func(c wire.PairCode) { codes <- c }}) }()
	code := (<-codes).String()
	if got := mallory.addDeviceErr(NewDevice{Code: code}); got != "not-waiting" {
		t.Errorf("somebody else's address takes it: %q", got)
	}
	must(bob.AddDevice(t.Context(), NewDevice{Code: code}))(t)
	if got := <-made; got != "" {
		t.Fatal(got)
	}
	old := two.who.Device
	two.up()
	two.who = two.Self()
	bob.linked(two)
	if two.revoked() || two.who.Device == old {
		t.Errorf("it is %v, revoked %v", two.who.Device, two.revoked())
	}
	bob.befriend(mallory)
	eventually(t, "it hears what the other writes", func() bool { return two.petname(mallory.who.Address) == "mallory" })
}

// A home that was stopped before it had its new keys was not paired; one that was stopped after is, once it is
// opened.
func TestRejoinStopped(t *testing.T) {
	t.Parallel()
	bob := start(t, "bob")
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	must(bob.RevokeDevice(t.Context(), two.who.Device.String()))(t)
	eventually(t, "the removed device knows", func() bool { return two.revoked() })
	old := two.who.Device
	m := begun{succession: succession{Old: bob.who.Address, New: bob.who.Address}, Device: identity.DeviceID{1}, Pin: &pinned{}}
	if err := two.update(func(t *txn) error { return put(t, movingRow, m) }); err != nil {
		t.Fatal(err)
	}
	two.stop()
	two.open()
	if !two.revoked() || two.self.Device != old {
		t.Error("half a pairing happened")
	}
	two.stop()
	copied := filepath.Join(t.TempDir(), "before")
	if err := os.CopyFS(copied, os.DirFS(storeDir(two.home))); err != nil {
		t.Fatal(err)
	}
	bob.pair(two, NewDevice{})
	if err := errors.Join(os.RemoveAll(storeDir(two.home)), os.CopyFS(storeDir(two.home), os.DirFS(copied))); err != nil {
		t.Fatal(err)
	}
	m.Device = two.who.Device
	if err := bob.view(func(t *txn) (err error) { *m.Pin, err = get[pinned](t, store.Pin(bob.who.Address)); return err }); err != nil {
		t.Fatal(err)
	}
	if err := withStore(two.home, nil, func(n *Node) error {
		return n.update(func(t *txn) error { return put(t, movingRow, m) })
	}); err != nil {
		t.Fatal(err)
	}
	two.up()
	bob.linked(two)
	if two.revoked() {
		t.Error("the pairing was not finished")
	}
}

// The user of the new device sees who asks, and may refuse: then nothing is made, and nothing is listed.
func TestPairingIsAgreed(t *testing.T) {
	t.Parallel()
	bob := start(t, "bob")
	for _, yes := range []bool{false, true} {
		two := &actor{t: t, home: t.TempDir(), listen: ports.TCP(t), clock: bob.clock}
		codes, asked, made := make(chan wire.PairCode, 1), make(chan identity.Address, 1), make(chan string, 1)
		say := make(chan bool)
		go func() {
			made <- two.joinErr(JoinConfig{Show: func(c wire.PairCode) { codes <- c }, Agree: func(a identity.Address) bool { asked <- a; return <-say }})
		}()
		added := make(chan string, 1)
		code := (<-codes).String()
		go func() { added <- bob.addDeviceErr(NewDevice{Code: code}) }()
		if a := <-asked; a != bob.who.Address {
			t.Errorf("it is asked about %v", a)
		}
		if d := must(bob.Devices(t.Context()))(t); len(d) != 1 {
			t.Errorf("listed before anybody agreed: %+v", d)
		}
		say <- yes
		got, want := <-made, map[bool]string{true: "", false: "cancelled"}[yes]
		if says := <-added; got != want || (says == "") != yes {
			t.Errorf("agreed %v: %q there, %q here", yes, got, says)
		}
	}
}

// The backup of a device that is no admin: what is restored waits to be added again, and then has what the backup
// holds and what came since; the device that it was made of goes on.
func TestRestoredWithoutTheAddressKey(t *testing.T) {
	t.Parallel()
	bob, alice, carol := start(t, "bob"), start(t, "alice"), start(t, "carol")
	bob.befriend(alice)
	two := bob.join("two", NewDevice{})
	eventually(t, "the second device has the contact", func() bool { return two.petname(alice.who.Address) == "alice" })
	file := filepath.Join(t.TempDir(), "copy")
	must(two.Backup(t.Context(), file, []byte("secret")))(t)
	bob.befriend(carol)
	back := &actor{t: t, home: filepath.Join(t.TempDir(), "back"), listen: ports.TCP(t), clock: bob.clock, ttl: bob.ttl}
	t.Cleanup(back.stop)
	if r := must(RestoreHome(file, back.home, []byte("secret"), back.clock.now, rand.Reader))(t); !r.Alone {
		t.Errorf("restored %+v", r)
	}
	back.up() // before it was added again it says that it is none
	if e, ok := second(back.Send(t.Context(), Draft{To: "alice", Content: []byte("x")})).(*Error); !ok || e.Code != "revoked" {
		t.Errorf("it writes: %v", e)
	}
	back.stop()
	bob.pair(back, NewDevice{})
	back.who.Name = "back"
	back.up()
	bob.linked(back)
	eventually(t, "it has everything", func() bool {
		return back.petname(alice.who.Address) == "alice" && back.petname(carol.who.Address) == "carol"
	})
	if d := must(bob.Devices(t.Context()))(t); len(d) != 3 {
		t.Errorf("devices: %+v", d)
	}
	back.befriend(start(t, "dave"))
	eventually(t, "all hear what it writes", func() bool { return len(must(two.Contacts(t.Context()))(t)) == 3 })
}
