package node

import (
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// waiting lists who waits for a's decision: name, what for, text.
func (a *actor) waiting() string {
	a.t.Helper()
	var out []string
	for _, s := range must(a.Requests(a.t.Context()))(a.t) {
		what := "presence"
		if s.ID == (wire.SubID{}) {
			what = "-"
		}
		out = append(out, strings.Join([]string{s.Claimed, s.State, what, strings.Repeat("m", s.Messages), s.Text}, "/"))
	}
	return strings.Join(out, " ")
}

// TestStrangersWait has messages of people whom bob does not know wait apart until he decides about each.
func TestStrangersWait(t *testing.T) {
	t.Parallel()
	bob, carol, dave := opened(t, "bob"), identity.Address{3}, identity.Address{4}
	named := func(a identity.Address, name string) func(*wire.IM) {
		return func(im *wire.IM) { im.Contact = []string{"tel:+1", identity.Card{Address: a, Name: name}.String()} }
	}
	bob.wrote(carol, 100, "first", named(carol, "Carol"))
	bob.wrote(carol, 110, "second", named(carol, "Carol"))
	bob.wrote(dave, 120, "third", named(carol, "Carol")) // another's card is no name of his
	if got := bob.waiting(); got != "Carol/pending/-/mm/second /pending/-/m/third" {
		t.Fatalf("requests are %q", got)
	}
	if got := must(bob.Status(t.Context()))(t).Pending; got != 2 {
		t.Errorf("status says that %d wait", got)
	}
	list := must(bob.Inbox(t.Context(), InboxQuery{From: "carol", Strangers: true}))(t)
	if len(list) != 2 || list[0].Claimed != "Carol" || len(list[0].Contact) != 1 || !list[0].FirstContact {
		t.Errorf("of Carol waits %+v", list)
	}
	if s := must(bob.Approve(t.Context(), "carol"))(t); s.Messages == 0 || s.Claimed != "Carol" {
		t.Errorf("approved %+v", s)
	}
	bob.wrote(carol, 130, "after", nil)
	if got := bob.waiting(); got != "/pending/-/m/third" {
		t.Errorf("after the yes %q wait", got)
	}
	if got := contents(must(bob.Inbox(t.Context(), InboxQuery{Strangers: true}))(t)); got != "third" {
		t.Errorf("of strangers is %q", got)
	}
	must(bob.Deny(t.Context(), dave.String(), ""))(t)
	if got := bob.waiting(); got != "" {
		t.Errorf("after the no %q wait", got)
	}
	if r := bob.rules().Message(dave, false).String(); r != "refuse" {
		t.Errorf("his messages are now %s", r)
	}
	if _, err := bob.Deny(t.Context(), identity.Address{5}.String(), ""); err == nil {
		t.Error("somebody was denied who asked for nothing")
	}
	bob.stop()
	bob.open()
	if got := bob.waiting(); got != "" {
		t.Errorf("after a restart %q wait", got)
	}
}

// TestNamedAtFirst has the first messages to somebody say what their sender is called, and later ones not.
func TestNamedAtFirst(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "Alice"), start(t, "bob")
	alice.befriend(bob)
	alice.ends(alice.sends("bob", "hello"), "delivered", 0)
	got := must(bob.Inbox(t.Context(), InboxQuery{}))(t)[0]
	if got.Claimed != "Alice" || len(got.Contact) != 0 || !got.FirstContact {
		t.Errorf("the first came as %+v", got)
	}
	second := alice.sends("bob", "again")
	alice.ends(second, "delivered", 0)
	row := must(bob.received(second.ID.String()))(t)
	if len(row.Contact) != 0 {
		t.Errorf("the second says %q too", row.Contact)
	}
}
