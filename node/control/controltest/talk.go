package controltest

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// History returns a message to Bob, and what he answered.
func (f *Fake) History(_ context.Context, q node.HistoryQuery) (node.Conversation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, Call{"History", []any{q}})
	sent := f.Msg
	sent.State, sent.AckedAt = "delivered", Start.Add(time.Second)
	return node.Conversation{With: Bob, Name: "bob", Lines: []node.Line{{Sent: &sent}, {Received: &f.Letters[0]}}}, f.Fail["History"]
}

// Delete returns one id.
func (f *Fake) Delete(_ context.Context, ids []string) ([]wire.MID, error) {
	return []wire.MID{{2}}, f.asked("Delete", ids)
}
