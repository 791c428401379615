package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestPresenceIsFollowed leads one subscription from the request through every state that a user can show,
// and looks at the events that tell of it.
func TestPresenceIsFollowed(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	ctx := t.Context()
	alice.befriend(bob)
	began := time.Now()
	must(alice.Watch(ctx, "bob", "alice here", 0))(t)
	alice.stands(bob, presence.Pending, 0)
	if d := time.Since(began); d < wire.AnswerDelay {
		t.Errorf("answered after %v, sooner than after %v", d, wire.AnswerDelay)
	}
	if r := must(bob.Requests(ctx))(t); len(r) != 1 || r[0].Text != "alice here" || r[0].Claimed != "alice" {
		t.Errorf("requests: %+v", r)
	}
	must(bob.Approve(ctx, "alice"))(t)
	alice.sees(bob, "open said")
	bob.im(wire.Away)
	alice.sees(bob, "open away said")
	bob.says("back at four")
	alice.sees(bob, "open away back at four said")
	must(bob.Offline(ctx))(t)
	alice.sees(bob, "closed said")
	bob.im(wire.Available)
	alice.sees(bob, "open back at four said")
	if w := must(bob.Watchers(ctx))(t); len(w) != 1 || w[0].State != "active" || w[0].Expires.IsZero() {
		t.Errorf("watchers: %+v", w)
	}
	want := []string{"open available", "open away", "open away back at four", "closed", "open available back at four"}
	if got := alice.told("presence", bob); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if got := alice.told("subscription", bob); !slices.Equal(got, []string{"requested", "pending", "active"}) {
		t.Errorf("told of the subscription %q", got)
	}
	eventually(t, "bob is told, once in 5 s at most", func() bool {
		return slices.Equal(bob.told("request", alice), []string{"pending alice here", "active alice here"})
	})
}

// TestCrash shows a lapse where nobody could sign off, and the return without any command.
func TestCrash(t *testing.T) {
	t.Parallel()
	alice, bob := settle(t, "alice"), settle(t, "bob")
	bob.ttl = 2 * time.Second
	alice.up()
	bob.up()
	alice.subscribe(bob)
	asked := alice.told("subscription", bob)
	bob.crash()
	alice.sees(bob, "closed lapsed")
	bob.up()
	alice.sees(bob, "open said")
	bob.says("here again")
	alice.sees(bob, "open here again said")
	if got := alice.told("subscription", bob); len(got) != len(asked) {
		t.Errorf("the subscription changed: %q", got)
	}
}

// TestRestarts ends and starts both sides: everything goes on by itself, and a sign-off is no choice.
func TestRestarts(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.subscribe(bob)
	bob.im(wire.Busy)
	alice.sees(bob, "open busy said")
	bob.stop()
	alice.sees(bob, "closed said")
	bob.up()
	alice.sees(bob, "open busy said")
	alice.stop()
	bob.im(wire.Away)
	alice.up()
	if got := alice.shown(bob); got != "unknown cached" && got != "open away said" {
		t.Errorf("after her start alice sees %q", got)
	}
	alice.sees(bob, "open away said")
	eventually(t, "bob was told of the request and of his yes", func() bool { return len(bob.told("request", alice)) == 2 })
	must(bob.Offline(t.Context()))(t)
	alice.sees(bob, "closed said")
	bob.stop()
	bob.up()
	if !bob.closedTo(alice.self.Address) {
		t.Error("the choice to be offline was not kept")
	}
}

// TestRequestWaits asks while the presentity is down.
func TestRequestWaits(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	bob.stop()
	must(alice.Watch(t.Context(), "bob", "", 0))(t)
	alice.stands(bob, presence.Requested, 0)
	alice.stop()
	bob.up()
	alice.up()
	alice.stands(bob, presence.Pending, 0)
}

