package requirements

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

func TestReq_4_1_2_SenderAndRecipientNamed(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		alice.delivers(bob, "from alice")
		rows, err := bob.Inbox(ctx(), node.InboxQuery{})
		w.must(err)
		if rows[0].From != alice.Self().Address || !rows[0].Verified {
			t.Errorf("from %v, verified %v", rows[0].From, rows[0].Verified)
		}
		s := alice.outcome(node.Sent{ID: rows[0].ID})
		if s.To != bob.Self().Address {
			t.Errorf("to %v", s.To)
		}
		w.must(forgedFrom(alice, bob, c))
	})
}

// forgedFrom is the check that nobody can write under Alice's name: with Alice's records attached, with
// Carol's, and with none.
func forgedFrom(alice, bob *person, c *hostile) error {
	as := func(im *wire.IM) { im.From = alice.Self().Address }
	hers := c.bundleOf(alice)
	alices := append([]wire.Signed{hers.Address}, hers.Devices...)
	for how, f := range map[string]struct {
		edit func(*wire.IM)
		with []wire.Signed
	}{
		"carol's device":            {as, alices},
		"carol's records":           {as, c.records},
		"nothing attached":          {as, nil},
		"alice's device id claimed": {func(im *wire.IM) { as(im); im.Device = alice.Self().Device }, alices},
	} {
		im := c.im(bob, "alice? "+how, f.edit)
		c.post(bob, im, f.with...)
		if v := c.verdict(bob, im); v != "failed(bad-signature)" {
			return fail("with %s the answer is %s", how, v)
		}
		if bob.has("alice? "+how) != 0 {
			return fail("with %s it is shown", how)
		}
	}
	return nil
}

func TestReq_4_1_3_ReplyByIdAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		s := alice.draft(node.Draft{To: bob.card(), Content: []byte("answer me")})
		alice.comesTo(s, "delivered", soon)
		r, err := bob.Reply(ctx(), s.ID.String(), node.Draft{Content: []byte("an answer")})
		w.must(err)
		bob.comesTo(r, "delivered", soon)
		rows, err := alice.Inbox(ctx(), node.InboxQuery{})
		w.must(err)
		if len(rows) != 1 || rows[0].InReplyTo != s.ID || string(rows[0].Content) != "an answer" {
			t.Errorf("alice's inbox: %+v", rows)
		}
	})
}

// distinct is the check of uniqueness; ids are compared by the 25 bytes that their text shows.
func distinct(ids []wire.MID) error {
	seen := make(map[[25]byte]bool, len(ids))
	for _, id := range ids {
		if k := [25]byte(id[:25]); seen[k] {
			return fail("%v twice", id)
		} else {
			seen[k] = true
		}
	}
	return nil
}

// A million bodies on five keys, none of which hears of another, with equal text and time; that signing
// them would change nothing is the definition of the id (SPEC 3.8). Then ids as a node makes them.
func TestReq_4_1_9_MessageIds(t *testing.T) {
	const each = 200_000
	ids := make([]wire.MID, 0, 5*each)
	for k := range 5 {
		im := wire.IM{From: identity.Address{byte(k + 1)}, To: identity.Address{9}, Device: identity.DeviceID{byte(k + 1)}, Sent: 1, Expires: 2, ContentType: "text/plain", Content: []byte("hi"), ArSeq: 1}
		r := randomOf("node", k)
		var b []byte
		for range each {
			_, _ = r.Read(im.Nonce[:])
			b = im.Append(b[:0])
			ids = append(ids, wire.Signed{Body: b}.ID())
		}
	}
	if err := distinct(ids); err != nil {
		t.Error(err)
	}
	if distinct(append(ids, ids[0])) == nil {
		t.Error("a planted duplicate is not found")
	}
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		s := alice.send(bob, "x")
		text := s.ID.String()
		if len(text) != 40 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("id %q", text)
		}
		c := w.hostile("carol")
		im := c.im(bob, "x")
		h := sha256.Sum256(append([]byte("hum/1\x00mid\x00"), im.Body...))
		if again := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h[:25])); again != im.ID().String() {
			t.Errorf("recomputed as %s, not %v", again, im.ID())
		}
		for i := range im.Body {
			b := append([]byte{}, im.Body...)
			b[i] ^= 1
			if (wire.Signed{Body: b}).ID() == im.ID() {
				t.Fatalf("octet %d does not count", i)
			}
		}
	})
}

func TestReq_S22_IdsWithoutState(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		one := alice.delivers(bob, "the same")
		alice.kill(testnet.Crash)
		alice.up()
		two := alice.send(bob, "the same")
		if one.ID == two.ID {
			t.Error("a restart gives an id again")
		}
		w.within(15*time.Second, "both are there", func() bool { return bob.has("the same") == 2 })
	})
}

