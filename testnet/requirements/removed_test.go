package requirements

import (
	"bytes"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// secretOf is the private half of an epoch's key, as it lies on somebody's disk who may publish in it; false if it does
// not.
func secretOf(disk []byte, e wire.PublicKey) (k identity.SigningKey, ok bool) {
	for at := range bytes.SplitSeq(disk, []byte{0x58, 32}) { // octets in CBOR, 32 of them
		if len(at) < 32 {
			continue
		}
		if k = identity.NewSigningKey([32]byte(at)); k.Public() == e {
			return k, true
		}
	}
	return k, false
}

// Bob removes Dora, his delegate, and goes; she has heard nothing of it, and goes on at his anchor, of which she is a member
// herself. The anchor knows no devices: under the epoch that she held it takes what she signs, as it cannot tell whose hand
// it is, until that epoch is over. Of what it takes so nobody is shown anything: Alice has the next record and another
// epoch, in which the anchor takes nothing of Dora's, since she has no key that signs there (requirement 2.3.4).
func TestReq_2_3_4_RemovedAtAnAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d", does(anchors)), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		dora := bob.also("dora", node.NewDevice{Delegate: true, Scope: []string{"activities"}})
		dora.enters(d.invite(1))
		alice.watch(bob)
		c := &reader{w.hostile("carol"), d.asked()}
		old := c.watch(bob)
		w.within(time.Minute, "alice reads what dora set", func() bool {
			_ = dora.doing("meeting")
			return alice.spoken(bob) == "[{activities meeting}]"
		})
		for _, p := range []*person{bob, alice} {
			w.net.Cut(p.ip, dora.ip)
		}
		must(bob.RevokeDevice(ctx(), dora.Self().Device.String()))
		w.within(time.Minute, "what she said is gone", func() bool { return alice.spoken(bob) == "" })
		time.Sleep(time.Minute)
		w.net.Cut(c.ip, bob.ip)
		his, hers := bob.Self().Device, dora.Self().Device
		bob.kill(testnet.Blackout)

		since := now()
		w.must(dora.doing("vacation"))
		tag := wire.TagOf(old.K, hers)
		taken := func(g wire.Grant, tag wire.Tag) (n int) {
			w.must(c.watchTopic(c.at, g.E))
			time.Sleep(time.Second)
			for _, r := range c.recs(g.E) {
				if r.Tag == tag && r.T >= since {
					n++
				}
			}
			return n
		}
		w.within(5*time.Minute, "the anchor takes what she signs under the epoch that she held", func() bool { return taken(old, tag) > 0 })
		for range 6 {
			time.Sleep(time.Minute)
			if p := alice.sees(bob); len(p.Spoken) != 0 {
				t.Fatalf("alice is shown %+v of a delegate that was removed", p.Spoken)
			}
		}

		// By whatever she holds: nothing of hers is taken in the epoch that the others have now.
		var next wire.Grant
		for _, g := range c.keysOf(bob) {
			if g.E != old.E && g.NotBefore >= next.NotBefore {
				next = g
			}
		}
		dora.down()
		disk := dora.opened()
		if _, ok := secretOf(disk, old.E); !ok {
			t.Error("the search does not find the key of the epoch that she held")
		}
		if _, ok := secretOf(disk, next.E); ok || next.E == (wire.PublicKey{}) {
			t.Errorf("she holds the key of the next epoch, %v, or there is none", ok)
		}
		held, _ := secretOf(disk, old.E)
		tag = wire.TagOf(next.K, hers)
		for what, k := range map[string]identity.SigningKey{"the key that she held": held, "a key of her own": identity.NewSigningKey([32]byte{1})} {
			r := wire.NewUpdate(k, tag, now(), wire.SealDoc(c.rand, next.K, next.E, tag, now(), []byte("x")))
			f, err := c.request(c.at, presenceProto, wire.OpPut, wire.PutRequest{Ctx: wire.ContextTopic, Key: next.E, Rec: r.Raw}.Append(nil))
			if err != nil || f.Status == wire.OK {
				t.Errorf("signed by %s it is answered %v, %v", what, f.Status, err)
			}
		}
		if n := taken(next, tag); n != 0 {
			t.Errorf("the anchor has %d records of hers in the next epoch", n)
		}
		if since = 0; taken(next, wire.TagOf(next.K, his)) == 0 {
			t.Error("nothing of bob's is there either")
		}
	})
}

// A message to Bob waits in his mailbox. Dora, whom he lets read, has it once he has taken it; the mailbox itself, whoever
// has its disk with all keys that are on it, and Carol, who asks there, read nothing; nor does Dora after he removed her.
// Neither disk of Bob's shows it to who has no key of its store (requirement 2.3.6).
func TestReq_2_3_6_InAMailbox(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d", does(anchors)), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		alice.watch(bob)
		bob.add(alice)
		dora := bob.also("dora", node.NewDevice{Delegate: true, Roles: identity.RoleInbox})
		c := &reader{w.hostile("carol"), d.asked()}
		record, err := wire.ParseAddressRecord(c.bundleOf(bob).Address.Body)
		w.must(err)
		if len(record.Mailboxes) != 1 {
			t.Fatalf("his record names %d mailboxes", len(record.Mailboxes))
		}
		time.Sleep(time.Minute)
		leaves := func(text string) {
			bob.down()
			s := alice.draft(node.Draft{To: addressOf(bob), Content: []byte(text), Expires: 24 * time.Hour})
			alice.comesTo(s, "stored", 5*time.Minute)
			if d.kept().Items == 0 { // and there may be acks, as alice polls when she sees him go
				t.Error("the mailbox holds nothing")
			}
			if s := c.lists(record.Mailboxes[0].Mbox); s != wire.DENIED {
				t.Errorf("carol lists his mailbox: %v", s)
			}
			d.down()
			disk := openedAt(w, d.home)
			for where, b := range map[string][]byte{"its disk": disk, "the files of it": lookAll(t, d.home), "what it was sent": d.got.all("")} {
				w.must(clean(where, b, text))
			}
			d.up()
			w.must(clean("dora's disk", func() []byte { dora.down(); return dora.opened() }(), text))
			dora.up()
			bob.up()
			alice.comesTo(s, "delivered", 20*time.Minute)
		}
		leaves(marker)
		w.within(5*time.Minute, "dora reads it", func() bool { return dora.has(marker) == 1 })
		w.within(5*time.Minute, "the mailbox has let go of it", func() bool { return d.kept().Items == 0 })
		atRest(w, marker, bob, dora)
		must(bob.RevokeDevice(ctx(), dora.Self().Device.String()))
		time.Sleep(time.Minute)
		leaves("after her time")
		time.Sleep(5 * time.Minute)
		if dora.has("after her time") != 0 {
			t.Error("a reader that was removed reads on")
		}
		w.must(clean("dora's disk", func() []byte { dora.down(); return dora.opened() }(), "after her time"))
	})
}

// lists asks for what waits in a mailbox, signed by a key of Carol's own.
func (r *reader) lists(mbox wire.MailboxID) wire.FrameStatus {
	r.w.Helper()
	f, err := r.request(r.at, wire.MboxProtocol, wire.OpList, nil)
	r.w.must(err)
	nonce, err := wire.ParseNonceReply(f.Payload)
	r.w.must(err)
	l := wire.MboxList{Mbox: mbox, Nonce: nonce.Nonce, Peer: []byte(r.at.info.ID)}
	f, err = r.request(r.at, wire.MboxProtocol, wire.OpList, wire.Sign(r.d, wire.TypeMboxList, l.Append(nil)).Append(nil))
	r.w.must(err)
	return f.Status
}