// TestAnswers leads one pair through every decision.
func TestAnswers(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	ctx := t.Context()
	alice.befriend(bob)
	ask := func() { t.Helper(); must(alice.Watch(ctx, "bob", "", 0))(t) }

	must(bob.Block(ctx, alice.address(), "presence"))(t)
	began := time.Now()
	ask()
	alice.stands(bob, presence.Denied, wire.ReasonPolicy) // a stranger who was blocked is told so, too
	if d := time.Since(began); d < wire.AnswerDelay {
		t.Errorf("refused after %v", d)
	}
	must(bob.Unblock(ctx, alice.address()))(t)

	ask()
	bob.requestOf(alice)
	must(bob.Deny(ctx, "alice", ""))(t)
	alice.stands(bob, presence.Denied, wire.ReasonPolicy)
	ask()
	alice.stands(bob, presence.Requested, 0)
	alice.stands(bob, presence.Denied, wire.ReasonPolicy) // at once, by the rule
	must(bob.Approve(ctx, alice.address()))(t)
	ask()
	alice.sees(bob, "open said")

	must(bob.Drop(ctx, "alice"))(t)
	alice.stands(bob, presence.Terminated, wire.ReasonPolicy)
	alice.sees(bob, "unknown unknown")
	ask()
	bob.requestOf(alice) // may ask again, and waits
	must(bob.Deny(ctx, "alice", "refused"))(t)
	alice.stands(bob, presence.Denied, wire.ReasonRefused)
	if _, err := bob.Deny(ctx, "alice", "refsued"); err == nil || !strings.Contains(err.Error(), "did you mean refused?") {
		t.Errorf("denied for no reason there is: %v", err)
	}
	must(bob.Drop(ctx, "alice"))(t)
	ask()
	bob.requestOf(alice)
	if l := must(bob.Requests(ctx))(t); len(l) != 1 || l[0].View != presence.DefaultView {
		t.Errorf("got %+v", l)
	}
	must(bob.Approve(ctx, "alice"))(t)
	alice.sees(bob, "open said")

	must(bob.Block(ctx, "alice", "both"))(t)
	alice.stands(bob, presence.Terminated, wire.ReasonPolicy)
	ask()
	alice.stands(bob, presence.Denied, wire.ReasonPolicy)
	must(bob.Unblock(ctx, "alice"))(t)
	ask()
	alice.sees(bob, "open said") // the yes from before the block

	was, _ := alice.Node.presence.watchingOf(bob.who.Address)
	must(alice.Unwatch(ctx, "bob"))(t)
	ask() // at once, before the end is confirmed
	alice.sees(bob, "open said")
	eventually(t, "the ended subscription is over at bob's", func() bool {
		return slices.ContainsFunc(bob.rowsOf(alice), func(w presence.Watcher) bool { return w.Sub == was.Sub && w.Ended })
	})

	must(alice.Unwatch(ctx, "bob"))(t)
	alice.sees(bob, "unknown unknown")
	eventually(t, "bob lists nobody", func() bool {
		return !slices.ContainsFunc(must(bob.Watchers(ctx))(t), func(s Subscription) bool { return s.State == "active" })
	})
	eventually(t, "alice's end is confirmed", func() bool { return !alice.watches(bob.who.Address) })
	if l := must(alice.Watching(ctx))(t); len(l) != 0 {
		t.Errorf("alice watches %+v", l)
	}
}

// TestLeaving shows that who left gets nothing new, and that the others miss nothing.
func TestLeaving(t *testing.T) {
	t.Parallel()
	alice, bob, carol := start(t, "alice"), start(t, "bob"), start(t, "carol")
	alice.subscribe(bob)
	carol.subscribe(bob)
	bob.says("for both")
	alice.sees(bob, "open for both said")
	carol.sees(bob, "open for both said")
	w, _ := alice.Node.presence.watchingOf(bob.who.Address)
	old := w.Grant

	must(bob.Block(t.Context(), "alice", "both"))(t)
	bob.says("not for alice")
	carol.sees(bob, "open not for alice said")
	alice.stands(bob, presence.Terminated, wire.ReasonPolicy)
	now, _ := carol.Node.presence.watchingOf(bob.who.Address)
	if now.Grant.E == old.E || now.Grant.K == old.K {
		t.Fatal("the epoch did not change")
	}
	for _, r := range held(t, alice, bob, old.E) {
		if r.IsBeacon() {
			continue
		}
		b, err := wire.OpenDoc(old.K, old.E, r.Tag, r.T, r.CT)
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := wire.ParseDoc(b); len(d.Notes) != 1 || d.Notes[0].Text != "for both" {
			t.Errorf("the old epoch tells %+v", d.Notes)
		}
	}
	if recs := held(t, alice, bob, now.Grant.E); len(recs) > 0 {
		if _, err := wire.OpenDoc(old.K, now.Grant.E, recs[0].Tag, recs[0].T, recs[0].CT); err == nil {
			t.Error("the old key opens the new epoch")
		}
	}
	bob.says("still not")
	carol.sees(bob, "open still not said")
	alice.sees(bob, "unknown unknown")
}

