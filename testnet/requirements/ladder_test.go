package requirements

import (
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// steps are the names of what is known of a message's way on p's node, in order.
func (p *person) steps(s node.Sent) (out []string) {
	p.w.Helper()
	steps, err := p.Trace(ctx(), s.ID.String())
	p.w.must(err)
	for _, s := range steps {
		out = append(out, s.Step)
	}
	return out
}

// What nobody has taken is taken back: it is never handed over, and ends as cancelled (SPEC 5.5).
func TestReq_4_2_1_CancelBeforeHandOver(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		bob.kill(testnet.Blackout)
		back := alice.draft(node.Draft{To: "bob", Content: []byte("taken back"), Expires: time.Hour})
		time.Sleep(2 * time.Second) // a try runs into the dark: cancelling waits for its end
		began := time.Now()
		s, err := alice.Cancel(ctx(), back.ID.String())
		w.must(err)
		if s.State != "failed" || s.Reason != wire.ReasonCancelled {
			t.Errorf("it is %s (%v)", s.State, s.Reason)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("cancelling took %v", took)
		}
		if _, err := alice.Cancel(ctx(), back.ID.String()); code(err) != "settled" {
			t.Errorf("cancelled twice: %v", err)
		}
		stays := alice.draft(node.Draft{To: "bob", Content: []byte("stays"), Expires: time.Hour})
		bob.up()
		alice.comesTo(stays, "delivered", 5*time.Minute)
		time.Sleep(time.Hour)
		if got := bob.inbox(); !slices.Equal(got, []string{"stays"}) || alice.fate(back) != "failed(cancelled)" {
			t.Errorf("bob has %q, alice's is %s", got, alice.fate(back))
		}
		if _, err := alice.Cancel(ctx(), stays.ID.String()); code(err) != "settled" {
			t.Errorf("what was delivered: %v", err)
		}
		if got := alice.steps(back); got[len(got)-1] != "cancelled" {
			t.Errorf("the trace says %q", got)
		}
	})
}

// What was handed over, or may have been, is not taken back: its fate is learnt (SPEC 5.5).
func TestReq_4_2_1_CancelAfterHandOver(t *testing.T) {
	t.Run("handed", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, c := w.person("alice"), w.hostile("carol")
			_, err := alice.Add(ctx(), c.card(), "carol")
			w.must(err)
			s := alice.draft(node.Draft{To: "carol", Content: []byte("taken and not answered"), Expires: time.Minute})
			alice.comesTo(s, "handed", soon)
			if _, err := alice.Cancel(ctx(), s.ID.String()); code(err) != "handed" {
				t.Errorf("cancelled: %v", err)
			}
			alice.comesTo(s, "failed(unconfirmed)", time.Minute+2*identity.Skew+5*time.Second)
		})
	})
	t.Run("in doubt", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, bob := w.person("alice"), w.person("bob")
			alice.add(bob)
			bob.add(alice)
			alice.delivers(bob, "the stream stands")
			w.net.Cut(alice.ip, bob.ip)
			s := alice.draft(node.Draft{To: "bob", Content: []byte("into a cut line"), Expires: time.Hour})
			time.Sleep(30 * time.Second) // the frame went out, and nobody answered
			if _, err := alice.Cancel(ctx(), s.ID.String()); code(err) != "handed" {
				t.Errorf("cancelled: %v", err)
			}
			w.net.Join(alice.ip, bob.ip)
			alice.comesTo(s, "delivered", 20*time.Minute)
		})
	})
}

// unheard has a message committed by bob whose answer is lost, as his machine loses power: it is in his inbox,
// and alice was not told.
func unheard(w *world, alice, bob *person, text string) node.Sent {
	w.Helper()
	alice.add(bob)
	bob.add(alice)
	alice.delivers(bob, "before")
	w.net.Set(alice.ip, bob.ip, testnet.Link{Latency: time.Second}) // long enough to lose the answer on its way
	s := alice.draft(node.Draft{To: "bob", Content: []byte(text), Expires: time.Minute})
	w.within(30*time.Second, "bob has it", func() bool { return bob.has(text) == 1 })
	bob.kill(testnet.Blackout)
	alice.comesTo(s, "failed(unreachable)", 2*time.Minute+2*identity.Skew)
	w.net.Set(alice.ip, bob.ip, testnet.Link{Latency: 10 * time.Millisecond})
	return s
}

// A message that ended without a word is sent again, and never shown twice: bob, who has the first, takes the
// second for it, and alice learns that both were delivered (SPEC 5.4, 5.5).
func TestReq_5_4_2_ResendIsNotShownTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		s := unheard(w, alice, bob, "did you get this?")
		again, err := alice.Resend(ctx(), s.ID.String(), time.Hour)
		w.must(err)
		if _, err := alice.Resend(ctx(), s.ID.String(), 0); code(err) != "resent" {
			t.Errorf("sent again twice: %v", err)
		}
		bob.up()
		alice.comesTo(again, "delivered", 20*time.Minute)
		if n := bob.has("did you get this?"); n != 1 {
			t.Errorf("bob has it %d times", n)
		}
	})
}

// One that never arrived arrives by its second sending, and both end delivered; a third finds nothing to do.
func TestReq_5_4_1_ResendArrives(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		alice.delivers(bob, "before")
		bob.kill(testnet.Crash)
		s := alice.send(bob, "lost at first")
		alice.comesTo(s, "failed(unreachable)", 30*time.Second)
		again, err := alice.Resend(ctx(), s.ID.String(), time.Hour)
		w.must(err)
		alice.kill(testnet.Crash) // what was promised outlives this
		alice.up()
		bob.up()
		alice.comesTo(again, "delivered", 20*time.Minute)
		alice.comesTo(s, "delivered", soon) // by the word that names both
		if n := bob.has("lost at first"); n != 1 {
			t.Errorf("bob has it %d times", n)
		}
		if _, err := alice.Resend(ctx(), s.ID.String(), 0); code(err) != "settled" {
			t.Errorf("what was delivered is sent again: %v", err)
		}
	})
}

// What is refused, under way, or over for too long is not sent again, and the user is told why.
func TestReq_4_2_1_ResendRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		alice.delivers(bob, "before")
		bob.basic(wire.Closed)
		refused := alice.send(bob, "refused")
		alice.comesTo(refused, "failed(closed)", soon)
		bob.kill(testnet.Crash)
		old := alice.send(bob, "old")
		alice.comesTo(old, "failed(unreachable)", 30*time.Second)
		open := alice.draft(node.Draft{To: "bob", Content: []byte("open"), Expires: time.Hour})
		for s, want := range map[wire.MID]string{refused.ID: "settled", open.ID: "under-way"} {
			if _, err := alice.Resend(ctx(), s.String(), 0); code(err) != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
		alice.down() // who is on says so each minute, all that time
		time.Sleep(wire.ResendWindow + time.Minute)
		alice.up()
		if _, err := alice.Resend(ctx(), old.ID.String(), 0); code(err) != "too-late" {
			t.Errorf("too late: %v", err)
		}
	})
}