// The eight cases of the check. A message too large is refused before it is queued, where the sender
// sees it; what Carol sends all the same gets the answer on the wire. An address that lives nowhere
// ends by the message's expiry (SPEC 2.3), as does a bad signature of Alice's own, which she cannot make.
func TestReq_4_2_1_EveryOutcome(t *testing.T) {
	for name, f := range map[string]struct {
		fate string
		do   func(w *world, alice, bob *person)
	}{
		"ok":      {"delivered", func(w *world, alice, bob *person) {}},
		"closed":  {"failed(closed)", func(w *world, alice, bob *person) { bob.basic(wire.Closed) }},
		"refused": {"failed(refused)", func(w *world, alice, bob *person) { _, err := bob.Block(ctx(), alice.address(), "im"); w.must(err) }},
		"killed":  {"failed(unreachable)", func(w *world, alice, bob *person) { bob.kill(testnet.Crash) }},
		"dark":    {"failed(unreachable)", func(w *world, alice, bob *person) { bob.kill(testnet.Blackout) }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				alice, bob := w.person("alice"), w.person("bob")
				alice.add(bob)
				alice.delivers(bob, "before")
				f.do(w, alice, bob)
				s := alice.send(bob, "this one")
				alice.comesTo(s, f.fate, 25*time.Second)
				time.Sleep(time.Minute)
				if got := alice.fate(s); got != f.fate {
					t.Errorf("it does not stay %s: %s", f.fate, got)
				}
			})
		})
	}
	t.Run("handed on", func(t *testing.T) { // by a gateway: the one outcome that nobody can know (SPEC 8)
		inWorld(t, func(w *world) {
			alice, door := w.person("alice"), w.person("door")
			door.down()
			w.must(os.WriteFile(filepath.Join(door.home, "config.toml"), []byte("gateway = true\n"), 0o600))
			door.up()
			alice.add(door)
			s := alice.send(door, "to a pager")
			alice.comesTo(s, "delivered(gateway)", soon)
			w.leads(alice.way(s.ID), "queued", "acked: delivered (gateway) [ack ")
			none := uint8(0)
			round := alice.draft(node.Draft{To: addressOf(door), Content: []byte("round and round"), Hops: &none})
			alice.comesTo(round, "failed(too-many-hops)", soon)
		})
	})
	t.Run("no inbox", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, bob := w.person("alice"), w.person("bob", only(identity.Presentity))
			alice.add(bob)
			alice.comesTo(alice.send(bob, "x"), "failed(no-im-service)", soon)
		})
	})
	t.Run("too large", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
			alice.add(bob)
			_, err := alice.Send(ctx(), node.Draft{To: "bob", Content: make([]byte, wire.MaxContent+1)})
			if code(err) != "too-large" {
				t.Errorf("alice is told %q", code(err))
			}
			im := c.im(bob, strings.Repeat("x", 5<<10)) // a stranger may send 4 KiB
			c.post(bob, im, c.records...)
			if v := c.verdict(bob, im); v != "failed(too-large)" {
				t.Errorf("carol is told %s", v)
			}
		})
	})
	t.Run("bad signature", func(t *testing.T) {
		inWorld(t, func(w *world) {
			bob, c := w.person("bob"), w.hostile("carol")
			im := c.im(bob, "x")
			im.Sig[0] ^= 1
			c.post(bob, im, c.records...)
			if v := c.verdict(bob, im); v != "failed(bad-signature)" {
				t.Errorf("carol is told %s", v)
			}
		})
	})
}

// A peer that takes a Parcel and answers nothing is what a stopped process looks like once it has read.
func TestReq_4_2_1_TakenAndNeverAnswered(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, c := w.person("alice"), w.hostile("carol")
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		s := alice.draft(node.Draft{To: "carol", Content: []byte("say something"), Expires: 20 * time.Second})
		alice.comesTo(s, "handed", soon)
		alice.comesTo(s, "failed(unconfirmed)", 20*time.Second+2*identity.Skew+5*time.Second)
	})
}

// Carol's machine takes a message and dies, and she is back on another before anybody notices: her second
// connection stands when the first one ends, so that she was never away. What the dead machine took is sent
// again at once, not when the schedule says so.
func TestReq_5_4_1_TakenByAMachineThatDied(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, c := w.person("alice"), w.hostile("carol")
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		s := alice.draft(node.Draft{To: "carol", Content: []byte("are you there?"), Expires: time.Hour})
		alice.comesTo(s, "handed", soon)
		time.Sleep(20 * time.Second) // the tries at 5 and 15 s; the next is at 60 s
		again := w.hostile("carol")
		again.meet(alice)
		time.Sleep(soon)
		if n := len(again.opened(alice)); n != 0 {
			t.Fatalf("the planted fault is not there: %d came before the first machine was gone", n)
		}
		w.net.Kill(c.ip, testnet.Crash)
		w.soonly("it comes to the second machine", func() bool { return len(again.opened(alice)) == 1 })
		time.Sleep(10 * time.Second)
		if n := len(again.opened(alice)); n != 1 {
			t.Errorf("it came %d times", n)
		}
	})
}

