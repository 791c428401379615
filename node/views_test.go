package node

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// edit makes or changes a view.
func (a *actor) edit(e ViewEdit) ViewOf {
	a.t.Helper()
	return must(a.EditView(a.t.Context(), e))(a.t)
}

// readable is every note and status that somebody can read in what he holds: the records of the epochs he was
// ever told of, as anybody serves them.
func (a *actor) readable(by *actor) (out []string) {
	a.t.Helper()
	w, _ := by.Node.presence.watchingOf(a.who.Address)
	if err := a.view(func(t *txn) error {
		keys, err := a.keysOf(t, by.who.Address)
		for _, g := range w.Grants() {
			if !keys[g.E] {
				a.t.Error("a key was told that is not remembered")
			}
		}
		return errors.Join(err, a.eachView(func(do func(*txn) error) error { return do(t) }, func(t *txn, view presence.View, _ presence.Publisher) error {
			for _, e := range view.Epochs {
				if !keys[e.E] {
					continue
				}
				docs, err := a.opened(t, view, e)
				if err != nil {
					return err
				}
				for _, d := range docs {
					out = append(out, d.shown.Notes...)
				}
			}
			return nil
		}))
	}); err != nil {
		a.t.Fatal(err)
	}
	return out
}

// TestViews: two watchers see different documents of one person at the same instant, and who is moved to another
// view sees that at once and nothing more of the old one.
func TestViews(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob, carol := start(t, "alice"), start(t, "bob"), start(t, "carol")
	bob.edit(ViewEdit{Name: "work", Show: []string{"activities"}})
	carol.befriend(bob)
	must(carol.Watch(ctx, "bob", "", 0))(t)
	bob.requestOf(carol)
	if s := must(bob.ApproveIn(ctx, carol.address(), "work"))(t); s.View != "work" {
		t.Errorf("carol is in %q", s.View)
	}
	alice.subscribe(bob)
	carol.sees(bob, "open said")

	before := len(carol.told("presence", bob))
	bob.says("secret")
	alice.sees(bob, "open secret said")
	meeting := "meeting"
	must(bob.Set(ctx, Change{Activity: &meeting}))(t)
	eventually(t, "both see the meeting", func() bool {
		return slices.ContainsFunc(append(carol.docs(bob), alice.docs(bob)...), func(d wire.Doc) bool { return len(d.Status) == 1 })
	})
	carol.sees(bob, "open said")
	if now := carol.told("presence", bob); len(now) > before+1 {
		t.Errorf("carol was told of %v", now[before:])
	}
	if got := bob.readable(carol); len(got) != 0 {
		t.Errorf("carol can read %q", got)
	}
	as := must(bob.ViewAs(ctx, carol.address()))(t)
	if len(as.Shown) != 1 || as.Name != "work" || len(as.Shown[0].Notes) != 0 || len(as.Shown[0].Status) != 1 || as.Shown[0].At.IsZero() {
		t.Errorf("as carol: %+v", as)
	}
	as = must(bob.ViewAs(ctx, "alice"))(t)
	if len(as.Shown) != 1 || as.Name != presence.DefaultView || !slices.Equal(as.Shown[0].Notes, []string{"secret"}) {
		t.Errorf("as alice: %+v", as)
	}

	own := "for work only"
	if p := must(bob.Set(ctx, Change{View: "work", Note: &own}))(t); !slices.Equal(p.Views, []string{"work"}) {
		t.Errorf("published in %v", p.Views)
	}
	bob.edit(ViewEdit{Name: "work", Show: []string{"note"}})
	carol.sees(bob, "open for work only said")
	alice.sees(bob, "open secret said")

	bob.edit(ViewEdit{Name: "work", Add: []string{alice.address()}})
	alice.sees(bob, "open for work only said")
	bob.says("not for alice")
	if got := bob.readable(alice); slices.Contains(got, "not for alice") {
		t.Errorf("alice can read %q", got)
	}
	bob.edit(ViewEdit{Name: "work", Common: true})
	alice.sees(bob, "open not for alice said")

	bob.stop()
	bob.up()
	alice.sees(bob, "open not for alice said")
	if v := must(bob.View(ctx, "work"))(t); v.Watchers != 2 || len(v.Members) != 1 || !slices.Equal(v.Show, []string{"activities", "note", "person"}) {
		t.Errorf("after a restart: %+v", v)
	}
	bob.edit(ViewEdit{Name: "work", Delete: true})
	bob.says("for all")
	alice.sees(bob, "open for all said")
	carol.sees(bob, "open for all said")
}

// docs are the documents of b as a knows them.
func (a *actor) docs(b *actor) (out []wire.Doc) {
	k := a.Node.presence.knownOf(b.who.Address)
	if k == nil {
		return nil
	}
	p := a.Node.presence.copyOf(k)
	for _, d := range p.Docs {
		out = append(out, d.Doc)
	}
	return out
}

