package controltest

import (
	"context"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
)

// Safety answers with the number shared with Bob; the one with Carol has changed.
func (f *Fake) Safety(_ context.Context, q node.SafetyQuery) (node.Safety, error) {
	s := node.Safety{Address: Bob, Petname: "bob", Number: identity.SafetyNumber(Me, Bob)}
	if q.Confirm {
		s.Verified, s.Compared = true, Start
	}
	if q.Who == "carol" {
		s = node.Safety{Address: Carol, Petname: "carol", Number: identity.SafetyNumber(Me, Carol), Changed: Start.Add(-time.Hour),
			Previous: Bob, Warning: "the safety number has changed: carol has a new address since 2026-01-02", Choices: []identity.Address{Carol, Bob}}
	}
	return s, f.asked("Safety", q)
}
