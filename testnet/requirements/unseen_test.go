package requirements

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// idless is the check that nothing of a message's id, in whatever form, is in what a relay got, logged or keeps.
func (d *operator) idless(id wire.MID) error {
	raw := string(id[:])
	for where, b := range map[string][]byte{"what went through it": d.got.all(""), "its log": []byte(d.log.String()), "its disk": lookAll(d.w.T, d.home)} {
		for _, form := range []string{id.String(), strings.ToUpper(id.String()), raw, raw[:25]} {
			if err := clean(where, b, form); err != nil {
				return err
			}
		}
		if bytes.Contains(b, []byte(id.String()[:16])) || bytes.Contains(b, []byte(hex.EncodeToString(id[:8]))) {
			return fail("%s holds the beginning of %v", where, id)
		}
	}
	return nil
}

// One id is said wherever either end says anything of a message; what is between them, which carries every byte of it
// through a circuit that is not even encrypted here, sees and keeps none of it (seed ask S23; SPEC 3.8).
func TestReq_S23_NothingOfItAtTheRelay(t *testing.T) {
	relayed(t, func(w *world, d *operator, bob, alice *person) {
		alice.takesClear()
		alice.add(bob)
		bob.add(alice)
		m := alice.delivers(bob, "one id")
		r, err := bob.Reply(ctx(), m.ID.String(), node.Draft{Content: []byte("an answer that names it")})
		w.must(err)
		bob.comesTo(r, "delivered", soon)
		for where, said := range map[string]string{"alice's log": alice.log.String(), "bob's log": bob.log.String(), "bob's inbox": bob.one("one id").ID.String(),
			"alice's inbox": alice.one("an answer that names it").InReplyTo.String(), "bob's events": fmt.Sprint(bob.events()), "alice's events": fmt.Sprint(alice.events())} {
			if !strings.Contains(said, m.ID.String()) {
				t.Errorf("%s does not say it", where)
			}
		}
		w.leads(alice.way(m.ID), "queued", "acked")
		w.leads(bob.way(m.ID), "received")
		for _, id := range []wire.MID{m.ID, r.ID} {
			w.must(d.idless(id))
		}
		r, err = bob.Reply(ctx(), m.ID.String(), node.Draft{Content: []byte("in the clear"), Clear: true, Expires: time.Minute})
		w.must(err)
		bob.comesTo(r, "delivered", soon)
		w.finds("an answer in the clear, which names what it answers", d.idless(m.ID))
	}, logging)
}

// A message leaves no record with the relay that it goes through: not a line in its log, and not a byte on its disk;
// both ends tell its way, each step with its evidence, and that it went through that relay (seed ask S24).
func TestReq_S24_NoRecordInBetween(t *testing.T) {
	relayed(t, func(w *world, d *operator, bob, alice *person) {
		alice.add(bob)
		bob.add(alice)
		alice.delivers(bob, "the first, for which a circuit is made")
		time.Sleep(10 * time.Second)
		disk, log := lookAll(t, d.home), d.log.String()
		unchanged := func() error {
			if after := d.log.String(); after != log {
				return fail("it logged %q", strings.TrimPrefix(after, log))
			}
			if after := lookAll(t, d.home); !bytes.Equal(after, disk) {
				return fail("its disk has changed: %d bytes, then %d", len(disk), len(after))
			}
			return nil
		}
		before := d.got.all("")
		for i := range 5 {
			m := alice.delivers(bob, fmt.Sprint("number ", i))
			w.leads(alice.way(m.ID), "queued: on this disk [signed by this device", "acked: delivered, through the relay of d [ack ")
			w.leads(bob.way(m.ID), "received: on this disk, with the answer: delivered [signed by device")
		}
		if passed := len(d.got.all("")) - len(before); passed < 5*600 {
			t.Errorf("five messages, of which %d bytes went through the relay", passed)
		}
		w.must(unchanged())
		carol := w.person("carol")
		carol.enters(d.invite(1))
		w.finds("a new member", unchanged())
	})
}

