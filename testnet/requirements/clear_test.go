package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// takesClear has p take what is not protected.
func (p *person) takesClear() {
	p.w.Helper()
	take := "take"
	_, err := p.SetPolicy(ctx(), node.PolicyEdit{Clear: &take})
	p.w.must(err)
}

// one is the message of p's inbox with that text.
func (p *person) one(text string) (m node.Received) {
	p.w.Helper()
	rows, err := p.Inbox(ctx(), node.InboxQuery{})
	p.w.must(err)
	for _, r := range rows {
		if string(r.Content) == text {
			return r
		}
	}
	p.w.Errorf("%s has no message %q", p.name, text)
	return m
}

// Nobody must protect what he writes, and nobody must take what is not protected.
func TestReq_2_5_4_ForWhoeverWants(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, lax, strict := w.person("alice"), w.person("lax"), w.person("strict")
		lax.takesClear()
		lax.add(alice)
		for _, p := range []*person{lax, strict} {
			alice.add(p)
			alice.delivers(p, "protected, as by default")
			if m := p.one("protected, as by default"); !m.Verified || m.Clear {
				t.Errorf("the default is shown as verified %v, in the clear %v", m.Verified, m.Clear)
			}
		}
		for _, x := range []struct {
			clear, unsigned bool
			strict          string
		}{{true, false, "no-common-suite"}, {false, true, "signature-required"}, {true, true, "signature-required"}} {
			d := node.Draft{To: addressOf(lax), Content: []byte("plainly " + x.strict), Clear: x.clear, Unsigned: x.unsigned, Expires: time.Minute}
			if x.clear && x.unsigned {
				d.Content = []byte("plainly both")
			}
			s := alice.draft(d)
			alice.comesTo(s, "delivered", soon)
			m := lax.one(string(d.Content))
			if m.Verified == x.unsigned || m.Clear != x.clear || x.unsigned && (m.FromName != "" || !m.FirstContact) {
				t.Errorf("%q is shown as verified %v, in the clear %v, from %q", d.Content, m.Verified, m.Clear, m.FromName)
			}
			d.To = addressOf(strict)
			if _, err := alice.Send(ctx(), d); code(err) != x.strict {
				t.Errorf("%q to the strict: %v", d.Content, err)
			}
		}
		alice.delivers(strict, "protected still")
		if n := len(strict.inbox()); n != 2 {
			t.Errorf("the strict has %d messages", n)
		}
		alice.down()
		lax.down()
		alice.up()
		lax.up()
		if m := lax.one("plainly both"); m.Verified || !m.Clear {
			t.Error("forgotten how it came")
		}
		if lax.one("plainly no-common-suite").Verified != true {
			t.Error("what was signed and not sealed is not verified")
		}
	})
}

// Whoever does not ask first is answered by name; what is readable on the wire is what was not sealed, and
// nothing else.
func TestReq_2_5_4_RefusedByName(t *testing.T) {
	inWorld(t, func(w *world) {
		lax, strict, c := w.person("lax"), w.person("strict"), w.hostile("carol")
		lax.takesClear()
		w.must(bobKnows(lax, c))
		w.must(bobKnows(strict, c))
		for how, x := range map[string]struct {
			edit        func(*wire.IM)
			signed      bool
			lax, strict string
		}{
			"in the clear":                        {nil, true, "delivered", "failed(no-common-suite)"},
			"in the clear, unsigned":              {unsignedIM, false, "delivered", "failed(signature-required)"},
			"a foreign device, and no word of it": {nil, false, "failed(bad-signature)", "failed(no-common-suite)"},
		} {
			for p, want := range map[*person]string{lax: x.lax, strict: x.strict} {
				im := c.im(p, how, func(im *wire.IM) {
					if x.edit != nil {
						x.edit(im)
					}
				})
				if !x.signed {
					im = c.signedBy(identity.NewSigningKey([32]byte{77}), im)
				}
				c.postClear(p, im, c.records...)
				if v := c.verdict(p, im); v != want {
					t.Errorf("%s, to the %s: %s, want %s", how, p.name, v, want)
				}
			}
		}
	})
}