// held is what bob's node answers when somebody asks it for an epoch.
func held(t *testing.T, who, bob *actor, e wire.PublicKey) []wire.Rec {
	t.Helper()
	recs, _, err := who.net.Get(t.Context(), bob.net.Self(), e)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// TestMessagesOnly watches an address without presence.
func TestMessagesOnly(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob", identity.Inbox)
	ctx := t.Context()
	alice.befriend(bob)
	must(alice.Watch(ctx, "bob", "", 0))(t)
	alice.stands(bob, presence.Denied, wire.ReasonNoPresenceService)
	if len(must(bob.Requests(ctx))(t)) != 0 {
		t.Error("bob was asked")
	}
	if s := must(bob.Status(ctx))(t); s.Topics != 0 {
		t.Errorf("bob is on %d topics", s.Topics)
	}
	if _, err := alice.Watch(ctx, "bob", "", 0); err == nil {
		t.Error("alice could ask once more, though the record tells that there is nothing to watch")
	}
	if _, err := bob.Offline(ctx); err == nil {
		t.Error("bob could publish")
	}
}

// TestClocks sets clocks wrong and right again: nothing is locked, and no presence is believed meanwhile.
func TestClocks(t *testing.T) {
	for _, test := range []struct {
		name string
		step time.Duration
	}{
		{"an hour ahead", time.Hour}, {"a day ahead", 24 * time.Hour},
		{"an hour back", -time.Hour}, {"a day back", -24 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			alice, bob := start(t, "alice"), start(t, "bob")
			alice.subscribe(bob)
			asked := alice.told("subscription", bob)
			bob.says("before")
			alice.sees(bob, "open before said")

			alice.set(test.step)
			alice.sees(bob, "unknown unknown")
			alice.toldOfClock("clock-suspect")
			if !must(alice.Status(t.Context()))(t).ClockSuspect {
				t.Error("alice's clock is not suspect")
			}
			alice.set(-test.step)
			alice.sees(bob, "open before said")
			alice.toldOfClock("clock-ok")

			bob.set(test.step)
			bob.says("in between")
			time.Sleep(100 * time.Millisecond)
			bob.set(-test.step)
			bob.says("after")
			alice.sees(bob, "open after said")
			if got := alice.told("subscription", bob); len(got) != len(asked) {
				t.Errorf("the subscription changed: %q", got)
			}
		})
	}
}

// TestMonthsPass leads a subscription through epochs and renewals.
func TestMonthsPass(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.subscribe(bob)
	first, _ := alice.Node.presence.watchingOf(bob.who.Address)
	for range 10 {
		alice.pass(24 * time.Hour)
		bob.pass(24 * time.Hour)
		alice.sees(bob, "open said")
	}
	now, _ := alice.Node.presence.watchingOf(bob.who.Address)
	if now.State != presence.Active || now.Grant.E == first.Grant.E {
		t.Errorf("after ten days: %v, grant of day %v", now.State, now.Grant.NotBefore.Sub(first.Grant.NotBefore))
	}
	if s := must(bob.Status(t.Context()))(t); s.Topics > 3 {
		t.Errorf("bob is on %d topics", s.Topics)
	}
}
