package controltest

import (
	"context"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// Document is what a Fake exports, whatever is asked for.
const Document = "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\"/>\n"

func (f *Fake) Export(_ context.Context, q node.ExportQuery) (node.Export, error) {
	return node.Export{Type: "application/pidf+xml", Content: []byte(Document), Entity: Bob.Pres(), Evidence: "said"}, f.asked("Export", q)
}

// ImportPIDF returns one.
func (f *Fake) ImportPIDF(_ context.Context, view string, content []byte) (node.Import, error) {
	return node.Import{Kind: node.KindPIDF, Tuples: 1, Published: node.Published{Sequence: 9, Views: []string{view}}}, f.asked("ImportPIDF", view, string(content))
}

// Import returns two tuples.
func (f *Fake) Import(_ context.Context, kind string, content []byte) (node.Import, error) {
	if kind == node.KindCPIM {
		return node.Import{Kind: kind, Sent: &node.Sent{ID: wire.MID{5}, To: Bob, ToName: "bob", State: "queued"}}, f.asked("Import", kind, string(content))
	}
	return node.Import{Kind: kind, Tuples: 2, Notes: 1, Contacts: []string{"tel:+1"}, Kept: len(content) > 0, Skipped: []string{"line 3: <level>: not understood"},
		Published: node.Published{Sequence: 9, Views: []string{"default"}}}, f.asked("Import", kind, string(content))
}

func (f *Fake) Launch(_ context.Context, who, kind string) (node.Launched, error) {
	return node.Launched{URI: "tel:+41446681800", Kind: kind, Basic: "open", Evidence: "said"}, f.asked("Launch", who, kind)
}
