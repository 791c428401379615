package formats

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestConflictingTuples: tuples that contradict each other are the author's, and RFC 3863, section 4.1.2, lets him:
// each is taken, shown and given out as he said it, and nobody chooses between them. Two tuples of one id are no
// document, and a document that is composed of what says so natively never has them.
func TestConflictingTuples(t *testing.T) {
	const other, closed = `<tuple id="b"><status><basic>closed</basic></status>`, "<contact>tel:+1</contact></tuple>"
	if _, err := ParsePIDF([]byte(top + `<tuple id="a">` + open + closed + strings.Replace(other, `"b"`, `"a"`, 1) + closed + end)); problemOf(err) != DuplicateID {
		t.Errorf("two tuples of one id: %v", err)
	}
	in := parse(t, top+`<tuple id="a">`+open+closed+other+closed+end)
	if got := said(in.Tuples); got != "tel:+1 open, tel:+1 closed" || len(in.Skipped) != 0 {
		t.Errorf("one contact, open and closed: %q, skipped %v", got, in.Skipped)
	}
	second := identity.DeviceID{9}
	im := func(b wire.Basic, contact string) wire.Tuple {
		return wire.Tuple{ID: "im", Basic: b, Contact: contact}
	}
	doc := func(d identity.DeviceID, tuples ...wire.Tuple) wire.Doc {
		return wire.Doc{Entity: bob, Device: d, Ver: 1, TTL: 150, Tuples: tuples}
	}
	octets := func(d wire.Doc, b string) wire.Doc {
		d.PIDF = []byte(b)
		return d
	}
	imported := top + `<tuple id="a">` + open + closed + end
	for _, tt := range []struct {
		name string
		docs []wire.Doc
		want string
	}{
		{"one device, one id, one contact, open and closed", []wire.Doc{doc(phone, im(wire.Open, "im:a@b"), im(wire.Closed, "im:a@b"))}, "im:a@b open, im:a@b closed"},
		{"two devices, each its im", []wire.Doc{doc(phone, im(wire.Closed, bob.IM())), doc(second, im(wire.Open, bob.IM()))}, bob.IM() + " closed, " + bob.IM() + " open"},
		{"two devices under one device id", []wire.Doc{doc(phone, im(wire.Closed, bob.IM())), doc(phone, im(wire.Open, bob.IM()))}, bob.IM() + " closed, " + bob.IM() + " open"},
		{"two imported documents with one id, the newest first", []wire.Doc{octets(doc(phone), imported), octets(doc(second), strings.Replace(imported, "open<", "closed<", 1))}, "tel:+1 open"},
	} {
		out := About(bob).PIDF(tt.docs)
		if problem := twice(out); problem != "" {
			t.Errorf("%s: %s in\n%s", tt.name, problem, out)
		}
		back, err := ParsePIDF(out)
		if err != nil {
			t.Errorf("%s: given out, it is refused: %v\n%s", tt.name, err, out)
			continue
		}
		if got := said(back.Tuples); got != tt.want {
			t.Errorf("%s: given out as %q, want %q", tt.name, got, tt.want)
		}
	}
	if twice([]byte(`<a id="x"><b id="x"/></a>`)) == "" {
		t.Error("the check does not find a planted second id")
	}
}

// said is each tuple in a few words.
func said(tuples []wire.Tuple) string {
	var out []string
	for _, t := range tuples {
		out = append(out, fmt.Sprint(t.Contact, " ", t.Basic))
	}
	return strings.Join(out, ", ")
}

// twice names an id that two elements have.
func twice(b []byte) string {
	d := xml.NewDecoder(strings.NewReader(string(b)))
	var ids []string
	for {
		x, err := d.Token()
		if err == io.EOF {
			return ""
		} else if err != nil {
			return err.Error()
		}
		if e, ok := x.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if a.Name.Local == "id" && slices.Contains(ids, a.Value) {
					return "a second " + a.Value
				} else if a.Name.Local == "id" {
					ids = append(ids, a.Value)
				}
			}
		}
	}
}
