package formats

import (
	"bytes"
	"testing"

	"github.com/hum-presence/hum/p2p/wire"
)

// What is read and written is read again as the same, whatever it was; and what was copied is copied
// again as it stands.
func FuzzPIDF(f *testing.F) {
	f.Add([]byte(foreign))
	f.Add(About(bob).Compose([]wire.Doc{full()}))
	for _, tt := range broken {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParsePIDF(b)
		if err != nil {
			return
		}
		if !bytes.Equal(d.Octets, b) {
			t.Fatal("the octets have changed")
		}
		doc := docOf(phone, d)
		first := About(bob).Compose([]wire.Doc{doc})
		again, err := ParsePIDF(first)
		if err != nil && !isProblem(err, TooLarge) {
			t.Fatalf("%v\n%s", err, first)
		} else if err != nil {
			return
		}
		second := About(bob).Compose([]wire.Doc{docOf(phone, again)})
		third, err := ParsePIDF(second)
		if err != nil {
			t.Fatalf("%v\n%s", err, second)
		}
		if out := About(bob).Compose([]wire.Doc{docOf(phone, third)}); !bytes.Equal(out, second) {
			t.Fatalf("written otherwise the second time:\n%s\n%s", second, out)
		}
		doc.PIDF = b
		copied := About(bob).Compose([]wire.Doc{doc, full()})
		if _, err := ParsePIDF(copied); err != nil && !isProblem(err, TooLarge) && !isProblem(err, TooDeep) && !isProblem(err, TooManyAttrs) {
			t.Fatalf("%v\n%s", err, copied)
		}
	})
}

func FuzzValue(f *testing.F) {
	f.Add("meeting travel;from=2026-11-22T08:00:00.000Z;note=in%20Oslo")
	f.Add("%;=;%zz;a=b;a=c")
	f.Fuzz(func(t *testing.T, s string) {
		once := parseValue(s).String()
		if twice := parseValue(once).String(); twice != once {
			t.Errorf("%q, then %q", once, twice)
		}
	})
}
