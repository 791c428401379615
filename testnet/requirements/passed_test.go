package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// opensBy is the check that no 32 octets of what somebody has are a key that opens a record.
func opensBy(b []byte, e wire.PublicKey, r wire.Rec) error {
	tried := map[[32]byte]bool{}
	for ; len(b) >= 32; b = b[1:] {
		k := [32]byte(b)
		if tried[k] {
			continue
		}
		tried[k] = true
		if _, err := wire.OpenDoc(k, e, r.Tag, r.T, r.CT); err == nil {
			return fail("a key that opens it is there")
		}
	}
	return nil
}

// What Bob says comes to Alice by one node alone, which is the relay of their circuit, the anchor of his epoch and the
// keeper of her slot, and whose circuits hide nothing here. All that passed through it, its disk as it reads it itself and
// its log hold neither what he said nor a key that opens it (requirement 5.2.1); what is searched holds the very record.
// On Alice's disk both are found.
func TestReq_5_2_1_ARelaySeesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.plain = true
		d, bob, alice, c := w.operator("d", func(o *operator) { o.log = &logTape{} }), w.person("bob"), w.person("alice"), w.hostile("carol")
		g := c.watch(bob) // as Alice does, to have the keys
		c.join(g.E)
		w.must(c.watchTopic(bob, g.E))
		invite := d.invite(2)
		for _, p := range []*person{bob, alice} {
			p.behind(true)
			p.enters(invite)
			p.slotted()
		}
		alice.watch(bob)
		bob.note(marker)
		w.within(time.Minute, "alice and carol read it", func() bool { return alice.sees(bob).Note == marker && tells(c.reads(g.E, g), marker) })
		time.Sleep(time.Minute)
		r := latest(c, g.E)
		if _, err := wire.OpenDoc(g.K, g.E, r.Tag, r.T, r.CT); err != nil {
			t.Fatal(err)
		}
		alice.kill(testnet.Blackout) // what comes after that comes from the anchor
		alice.up()
		w.within(5*time.Minute, "alice reads it again", func() bool { return alice.sees(bob).Note == marker })
		bob.kill(testnet.Crash)
		d.down()
		alice.down()
		tape, disk, log, hers := d.got.all(""), openedAt(w, d.home), []byte(d.log.String()), alice.opened()
		w.finds("the record on the tape", clean("the tape", tape, string(r.Raw)))
		w.finds("the record on the disk", clean("the disk", disk, string(r.Raw)))
		for what, b := range map[string][]byte{"what passed through the node": tape, "its disk": disk, "the files of its disk": lookAll(t, d.home), "its log": log} {
			w.must(clean(what, b, marker))
			if err := opensBy(b, g.E, r); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		w.finds("what alice read, on her disk", clean("her disk", hers, marker))
		w.finds("the key on her disk", opensBy(hers, g.E, r))
		if n := w.net.Traffic(bob.ip, alice.ip).Bytes + w.net.Traffic(alice.ip, bob.ip).Bytes; n != 0 {
			t.Errorf("%d octets went between the two directly", n)
		}
		d.up()
	})
}
