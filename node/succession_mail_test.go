package node

import (
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// What was under way when bob left his address ends with it, his own messages and those of his other device:
// nobody takes what the old keys signed, and it may have arrived.
func TestSuccessionEndsMail(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	bob.befriend(alice)
	bob.deliver(alice, "hello")
	two := bob.join("two", NewDevice{})
	bob.linked(two)
	alice.stop()
	mine := must(bob.Send(t.Context(), Draft{To: "alice", Content: []byte("from the first")}))(t)
	theirs := must(two.Send(t.Context(), Draft{To: alice.address(), Content: []byte("from the second")}))(t)
	eventually(t, "the first device has both", func() bool { return len(must(bob.Outbox(t.Context(), ""))(t)) == 3 })
	bob.stop()
	bob.succeed(identity.MovedCompromised)
	bob.up()
	for _, id := range []wire.MID{mine.ID, theirs.ID} {
		if s := must(bob.Outbox(t.Context(), id.String()))(t)[0]; s.State != "failed" || s.Reason != wire.ReasonUnconfirmed {
			t.Errorf("%q is %s (%v)", s.Content, s.State, s.Reason)
		}
	}
	told := bob.told("ack", alice)
	if last := told[max(0, len(told)-2):]; len(last) != 2 || last[0] != "failed" || last[1] != "failed" {
		t.Errorf("bob is told %q", told)
	}
}
