package requirements

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// acquainted are two people of whom bob dials alice by himself, since he watches her.
func acquainted(w *world) (alice, bob *person) {
	alice, bob = w.person("alice"), w.person("bob")
	alice.watch(bob)
	bob.watch(alice)
	alice.delivers(bob, "before")
	return alice, bob
}

// Bob's machine loses its power and is back at once: the connection that it had still stands at Alice's,
// half dead, beside the new one. Nothing waits for it to be given up.
func TestReq_5_4_1_HalfDeadConnection(t *testing.T) {
	for name, f := range map[string]func(w *world, alice, bob *person){
		"a message hangs when he is back": func(w *world, alice, bob *person) {
			bob.kill(testnet.Blackout)
			s := alice.draft(node.Draft{To: "bob", Content: []byte("into the dark"), Expires: time.Hour})
			time.Sleep(3 * time.Second)
			bob.up()
			alice.comesTo(s, "delivered", 4*time.Second)
		},
		"a message follows": func(w *world, alice, bob *person) {
			bob.kill(testnet.Blackout)
			bob.up()
			time.Sleep(4 * time.Second)
			alice.delivers(bob, "is it light again?")
		},
		"presence": func(w *world, alice, bob *person) {
			bob.kill(testnet.Blackout)
			bob.up()
			bob.note("light again")
			w.within(4*time.Second, "alice sees it", func() bool { return alice.sees(bob).Note == "light again" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				alice, bob := acquainted(w)
				f(w, alice, bob)
				time.Sleep(time.Minute)
				if n := bob.has("before") + bob.has("into the dark") + bob.has("is it light again?"); n != len(bob.inbox()) || n > 2 {
					t.Errorf("inbox: %q", bob.inbox())
				}
			})
		})
	}
}

// What a machine took before its power was cut is sent again to the one that comes in its place.
func TestReq_5_4_1_TakenBeforeThePowerCut(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, c := w.person("alice"), w.hostile("carol")
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		s := alice.draft(node.Draft{To: "carol", Content: []byte("are you there?"), Expires: time.Hour})
		alice.comesTo(s, "handed", soon)
		time.Sleep(20 * time.Second) // the tries at 5 and 15 s; the next is at 60 s
		w.net.Kill(c.ip, testnet.Blackout)
		again := w.hostile("carol")
		again.meet(alice)
		w.within(4*time.Second, "it comes to the second machine", func() bool { return len(again.opened(alice)) == 1 })
	})
}

// Of two places of Carol's one takes the message and one is dark. That it was handed over is known, and
// shown, without waiting for the dark one.
func TestReq_4_2_1_HandedThoughAnotherPlaceIsDark(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, c := w.person("alice"), w.hostile("carol")
		c.bundle = twoDevices(c, "10.9.9.9")
		w.net.Cut(alice.ip, "10.9.9.9")
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		s := alice.draft(node.Draft{To: "carol", Content: []byte("to either"), Expires: time.Hour})
		alice.comesTo(s, "handed", soon)
		if n := len(c.opened(alice)); n != 1 {
			t.Errorf("it came %d times", n)
		}
	})
}

// twoDevices are Carol's records with a second device, which lives at ip.
func twoDevices(c *hostile, ip string) wire.Bundle {
	c.w.Helper()
	at, second := now()+1, identity.NewSigningKey([32]byte{6})
	ar, err := wire.ParseAddressRecord(c.records[0].Body)
	c.w.must(err)
	key, _, err := crypto.GenerateEd25519Key(randomOf("transport of the second"))
	c.w.must(err)
	host, err := peer.IDFromPrivateKey(key)
	c.w.must(err)
	ar.Seq, ar.Devices = at, append(ar.Devices, identity.Device{Key: second.Public(), Roles: identity.RoleInbox})
	id := identity.DeviceIDOf(second.Public())
	dr := identity.DeviceRecord{Address: c.address(), Device: id, Seq: at, Expires: at.Add(identity.DeviceRecordLife), PreKeys: []identity.PreKey{{Suite: identity.Suite1, Public: c.pre.Public()}}}
	re := identity.Reach{Address: c.address(), Device: id, Seq: at, Peer: []byte(host), Addrs: [][]byte{testnet.Addr(ip).Bytes()}}
	return wire.Bundle{Address: wire.Sign(c.a, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, ar)), Devices: []wire.Signed{
		c.records[1], c.records[2],
		wire.Sign(second, wire.TypeDeviceRecord, wire.AppendDeviceRecord(nil, dr)), wire.Sign(second, wire.TypeReach, wire.AppendReach(nil, re)),
	}}
}

// Somebody connects while a node that was started again has opened its port and does not yet know its
// contacts. What it owes him is tried on this connection as on any other, not when the schedule says so.
func TestReq_5_4_1_ConnectedBeforeItWasReady(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, c := w.person("alice"), w.hostile("carol")
		c.answer[parcelProto] = c.withoutSessions
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		alice.draft(node.Draft{To: "carol", Content: []byte("are you there?"), Expires: time.Hour})
		time.Sleep(2 * time.Minute) // the tries at 0, 5, 15 and 60 s; the next is in a quarter of an hour
		tries := len(c.opened(alice))
		alice.kill(testnet.Crash)
		time.Sleep(time.Minute)
		alice.open()
		c.meet(alice)
		time.Sleep(time.Second)
		alice.run()
		w.soonly("it comes once more", func() bool { return len(c.opened(alice)) > tries })
	})
}
