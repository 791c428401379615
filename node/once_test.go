package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// replyIn is where an entry's message says that its ack may be left.
func replyIn(t *testing.T, e message.Entry) *wire.Endpoint {
	t.Helper()
	s := must(wire.ParseSigned(e.Signed))(t)
	return must(wire.ParseIM(s.Body))(t).Reply
}

// Of its anonymous messages a device has so many with a mailbox for the ack, each with one of its own; above that, and of
// one that asks for no ack, the message names none. What is settled makes room.
func TestOnceBounds(t *testing.T) {
	t.Parallel()
	alice := start(t, "alice")
	peer, _, err := p2p.ParseDial("/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")
	if err != nil {
		t.Fatal(err)
	}
	m := membership{Peer: []byte(peer), Name: "e", Roles: wire.RoleMailbox, Token: []byte("token"), Mbox: [32]byte{1}}
	alice.joined.note(m)
	to := signingKey(t).Public()
	sends := func(d Draft) message.Entry {
		d.To, d.Anonymous = identity.Address(to).String(), true
		s := must(alice.Send(t.Context(), d))(t)
		var e message.Entry
		if err := alice.peekEntry(s.ID, func(found message.Entry) error { e = found; return nil }); err != nil {
			t.Fatal(err)
		}
		return e
	}
	var boxes []wire.MailboxID
	var sent []message.Entry
	for i := range onceBoxes {
		e := sends(Draft{Content: fmt.Append(nil, "text ", i)})
		at := replyIn(t, e)
		if at == nil || e.Once == nil || e.Once.Open || at.Mbox != e.Once.Key().Public() || at.Mbox == m.mbox().Public() || at.Cap != ([32]byte{}) || slices.Contains(boxes, at.Mbox) {
			t.Fatalf("message %d has %+v, %+v", i, at, e.Once)
		}
		boxes, sent = append(boxes, at.Mbox), append(sent, e)
	}
	none := func(why string, d Draft) {
		t.Helper()
		if e := sends(d); e.Once != nil || replyIn(t, e) != nil {
			t.Errorf("%s: it has %+v", why, replyIn(t, e))
		}
	}
	none("above the bound", Draft{Content: []byte("one more")})
	if err := alice.editEntry(sent[0].ID, func(txn *txn, e *message.Entry) (bool, error) { return true, e.Cancel(txn.now) }); err != nil {
		t.Fatal(err)
	}
	if e := sends(Draft{Content: []byte("in its place")}); e.Once == nil {
		t.Error("a message that was taken back makes no room")
	}
	if err := alice.editEntry(sent[1].ID, func(txn *txn, e *message.Entry) (bool, error) { return true, e.Cancel(txn.now) }); err != nil {
		t.Fatal(err)
	}
	none("no ack is wanted", Draft{Content: []byte("quiet"), Quiet: true})
	alice.onces.keepsNone(peer)
	none("the node knows no such mailboxes", Draft{Content: []byte("old node")})
}

// The mailbox of a message stays until its recipient has said what became of it, or no word of it counts any more.
func TestOnceOver(t *testing.T) {
	t.Parallel()
	const sent = identity.Time(1_763_800_000_000)
	at := func(d time.Duration) identity.Now { w := sent.Add(d); return identity.Now{Wall: w, Heard: w} }
	expires := sent.Add(time.Hour)
	for _, x := range []struct {
		name string
		e    message.Entry
		now  time.Duration
		over bool
	}{
		{"queued", message.Entry{State: message.Queued}, 0, false},
		{"stored", message.Entry{State: message.Stored, Handed: true}, 0, false},
		{"delivered", message.Entry{State: message.Delivered, Handed: true, AckRaw: []byte{1}}, 0, true},
		{"handed on by a gateway", message.Entry{State: message.Delivered, Reason: wire.ReasonGateway, Handed: true, AckRaw: []byte{1}}, 0, false},
		{"refused", message.Entry{State: message.Failed, Reason: wire.ReasonRefusedAnonymous, Handed: true, AckRaw: []byte{1}}, 0, true},
		{"taken back", message.Entry{State: message.Failed, Reason: wire.ReasonCancelled}, 0, true},
		{"unconfirmed", message.Entry{State: message.Failed, Reason: wire.ReasonUnconfirmed, Handed: true}, 2 * time.Hour, false},
		{"unconfirmed for a week", message.Entry{State: message.Failed, Reason: wire.ReasonUnconfirmed, Handed: true}, 2*time.Hour + wire.ResendWindow, true},
	} {
		x.e.Expires = expires
		if x.e.OnceOver(at(x.now)) != x.over {
			t.Errorf("%s: over is not %v", x.name, x.over)
		}
	}
}
