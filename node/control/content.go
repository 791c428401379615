package control

import (
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/p2p/wire"
)

func partOf(p node.Part) *humv1.Part {
	return &humv1.Part{Type: text(p.Type), Lang: text(p.Lang), Name: text(p.Name), Size: int64(p.Size)}
}

func importedOf(s *node.Sent) *humv1.ImportedMessage {
	if s == nil {
		return nil
	}
	return &humv1.ImportedMessage{Id: mid(s.ID), To: address(s.To), ToName: text(s.ToName), State: s.State}
}

// hopsOf is how often a draft may still be handed on, if it says so.
func hopsOf(d *humv1.Draft) *uint8 {
	if d == nil || d.Hops == nil {
		return nil
	}
	hops := uint8(min(*d.Hops, uint32(wire.MaxHops)))
	return &hops
}
