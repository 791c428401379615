package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// wrote puts a message of somebody into a's inbox, as if it had come in; at is its sent.
func (a *actor) wrote(from identity.Address, at int, text string, change func(*wire.IM)) wire.MID {
	a.t.Helper()
	im := wire.IM{From: from, To: a.who.Address, Nonce: [16]byte{byte(at), byte(at >> 8), 1}, Sent: identity.Time(at), Expires: identity.Time(at) + 1000,
		ContentType: "text/plain", Content: []byte(text)}
	if change != nil {
		change(&im)
	}
	s := wire.Signed{Type: wire.TypeIM, Body: im.Append(nil)}
	facts := message.Arrival{ID: s.ID(), IM: im, Admission: message.Accept}
	if err := a.update(func(t *txn) error {
		if !a.isContact(from) {
			facts.Admission = message.FirstContact
		}
		return a.keepRow(t, message.NewRow(t.now, facts, s.Append(nil), [32]byte{}))
	}); err != nil {
		a.t.Fatal(err)
	}
	return s.ID()
}

// sentTo puts a message to somebody into a's outbox, in its first state.
func (a *actor) sentTo(to identity.Address, at int, text string, answers wire.MID) wire.MID {
	a.t.Helper()
	im := wire.IM{From: a.who.Address, To: to, Device: a.who.Device, Nonce: [16]byte{byte(at), byte(at >> 8), 2}, Sent: identity.Time(at),
		Expires: identity.Time(at) + 1000, ContentType: "text/plain", Content: []byte(text), InReplyTo: answers}
	s := wire.Sign(a.keys.Device(), wire.TypeIM, im.Append(nil))
	e, err := message.New(identity.Now{Wall: identity.Time(at)}, s.ID(), im, s.Append(nil))
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.update(func(t *txn) error {
		if err := a.saveEntry(t, e); err != nil {
			return err
		}
		e.State, e.Reason = message.Failed, wire.ReasonUnreachable
		return a.saveEntry(t, e)
	}); err != nil {
		a.t.Fatal(err)
	}
	return e.ID
}

func contents(list []Received) string {
	var out []string
	for _, r := range list {
		out = append(out, string(r.Content))
	}
	return strings.Join(out, " ")
}

func (a *actor) talk(q HistoryQuery) string {
	a.t.Helper()
	var out []string
	for _, l := range must(a.History(a.t.Context(), q))(a.t).Lines {
		if l.Sent != nil {
			out = append(out, ">"+string(l.Sent.Content))
		} else {
			out = append(out, "<"+string(l.Received.Content))
		}
	}
	return strings.Join(out, " ")
}