// TestPoliteBlock: who is politely blocked sees that bob went offline, and nothing else happens to him.
func TestPoliteBlock(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob, carol := start(t, "alice"), start(t, "bob"), start(t, "carol")
	alice.subscribe(bob)
	carol.subscribe(bob)
	bob.says("for both")
	alice.sees(bob, "open for both said")
	was, _ := alice.Node.presence.watchingOf(bob.who.Address)

	if b := must(bob.PoliteBlock(ctx, "alice"))(t); b.Mode != "polite-block" || b.Scope != "both" {
		t.Errorf("blocked %+v", b)
	}
	bob.says("not for alice")
	carol.sees(bob, "open not for alice said")
	alice.sees(bob, "closed said")
	now, _ := alice.Node.presence.watchingOf(bob.who.Address)
	if now.State != presence.Active || now.Seq != was.Seq || now.Grant.E != was.Grant.E {
		t.Errorf("alice was told something: %+v, before %+v", now, was)
	}
	if got := bob.readable(alice); len(got) != 0 {
		t.Errorf("alice can read %q", got)
	}
	alice.ends(alice.sends("bob", "hello?"), "failed", wire.ReasonClosed)
	carol.ends(carol.sends("bob", "hello"), "delivered", 0)
	if l := must(bob.Watchers(ctx))(t); !slices.ContainsFunc(l, func(s Subscription) bool {
		return s.Address == alice.who.Address && s.State == "active" && isClosedView(s.View)
	}) {
		t.Errorf("watchers: %+v", l)
	}
	as := must(bob.ViewAs(ctx, "alice"))(t)
	if len(as.Shown) == 0 || as.Shown[0].Tuples[0].Basic != "closed" || len(as.Shown[0].Notes) != 0 {
		t.Errorf("as alice: %+v", as)
	}

	bob.stop()
	bob.up()
	bob.says("still not for alice")
	carol.sees(bob, "open still not for alice said")
	alice.sees(bob, "closed said")
	alice.ends(alice.sends("bob", "hello?"), "failed", wire.ReasonClosed)

	must(bob.Unblock(ctx, "alice"))(t)
	alice.sees(bob, "open still not for alice said")
	alice.ends(alice.sends("bob", "hello"), "delivered", 0)

	must(bob.PoliteBlock(ctx, "alice"))(t)
	alice.sees(bob, "closed said")
	must(bob.Block(ctx, "alice", "both"))(t)
	alice.stands(bob, presence.Terminated, wire.ReasonPolicy)
}

// TestPoliteBlockOfAStranger: he gets a yes, a second after he asked as everybody does, and an empty view.
func TestPoliteBlockOfAStranger(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	must(bob.PoliteBlock(ctx, alice.address()))(t)
	bob.says("not for alice")
	began := time.Now()
	must(alice.Watch(ctx, "bob", "", 0))(t)
	alice.sees(bob, "closed said")
	if d := time.Since(began); d < wire.AnswerDelay {
		t.Errorf("answered after %v", d)
	}
	if w, _ := alice.Node.presence.watchingOf(bob.who.Address); w.State != presence.Active || w.Grant == nil {
		t.Errorf("alice's subscription: %+v", w)
	}
	alice.ends(alice.sends("bob", "hello?"), "failed", wire.ReasonClosed)
	if got := bob.readable(alice); len(got) != 0 {
		t.Errorf("alice can read %q", got)
	}
}

// TestPoliteBlockWaitsForTheOthers: while somebody who shares the epoch has not taken the new one, the old one
// goes on as it was, for 30 s at most.
func TestPoliteBlockWaitsForTheOthers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob, carol := start(t, "alice"), start(t, "bob"), start(t, "carol")
	bob.ttl = 150 * time.Second
	bob.stop()
	bob.up()
	alice.subscribe(bob)
	carol.subscribe(bob)
	carol.crash()
	must(bob.PoliteBlock(ctx, "alice"))(t)
	bob.says("secret")
	time.Sleep(300 * time.Millisecond)
	alice.sees(bob, "open said")
	bob.pass(31 * time.Second)
	alice.sees(bob, "closed said")
	carol.up()
	carol.sees(bob, "open secret said")
	if got := bob.readable(alice); len(got) != 0 {
		t.Errorf("alice can read %q", got)
	}
}

// TestPoliteBlockOfTheOnlyOne: where nobody shares the view, there is nobody to wait for.
func TestPoliteBlockOfTheOnlyOne(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.subscribe(bob)
	bob.edit(ViewEdit{Name: "work", Show: []string{"note"}, Add: []string{"alice"}})
	bob.says("in the office")
	alice.sees(bob, "open in the office said")
	must(bob.PoliteBlock(ctx, "alice"))(t)
	alice.sees(bob, "closed said")
}

