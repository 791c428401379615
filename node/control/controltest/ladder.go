package controltest

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// Cancel answers that the message to Bob was taken back.
func (f *Fake) Cancel(_ context.Context, id string) (node.Sent, error) {
	return node.Sent{ID: f.Msg.ID, To: Bob, ToName: "bob", State: "failed", Reason: wire.ReasonCancelled, Sent: Start,
		Type: f.Msg.Type, Content: []byte("coffee at four?")}, f.asked("Cancel", id)
}

// Resend answers that the message to Bob is under way again.
func (f *Fake) Resend(_ context.Context, id string, life time.Duration) (node.Sent, error) {
	return node.Sent{ID: f.Msg.ID, To: Bob, ToName: "bob", State: "queued", Sent: Start, Expires: Start.Add(life),
		Type: f.Msg.Type, Content: []byte("coffee at four?")}, f.asked("Resend", id, life)
}

// Report answers with the message that was reported on.
func (f *Fake) Report(_ context.Context, id string, failed bool) (node.Received, error) {
	return f.Letters[0], f.asked("Report", id, failed)
}
