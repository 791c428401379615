package requirements

import (
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// anew has the next request go on a stream of its own; those that were open stay so.
func (c *hostile) anew(p *person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, peerOf(p))
}

// What is wrong with a message is answered by name, and what comes again is shown once: one row for each way (SPEC 5.4,
// 9.1; seed asks S25 and S33). Fields that are wrong in turn, resets at each byte and floods have tests of their own.
func TestReq_S33_BadMessages(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, dora, c, m := w.person("bob"), w.person("dora"), w.hostile("carol"), w.hostile("mallory")
		for _, p := range []*person{bob, dora} {
			_, err := p.Add(ctx(), c.card(), "carol")
			w.must(err)
			c.meet(p)
		}
		good := c.im(bob, "good")
		parcel := c.seal(c.bundleOf(bob), good, c.records...)
		posted := func(im wire.Signed, records ...wire.Signed) func() string {
			return func() string { c.post(bob, im, records...); return c.verdict(bob, im) }
		}
		hands := func(h *hostile, b []byte) func() string {
			return func() string { return h.hand(bob, b).String() }
		}
		edited := func(text string, edit func(*wire.IM)) wire.Signed { return c.im(bob, text, edit) }
		early := edited("of the future", func(im *wire.IM) { im.Sent, im.Expires = now().Add(10*time.Minute), now().Add(time.Hour) })
		forged := edited("forged", func(*wire.IM) {})
		forged.Sig[5] ^= 1
		toDora := c.im(bob, "meant for bob")
		strange := recipients(c.bundleOf(bob))
		strange[0].Kid = identity.KeyID{1, 2, 3}
		sealed, err := wire.SealParcel(c.rand, c.newKey(), wire.Inner{Signed: c.im(bob, "by a key of nobody")}, strange, 0)
		w.must(err)
		suite, err := wire.ParseParcel(c.seal(c.bundleOf(bob), c.im(bob, "in another suite")))
		w.must(err)
		suite.Suite = 9
		mallorys := m.im(bob, "by whom nobody knows")
		for _, row := range []struct {
			name string
			do   func() string
			want string
			text string
			n    int // how often it is shown then
		}{
			{"as it should be", func() string { c.hand(bob, parcel); return c.verdict(bob, good) }, "delivered", "good", 1},
			{"again on its stream", func() string { c.hand(bob, parcel); return c.verdict(bob, good) }, "delivered", "good", 1},
			{"again on another stream", func() string { c.anew(bob); c.hand(bob, parcel); return c.verdict(bob, good) }, "delivered", "good", 1},
			{"again from another node", hands(m, parcel), wire.OK.String(), "good", 1},
			{"sealed anew for bob", posted(good, c.records...), "delivered", "good", 1},
			{"sealed anew for another", func() string { c.post(dora, toDora, c.records...); return c.verdict(dora, toDora) }, "failed(recipient-mismatch)", "meant for bob", 0},
			{"sealed by a key that he never had", hands(c, sealed.Append(nil)), wire.NO_KEY.String(), "by a key of nobody", 0},
			{"in a suite that he does not know", hands(c, suite.Append(nil)), wire.OK.String(), "in another suite", 0},
			{"signed by nobody", posted(forged, c.records...), "failed(bad-signature)", "forged", 0},
			{"of an author without records", func() string { m.post(bob, mallorys); return m.verdict(bob, mallorys) }, "failed(stale-record)", "by whom nobody knows", 0},
			{"too large", posted(c.im(bob, strings.Repeat("x", wire.MaxContent+1)), c.records...), "failed(too-large)", strings.Repeat("x", wire.MaxContent+1), 0},
			{"expired", posted(edited("expired", func(im *wire.IM) { im.Sent, im.Expires = now().Add(-2*time.Hour), now().Add(-time.Hour) })), "failed(expired)", "expired", 0},
			{"that lives too long", posted(edited("for ever", func(im *wire.IM) { im.Expires = im.Sent.Add(wire.IMMaxLife + time.Hour) })), "failed(expired)", "for ever", 0},
			{"of the future", posted(early), "failed(time)", "of the future", 0},
		} {
			if got := row.do(); got != row.want {
				t.Errorf("%s: it is answered %s, not %s", row.name, got, row.want)
			}
			if n := bob.has(row.text) + dora.has(row.text); n != row.n {
				t.Errorf("%s: it is shown %d times, not %d", row.name, n, row.n)
			}
		}
		time.Sleep(9 * time.Minute)
		c.post(bob, early, c.records...)
		w.within(soon, "its time has come", func() bool { return bob.has("of the future") == 1 })
		unseen := c.seal(c.bundleOf(bob), c.im(bob, "kept back"), c.records...)
		bob.clock.Step(30 * 24 * time.Hour)
		for _, b := range [][]byte{parcel, unseen} {
			c.hand(bob, b)
		}
		time.Sleep(soon)
		if bob.has("good") != 1 || bob.has("kept back") != 0 {
			t.Errorf("after 30 days: %d and %d", bob.has("good"), bob.has("kept back"))
		}
		w.finds("a message that is not kept", await(soon, "", func() bool { return bob.has("kept back") == 1 }))
	})
}

// Whoever acks wrongly settles nothing: the message stays handed over until its recipient's own word, or its end.
func TestReq_4_2_1_WrongAcks(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, c, m := w.person("alice"), w.hostile("carol"), w.hostile("mallory")
		c.answer[parcelProto] = c.withoutSessions
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		s := alice.draft(node.Draft{To: "carol", Content: []byte("hello"), Expires: 24 * time.Hour})
		alice.comesTo(s, "handed", soon)
		of := c.opened(alice)[0]
		right := wire.Ack{From: c.address(), To: alice.Self().Address, Device: c.device(), MIDs: []wire.MID{s.ID}, Disposition: wire.Delivered, At: now(), ArSeq: 1}
		push := func(key identity.SigningKey, cek [32]byte, edit func(*wire.Ack)) []byte {
			a := right
			edit(&a)
			return wire.SealAck(c.rand, cek, wire.Sign(key, wire.TypeAck, a.Append(nil))).Append(nil)
		}
		nothing := func(*wire.Ack) {}
		altered := push(c.d, of.CEK, nothing)
		altered[len(altered)-1] ^= 1
		for name, box := range map[string][]byte{
			"signed by another":               push(m.d, of.CEK, nothing),
			"in the name of another":          push(m.d, of.CEK, func(a *wire.Ack) { a.From, a.Device = m.address(), m.device() }),
			"signed by the address's own key": push(c.a, of.CEK, nothing),
			"of a device that signs not":      push(c.d, of.CEK, func(a *wire.Ack) { a.Device = m.device() }),
			"to somebody else":                push(c.d, of.CEK, func(a *wire.Ack) { a.To = m.address() }),
			"of another message":              push(c.d, of.CEK, func(a *wire.Ack) { a.MIDs = []wire.MID{{1}} }),
			"of an outcome that is none":      push(c.d, of.CEK, func(a *wire.Ack) { a.Disposition = 9 }),
			"under a key that is not its own": push(c.d, [32]byte{1}, nothing),
			"altered":                         altered,
		} {
			w.must(c.push(alice, parcelProto, wire.OpAckBox, box))
			time.Sleep(soon)
			if got := alice.fate(s); got != "handed" {
				t.Fatalf("by an ack %s the message is %s", name, got)
			}
		}
		w.must(c.push(alice, parcelProto, wire.OpAckBox, push(c.d, of.CEK, nothing)))
		alice.comesTo(s, "delivered", soon)
	})
}