// An unsigned message has no more of the name on it than that: not a contact's place, no earlier message that it
// stands for, and no word of what the owner has decided about the name.
func TestReq_2_5_4_AClaimIsNoName(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, c := w.person("bob"), w.person("alice"), w.hostile("carol")
		bob.takesClear()
		bob.add(alice)
		alice.add(bob)
		as := func(edit func(*wire.IM)) wire.Signed {
			return c.signedBy(identity.NewSigningKey([32]byte{78}), c.im(bob, "it is me, alice", func(im *wire.IM) {
				unsignedIM(im)
				im.From = alice.Self().Address
				edit(im)
			}))
		}
		real := alice.send(bob, "the real one")
		alice.comesTo(real, "delivered", soon)
		im := as(func(im *wire.IM) {})
		c.postClear(bob, im)
		if v := c.verdict(bob, im); v != "delivered" {
			t.Errorf("it is %s", v)
		}
		if m := bob.one("it is me, alice"); m.Verified || m.FromName != "" || !m.FirstContact {
			t.Errorf("shown as %+v", m)
		}
		with, err := bob.History(ctx(), node.HistoryQuery{Who: "alice"})
		w.must(err)
		for _, l := range with.Lines {
			if l.Received != nil && !l.Received.Verified {
				t.Error("it stands in the conversation with alice")
			}
		}
		picture := as(func(im *wire.IM) { im.ContentType = "image/png" })
		c.postClear(bob, picture)
		if v := c.verdict(bob, picture); v != "failed(unsupported-type)" {
			t.Errorf("a picture in a contact's name is %s", v)
		}
		// A later message of hers that carol names beforehand still arrives.
		next := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("and another"), Expires: time.Minute})
		named := as(func(im *wire.IM) { im.ResendOf = next.ID; im.Content = []byte("instead") })
		c.postClear(bob, named)
		alice.comesTo(next, "delivered", soon)
		if bob.has("and another") != 1 {
			t.Error("alice's own message was suppressed")
		}
		_, err = bob.Block(ctx(), addressOf(alice), "both")
		w.must(err)
		blocked := as(func(im *wire.IM) { im.Content = []byte("in a blocked name") })
		c.postClear(bob, blocked)
		if v := c.verdict(bob, blocked); v != "delivered" || bob.has("in a blocked name") != 0 {
			t.Errorf("in a blocked name: %s, shown %d times", v, bob.has("in a blocked name"))
		}
	})
}

func unsignedIM(im *wire.IM) { im.Ext = append(im.Ext, wire.Ext{Name: wire.ExtUnsigned}) }

// signedBy is a message under another key, which its body names.
func (c *hostile) signedBy(key identity.SigningKey, s wire.Signed) wire.Signed {
	im, err := wire.ParseIM(s.Body)
	c.w.must(err)
	im.Device = identity.DeviceIDOf(key.Public())
	return wire.Sign(key, wire.TypeIM, im.Append(nil))
}

// postClear hands over what is not sealed.
func (c *hostile) postClear(p *person, s wire.Signed, attached ...wire.Signed) {
	c.w.Helper()
	ct, cek, err := wire.ClearInner(wire.Inner{Signed: s, Attached: attached})
	c.w.must(err)
	c.mu.Lock()
	c.keys[wire.AckTag(cek)] = cek
	c.mu.Unlock()
	c.hand(p, wire.Parcel{CT: ct}.Append(nil))
}

// What is sent again goes as its user wanted it; what nobody signed is not, as it might be shown twice (SPEC 5.5,
// 14.7).
func TestReq_2_5_4_SentAgainTheSame(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, lax := w.person("alice"), w.person("lax")
		lax.takesClear()
		lax.add(alice)
		alice.add(lax)
		alice.delivers(lax, "before")
		lax.kill(testnet.Crash)
		clear := alice.draft(node.Draft{To: addressOf(lax), Content: []byte("for all to see"), Clear: true, Expires: 20 * time.Second})
		unsigned := alice.draft(node.Draft{To: addressOf(lax), Content: []byte("by nobody"), Unsigned: true, Expires: 20 * time.Second})
		alice.comesTo(clear, "failed(unreachable)", time.Minute)
		alice.comesTo(unsigned, "failed(unreachable)", time.Minute)
		lax.up()
		if _, err := alice.Resend(ctx(), unsigned.ID.String(), time.Hour); code(err) != "unsigned" {
			t.Errorf("what is not signed is sent again: %v", err)
		}
		again, err := alice.Resend(ctx(), clear.ID.String(), time.Hour)
		w.must(err)
		alice.comesTo(again, "delivered", 20*time.Minute)
		if m := lax.one("for all to see"); !m.Clear || !m.Verified {
			t.Errorf("it came sealed: %+v", m)
		}
	})
}
