package requirements

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// apart are alice, who writes to bob without a name, and bob, each in a community of their own. Bob is away, and nothing
// goes between the two any more.
type apart struct {
	*world
	d, e       *operator // bob's and alice's communities
	alice, bob *person
	card       string
}

func inCommunitiesApart(t *testing.T, f func(w *apart)) {
	inWorld(t, func(w *world) {
		mail := func(o *operator) { o.roles = wire.RoleMailbox | wire.RoleHome } // no relay, through which she could call him
		a := &apart{world: w, d: w.operator("d", mail), e: w.operator("e", mail), alice: w.person("alice"), bob: w.person("bob", logging)}
		a.bob.enters(a.d.invite(1))
		a.alice.enters(a.e.invite(1))
		a.bob.takes("first-contact")
		time.Sleep(time.Minute) // until the mailbox is in his record
		a.alice.comesTo(a.alice.whispers(a.bob, "while he is there", time.Minute), "delivered", 10*time.Second)
		a.card = a.bob.card()
		a.bob.down()
		w.net.Cut(a.alice.ip, a.bob.ip)
		f(a)
	})
}

// leaves has alice leave something for bob, and waits until it lies in his mailbox.
func (w *apart) leaves(text string) node.Sent {
	w.Helper()
	s := w.alice.draft(node.Draft{To: w.card, Content: []byte(text), Anonymous: true, Expires: 24 * time.Hour})
	w.alice.comesTo(s, "stored", 2*time.Minute)
	return s
}

// ended waits until nothing is left of what alice's community kept for her answers.
func (w *apart) ended() {
	w.Helper()
	w.within(10*time.Minute, "her one-time mailboxes have ended", func() bool { st := w.e.kept(); return st.Once == 0 && st.Items == 0 })
}

// told are the mailboxes that alice's community was told of by an op, in that order.
func (w *apart) told(op uint32) (boxes []wire.MboxReg) {
	for _, f := range w.e.got.frames(w.alice.ip) {
		if f.Op != op {
			continue
		}
		if s, err := wire.ParseSigned(f.Payload); err == nil && s.Type == wire.TypeMboxReg {
			if r, err := wire.ParseMboxReg(s.Body); err == nil {
				boxes = append(boxes, r)
			}
		}
	}
	return boxes
}

// All: what Bob says of a message that waited in his mailbox comes to a mailbox that is there for it alone, though the two
// never meet again; then that mailbox ends. Also if Alice's node and her community's start anew in between.
func TestReq_8_2_2_All_AckByReplyMailbox(t *testing.T) {
	inCommunitiesApart(t, func(w *apart) {
		if st := w.e.kept(); st.Once != 0 {
			t.Errorf("what was delivered at once has %d mailboxes", st.Once)
		}
		s := w.leaves("with an answer")
		if st := w.e.kept(); st.Once != 1 || st.Mailboxes != 1 {
			t.Errorf("her community keeps %d and %d mailboxes for her", st.Mailboxes, st.Once)
		}
		w.bob.up()
		w.within(10*time.Minute, "bob has it", func() bool { return w.bob.has("with an answer") == 1 })
		w.alice.comesTo(s, "delivered", 5*time.Minute)
		w.ended()

		w.bob.down()
		again := w.leaves("past a restart")
		w.alice.down()
		w.e.down()
		w.e.up()
		w.bob.up()
		w.within(10*time.Minute, "bob has it", func() bool { return w.bob.has("past a restart") == 1 })
		w.within(10*time.Minute, "his ack waits", func() bool { return w.e.kept().Items == 1 })
		w.alice.up()
		w.alice.comesTo(again, "delivered", 5*time.Minute)
		w.ended()
		if got := w.bob.inbox(); len(got) != 3 {
			t.Errorf("bob has %q", got)
		}
	})
}

// AC2: Alice hears by it, too, that Bob refuses what names nobody. She need not have one: who wants no ack is told of none,
// and names no community.
func TestReq_8_2_2_AC2_RefusalByReplyMailbox(t *testing.T) {
	inCommunitiesApart(t, func(w *apart) {
		s := w.leaves("who am I?")
		quiet := w.alice.draft(node.Draft{To: w.card, Content: []byte("no answer, please"), Anonymous: true, Expires: 24 * time.Hour, Quiet: true})
		w.alice.comesTo(quiet, "stored", 2*time.Minute)
		if st := w.e.kept(); st.Once != 1 {
			t.Errorf("%d mailboxes for one answer", st.Once)
		}
		w.net.Cut(w.bob.ip, w.d.ip) // until he refuses them
		w.bob.up()
		w.bob.takes("refuse")
		w.net.Join(w.bob.ip, w.d.ip)
		w.alice.comesTo(s, "failed(refused-anonymous)", 20*time.Minute)
		w.finds("a message that asks for no answer", await(20*time.Minute, "she hears of it", func() bool { return w.alice.fate(quiet) != "stored" }))
		w.ended()
	})
}

