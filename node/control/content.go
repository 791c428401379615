package control

import (
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
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
