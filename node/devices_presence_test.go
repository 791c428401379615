package node

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestTwoDevicesSeen shows a watcher one person with two devices, and goes on when one of them dies.
func TestTwoDevicesSeen(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	alice.subscribe(bob)
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	eventually(t, "alice sees both devices", func() bool { return len(alice.presenceOf(bob.who.Address).Tuples) == 2 })
	two.im(wire.Away)
	eventually(t, "alice sees what the second device says", func() bool { return alice.shown(bob) == "open away said" })
	before := len(alice.told("presence", bob))
	heard := func() time.Time { return alice.presenceOf(bob.who.Address).AsOf }
	leasePasses := func(there, gone *actor) { // and whoever is there says so all the time
		const beat = 70 * time.Second
		for range 3 {
			was := heard()
			there.pass(beat)
			gone.clock.move(beat, beat)
			eventually(t, "a beacon", func() bool { return heard().After(was) })
			alice.pass(beat)
		}
	}
	two.crash()
	leasePasses(bob, two)
	alice.sees(bob, "open said")
	for _, s := range alice.told("presence", bob)[before:] {
		if s != "open available" {
			t.Errorf("told %q while a device was there all the time", s)
		}
	}
	two.up()
	eventually(t, "alice sees both devices again", func() bool { return alice.shown(bob) == "open away said" })
	bob.crash()
	leasePasses(two, bob)
	eventually(t, "the second device is left", func() bool { return alice.shown(bob) == "open away said" })
}

// TestMessageToTwoDevices delivers a message to both inboxes, once, and its answer is in both outboxes.
func TestMessageToTwoDevices(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	alice.subscribe(bob)
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	eventually(t, "alice sees both devices", func() bool { return len(alice.presenceOf(bob.who.Address).Tuples) == 2 })
	two.stop()
	s := must(alice.Send(t.Context(), Draft{To: "bob", Content: []byte("are you there?")}))(t)
	eventually(t, "it is delivered", func() bool { return must(alice.Outbox(t.Context(), s.ID.String()))(t)[0].State == "delivered" })
	must(bob.OpenMessage(t.Context(), s.ID.String()))(t)
	must(bob.Reply(t.Context(), s.ID.String(), Draft{Content: []byte("yes")}))(t)
	two.up()
	eventually(t, "the second device has both messages", func() bool {
		in, out := must(two.Inbox(t.Context(), InboxQuery{}))(t), must(two.Outbox(t.Context(), ""))(t)
		return len(in) == 1 && !in[0].Displayed.IsZero() && len(out) == 1 && out[0].State == "delivered" && string(out[0].Content) == "yes"
	})
	again := must(alice.Send(t.Context(), Draft{To: "bob", Content: []byte("again")}))(t)
	eventually(t, "both have it", func() bool {
		return len(must(two.Inbox(t.Context(), InboxQuery{}))(t)) == 2 && len(must(bob.Inbox(t.Context(), InboxQuery{}))(t)) == 2
	})
	time.Sleep(time.Second)
	if got := must(two.Inbox(t.Context(), InboxQuery{}))(t); len(got) != 2 || got[1].ID != again.ID {
		t.Errorf("the second inbox holds %d messages", len(got))
	}
	if n := len(two.told("message", alice)); n != 3 { // received, displayed, received
		t.Errorf("%d events of messages: %q", n, two.told("message", alice))
	}
}

// TestClosedOnOneDevice keeps the inbox open as long as one device shows it open.
func TestClosedOnOneDevice(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	alice.subscribe(bob)
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	eventually(t, "the first device knows what the second shows", func() bool {
		open := false
		_ = bob.view(func(t *txn) (err error) { open, err = bob.openElsewhere(t, ""); return err })
		return open
	})
	must(bob.Offline(t.Context()))(t)
	alice.deliver(bob, "to whoever is there")
	must(two.Offline(t.Context()))(t)
	eventually(t, "nobody is there", func() bool {
		s := must(alice.Send(t.Context(), Draft{To: "bob", Content: []byte("hello?")}))(t)
		time.Sleep(300 * time.Millisecond)
		got := must(alice.Outbox(t.Context(), s.ID.String()))(t)[0]
		return got.State == "failed" && got.Reason == wire.ReasonClosed
	})
}