// Who is not let in is refused through a relay as directly, and right after a restart; who is, is let in
// (requirement 2.3.5).
func TestReq_2_3_5_ThroughARelay(t *testing.T) {
	relayed(t, func(w *world, d *operator, bob, alice *person) {
		carol := w.person("carol")
		carol.behind(true)
		carol.enters(d.invite(1))
		carol.slotted()
		for _, p := range []*person{alice, carol} {
			p.add(bob)
		}
		bob.sets(node.PolicyEdit{Class: "unknown", Messages: word("refuse")})
		bob.sets(node.PolicyEdit{Who: alice.address(), Messages: word("accept")})
		asks := func(text string, within time.Duration) {
			no := carol.draft(node.Draft{To: "bob", Content: []byte("not let in: " + text), Expires: 2 * time.Hour})
			yes := alice.draft(node.Draft{To: "bob", Content: []byte(text), Expires: 2 * time.Hour})
			carol.comesTo(no, "failed(refused)", within)
			alice.comesTo(yes, "delivered", within)
		}
		asks("let in", soon)
		bob.kill(testnet.Crash)
		bob.up()
		bob.slotted()
		asks("let in again", time.Hour)
		if got := strings.Join(bob.inbox(), ","); got != "let in,let in again" {
			t.Errorf("inbox: %s", got)
		}
	})
}

// A partial mailbox is one whose operator hands out what Bob has it refuse.
type partial struct {
	p2p.Custodian
	mu      sync.Mutex
	slipped [][]byte
}

func (x *partial) HandleMbox(ctx context.Context, p p2p.PeerID, n wire.Nonce, f wire.Frame) (wire.FrameStatus, []byte) {
	s, reply := x.Custodian.HandleMbox(ctx, p, n, f)
	x.mu.Lock()
	defer x.mu.Unlock()
	if dep, err := wire.ParseDeposit(f.Payload); err == nil && f.Op == wire.OpDeposit && s != wire.OK {
		x.slipped = append(x.slipped, dep.Item.Append(nil))
	}
	if s != wire.OK || f.Op != wire.OpList && f.Op != wire.OpWait {
		return s, reply
	}
	l, err := wire.ParseMboxListing(reply)
	for i, item := range x.slipped {
		l.Items, l.Until = append(l.Items, item), append(l.Until, wire.Time(1e15+i))
	}
	if err != nil {
		return s, reply
	}
	return s, l.Append(nil)
}

// Nobody is above a user's rules: whoever runs the relay and the mailbox by which Bob is reached is refused like anybody
// once he is blocked: directly, through that relay, and by that mailbox, even if it hands his message out all the same
// (RFC 2779, 8.2.3: that an administrator always reaches a user is not offered).
func TestReq_8_2_3_NobodyIsAboveHisRules(t *testing.T) {
	inWorld(t, func(w *world) {
		box := &partial{}
		d := w.operator("d", func(o *operator) {
			o.lies = func(c p2p.Custodian) p2p.Custodian { box.Custodian = c; return box }
		})
		bob, admin := w.person("bob"), w.person("admin")
		invite := d.invite(2)
		for _, p := range []*person{bob, admin} {
			p.behind(true)
			p.enters(invite)
			p.slotted()
		}
		admin.watch(bob)
		bob.add(admin)
		admin.delivers(bob, "welcome to my community")
		_, err := bob.Block(ctx(), admin.address(), "im")
		w.must(err)
		time.Sleep(5 * time.Second)
		order := func(text string) node.Sent {
			return admin.draft(node.Draft{To: "bob", Content: []byte(text), Expires: 24 * time.Hour})
		}
		admin.comesTo(order("through my own relay"), "failed(refused)", soon)
		bob.down()
		away := order("by my own mailbox")
		time.Sleep(5 * time.Minute)
		box.mu.Lock()
		if len(box.slipped) == 0 {
			t.Error("the mailbox was not used")
		}
		box.mu.Unlock()
		bob.up()
		admin.comesTo(away, "failed(refused)", time.Hour)
		bob.behind(false)
		admin.behind(false)
		admin.comesTo(order("to his face"), "failed(refused)", time.Hour)
		if got := bob.inbox(); len(got) != 1 {
			t.Errorf("inbox: %q", got)
		}
		_, err = bob.Unblock(ctx(), admin.address())
		w.must(err)
		admin.comesTo(order("by his leave"), "delivered", time.Hour)
		w.finds("one that he lets in", await(soon, "nothing came", func() bool { return len(bob.inbox()) == 1 }))
	})
}
