package control

import (
	"context"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// DocumentBackend takes standard documents out and in, and finds the contact that opens another session.
type DocumentBackend interface {
	Export(ctx context.Context, q node.ExportQuery) (node.Export, error)
	Import(ctx context.Context, kind string, content []byte) (node.Import, error)
	ImportPIDF(ctx context.Context, view string, content []byte) (node.Import, error)
	Launch(ctx context.Context, who, kind string) (node.Launched, error)
}

func (s *service) Export(ctx context.Context, r *humv1.ExportRequest) (*humv1.Exported, error) {
	return reply(func(e node.Export) *humv1.Exported {
		document, octets := content("", e.Content)
		return &humv1.Exported{Kind: r.Kind, Type: e.Type, Document: document, Octets: octets, Entity: text(e.Entity), Imported: e.Imported, Evidence: e.Evidence}
	})(s.node.Export(ctx, node.ExportQuery{Kind: r.Kind, Who: r.Who, View: r.View, Composed: r.Composed, ID: r.Id}))
}

func (s *service) Import(ctx context.Context, r *humv1.ImportRequest) (*humv1.Imported, error) {
	out := reply(func(i node.Import) *humv1.Imported {
		return &humv1.Imported{Kind: i.Kind, Tuples: int64(i.Tuples), Notes: int64(i.Notes), Contacts: texts(i.Contacts), Rules: int64(i.Rules),
			Kept: i.Kept, Skipped: texts(i.Skipped), Sequence: i.Published.Sequence, Views: i.Published.Views, Sent: importedOf(i.Sent)}
	})
	switch {
	case r.View == "":
		return out(s.node.Import(ctx, r.Kind, r.Content))
	case r.Kind != node.KindPIDF:
		return nil, usage("only presence is shown in a view: hum import pidf FILE --view work")
	}
	return out(s.node.ImportPIDF(ctx, r.View, r.Content))
}

func (s *service) Launch(ctx context.Context, r *humv1.LaunchRequest) (*humv1.Launched, error) {
	return reply(func(l node.Launched) *humv1.Launched {
		return &humv1.Launched{Uri: text(l.URI), Kind: l.Kind, Basic: l.Basic, Evidence: l.Evidence}
	})(s.node.Launch(ctx, r.Who, r.Kind))
}
