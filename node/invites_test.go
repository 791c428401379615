package node

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

func (a *actor) invite(allow bool, life time.Duration) InviteOf {
	a.t.Helper()
	return must(a.Invite(a.t.Context(), allow, life))(a.t)
}

// invites are the states of a's invites.
func (a *actor) inviteState(i InviteOf) string {
	a.t.Helper()
	for _, x := range must(a.Invites(a.t.Context()))(a.t) {
		if x.ID == i.ID {
			return x.State + " " + x.ByName
		}
	}
	return ""
}

// TestInvite admits one person by a card, though bob is killed between the use and the answer, and nobody else.
func TestInvite(t *testing.T) {
	t.Parallel()
	bob, alice, carol := start(t, "bob"), start(t, "alice"), start(t, "carol")
	i := bob.invite(true, 0)
	must(alice.Add(t.Context(), i.Card, "bob"))(t)
	must(carol.Add(t.Context(), i.Card, "bob"))(t)
	bob.wrote(alice.who.Address, 100, "before", nil)
	must(alice.Watch(t.Context(), "bob", "", 0))(t)
	eventually(t, "the invite is used", func() bool { return bob.inviteState(i) != "open " })
	bob.crash() // the answer leaves a second after the request
	bob.up()
	for range 80 { // who was not answered asks again after a minute, ten, or an hour
		if w, _ := alice.Node.presence.watchingOf(bob.who.Address); w.State == presence.Active {
			break
		}
		bob.pass(time.Minute)
		alice.pass(time.Minute)
		carol.pass(time.Minute)
		time.Sleep(300 * time.Millisecond)
	}
	alice.stands(bob, presence.Active, 0)
	if got := bob.inviteState(i); got != "used "+short(alice.who.Address) {
		t.Errorf("the invite is %q", got)
	}
	must(carol.Watch(t.Context(), "bob", "let me in", 0))(t)
	carol.stands(bob, presence.Pending, 0)
	bob.requestOf(carol)
	if r := must(bob.Requests(t.Context()))(t); len(r) != 1 || r[0].Invited || must(bob.Status(t.Context()))(t).Refused["invite-refused"] == 0 {
		t.Errorf("requests %+v", r)
	}
	if !bob.welcome(alice.who.Address) || bob.welcome(carol.who.Address) {
		t.Error("messages are taken of the wrong one")
	}
	must(alice.Unwatch(t.Context(), "bob"))(t)
	alice.stands(bob, presence.None, wire.ReasonUnsubscribed)
	must(alice.Watch(t.Context(), "bob", "", 0))(t) // he may show it again, and is known by now
	alice.stands(bob, presence.Active, 0)
}

// TestInviteWithoutAllow gives a place in the list, which the rules for strangers alone would not.
func TestInviteWithoutAllow(t *testing.T) {
	t.Parallel()
	bob, alice, carol := start(t, "bob"), start(t, "alice"), start(t, "carol")
	block := "block"
	must(bob.SetPolicy(t.Context(), PolicyEdit{Class: "unknown", Watch: &block}))(t)
	late, gone, good := bob.invite(false, time.Minute), bob.invite(true, 0), bob.invite(false, 0)
	if w := must(bob.Withdraw(t.Context(), gone.ID[:6]))(t); w.State != "withdrawn" {
		t.Errorf("withdrawn: %+v", w)
	}
	if _, err := bob.Withdraw(t.Context(), gone.ID); err == nil {
		t.Error("withdrawn twice")
	}
	bob.pass(90 * time.Second)
	if got := bob.inviteState(late); got != "expired " {
		t.Errorf("after its end it is %q", got)
	}
	for _, c := range []string{late.Card, gone.Card} {
		must(alice.Add(t.Context(), c, "bob"))(t)
		must(alice.Watch(t.Context(), "bob", "", 0))(t)
		alice.stands(bob, presence.Denied, wire.ReasonPolicy)
	}
	must(alice.Watch(t.Context(), good.Card, "", 0))(t)
	alice.stands(bob, presence.Pending, 0)
	bob.requestOf(alice)
	if r := must(bob.Requests(t.Context()))(t); !r[0].Invited || r[0].Address != alice.who.Address {
		t.Errorf("the request is %+v", r)
	}
	must(carol.Add(t.Context(), good.Card, "bob"))(t)
	must(carol.Watch(t.Context(), "bob", "", 0))(t)
	carol.stands(bob, presence.Denied, wire.ReasonPolicy)
	must(bob.SetPolicy(t.Context(), PolicyEdit{Class: "unknown", Watch: &block}))(t) // she goes on waiting
	alice.stands(bob, presence.Pending, 0)
	must(bob.Approve(t.Context(), alice.address()))(t)
	alice.stands(bob, presence.Active, 0)
}

// TestInviteOfOneWhoWaits lets somebody in who had asked before he got the card.
func TestInviteOfOneWhoWaits(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	alice.befriend(bob)
	must(alice.Watch(t.Context(), "bob", "", 0))(t)
	alice.stands(bob, presence.Pending, 0)
	bob.pass(90 * time.Second) // a poll within a minute is not answered
	i := bob.invite(true, 0)
	must(alice.Watch(t.Context(), i.Card, "", 0))(t)
	alice.stands(bob, presence.Active, 0)
	if got := bob.inviteState(i); got != "used "+short(alice.who.Address) {
		t.Errorf("the invite is %q", got)
	}
}

// TestInviteOfABlocked: what was said of the very person counts, and the invite stays good for another.
func TestInviteOfABlocked(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	must(bob.Block(t.Context(), alice.address(), ""))(t)
	i := bob.invite(true, 0)
	must(alice.Watch(t.Context(), i.Card, "", 0))(t)
	alice.stands(bob, presence.Denied, wire.ReasonPolicy)
	if got := bob.inviteState(i); got != "open " {
		t.Errorf("the invite is %q", got)
	}
}

// TestInvitesAreKept: on the disk stands what names an invite, not the invite; a restored home honours none.
func TestInvitesAreKept(t *testing.T) {
	t.Parallel()
	bob := opened(t, "bob")
	i := bob.invite(true, time.Hour)
	card := must(identity.ParseCard(i.Card))(t)
	request := wire.SubRequest{From: identity.Address{9}, Invite: card.Invite}
	valid := func() (ok bool) {
		_ = bob.view(func(tx *txn) error {
			for k, v := range tx.Scan(store.AllInvites(), store.ScanOptions{}) {
				if id := k.Sub(); string(id[:]) == string(card.Invite) || len(v) > 300 {
					t.Error("the token is on the disk")
				}
			}
			_, ok, _ = bob.invited(tx, request.From, request.Invite)
			return nil
		})
		return ok
	}
	if !valid() {
		t.Error("it does not admit")
	}
	bob.stop()
	bob.open()
	if !valid() {
		t.Error("after a restart it does not admit")
	}
	for _, life := range []time.Duration{time.Second, 91 * 24 * time.Hour, -time.Hour} {
		if _, err := bob.Invite(t.Context(), false, life); err == nil {
			t.Errorf("an invite for %v", life)
		}
	}
	bob.clock.move(40*24*time.Hour, 40*24*time.Hour)
	if err := bob.purgeInvites(); err != nil || len(must(bob.Invites(t.Context()))(t)) != 1 {
		t.Errorf("forgotten by this clock alone, %v", err)
	}
	bob.heard.raise(bob.now().Wall)
	if err := bob.purgeInvites(); err != nil || len(must(bob.Invites(t.Context()))(t)) != 0 {
		t.Errorf("not forgotten, %v", err)
	}
}
