package requirements

import (
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
)

// opens has p open the newest message with a text.
func (p *person) opens(text string) {
	p.w.Helper()
	rows, err := p.Inbox(ctx(), node.InboxQuery{})
	p.w.must(err)
	for _, r := range rows {
		if string(r.Content) == text {
			_, err := p.OpenMessage(ctx(), r.ID.String())
			p.w.must(err)
			return
		}
	}
	p.w.Fatalf("%s has no %q", p.name, text)
}

// tells has p say what becomes of the wish to hear that a message was opened.
func (p *person) tells(class, who, word string) {
	p.w.Helper()
	_, err := p.SetPolicy(ctx(), node.PolicyEdit{Class: class, Who: who, Displayed: &word})
	p.w.must(err)
}

// S29: that a message was seen is a second word, said once it was opened, if its sender asks and its reader
// agrees: by class, and of one person. It waits for a sender who is away, and outlives a crash.
func TestReq_S29_SeenByTheUser(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		ask := func(text string) node.Sent {
			s := alice.draft(node.Draft{To: "bob", Content: []byte(text), Displayed: true, Expires: time.Hour})
			alice.comesTo(s, "delivered", soon)
			return s
		}
		stays := func(s node.Sent) {
			t.Helper()
			time.Sleep(time.Minute)
			if f := alice.fate(s); f != "delivered" {
				t.Errorf("%q is %s", s.Content, f)
			}
		}
		kept := ask("not agreed")
		bob.opens("not agreed")
		stays(kept)
		bob.tells("known", "", "tell")
		seen := ask("agreed")
		stays(seen) // it is never implied
		bob.opens("agreed")
		alice.comesTo(seen, "displayed", soon)
		bob.tells("", "alice", "keep")
		quiet := ask("not for her")
		bob.opens("not for her")
		stays(quiet)
		bob.tells("", "alice", "default")
		unasked := alice.delivers(bob, "not asked")
		bob.opens("not asked")
		stays(unasked)
		away := ask("opened while she is away")
		alice.kill(testnet.Blackout)
		bob.opens("opened while she is away")
		time.Sleep(time.Minute)
		bob.kill(testnet.Crash)
		bob.up()
		alice.up()
		alice.comesTo(away, "displayed", 2*time.Hour)
		time.Sleep(2 * time.Minute) // it is noted once the connection has stood
		if got := bob.steps(away); got[len(got)-1] != "told" {
			t.Errorf("bob's trace says %q", got)
		}
	})
}

// S30: who asks for nothing hears nothing of success, and all the same of failure; no second word leaves.
func TestReq_S30_NoResponseWanted(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		bob.tells("known", "", "tell")
		s := alice.draft(node.Draft{To: "bob", Content: []byte("no answer wanted"), Quiet: true, Expires: time.Minute})
		alice.comesTo(s, "delivered", soon)
		before := len(alice.got.frames(bob.ip))
		bob.opens("no answer wanted")
		time.Sleep(time.Second)
		if n := len(alice.got.frames(bob.ip)) - before; n > 0 {
			t.Errorf("%d frames left bob when he opened it", n)
		}
		bob.kill(testnet.Crash)
		lost := alice.draft(node.Draft{To: "bob", Content: []byte("into the void"), Quiet: true, Expires: 20 * time.Second})
		alice.comesTo(lost, "failed(unreachable)", 30*time.Second)
	})
}

// S31: an inbox that acknowledges nothing says so: its sender is told before and when he sends, his message ends
// unconfirmed and is there once, and a refusal is told all the same.
func TestReq_S31_ReceiptsAreNotCompulsory(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		alice.delivers(bob, "before")
		word := "refusals"
		_, err := bob.SetPolicy(ctx(), node.PolicyEdit{Acks: &word})
		w.must(err)
		bob.delivers(alice, "with the new record") // which is attached
		r, err := alice.Resolve(ctx(), "bob")
		w.must(err)
		if r.Acks != "refusals" {
			t.Errorf("before she writes she is told %q", r.Acks)
		}
		s := alice.send(bob, "are you there?")
		if !strings.Contains(s.Warning, "acknowledges no messages") {
			t.Errorf("when she writes she is told %q", s.Warning)
		}
		alice.comesTo(s, "failed(unconfirmed)", 20*time.Second+2*identity.Skew+5*time.Second)
		if n := bob.has("are you there?"); n != 1 {
			t.Errorf("bob has it %d times", n)
		}
		_, err = bob.Block(ctx(), alice.address(), "im")
		w.must(err)
		alice.comesTo(alice.send(bob, "refused"), "failed(refused)", soon)
		_, err = bob.Unblock(ctx(), alice.address())
		w.must(err)
		word = "all"
		_, err = bob.SetPolicy(ctx(), node.PolicyEdit{Acks: &word})
		w.must(err)
		again, err := alice.Resend(ctx(), s.ID.String(), time.Hour)
		w.must(err)
		alice.comesTo(again, "delivered", time.Minute)
		if n := bob.has("are you there?"); n != 1 {
			t.Errorf("after it was sent again bob has it %d times", n)
		}
		if alice.fate(s) != "failed(unconfirmed)" && alice.fate(s) != "delivered" {
			t.Errorf("the first is %s", alice.fate(s))
		}
	})
}
