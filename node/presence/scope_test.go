package presence

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// theWhole says something in every part of a document.
func theWhole() wire.Doc {
	return wire.Doc{Entity: bob, Device: phone, Ver: 3, TTL: 150, Reach: []byte("reach"), Contact: []string{"tel:1"}, PIDF: []byte("<p/>"),
		Tuples: []wire.Tuple{{ID: "im", Basic: wire.Closed}, {ID: "desk", Basic: wire.Open}},
		Status: []wire.Status{{Name: "activities", Value: "meeting"}, {Name: "mood", Value: "happy"}},
		Notes:  []wire.Note{{Text: "a note"}}, Crit: []uint32{5}, Ext: []wire.Ext{{Name: "x.a/b"}}, Unknown: []wire.Unknown{{Number: 90}}}
}

func TestScope(t *testing.T) {
	frame := func(d wire.Doc) wire.Doc {
		d.Entity, d.Device, d.Ver, d.TTL, d.Reach = bob, phone, 3, 150, []byte("reach")
		return d
	}
	all := theWhole()
	for _, tt := range []struct {
		names []string
		want  wire.Doc
	}{
		{nil, wire.Doc{}},
		{[]string{"activities"}, wire.Doc{Status: all.Status[:1]}},
		{[]string{"status"}, wire.Doc{Status: all.Status}},
		{[]string{"note", "mood"}, wire.Doc{Status: all.Status[1:], Notes: all.Notes}},
		{[]string{"desk"}, wire.Doc{Tuples: all.Tuples[1:]}},
		{[]string{"basic", "contact", "everything"}, wire.Doc{}},
	} {
		s := Scope{Delegate: true, Names: tt.names}
		got := s.Apply(theWhole())
		for _, p := range []*wire.Doc{&got} {
			if len(p.Tuples) == 0 {
				p.Tuples = nil
			}
			if len(p.Status) == 0 {
				p.Status = nil
			}
		}
		if want := frame(tt.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %+v\nwant %+v", tt.names, got, want)
		}
		if again := s.Apply(got); len(again.Tuples) != len(got.Tuples) || len(again.Status) != len(got.Status) {
			t.Errorf("%v: applied again it changes something", tt.names)
		}
	}
	if got := (Scope{}).Apply(theWhole()); !reflect.DeepEqual(got, theWhole()) {
		t.Errorf("of a device of his own %+v is left", got)
	}
}

// A view in which nothing may be hidden from a delegate's words is one that shows all that he may set.
func TestFilterShowsScope(t *testing.T) {
	little := Filter{Limited: true, Services: Which{All: true}, Persons: Which{All: true}, Devices: Which{All: true}, Attributes: ShowActivities | ShowNotes}
	for name, want := range map[string]bool{"activities": true, "note": true, "mood": false, "status": false} {
		s := Scope{Delegate: true, Names: []string{name}}
		if got := little.Shows(s); got != want {
			t.Errorf("%s: %v", name, got)
		}
		if !(Filter{}).Shows(s) {
			t.Errorf("%s: the view that shows everything hides it", name)
		}
	}
}

// A delegate's node that does not keep to its scope says no more than one that does: the reader drops the rest, whichever
// way it came, and by nothing that a delegate says is anybody there, or gone.
func TestDelegateSaysNoMore(t *testing.T) {
	speakers := func(d DeviceID) (Scope, bool) { return Scope{Delegate: d == desk, Names: []string{"activities"}}, true }
	own, theirs := newTeller(phone), newTeller(desk)
	theirs.v, theirs.p.Choice = own.v, Choice{Basic: wire.Open, IM: wire.Busy, Note: "hers", Status: theWhole().Status}
	p := &Presence{Of: bob}
	take := func(b *teller, now Now) {
		t.Helper()
		for _, x := range b.tell(now) {
			if _, err := p.Apply(now, x.g, x.r, ByTopic, speakers); err != nil {
				t.Fatal(err)
			}
		}
	}
	take(own, at(hour))
	theirs.v = own.v
	take(theirs, at(hour+time.Second))
	s := p.Shown(at(hour+2*time.Second), sight)
	if s.Basic != wire.Open || s.IM != wire.Available || len(s.Notes) != 0 || len(s.Tuples) != 1 {
		t.Errorf("shown %+v", s)
	}
	var words []wire.Status
	for _, k := range p.Docs {
		if k.By.Delegate {
			words = k.Doc.Status
		}
	}
	if len(words) != 1 || words[0].Value != "meeting" {
		t.Errorf("of the delegate %v is heard", words)
	}
	if s := p.Shown(at(hour+10*time.Minute), sight); s.Basic == wire.Open || s.Evidence != Lapsed {
		t.Errorf("when he fell silent himself he is shown %v by %v", s.Basic, s.Evidence)
	}
	f := Fetched{Me: alice, Of: bob, Req: wire.ReqID{1}}
	doc := theWhole()
	doc.Device, doc.Crit, doc.Ext, doc.Unknown, doc.PIDF, doc.Reach = desk, nil, nil, nil, nil, nil
	r := wire.FetchReply{From: bob, To: alice, Req: f.Req, State: wire.FetchOK, AsOf: at(hour).Wall, Docs: [][]byte{doc.Append(nil)}}
	if bad, err := f.Answer(at(hour), r, speakers); err != nil || bad != 0 || len(f.Docs) != 1 || len(f.Docs[0].Doc.Tuples) != 0 || len(f.Docs[0].Doc.Status) != 1 {
		t.Errorf("asked once: %v, %d bad, %+v", err, bad, f.Docs)
	}
}

// Whoever holds the keys of an epoch can write under the tag of any device; while there is a delegate who publishes, each
// device signs, and what another wrote in its name is not read, by topic or as a copy.
func TestDelegateIsNotAnother(t *testing.T) {
	phoneKey, deskKey := identity.NewSigningKey([32]byte{1}), identity.NewSigningKey([32]byte{2})
	speakers := func(d DeviceID) (Scope, bool) {
		if d == desk {
			return Scope{Delegate: true, Names: []string{"activities"}, Signs: deskKey.Public()}, true
		}
		return Scope{Signs: phoneKey.Public()}, true
	}
	for _, tt := range []struct {
		name string
		by   *identity.SigningKey
		err  error
	}{{"his own", &phoneKey, nil}, {"a delegate in his name", &deskKey, ErrPublisher}, {"nobody's signature", nil, ErrPublisher}} {
		b := newTeller(phone)
		b.by = tt.by
		p := &Presence{Of: bob}
		x := b.tell(at(hour))[0]
		if _, err := p.Apply(at(hour), x.g, x.r, ByTopic, speakers); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if tt.err == nil && len(p.Docs[0].Doc.Ext) != 0 {
			t.Errorf("%s: the signature stays in the document", tt.name)
		}
		moved := b.p.Tracks[0]
		d := b.p.doc(moved.Update, moved.Ver)
		signed := wire.SignDoc(phoneKey, x.g.E, x.r.Tag, x.r.T, d)
		if _, ok := wire.UnsignDoc(phoneKey.Public(), x.g.E, x.r.Tag, x.r.T+1, signed); ok {
			t.Error("a signature holds for another record")
		}
	}
}
