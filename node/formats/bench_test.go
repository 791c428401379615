package formats

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/hum-presence/hum/p2p/wire"
)

// decodeXML is the floor: encoding/xml reads the same bytes, and nothing is made of them.
func decodeXML(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// BenchmarkDocuments measures documents per second: that of all fields, of 4 services.
func BenchmarkDocuments(b *testing.B) {
	doc := full()
	text := About(bob).Compose([]wire.Doc{doc})
	carried := doc
	carried.PIDF = []byte(foreign)
	for _, bench := range []struct {
		name string
		do   func() error
	}{
		{"floor: xml decode", func() error { return decodeXML(text) }},
		{"import", func() error { _, err := ParsePIDF(text); return err }},
		{"export composed", func() error { About(bob).Compose([]wire.Doc{doc}); return nil }},
		{"export as it came", func() error { About(bob).PIDF([]wire.Doc{carried}); return nil }},
		{"export of three devices", func() error { About(bob).Compose([]wire.Doc{doc, carried, doc}); return nil }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := bench.do(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "docs/s")
		})
	}
}
