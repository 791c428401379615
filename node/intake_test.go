package node

import (
	"fmt"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

func queued(i byte, resendOf byte) *incoming {
	x := &incoming{arrival: arrival{peer: "p", id: wire.MID{i}}, done: make(chan struct{})}
	x.facts.IM.From = identity.Address{1}
	if resendOf != 0 {
		x.facts.IM.ResendOf = wire.MID{resendOf}
	}
	return x
}

// TestIntake: one leads, the others follow; no batch holds two that look for each other in the store.
func TestIntake(t *testing.T) {
	tests := []struct {
		name string
		in   []*incoming
		want string // sizes of the batches
	}{
		{"one", []*incoming{queued(1, 0)}, "[1]"},
		{"three", []*incoming{queued(1, 0), queued(2, 0), queued(3, 0)}, "[3]"},
		{"a copy", []*incoming{queued(1, 0), queued(2, 0), queued(1, 0), queued(3, 0)}, "[2 2]"},
		{"sent again, after the first", []*incoming{queued(1, 0), queued(2, 1)}, "[1 1]"},
		{"sent again, before the first", []*incoming{queued(2, 1), queued(1, 0)}, "[1 1]"},
		{"sent again twice", []*incoming{queued(2, 9), queued(3, 9), queued(4, 0)}, "[1 2]"},
	}
	many := make([]*incoming, togetherMost+3)
	for i := range many {
		many[i] = queued(byte(i+1), 0)
	}
	tests = append(tests, struct {
		name string
		in   []*incoming
		want string
	}{"more than one signature answers", many, fmt.Sprintf("[%d 3]", togetherMost)})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s intakes
			for i, x := range tt.in {
				if s.join(x) != (i == 0) {
					t.Errorf("%d leads: %v", i, i != 0)
				}
			}
			k := intakeKey{identity.Address{1}, "p"}
			var sizes []int
			for b := s.next(k); len(b) > 0; b = s.next(k) {
				sizes = append(sizes, len(b))
			}
			if got := fmt.Sprint(sizes); got != tt.want {
				t.Errorf("batches of %s, want %s", got, tt.want)
			}
			if len(s.by) != 0 || !s.join(queued(1, 0)) {
				t.Error("nobody may lead any more")
			}
		})
	}
}

// TestOneSignatureForOneCommit: what is committed together is answered by one ack of all, which each message
// keeps; a copy gets that ack again, and a bad one among them its own.
func TestOneSignatureForOneCommit(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	bob.befriend(alice)
	bob.deliver(alice, "here are my records")
	var batch []*incoming
	incomingOf := func(i int, to identity.Address) *incoming {
		im := wire.IM{From: bob.who.Address, To: to, Device: bob.who.Device, Nonce: [16]byte{byte(i)}, Sent: bob.now().Wall,
			Expires: bob.now().Wall.Add(wire.IMLife), ContentType: "text/plain", Content: fmt.Append(nil, "n ", i)}
		s := wire.Sign(bob.keys.Device(), wire.TypeIM, im.Append(nil))
		a := arrival{signed: s, id: s.ID(), at: alice.now()}
		return &incoming{arrival: a, done: make(chan struct{}),
			facts: message.Arrival{ID: a.id, IM: im, Mine: to == alice.who.Address, Signed: true, Service: true, TypeOK: true}}
	}
	for i := range 5 {
		batch = append(batch, incomingOf(i, alice.who.Address))
	}
	batch = append(batch, incomingOf(9, bob.who.Address)) // not hers
	admit := func() (acks []wire.Ack) {
		t.Helper()
		if err := alice.update(func(tx *txn) error {
			signed, err := alice.Node.admit(tx, batch)
			for _, s := range signed {
				ack, err := wire.ParseAck(s.ack.Body)
				if err != nil || s.ack.Verify() != nil {
					t.Errorf("a bad ack: %v", err)
				}
				acks = append(acks, ack)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return acks
	}
	acks := admit()
	if len(acks) != 2 || len(acks[0].MIDs) != 5 || acks[0].Disposition != wire.Delivered || acks[1].Reason != wire.ReasonRecipientMismatch {
		t.Fatalf("acks: %+v", acks)
	}
	if got := alice.inboxOf(bob); got != 6 {
		t.Errorf("alice has %d messages", got)
	}
	var kept [][]byte
	if err := alice.view(func(tx *txn) error {
		for _, x := range batch[:5] {
			seen, err := get[message.Seen](tx, store.Seen(bob.who.Address, x.id))
			if err != nil {
				return err
			}
			if len(seen.Ack) != len(digest{}) {
				t.Errorf("%d bytes of the ack lie beside the id of each message", len(seen.Ack))
			}
			ack, err := tx.whole(bob.who.Address, seen.Ack)
			if err != nil {
				return err
			}
			kept = append(kept, ack)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, ack := range kept {
		if string(ack) != string(kept[0]) {
			t.Error("messages of one commit keep different acks")
		}
	}
	if again := admit(); len(again) != 6 || len(again[0].MIDs) != 5 || alice.inboxOf(bob) != 6 {
		t.Errorf("copies are answered %+v", again)
	}
}
