package presence

import (
	"testing"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestIdleness leads a publisher through what a user says and what his machine notices.
func TestIdleness(t *testing.T) {
	since := at(0).Wall
	tests := []struct {
		name   string
		choice Choice
		shown  bool
		im     wire.IMStatus // while no input comes
	}{
		{"available gives way", Choice{Basic: wire.Open, IM: wire.Available}, true, wire.Idle},
		{"open without a word gives way", Choice{Basic: wire.Open}, true, wire.Idle},
		{"busy stands", Choice{Basic: wire.Open, IM: wire.Busy}, false, wire.Busy},
		{"away stands", Choice{Basic: wire.Open, IM: wire.Away}, false, wire.Away},
		{"dnd stands", Choice{Basic: wire.Open, IM: wire.DND}, false, wire.DND},
		{"xa stands", Choice{Basic: wire.Open, IM: wire.XA}, false, wire.XA},
		{"idle by his own word stands", Choice{Basic: wire.Open, IM: wire.Idle}, false, wire.Idle},
		{"closed stands", Choice{Basic: wire.Closed, IM: wire.Available}, false, wire.Available},
		{"offline says nothing", Choice{Basic: wire.Open, IM: wire.Available, Offline: true}, false, 0},
		{"what is no person is never idle", Choice{Basic: wire.Open, IM: wire.Available, Bare: true}, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, v := publishing()
			if _, err := p.Choose(at(0), test.choice); err != nil {
				t.Fatal(err)
			}
			before := p.Publish(at(0), v, 0.5)[0].Doc
			quiet := at(10 * minute)
			check(t, "news", p.Quiet(quiet, since), test.shown)
			check(t, "shown", p.Idle(), test.shown)
			check(t, "longer is no news", p.Quiet(quiet, since+1), false)
			if !test.shown {
				check(t, "nothing is published", p.news(), false)
				check(t, "as it was", p.doc(quiet.Wall, 1).Tuples[0].IM, test.im)
				check(t, "nothing is published on input", p.Quiet(quiet, 0), false)
				return
			}
			d := p.Publish(quiet, v, 0.5)[0].Doc
			check(t, "idle", d.Tuples[0].IM, test.im)
			check(t, "since", d.Tuples[0].IdleSince, since)
			check(t, "dated", d.Tuples[0].Timestamp, quiet.Wall)
			check(t, "basic", d.Tuples[0].Basic, wire.Open)
			check(t, "back", p.Quiet(at(11*minute), 0), true)
			d = p.Publish(at(11*minute), v, 0.5)[0].Doc
			check(t, "as before", d.Tuples[0].IM, before.Tuples[0].IM)
			check(t, "idle no more", d.Tuples[0].IdleSince, 0)
		})
	}
}

// TestManualWordEndsIdleness says busy while idle: the word stands, and no input or lack of it moves it.
func TestManualWordEndsIdleness(t *testing.T) {
	p, v := publishing()
	p.Publish(at(0), v, 0.5)
	p.Quiet(at(10*minute), at(0).Wall)
	if _, err := p.Choose(at(11*minute), Choice{Basic: wire.Open, IM: wire.Busy}); err != nil {
		t.Fatal(err)
	}
	d := p.Publish(at(11*minute), v, 0.5)[0].Doc
	check(t, "busy", d.Tuples[0].IM, wire.Busy)
	check(t, "no idleness beside it", d.Tuples[0].IdleSince, 0)
	check(t, "input is no news", p.Quiet(at(12*minute), 0), false)
}

// TestBareDocument says what a thing says: a tuple with what it measures, and nothing of a person.
func TestBareDocument(t *testing.T) {
	p, v := publishing()
	own := []wire.Status{{Name: "x.example.org/temperature", Value: "21.5"}}
	if _, err := p.Choose(at(0), Choice{Basic: wire.Open, IM: wire.Busy, Note: "n", Lang: "en", Contacts: []string{"tel:+1"},
		Status: []wire.Status{{Name: "mood", Value: "happy"}}, Own: own, Bare: true}); err != nil {
		t.Fatal(err)
	}
	d := p.Publish(at(0), v, 0.5)[0].Doc
	if len(d.Notes)+len(d.Contact)+len(d.Status) != 0 || d.Tuples[0].IM != 0 || len(d.Tuples[0].Notes) != 0 {
		t.Errorf("a thing speaks as a person: %+v", d)
	}
	tuple := d.Tuples[0]
	check(t, "measures", tuple.Status[0].Name+"="+tuple.Status[0].Value, "x.example.org/temperature=21.5")
	check(t, "open", tuple.Basic, wire.Open)
	if tuple.Contact == "" || tuple.Timestamp == 0 {
		t.Errorf("the minimal tuple is not whole: %+v", tuple)
	}
	if _, err := wire.ParseDoc(d.Append(nil)); err != nil {
		t.Error(err)
	}
}

// TestIdlenessIsFiltered shows in each view what it lets through (RFC 5025, section 3.3.2.12): nothing, not
// even by a change; that he is idle; or also since when.
func TestIdlenessIsFiltered(t *testing.T) {
	whole := Filter{Limited: true, Services: Which{All: true}, Persons: Which{All: true}, Devices: Which{All: true}, Attributes: ShowEverything}
	for input, want := range map[Input]struct {
		im    wire.IMStatus
		since Time
	}{
		InputNone: {wire.Available, 0}, InputBare: {wire.Idle, 0}, InputThresholds: {wire.Idle, 0}, InputFull: {wire.Idle, at(0).Wall},
	} {
		p, v := publishing()
		f := whole
		f.Input = input
		if _, err := p.Show(at(0), Choice{Basic: wire.Open, IM: wire.Available}, f); err != nil {
			t.Fatal(err)
		}
		p.Publish(at(0), v, 0.5)
		said := p.Changed
		news := p.Quiet(at(10*minute), at(0).Wall)
		check(t, "news", news, input != InputNone)
		check(t, "its time moves", p.Changed != said, input != InputNone)
		d := p.doc(at(10*minute).Wall, 1)
		check(t, "shown", d.Tuples[0].IM, want.im)
		check(t, "since", d.Tuples[0].IdleSince, want.since)
	}
}