// TestPages asks for parts of an inbox and of conversations: by person, by words, page by page, thread by thread.
func TestPages(t *testing.T) {
	t.Parallel()
	a := opened(t, "alice")
	bob, carol := identity.Address{2}, identity.Address{3}
	must(a.Add(t.Context(), bobText(bob), "bob"))(t)
	must(a.Add(t.Context(), bobText(carol), "carol"))(t)
	ids := map[string]wire.MID{}
	for i, text := range []string{"b1", "c2", "b3", "b4", "c5"} {
		from := bob
		if text[0] == 'c' {
			from = carol
		}
		ids[text] = a.wrote(from, 100+10*i, text, nil)
	}
	ids["Grüße"] = a.wrote(bob, 105, "GRÜSSE aus Köln", nil) // came last, was sent second
	ids["png"] = a.wrote(bob, 160, "köln", func(im *wire.IM) { im.ContentType = "image/png" })
	ids["mine"] = a.sentTo(bob, 125, "mine", ids["b3"])
	ids["more"] = a.sentTo(bob, 135, "more", ids["mine"])
	ids["answer"] = a.wrote(bob, 145, "answer", func(im *wire.IM) { im.InReplyTo = ids["more"] })
	inbox := func(q InboxQuery) string { t.Helper(); return contents(must(a.Inbox(t.Context(), q))(t)) }

	for _, test := range []struct {
		name string
		q    InboxQuery
		want string
	}{
		{"all", InboxQuery{}, "b1 GRÜSSE aus Köln c2 b3 b4 c5 answer köln"},
		{"the newest", InboxQuery{Limit: 2}, "answer köln"},
		{"the page before", InboxQuery{Limit: 3, Before: ids["answer"].String()}, "b3 b4 c5"},
		{"before the first", InboxQuery{Limit: 3, Before: ids["b1"].String()}, ""},
		{"before one of mine", InboxQuery{Limit: 1, Before: ids["mine"].String()}, "b3"},
		{"of one", InboxQuery{From: "carol"}, "c2 c5"},
		{"a page of one", InboxQuery{From: "bob", Limit: 2, Before: ids["b4"].String()}, "GRÜSSE aus Köln b3"},
		{"a word", InboxQuery{Search: "KÖLN"}, "GRÜSSE aus Köln"},
		{"both words", InboxQuery{Search: "aus grüsse"}, "GRÜSSE aus Köln"},
		{"not both", InboxQuery{Search: "aus b1"}, ""},
		{"a word of one", InboxQuery{Search: "c", From: "bob"}, ""},
		{"the newest with a letter", InboxQuery{Search: "b", Limit: 1}, "b4"},
		{"by the beginning of an id", InboxQuery{ID: ids["c2"].String()[:10]}, "c2"},
		{"strangers", InboxQuery{Strangers: true}, ""},
	} {
		if got := inbox(test.q); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := a.Inbox(gone, InboxQuery{Search: "nowhere"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a search that nobody waits for ends with %v", err)
	}
	for _, test := range []struct {
		name string
		q    HistoryQuery
		want string
	}{
		{"all", HistoryQuery{Who: "bob"}, "<b1 <GRÜSSE aus Köln <b3 >mine <b4 >more <answer <köln"},
		{"the newest", HistoryQuery{Who: "bob", Limit: 3}, ">more <answer <köln"},
		{"a page", HistoryQuery{Who: "bob", Limit: 2, Before: ids["more"].String()}, ">mine <b4"},
		{"a word", HistoryQuery{Who: "bob", Search: "m"}, ">mine >more"},
		{"a thread from its end", HistoryQuery{Who: "bob", Thread: ids["answer"].String()}, "<b3 >mine >more <answer"},
		{"a thread from its middle", HistoryQuery{Who: "bob", Thread: ids["mine"].String()}, "<b3 >mine >more <answer"},
		{"no thread", HistoryQuery{Who: "bob", Thread: ids["b1"].String()}, "<b1"},
		{"another's", HistoryQuery{Who: "carol"}, "<c2 <c5"},
	} {
		if got := a.talk(test.q); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	for _, id := range []string{"", "abc", "0000", "zzzzzzzz", ids["b1"].String() + "a", "Ä" + ids["b1"].String()} {
		if _, err := a.Trace(t.Context(), id); err == nil {
			t.Errorf("%q names a message", id)
		}
	}
	if got := must(a.Outbox(t.Context(), strings.ToUpper(ids["mine"].String())))(t); len(got) != 1 || got[0].InReplyTo != ids["b3"] {
		t.Errorf("found %+v", got)
	}
}

func bobText(a identity.Address) string { return a.String() }

// TestManyPages walks through a conversation page by page: each message once, in order, and those of two
// addresses of one person together.
func TestManyPages(t *testing.T) {
	t.Parallel()
	a := opened(t, "alice")
	old, now := identity.Address{2}, identity.Address{4}
	var want []string
	for i := range 150 {
		from := old
		if i%3 == 1 || i > 100 {
			from = now
		}
		text := fmt.Sprint("m", i)
		a.wrote(from, 1000+i, text, nil)
		want = append(want, "<"+text)
	}
	a.moves.to = map[identity.Address]identity.Address{old: now}
	var got []string
	q := HistoryQuery{Who: now.String(), Limit: 7}
	for {
		page := must(a.History(t.Context(), q))(t).Lines
		var texts []string
		for _, l := range page {
			texts = append(texts, "<"+string(l.Received.Content))
		}
		got = append(texts, got...)
		if len(page) < q.Limit {
			break
		}
		q.Before = page[0].Received.ID.String()
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestIndexOfAnOlderHome has a home without the index find everything once it is opened.
func TestIndexOfAnOlderHome(t *testing.T) {
	t.Parallel()
	a := opened(t, "alice")
	bob := identity.Address{2}
	a.wrote(bob, 100, "one", nil)
	a.sentTo(bob, 110, "two", wire.MID{})
	if err := a.update(func(t *txn) error { return errors.Join(deleteAll(t, store.AllTalk()), t.Delete(talked)) }); err != nil {
		t.Fatal(err)
	}
	if got := a.talk(HistoryQuery{Who: bob.String()}); got != "" {
		t.Fatalf("without an index: %q", got)
	}
	a.stop()
	a.open()
	if got := a.talk(HistoryQuery{Who: bob.String()}); got != "<one >two" {
		t.Errorf("after it was opened: %q", got)
	}
	writers := map[identity.Address]bool{}
	if err := a.view(func(t *txn) error { return eachWriter(t, func(w identity.Address) { writers[w] = true }) }); err != nil || len(writers) != 1 || !writers[bob] {
		t.Errorf("writers %v, %v", writers, err)
	}
}

// TestDelete deletes a message of each direction; it is never shown again, though it is sent again.
func TestDelete(t *testing.T) {
	t.Parallel()
	bob, carol := start(t, "bob"), newStranger(t)
	signed := carol.sign(carol.im(bob.who.Address, "gone"))
	letter := carol.seal(bob, signed, carol.records()...)
	_, first, ok := carol.post(bob, letter, 10*time.Second)
	if !ok {
		t.Fatal("no ack")
	}
	kept := carol.tell(bob, carol.sign(carol.im(bob.who.Address, "stays")))
	id := signed.ID().String()
	sent := bob.sentTo(carol.address(), 110, "mine", wire.MID{})
	under := bob.sends(carol.card(), "under way")
	if _, err := bob.Delete(t.Context(), []string{id, under.ID.String()}); err == nil || !strings.Contains(err.Error(), "still going out") {
		t.Errorf("what is under way was deleted: %v", err)
	}
	bob.has("gone", "stays") // all or nothing
	must(bob.Delete(t.Context(), []string{id, sent.String()}))(t)
	bob.has("stays")
	if _, err := bob.Trace(t.Context(), id); err == nil {
		t.Error("its trace stays")
	}
	if got := bob.talk(HistoryQuery{Who: carol.address().String()}); got != "<stays >under way" {
		t.Errorf("the conversation is %q", got)
	}
	bob.stop()
	bob.up()
	if _, again, ok := carol.post(bob, carol.seal(bob, signed), 10*time.Second); !ok || string(again) != string(first) {
		t.Error("what was deleted is not answered as before")
	}
	bob.has("stays")
	must(bob.Delete(t.Context(), []string{kept.MIDs[0].String()}))(t)
	_ = bob.view(func(tx *txn) error {
		if from, all, err := bob.firstContacts(tx, carol.address()); from != 0 || all != 0 || err != nil {
			t.Errorf("%d and %d in the first-contact box, %v", from, all, err)
		}
		return nil
	})
	if _, err := bob.Delete(t.Context(), []string{id}); err == nil {
		t.Error("deleted twice")
	}
}

// TestDeleteOnOneDevice deletes on one device what is in the inbox and in the outbox of two, one of which has not
// heard of it yet.
func TestDeleteOnOneDevice(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	bob.befriend(alice)
	alice.befriend(bob)
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	one := alice.sends("bob", "one")
	alice.ends(one, "delivered", 0)
	mine := bob.sends("alice", "mine")
	bob.ends(mine, "delivered", 0)
	eventually(t, "both have both", func() bool {
		return len(must(two.Inbox(t.Context(), InboxQuery{}))(t)) == 1 && len(must(bob.Inbox(t.Context(), InboxQuery{}))(t)) == 1 &&
			two.talk(HistoryQuery{Who: "alice"}) != "" && len(must(two.Outbox(t.Context(), ""))(t)) == 1
	})
	two.stop()
	late := alice.sends("bob", "late")
	alice.ends(late, "delivered", 0)
	must(bob.Delete(t.Context(), []string{one.ID.String(), mine.ID.String(), late.ID.String()}))(t)
	two.up()
	eventually(t, "they are gone there too", func() bool {
		return len(must(two.Inbox(t.Context(), InboxQuery{}))(t)) == 0 && len(must(two.Outbox(t.Context(), ""))(t)) == 0
	})
	alice.ends(alice.sends("bob", "last"), "delivered", 0)
	eventually(t, "the last came to both", func() bool {
		return strings.Join(two.texts(), " ") == "last" && strings.Join(bob.texts(), " ") == "last"
	})
}
