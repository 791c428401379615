package control

import (
	"context"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// SafetyBackend is what the door asks about the numbers that people compare.
type SafetyBackend interface {
	Safety(ctx context.Context, q node.SafetyQuery) (node.Safety, error)
}

func (s *service) Safety(ctx context.Context, r *humv1.SafetyRequest) (*humv1.SafetyNumber, error) {
	asked := 0
	for _, set := range []bool{r.Confirm, r.Keep, r.Accept != ""} {
		if set {
			asked++
		}
	}
	if asked > 1 {
		return nil, usage("confirm, keep and accept exclude each other")
	}
	return reply(safetyOf)(s.node.Safety(ctx, node.SafetyQuery{Who: r.Who, Confirm: r.Confirm, Keep: r.Keep, Accept: r.Accept}))
}

func safetyOf(v node.Safety) *humv1.SafetyNumber {
	out := &humv1.SafetyNumber{Address: address(v.Address), Number: v.Number, Verified: v.Verified, Petname: text(v.Petname),
		Compared: at(v.Compared), Changed: at(v.Changed), Previous: address(v.Previous), Warning: text(v.Warning)}
	for _, c := range v.Choices {
		out.Choices = append(out.Choices, c.String())
	}
	return out
}
