package requirements

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// words are the seed of a person.
func (p *person) words() identity.Seed { return sha256.Sum256([]byte("seed of " + p.name)) }

// TestReq_5_1_1_AnotherKeyNeedsAProof: what alice has pinned of bob changes by proof alone. A record with
// another commitment is refused though his address key signed it; a Successor by R moves the subscription
// to his new key, says so, and asks for the number to be compared; a second one suspends it.
func TestReq_5_1_1_AnotherKeyNeedsAProof(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		before, err := alice.Safety(ctx(), node.SafetyQuery{Who: "bob", Confirm: true})
		w.must(err)
		here, err := bob.Safety(ctx(), node.SafetyQuery{Who: alice.address()})
		w.must(err)
		if before.Number != here.Number || len(before.Number) != 60 || !before.Verified {
			t.Errorf("alice reads %+v, bob %+v", before, here)
		}

		a := bob.words().AddressKey(0)
		r := identity.AddressRecord{Address: identity.Address(a.Public()), Seq: alice.clock.Now().Wall, Expires: alice.clock.Now().Wall.Add(identity.AddressRecordLife),
			Services: identity.Inbox | identity.Presentity, Recovery: [32]byte{1},
			Devices: []identity.Device{{Key: c.d.Public(), Roles: identity.RoleInbox}}}
		stolen := wire.Sign(a, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, r))
		im := wire.IM{From: r.Address, To: alice.Self().Address, Device: c.device(), Nonce: [16]byte{1}, Sent: r.Seq, Expires: r.Seq.Add(wire.IMLife),
			ContentType: "text/plain", Content: []byte("I am bob")}
		c.post(alice, wire.Sign(c.d, wire.TypeIM, im.Append(nil)), stolen)
		w.soonly("alice is told", func() bool {
			return slices.ContainsFunc(alice.events(), func(e node.Event) bool { return e.State == "recovery-changed" })
		})
		inbox, err := alice.Inbox(ctx(), node.InboxQuery{})
		w.must(err)
		if len(inbox) != 0 || alice.sees(bob).Basic != "open" || alice.watching(bob).State != "active" {
			t.Errorf("after a record with another commitment: %d messages, %+v", len(inbox), alice.watching(bob))
		}

		bob.add(alice)
		bob.down()
		moved, err := node.SucceedHome(bob.home, node.SuccessionConfig{Seed: bob.words(), Reason: identity.MovedCompromised, Clock: bob.clock.Now, Rand: bob.rand()})
		w.must(err)
		bob.up()
		sees := func() node.PresenceOf {
			who, err := alice.Who(ctx(), []string{"bob"})
			w.must(err)
			return who[0]
		}
		w.within(2*time.Minute, "alice watches bob's new address", func() bool { p := sees(); return p.Address == moved.Self.Address && p.Basic == "open" })
		after, err := alice.Safety(ctx(), node.SafetyQuery{Who: "bob"})
		w.must(err)
		if after.Verified || after.Number == before.Number || after.Previous != moved.Old || !strings.Contains(after.Warning, "hum safety bob") {
			t.Errorf("alice reads %+v", after)
		}
		s := alice.draft(node.Draft{To: "bob", Content: []byte("is it you?")})
		if s.Warning == "" || sees().Warning == "" {
			t.Error("alice is not warned where she writes to bob, or sees him")
		}

		second := identity.NewSuccessor(bob.words(), 0, 7, alice.clock.Now().Wall, identity.MovedAway)
		c.post(alice, wire.Sign(bob.words().RecoveryKey(0), wire.TypeSuccessor, wire.AppendSuccessor(nil, second)))
		w.soonly("bob is suspended", func() bool { p := sees(); return p.Basic == "unknown" && p.Warning != "" })
		bob.note("whoever I am")
		time.Sleep(10 * time.Minute)
		if p := sees(); p.Basic != "unknown" || p.Note != "" {
			t.Errorf("while two claim to be bob, alice sees %+v", p)
		}
		_, err = alice.Safety(ctx(), node.SafetyQuery{Who: "bob", Keep: true})
		w.must(err)
		w.within(10*time.Minute, "alice sees bob again", func() bool { return sees().Note == "whoever I am" })
		// The check finds what it is for: with the commitment that is pinned, the same stolen key is believed.
		r.Recovery, r.Seq = bob.words().Commitment(1), alice.clock.Now().Wall
		a = bob.words().AddressKey(1)
		r.Address, r.Expires = moved.Self.Address, r.Seq.Add(identity.AddressRecordLife)
		im.From, im.Sent, im.Expires = r.Address, r.Seq, r.Seq.Add(wire.IMLife)
		c.post(alice, wire.Sign(c.d, wire.TypeIM, im.Append(nil)), wire.Sign(a, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, r)))
		w.soonly("the stolen key is believed", func() bool {
			inbox, err := alice.Inbox(ctx(), node.InboxQuery{})
			return err == nil && len(inbox) == 1
		})
	})
}