// S27: what is on disk when the ack leaves is what a crash in that instant leaves. A loss of power, which
// takes unsynced pages too, is looked at in the system calls of a whole process: the sync has ended before
// the ack is written (testnet/process, TestReq_S27_SyncBeforeAck, and its planted fault).
func TestReq_S27_AckedIsOnDisk(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		kept := func(text string) error {
			bob.kill(testnet.Crash)
			bob.up()
			if n := bob.has(text); n != 1 {
				return fail("%q is in the inbox %d times after the crash", text, n)
			}
			return nil
		}
		for i := range 5 {
			text := fmt.Sprint("kept ", i)
			s := alice.send(bob, text)
			acks := len(alice.got.frames(bob.ip))
			w.within(20*time.Second, "an ack", func() bool { return len(alice.got.frames(bob.ip)) > acks && alice.fate(s) == "delivered" })
			w.must(kept(text))
		}
		w.net.Cut(alice.ip, bob.ip)
		alice.send(bob, "on its way")
		w.finds("a message that was not acked", kept("on its way"))
	})
}

// Two native final states; only failed may still become delivered, on a late word of the recipient.
func TestReq_S28_TwoFinalStates(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice) // or he would keep twenty
		var sent []node.Sent
		for i := range 40 {
			sent = append(sent, alice.send(bob, fmt.Sprint("n ", i)))
			if i%10 == 9 {
				w.net.Cut(alice.ip, bob.ip)
				time.Sleep(15 * time.Second)
				w.net.Join(alice.ip, bob.ip)
			}
		}
		time.Sleep(20*time.Second + 2*identity.Skew + 5*time.Second)
		w.must(allSettled(alice, bob, sent))
	})
}

// allSettled is the check that every message is delivered or failed, that what is delivered is in the inbox
// once, and that nothing is there twice.
func allSettled(alice, bob *person, sent []node.Sent) error {
	count := map[string]int{}
	for _, text := range bob.inbox() {
		count[text]++
	}
	fates := alice.fates()
	for _, s := range sent {
		now, text := fates[s.ID], string(s.Content)
		switch {
		case now.State != "delivered" && now.State != "failed":
			return fail("%q is %s", text, now.State)
		case now.State == "delivered" && count[text] != 1, count[text] > 1:
			return fail("%q is %s, and in the inbox %d times", text, now.State, count[text])
		}
	}
	return nil
}

// Bob can read what Alice sends (RFC 2779, 5.4.8): with a key that he has changed since, in its time of grace; after
// that its sender is told at once, and seals anew. A suite that is not his is not taken.
func TestReq_5_4_8_BobCanReadIt(t *testing.T) {
	const day = 24 * time.Hour
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		bob.add(alice)
		first := c.bundleOf(bob)
		ahead := time.Duration(0) // of all clocks: nothing need run for weeks
		away := func(d time.Duration) {
			for _, p := range []*person{alice, bob} {
				p.down()
				p.clock.Step(d)
				p.up()
			}
			ahead += d
			time.Sleep(time.Minute)
		}
		then := func(im *wire.IM) { im.Sent, im.Expires = now().Add(ahead), now().Add(ahead+time.Hour) }
		away(8 * day)
		if second := c.bundleOf(bob); recipients(second)[0].Kid == recipients(first)[0].Kid {
			t.Fatal("bob has not changed his key")
		}
		records := c.recordsAt(now().Add(ahead), [32]byte{1})
		late := c.im(bob, "by the key of last week", then)
		if s := c.hand(bob, c.seal(first, late, records...)); s != wire.OK || c.verdict(bob, late) != "delivered" {
			t.Errorf("by a key in its grace: %v, %s", s, c.verdict(bob, late))
		}
		away(22 * day)
		alice.comesTo(alice.draft(node.Draft{To: "bob", Content: []byte("by the newest")}), "delivered", 5*time.Minute)
		time.Sleep(2 * time.Hour) // a key goes once the clock of a contact says too that its time is over
		if s := c.hand(bob, c.seal(first, c.im(bob, "by a key that is gone", then))); s != wire.NO_KEY {
			t.Errorf("by a key that is gone: %v", s)
		}
		im := c.im(bob, "in a suite of the future", then)
		p, err := wire.ParseParcel(c.seal(c.bundleOf(bob), im, records...))
		w.must(err)
		p.Suite = 2
		c.hand(bob, p.Append(nil))
		if v := c.verdict(bob, im); v != "silence" || bob.has("in a suite of the future") != 0 {
			t.Errorf("of an unknown suite: %s", v)
		}
	})
}
