package node

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// succeed moves a home, which is off, to the next address of its words.
func (a *actor) succeed(why identity.MoveReason) (old identity.Address) {
	a.t.Helper()
	s, err := SucceedHome(a.home, SuccessionConfig{Seed: a.seed, Reason: why, Clock: a.clock.now, Rand: rand.Reader})
	if err != nil {
		a.t.Fatal(err)
	}
	if s.Old != a.who.Address || s.Self.Address == s.Old || s.Self.Device == a.who.Device {
		a.t.Fatalf("%s moved from %v to %+v", a.who.Name, s.Old, s.Self)
	}
	a.who = s.Self
	return s.Old
}

// follows waits until a's roster has name at b's present address, and returns the row.
func (a *actor) follows(b *actor) Contact {
	a.t.Helper()
	var c Contact
	eventually(a.t, a.who.Name+" follows "+b.who.Name, func() bool {
		list := must(a.Contacts(a.t.Context()))(a.t)
		for _, row := range list {
			if row.Address == b.who.Address && row.Petname == b.who.Name {
				c = row
			}
		}
		return len(list) == 1 && c.Petname != ""
	})
	return c
}

func (a *actor) deliver(b *actor, text string) {
	a.t.Helper()
	s := must(a.Send(a.t.Context(), Draft{To: b.who.Name, Content: []byte(text)}))(a.t)
	ctx, end := context.WithTimeout(a.t.Context(), patience)
	defer end()
	got, err := a.WaitSent(ctx, s.ID.String())
	if err != nil || got.State != "delivered" {
		a.t.Fatalf("%s to %s: %+v, %v", a.who.Name, b.who.Name, got, err)
	}
}

// A stolen address key: bob leaves the address, and everything that alice said of him follows, but that she
// had compared his safety number, which is another one now.
func TestSuccession(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	ctx := t.Context()
	alice.subscribe(bob)
	bob.subscribe(alice)
	must(alice.Safety(ctx, SafetyQuery{Who: "bob", Confirm: true}))(t)
	number := must(alice.Safety(ctx, SafetyQuery{Who: "bob"}))(t)
	if theirs := must(bob.Safety(ctx, SafetyQuery{Who: "alice"}))(t); number.Number != theirs.Number || !number.Verified || theirs.Verified {
		t.Errorf("alice reads %+v, bob %+v", number, theirs)
	}
	grant, _ := bob.Node.presence.watchingOf(alice.who.Address)
	bob.stop()
	queued := must(alice.Send(ctx, Draft{To: "bob", Content: []byte("are you there?")}))(t)
	old := bob.succeed(identity.MovedCompromised)
	bob.up()

	c := alice.follows(bob)
	if c.Verified || !strings.Contains(c.Warning, "stolen") || !strings.Contains(c.Warning, "that you had compared") {
		t.Errorf("alice's roster: %+v", c)
	}
	now := must(alice.Safety(ctx, SafetyQuery{Who: "bob"}))(t)
	if now.Number == number.Number || now.Verified || now.Previous != old || now.Changed.IsZero() || now.Address != bob.who.Address {
		t.Errorf("alice reads %+v", now)
	}
	mine := must(bob.Safety(ctx, SafetyQuery{Who: "alice"}))(t)
	if mine.Number != now.Number || !strings.Contains(mine.Warning, "you have a new address") {
		t.Errorf("bob reads %+v", mine)
	}
	eventually(t, "the message to the old address has ended", func() bool {
		s := must(alice.Outbox(ctx, queued.ID.String()))(t)[0]
		return s.State == "failed" && s.Reason == wire.ReasonNoSuchInbox
	})
	// Presence both ways and messages both ways, with nobody asked again.
	alice.sees(bob, "open said")
	bob.sees(alice, "open said")
	alice.deliver(bob, "I see that you moved")
	bob.deliver(alice, "my laptop was stolen")
	if s := must(alice.Send(ctx, Draft{To: old.String(), Content: []byte("by the old name")}))(t); s.To != bob.who.Address || s.Warning == "" {
		t.Errorf("sent by the old address: %+v", s)
	}
	// What the thief holds of alice opens nothing more.
	if after, _ := bob.Node.presence.watchingOf(alice.who.Address); after.Grant.E == grant.Grant.E {
		t.Error("alice publishes in an epoch that the old address can read")
	}
	if w := must(alice.Watchers(ctx))(t); len(w) != 1 || w[0].Address != bob.who.Address {
		t.Errorf("alice's watchers: %+v", w)
	}
	told := alice.told("node", bob)
	if len(told) != 1 || !strings.HasPrefix(told[0], "successor bob has a new address since ") {
		t.Errorf("alice was told %q", told)
	}
	confirmed := must(alice.Safety(ctx, SafetyQuery{Who: "bob", Confirm: true}))(t)
	if !confirmed.Verified || confirmed.Warning != "" || confirmed.Compared.IsZero() {
		t.Errorf("after comparing: %+v", confirmed)
	}
	alice.stop() // and after a restart it is the same
	alice.up()
	if again := must(alice.Safety(ctx, SafetyQuery{Who: old.String()}))(t); !again.Verified || again.Number != now.Number {
		t.Errorf("after a restart: %+v", again)
	}
	eventually(t, "nobody is left to be told", func() bool {
		due, err := bob.dueNotices(func(notice, identity.Now) bool { return true })
		return err == nil && len(due) == 0
	})
}

