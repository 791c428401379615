package presence

import (
	"slices"

	"github.com/hum-presence/hum/p2p/wire"
)

// A Scope is what of a document a device may set. The zero Scope is that of a device of the address's own, which may
// set all of it; a delegate may set what it names: the id of a tuple, the name of a status of the person, "status" for
// every one of those, "note" for his notes (SPEC 8, and 14).
type Scope struct {
	Delegate bool
	Names    []string
	Signs    PublicKey // the key of the device, if each must sign what it says; zero: none need
}

// Speakers says of a device whether it may publish for an address, and what.
type Speakers func(DeviceID) (Scope, bool)

// May reports whether s lets a device set what is called name.
func (s Scope) May(name string) bool {
	if !s.Delegate || slices.Contains(s.Names, name) {
		return true
	}
	return false
}

// Apply returns what s lets a device say of d. Who says it, in which version and for how long, stays, and so does its
// reach. To apply it again changes nothing.
func (s Scope) Apply(d wire.Doc) wire.Doc {
	if !s.Delegate {
		return d
	}
	d.Tuples = slices.DeleteFunc(slices.Clone(d.Tuples), func(t wire.Tuple) bool { return !s.May(t.ID) })
	d.Status = slices.DeleteFunc(slices.Clone(d.Status), func(x wire.Status) bool { return !s.May("status") && !s.May(x.Name) })
	if !s.May("note") {
		d.Notes = nil
	}
	d.Contact, d.PIDF, d.Crit, d.Ext, d.Unknown = nil, nil, nil, nil, nil
	return d
}

// check takes the signature of its device off a document, which must hold if it must be there: while an address has
// a delegate who publishes, that one could else speak under the tag of any of its devices.
func (s Scope) check(e PublicKey, r wire.Rec, d wire.Doc) (wire.Doc, bool) {
	d, signed := wire.UnsignDoc(s.Signs, e, r.Tag, r.T, d)
	return d, signed || s.Signs == (PublicKey{})
}

// Said is what s lets a device say in a record of an epoch, and false if it is not shown to be by that device.
func (s Scope) Said(e PublicKey, r wire.Rec, d wire.Doc) (wire.Doc, bool) {
	d, ok := s.check(e, r, d)
	return s.Apply(d), ok
}

// Shows reports whether f lets through all that s lets a device set, so that nothing is said in a view that it hides.
func (f Filter) Shows(s Scope) bool {
	if !f.Limited {
		return true
	}
	for _, name := range s.Names {
		d := wire.Doc{Tuples: []wire.Tuple{{}, {ID: name, Basic: wire.Open}}, Status: []wire.Status{{Name: name, Value: "x"}}, Notes: []wire.Note{{Text: "x"}}}
		got := f.Apply(d)
		switch {
		case name == "note" && len(got.Notes) == 0, name == "status" && !f.whole():
			return false
		case name != "note" && name != "status" && (len(got.Tuples) < 2 || len(got.Status) == 0):
			return false
		}
	}
	return true
}
