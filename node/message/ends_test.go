package message

import (
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestEndsWithoutAck has a message end for what only this side knows.
func TestEndsWithoutAck(t *testing.T) {
	now := identity.Now{Wall: 1_750_000_000_000}
	noService := func(e *Entry) { e.NotTaken(now, wire.ReasonNoIMService) }
	orphan := func(e *Entry) { e.Orphan(now) }
	tests := []struct {
		name   string
		state  State
		handed bool
		end    func(*Entry)
		want   State
		reason wire.Reason
	}{
		{"no inbox, never handed", Queued, false, noService, Failed, wire.ReasonNoIMService},
		{"no inbox any more", Handed, true, noService, Handed, 0},
		{"no inbox, delivered before", Delivered, true, noService, Delivered, 0},
		{"signer gone", Queued, false, orphan, Failed, wire.ReasonUnconfirmed},
		{"signer gone, handed", Handed, true, orphan, Failed, wire.ReasonUnconfirmed},
		{"signer gone, delivered", Delivered, true, orphan, Delivered, 0},
	}
	for _, test := range tests {
		e := Entry{State: test.state, Handed: test.handed}
		test.end(&e)
		if e.State != test.want || e.Reason != test.reason {
			t.Errorf("%s: %v (%v), want %v (%v)", test.name, e.State, e.Reason, test.want, test.reason)
		}
	}
}

// TestAckFromTheFuture shows no time that cannot be.
func TestAckFromTheFuture(t *testing.T) {
	now := identity.Now{Wall: 1_750_000_000_000}
	e := Entry{ID: wire.MID{1}, To: wire.Address{2}, State: Handed}
	if _, err := e.Ack(now, wire.Ack{From: e.To, MIDs: []wire.MID{e.ID}, Disposition: wire.Delivered, At: 1 << 63}, nil, true); err != nil {
		t.Fatal(err)
	}
	if e.State != Delivered || e.AckedAt != now.Wall {
		t.Errorf("%v at %d", e.State, e.AckedAt)
	}
}