// Alice was away for both moves: she is led through them in their order.
func TestSuccessionTwice(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.subscribe(bob)
	bob.befriend(alice)
	bob.deliver(alice, "hello")
	alice.stop()
	for range 2 {
		bob.stop()
		bob.succeed(identity.MovedAway)
		bob.up()
	}
	alice.up()
	alice.follows(bob)
	alice.sees(bob, "open said")
	bob.deliver(alice, "twice")
}

// Whoever asks the old address for records hears of the new one: alice is on bob's roster no more, so he
// cannot tell her by himself.
func TestSuccessionIsAskedFor(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	alice.deliver(bob, "hello")
	bob.stop()
	bob.succeed(identity.MovedLost)
	bob.open() // before it runs: nobody is to be told
	if err := bob.update(func(t *txn) error { return t.Delete(noticeRow(alice.who.Address)) }); err != nil {
		t.Fatal(err)
	}
	bob.stop()
	bob.up()
	must(alice.Send(t.Context(), Draft{To: "bob", Content: []byte("and now?")}))(t)
	alice.follows(bob)
	alice.deliver(bob, "found you")
}

// A second successor freezes bob until alice decides, either way.
func TestSecondSuccessor(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		alice, bob, other := start(t, "alice"), start(t, "bob"), settle(t, "other")
		ctx := t.Context()
		alice.subscribe(bob)
		bob.befriend(alice)
		bob.deliver(alice, "hello")
		bob.stop()
		first := bob.who
		old := bob.succeed(identity.MovedCompromised)
		bob.up()
		alice.follows(bob)
		alice.sees(bob, "open said")
		// Whoever holds the words too names another successor.
		second := identity.NewSuccessor(bob.seed, 0, 5, alice.now().Wall, identity.MovedAway)
		signed := wire.Sign(bob.seed.RecoveryKey(0), wire.TypeSuccessor, wire.AppendSuccessor(nil, second))
		if err := alice.update(func(t *txn) error {
			reason, err := alice.takeSuccessor(t, second, signed, records{})
			if reason != wire.ReasonNone {
				alice.t.Errorf("refused with %v", reason)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		_, _ = first, other
		if _, err := alice.Send(ctx, Draft{To: "bob", Content: []byte("x")}); err == nil || !strings.Contains(err.Error(), "hum safety bob") {
			t.Errorf("alice writes to either: %v", err)
		}
		held := must(bob.Send(ctx, Draft{To: "alice", Content: []byte("believe me")}))(t)
		if s := must(alice.Safety(ctx, SafetyQuery{Who: "bob"}))(t); len(s.Choices) != 2 || s.Verified || s.Warning == "" {
			t.Errorf("alice reads %+v", s)
		}
		if _, err := alice.Safety(ctx, SafetyQuery{Who: "bob", Confirm: true}); err == nil {
			t.Error("a frozen number was confirmed")
		}
		bob.says("still me")
		time.Sleep(300 * time.Millisecond)
		if got := alice.inboxOf(bob); got != 1 {
			t.Errorf("alice has %d messages of bob", got)
		}
		alice.stop() // it outlives a restart
		alice.up()
		if _, err := alice.Safety(ctx, SafetyQuery{Who: "bob", Accept: old.String()}); err == nil {
			t.Error("the old address was accepted")
		}
		if keep {
			must(alice.Safety(ctx, SafetyQuery{Who: "bob", Keep: true}))(t)
			bob.pass(2 * time.Minute)
			eventually(t, "what waited arrives", func() bool {
				return must(bob.Outbox(ctx, held.ID.String()))(t)[0].State == "delivered"
			})
			alice.sees(bob, "open still me said")
		} else {
			s := must(alice.Safety(ctx, SafetyQuery{Who: "bob", Accept: second.New.String()}))(t)
			if s.Address != second.New || s.Petname != "bob" || len(s.Choices) != 0 {
				t.Errorf("alice reads %+v", s)
			}
			w, _ := alice.Node.presence.watchingOf(second.New)
			if _, still := alice.Node.presence.watchingOf(bob.who.Address); still || w.State != presence.Requested {
				t.Errorf("alice watches %v, and bob %v", w.State, still)
			}
		}
		if _, err := alice.Safety(ctx, SafetyQuery{Who: "bob", Keep: true}); err == nil {
			t.Error("decided twice")
		}
	}
}

// inboxOf counts the messages of b that a holds.
func (a *actor) inboxOf(b *actor) (count int) {
	for _, m := range must(a.Inbox(a.t.Context(), InboxQuery{}))(a.t) {
		if m.FromName == b.who.Name {
			count++
		}
	}
	return count
}

// A move that was stopped before its keys were written did not happen; one that was stopped after is
// finished when the home is opened.
func TestSuccessionStopped(t *testing.T) {
	t.Parallel()
	bob := settle(t, "bob")
	bob.open()
	wrong := SuccessionConfig{Seed: identity.Seed{1}, Reason: identity.MovedLost, Clock: bob.clock.now, Rand: rand.Reader}
	if _, err := SucceedHome(bob.home, wrong); err == nil || !strings.Contains(err.Error(), "another hum") {
		t.Errorf("while a node runs: %v", err)
	}
	begun := succession{Old: bob.who.Address, New: identity.Address(bob.seed.AddressKey(1).Public())}
	if err := bob.update(func(t *txn) error { return put(t, movingRow, begun) }); err != nil {
		t.Fatal(err)
	}
	bob.stop()
	bob.open()
	if len(bob.left) != 0 || bob.Self().Address != bob.who.Address {
		t.Error("half a move happened")
	}
	bob.stop()
	if _, err := SucceedHome(bob.home, wrong); err == nil || !strings.Contains(err.Error(), "not the words") {
		t.Errorf("with other words: %v", err)
	}
	copied := filepath.Join(t.TempDir(), "before")
	if err := os.CopyFS(copied, os.DirFS(storeDir(bob.home))); err != nil {
		t.Fatal(err)
	}
	old := bob.succeed(identity.MovedLost)
	// The keys are on the disk, and of the store only that it was begun.
	if err := os.RemoveAll(storeDir(bob.home)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(storeDir(bob.home), os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	body := identity.NewSuccessor(bob.seed, 0, 1, bob.clock.now().Wall, identity.MovedLost)
	signed := wire.Sign(bob.seed.RecoveryKey(0), wire.TypeSuccessor, wire.AppendSuccessor(nil, body))
	if err := withStore(bob.home, nil, func(n *Node) error {
		return n.update(func(t *txn) error {
			return put(t, movingRow, succession{Old: old, New: bob.who.Address, Successor: signed.Append(nil)})
		})
	}); err != nil {
		t.Fatal(err)
	}
	bob.open()
	if len(bob.left) != 1 || bob.left[0].Old != old || !bob.answersFor(old) || len(bob.successors()) != 1 {
		t.Errorf("the move was not finished: %+v", bob.left)
	}
}