// TestChangingOnesMind moves a live subscription through every handling (RFC 5025, section 3.2.1).
func TestChangingOnesMind(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob := start(t, "alice"), start(t, "bob")
	policy := func(class string, watch string) {
		t.Helper()
		must(bob.SetPolicy(ctx, PolicyEdit{Class: class, Watch: &watch}))(t)
	}
	policy("unknown", "allow")
	alice.befriend(bob)
	must(alice.Watch(ctx, "bob", "", 0))(t)
	alice.sees(bob, "open said") // without a question

	policy("unknown", "confirm")
	alice.stands(bob, presence.Pending, 0)
	alice.sees(bob, "unknown unknown")
	bob.says("while she waits")
	if got := bob.readable(alice); len(got) != 0 {
		t.Errorf("alice can read %q", got)
	}
	bob.stop()
	bob.up()
	bob.requestOf(alice) // it waits still

	policy("unknown", "allow")
	alice.sees(bob, "open while she waits said")
	policy("unknown", "polite-block")
	alice.sees(bob, "closed said")
	policy("unknown", "confirm")
	alice.stands(bob, presence.Pending, 0)
	policy("unknown", "polite-block")
	alice.sees(bob, "closed said")
	must(bob.Approve(ctx, alice.address()))(t)
	alice.sees(bob, "open while she waits said")
	policy("unknown", "block") // her yes stands above it
	bob.says("a yes is a yes")
	alice.sees(bob, "open a yes is a yes said")

	block := "block"
	must(bob.SetPolicy(ctx, PolicyEdit{Who: alice.address(), Watch: &block}))(t)
	alice.stands(bob, presence.Terminated, wire.ReasonPolicy)
}

// TestClassOfWhoWrites: a polite block of those who are unknown closes the inbox to them, and to no contact.
func TestClassOfWhoWrites(t *testing.T) {
	t.Parallel()
	alice, bob, carol := start(t, "alice"), start(t, "bob"), start(t, "carol")
	must(bob.Add(t.Context(), alice.address(), "alice"))(t)
	polite := "polite-block"
	must(bob.SetPolicy(t.Context(), PolicyEdit{Class: policy.Unknown.String(), Watch: &polite}))(t)
	if bob.closedTo(alice.who.Address) {
		t.Error("the inbox is closed to a contact")
	}
	if !bob.closedTo(carol.who.Address) {
		t.Error("the inbox is open to who is politely blocked")
	}
}

// TestGroupsAreWatchersByRule: a member of a view needs no yes, and sees that view from the first word on.
func TestGroupsAreWatchersByRule(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	bob.says("secret")
	bob.edit(ViewEdit{Name: "work", Add: []string{alice.address()}})
	must(alice.Watch(ctx, "bob", "", 0))(t)
	alice.sees(bob, "open said")
	if l := must(bob.Policy(ctx, alice.address()))(t); l[0].By != "group" || l[0].View != "work" || l[0].Watch != "allow" {
		t.Errorf("got %+v", l)
	}
	bob.edit(ViewEdit{Name: "work", Remove: []string{alice.address()}})
	alice.stands(bob, presence.Pending, 0)
	for _, bad := range []ViewEdit{{Name: "Work"}, {Name: "closed/x"}, {Name: ""}, {Name: "work", Show: []string{"nots"}}, {Name: "default", Delete: true}, {Name: "wrok", Delete: true}} {
		if _, err := bob.EditView(ctx, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if _, err := bob.ApproveIn(ctx, alice.address(), "wrok"); err == nil || !strings.Contains(err.Error(), "did you mean work?") {
		t.Errorf("approved for no view: %v", err)
	}
}

// TestPseudonyms: who hides behind a pseudonym needs a yes said before, and is told so (SPEC 4.9).
func TestPseudonyms(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob := start(t, "alice"), start(t, "bob")
	allow := "allow"
	must(bob.SetPolicy(ctx, PolicyEdit{Class: "unknown", Watch: &allow}))(t)
	alice.befriend(bob)
	ask := func() { t.Helper(); must(alice.WatchAs(ctx, "bob", "", 0, true))(t) }
	ask()
	alice.stands(bob, presence.Denied, wire.ReasonAuthRequired)
	must(bob.SetPolicy(ctx, PolicyEdit{Class: policy.Pseudonymous.String(), Watch: &allow}))(t)
	ask()
	alice.sees(bob, "open said")
	block := "block"
	must(bob.SetPolicy(ctx, PolicyEdit{Class: policy.Pseudonymous.String(), Watch: &block}))(t)
	alice.stands(bob, presence.Terminated, wire.ReasonAuthRequired) // the existing one ends
	must(bob.Approve(ctx, alice.address()))(t)
	ask()
	alice.sees(bob, "open said") // her own yes
}

// TestAClosedViewIsForgotten once nobody reads it and its epochs are over.
func TestAClosedViewIsForgotten(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.subscribe(bob)
	must(bob.PoliteBlock(ctx, "alice"))(t)
	alice.sees(bob, "closed said")
	must(bob.Unblock(ctx, "alice"))(t)
	alice.sees(bob, "open said")
	alice.stop()
	bob.pass(9 * 24 * time.Hour)
	bob.hears()
	eventually(t, "the view is gone", func() bool {
		bob.wakeAll()
		gone := false
		_ = bob.view(func(t *txn) error {
			names, err := bob.viewNames(t)
			gone = !slices.ContainsFunc(names, isClosedView) && t.Count(store.AllEpochs()) == 1 && t.Count(store.AllSaid()) == 0
			return err
		})
		return gone
	})
}

// hears has the time pass for what somebody heard as well.
func (a *actor) hears() { a.Node.heard.raise(a.Node.now().Wall) }
