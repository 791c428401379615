package node

import (
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
)

// inSession reports whether what a sends b next goes in a session.
func (a *actor) inSession(b *actor) bool {
	pin := a.pins.get(b.who.Address)
	if pin == nil {
		return false
	}
	for _, to := range targetsOf(pin, a.now(), identity.RoleInbox, identity.DeviceID{}, 0) {
		if to.home != nil && a.net.InSession(p2p.PeerID(to.home.peer), to.to) {
			return true
		}
	}
	return false
}

// TestSessionBetweenContacts: from the second message on a stream may carry a session, and messages go on
// when it, the stream or the other node ends.
func TestSessionBetweenContacts(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	bob.befriend(alice)
	alice.deliver(bob, "one") // by the card, whose T names no device yet
	bob.deliver(alice, "two") // with his Reach
	eventually(t, "a session", func() bool {
		alice.deliver(bob, "more")
		return alice.inSession(bob)
	})
	alice.deliver(bob, "in it")
	bob.stop()
	bob.up()
	alice.deliver(bob, "after his restart")
	eventually(t, "a session again", func() bool {
		alice.deliver(bob, "more")
		return alice.inSession(bob)
	})
	// Bob forgets his prekeys' sessions with his streams; a new prekey takes a new session.
	if err := bob.keys.RotatePreKey(bob.now().Wall, bob.cfg.Rand); err != nil {
		t.Fatal(err)
	}
	bob.pass(0)
	alice.deliver(bob, "under either prekey")
	if got := bob.refusedFor("undecryptable"); got != 0 {
		t.Errorf("%d parcels did not open", got)
	}
	for _, m := range must(bob.Inbox(t.Context(), InboxQuery{}))(t) {
		if !m.Verified {
			t.Errorf("%q is not verified", m.Content)
		}
	}
}

// TestQueueGoesInASession: what waited for somebody who was away goes in a session, as nobody has taken it yet.
func TestQueueGoesInASession(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	bob.befriend(alice)
	alice.deliver(bob, "one")
	bob.deliver(alice, "two") // with his Reach
	bob.stop()
	const waiting = 40
	var queue []Sent
	for range waiting {
		queue = append(queue, alice.sends("bob", "are you there?"))
	}
	bob.up()
	bob.deliver(alice, "back") // whoever dials
	for _, s := range queue {
		alice.ends(s, "delivered", 0)
	}
	eventually(t, "the session that the queue began", func() bool { return alice.inSession(bob) })
	if got := bob.refusedFor("undecryptable"); got != 0 {
		t.Errorf("%d parcels did not open", got)
	}
}