// TestBlockedOnOneDevice ends a subscription on all devices when it is ended on one.
func TestBlockedOnOneDevice(t *testing.T) {
	t.Parallel()
	bob, alice, dave := start(t, "bob"), start(t, "alice"), start(t, "dave")
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	alice.subscribe(bob)
	dave.subscribe(bob)
	eventually(t, "both devices know who watches", func() bool {
		return len(must(two.Watchers(t.Context()))(t)) == 2 && len(two.activeWatchers()) == 2
	})
	eventually(t, "alice reads both", func() bool { return len(alice.presenceOf(bob.who.Address).Tuples) == 2 })
	must(two.Block(t.Context(), alice.address(), ""))(t)
	eventually(t, "alice watches no more", func() bool {
		w, _ := alice.Node.presence.watchingOf(bob.who.Address)
		return w.State.String() == "terminated"
	})
	eventually(t, "the first device knows", func() bool { return len(bob.activeWatchers()) == 1 && len(must(bob.Blocks(t.Context()))(t)) == 1 })
	bob.says("not for alice")
	dave.sees(bob, "open not for alice said")
	time.Sleep(time.Second)
	if bob.epochs() != two.epochs() {
		t.Errorf("the epochs are %s and %s", bob.epochs(), two.epochs())
	}
}

func (a *actor) activeWatchers() (out []string) {
	for _, w := range must(a.Watchers(a.t.Context()))(a.t) {
		if w.State == "active" {
			out = append(out, w.Address.String())
		}
	}
	return out
}

// epochs names the live epochs of the default view.
func (a *actor) epochs() (out string) {
	_ = a.view(func(t *txn) error {
		v, _, err := a.loadView(t, "default")
		for _, e := range v.Publishing(t.now) {
			out += string("0123456789abcdef"[e.E[0]>>4]) + string("0123456789abcdef"[e.E[0]&15]) + string("0123456789abcdef"[e.E[1]>>4]) + " "
		}
		return err
	})
	return out
}

// TestGivenUpOnOneDevice: one device's request was never answered and is given up; neither that nor what the
// user does there afterwards ends the subscription of another. That he does not want to watch any more does.
func TestGivenUpOnOneDevice(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	bob.subscribe(alice)
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	eventually(t, "the second device watches too", func() bool { return two.shown(alice) == bob.shown(alice) })
	two.giveUp(alice)
	must(two.Add(t.Context(), alice.address(), "ally"))(t)
	eventually(t, "the first device has the name", func() bool { return bob.petname(alice.who.Address) == "ally" })
	if w, _ := bob.Node.presence.watchingOf(alice.who.Address); w.State != presence.Active {
		t.Errorf("the first device's subscription is %v", w.State)
	}
	if s := must(two.Unwatch(t.Context(), "ally"))(t); s.State != "none" {
		t.Errorf("unwatched: %+v", s)
	}
	eventually(t, "the first device watches no more", func() bool { return !bob.watches(alice.who.Address) })
	if _, err := two.Unwatch(t.Context(), "ally"); err == nil {
		t.Error("unwatched twice")
	}
	must(bob.Watch(t.Context(), "ally", "", 0))(t)
	eventually(t, "both watch again", func() bool { return bob.watches(alice.who.Address) && two.watches(alice.who.Address) })
	two.giveUp(alice)
	must(two.Forget(t.Context(), "ally"))(t)
	eventually(t, "nobody watches who was forgotten", func() bool { return !bob.watches(alice.who.Address) && bob.petname(alice.who.Address) == "" })
}

// giveUp ends a's subscription to b as after 30 days in vain.
func (a *actor) giveUp(b *actor) {
	a.t.Helper()
	if err := a.update(func(t *txn) error {
		w, _, err := a.watchingOf(t, b.who.Address)
		if w.State, w.Grant, w.Next = presence.None, nil, nil; err != nil {
			return err
		}
		return a.saveWatching(t, w, true)
	}); err != nil {
		a.t.Fatal(err)
	}
}