// AB4.1: of the mailbox for her answer neither Bob nor his mailbox has anything of Alice but where her community is, and
// what two messages say of it has nothing else in common.
func TestReq_8_2_2_AB4_1_NothingInTheReplyMailbox(t *testing.T) {
	inCommunitiesApart(t, func(w *apart) {
		for i := range 2 {
			w.leaves(fmt.Sprint("from nobody ", i))
		}
		boxes, mine := w.told(wire.OpOnce), w.told(wire.OpReg)
		if len(boxes) != 2 || len(mine) == 0 || boxes[0].Mbox == boxes[1].Mbox {
			t.Fatalf("her community was told of %+v and %+v", mine, boxes)
		}
		w.bob.up()
		for i := range 2 {
			w.within(10*time.Minute, "bob has it", func() bool { return w.bob.has(fmt.Sprint("from nobody ", i)) == 1 })
		}
		w.ended()
		w.bob.down()
		w.d.down()
		kept := w.bob.opened()
		held := slices.Concat(w.bob.got.all(""), w.d.got.all(""), []byte(w.bob.log.String()), openedAt(w.world, w.d.home), kept)
		w.d.up()
		at, _, err := p2p.ParseDial(w.e.Listening()[0])
		w.must(err)
		for i, r := range boxes {
			if !bytes.Contains(kept, r.Mbox[:]) || !bytes.Contains(kept, []byte(at)) {
				t.Errorf("mailbox %d is not the one that bob was told of", i)
			}
		}
		self := w.alice.Self()
		nothing := func(held []byte) error {
			for what, b := range map[string][]byte{"her address": self.Address[:], "her device": self.Device[:], "her peer": []byte(peerOf(w.alice)), "her name": []byte("alice"),
				"her mailbox": mine[0].Mbox[:], "its reader": mine[0].Readers[0][:], "her token": mine[0].Token} {
				if bytes.Contains(held, b) {
					return fail("bob or his mailbox obtained %s", what)
				}
			}
			return nil
		}
		w.must(nothing(held))
		w.finds("what her own community was told", nothing(w.e.got.all(w.alice.ip)))
	})
}

// All: what nobody answers for ends with what it is for, also if Alice never comes back: the message failed, its mailbox
// stays for a late word, and is gone when none counts any more.
func TestReq_8_2_2_All_ReplyMailboxEndsByItself(t *testing.T) {
	inCommunitiesApart(t, func(w *apart) {
		s := w.alice.draft(node.Draft{To: w.card, Content: []byte("which nobody reads"), Anonymous: true, Expires: 10 * time.Minute})
		w.alice.comesTo(s, "stored", 2*time.Minute)
		w.alice.comesTo(s, "failed(unconfirmed)", time.Hour)
		if n := w.e.kept().Once; n != 1 {
			t.Errorf("before its end there are %d", n)
		}
		w.alice.down()
		w.d.down()
		w.e.down()
		time.Sleep(7 * 24 * time.Hour)
		w.e.up()
		w.within(15*time.Minute, "it ends without her", func() bool { st := w.e.kept(); return st.Once == 0 && st.Mailboxes == 1 })
		w.alice.up()
		time.Sleep(time.Minute)
		if f := w.alice.fate(s); f != "failed(unconfirmed)" || w.e.kept().Once != 0 {
			t.Errorf("it is %s, and she has %d mailboxes", f, w.e.kept().Once)
		}
	})
}

// All: in private mode, where an anonymous message goes by mailboxes alone, nothing else brings its ack; and nobody but her
// own community sees where Alice is.
func TestReq_8_2_2_All_AckInPrivateMode(t *testing.T) {
	inCommunitiesApart(t, func(w *apart) {
		w.alice.hide(true)
		before := len(w.d.got.frames(w.alice.ip))
		s := w.leaves("from somewhere")
		w.bob.up()
		w.within(10*time.Minute, "bob has it", func() bool { return w.bob.has("from somewhere") == 1 })
		w.alice.comesTo(s, "delivered", 5*time.Minute)
		w.ended()
		if n := len(w.d.got.frames(w.alice.ip)); n != before {
			t.Errorf("bob's community got %d frames from her", n-before)
		}
		if len(w.d.got.frames(w.e.ip)) == 0 {
			t.Error("her community passed nothing on")
		}
	})
}
