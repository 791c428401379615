package presence

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/hum-presence/hum/p2p/wire"
	"pgregory.net/rapid"
)

// rich is a document in which every attribute of RFC 5025 occurs.
func rich() wire.Doc {
	status := func(names ...string) (out []wire.Status) {
		for _, n := range names {
			out = append(out, wire.Status{Name: n, Value: "v"})
		}
		return out
	}
	d := wire.Doc{
		Ver: 1, TTL: 150, Notes: []wire.Note{{Text: "hi"}}, Contact: []string{"tel:+1"}, PIDF: []byte("<x/>"),
		Status: status("activities", "mood", "place-is", "place-type", "privacy", "sphere", "status-icon", "time-offset", "class", "odd"),
		Tuples: []wire.Tuple{
			{ID: "im", Basic: wire.Open, Contact: "im:me", Timestamp: 5, IdleSince: 4, Notes: []wire.Note{{Text: "t"}}, Status: status("class", "relationship", "deviceID", "privacy", "status-icon", "service-class", "odd")},
			{ID: "tel", Basic: wire.Closed, Contact: "tel:+1", Timestamp: 6},
			{ID: "mail", Basic: wire.Open, Contact: "mailto:a@b", Timestamp: 7, Status: []wire.Status{{Name: "class", Value: "biz"}}},
		},
	}
	d.Status = append(d.Status, wire.Status{Name: "user-input", Value: "idle;idle-threshold=600;last-input=2026-01-01T00:00:00Z"})
	return d
}

func TestFilter(t *testing.T) {
	all := Which{All: true}
	tests := []struct {
		name     string
		f        Filter
		tuples   []string
		statuses []string
		notes    int
		contact  int
	}{
		{"no filter", Filter{}, []string{"im", "tel", "mail"}, []string{"activities", "mood", "place-is", "place-type", "privacy", "sphere", "status-icon", "time-offset", "class", "odd", "user-input"}, 1, 1},
		{"nothing granted", Filter{Limited: true}, []string{"im"}, nil, 0, 0},
		{"everything granted", Filter{Limited: true, Services: all, Persons: all, Devices: all, Attributes: ShowEverything, Input: InputFull}, []string{"im", "tel", "mail"}, []string{"activities", "mood", "place-is", "place-type", "privacy", "sphere", "status-icon", "time-offset", "class", "odd", "user-input"}, 1, 1},
		{"a person without attributes", Filter{Limited: true, Persons: all}, []string{"im"}, nil, 0, 1},
		{"mood and note", Filter{Limited: true, Persons: all, Attributes: ShowMood | ShowNotes}, []string{"im"}, []string{"mood"}, 1, 1},
		{"a person of a class that stays with it", Filter{Limited: true, Persons: Which{Classes: []string{"v"}}, Attributes: ShowSphere}, []string{"im"}, []string{"sphere", "class"}, 0, 1},
		{"a person of another class", Filter{Limited: true, Persons: Which{Classes: []string{"w"}}, Attributes: ShowEverything}, []string{"im"}, nil, 0, 0},
		{"one odd attribute", Filter{Limited: true, Persons: all, Others: []string{"odd"}}, []string{"im"}, []string{"odd"}, 0, 1},
		{"a service by scheme", Filter{Limited: true, Services: Which{Schemes: []string{"TEL"}}}, []string{"im", "tel"}, nil, 0, 0},
		{"a service by contact", Filter{Limited: true, Services: Which{URIs: []string{"mailto:a@b"}}}, []string{"im", "mail"}, nil, 0, 0},
		{"a service by id", Filter{Limited: true, Services: Which{IDs: []string{"tel"}}}, []string{"im", "tel"}, nil, 0, 0},
		{"a service by class", Filter{Limited: true, Services: Which{Classes: []string{"biz"}}}, []string{"im", "mail"}, nil, 0, 0},
		{"whether idle", Filter{Limited: true, Persons: all, Input: InputBare}, []string{"im"}, []string{"user-input"}, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := rich()
			got := tt.f.Apply(in)
			if !reflect.DeepEqual(in, rich()) {
				t.Fatal("the filter changed what it was given")
			}
			var tuples, statuses []string
			for _, x := range got.Tuples {
				tuples = append(tuples, x.ID)
			}
			for _, x := range got.Status {
				statuses = append(statuses, x.Name)
			}
			check(t, "tuples", reflect.DeepEqual(tuples, tt.tuples), true)
			if !reflect.DeepEqual(statuses, tt.statuses) {
				t.Errorf("statuses: got %v, want %v", statuses, tt.statuses)
			}
			check(t, "notes", len(got.Notes), tt.notes)
			check(t, "contact", len(got.Contact), tt.contact)
			check(t, "first service", got.Tuples[0].Contact == "im:me" && got.Tuples[0].Basic == wire.Open && got.Tuples[0].Timestamp == 5, true)
		})
	}
}

func TestParametersAreHidden(t *testing.T) {
	const input, mood = "idle;idle-threshold=600;last-input=2026-01-01T00:00:00Z", "happy;note=she said yes;lang=en;from=now"
	tests := []struct {
		name string
		f    Filter
		want []string
	}{
		{"nothing", Filter{}, nil},
		{"bare", Filter{Input: InputBare}, []string{"idle"}},
		{"thresholds", Filter{Input: InputThresholds}, []string{"idle;idle-threshold=600"}},
		{"full", Filter{Input: InputFull}, []string{input}},
		{"mood", Filter{Attributes: ShowMood}, []string{"happy;from=now"}},
		{"mood with its note", Filter{Attributes: ShowMood | ShowNotes}, []string{mood}},
	}
	for _, tt := range tests {
		var got []string
		for _, s := range tt.f.statuses([]wire.Status{{Name: "user-input", Value: input}, {Name: "mood", Value: mood}}, Which{}, true) {
			got = append(got, s.Value)
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestImportedOctetsAreShownWholeOrNotAtAll: they hold every service, whatever a filter hides of them.
func TestImportedOctetsAreShownWholeOrNotAtAll(t *testing.T) {
	all := Which{All: true}
	whole := Filter{Limited: true, Services: all, Persons: all, Devices: all, Attributes: ShowEverything, Input: InputFull}
	check(t, "whole", string(whole.Apply(rich()).PIDF), "<x/>")
	for i, hide := range []func(*Filter){
		func(f *Filter) { f.Services = Which{Schemes: []string{"im"}} }, func(f *Filter) { f.Persons.All = false }, func(f *Filter) { f.Devices.All = false },
		func(f *Filter) { f.Attributes &^= ShowMood }, func(f *Filter) { f.Input = InputThresholds },
	} {
		f := whole
		hide(&f)
		check(t, fmt.Sprint("in part ", i), len(f.Apply(rich()).PIDF), 0)
	}
}

// TestFilterTwice: F(F(x)) = F(x), whatever is granted (RFC 5025, section 3.3), and what is left is well
// formed.
func TestFilterTwice(t *testing.T) {
	words := []string{"im", "tel", "mailto:a@b", "v", "biz", "tel:+1", "odd", "00000000000000000000000000000000"}
	some := func(t *rapid.T, name string) []string {
		return rapid.SliceOfN(rapid.SampledFrom(words), 0, 3).Draw(t, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		which := func(name string) Which {
			return Which{All: rapid.Bool().Draw(t, name), IDs: some(t, "ids"), Classes: some(t, "classes"), URIs: some(t, "uris"), Schemes: some(t, "schemes")}
		}
		f := Filter{Limited: rapid.Bool().Draw(t, "limited"), Services: which("services"), Persons: which("persons"), Devices: which("devices"),
			Attributes: Attribute(rapid.Uint32().Draw(t, "attributes")) & ShowEverything, Input: Input(rapid.IntRange(0, 3).Draw(t, "input")), Others: some(t, "others")}
		once := f.Apply(rich())
		if twice := f.Apply(once); !reflect.DeepEqual(once, twice) {
			t.Fatalf("%+v shows %+v, then %+v", f, once, twice)
		}
		if _, err := wire.ParseDoc(once.Append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAHiddenChangeShowsNowhere: who is not shown a note sees neither it nor that it changed.
func TestAHiddenChangeShowsNowhere(t *testing.T) {
	p := NewPublisher(at(0), bob, phone, "im:bob", 150)
	if _, err := p.Show(at(0), p.Choice, Filter{Limited: true, Persons: Which{All: true}}); err != nil {
		t.Fatal(err)
	}
	p.Dirty = false
	c := p.Choice
	c.Note = "secret"
	changed, err := p.Choose(at(hour), c)
	check(t, "err", err, nil)
	check(t, "changed", changed || p.Dirty, false)
	check(t, "time", p.Changed, at(0).Wall)
	c.IM = wire.Busy
	changed, _ = p.Choose(at(2*hour), c)
	check(t, "a change that is shown", changed && p.Dirty && p.Changed == at(2*hour).Wall, true)
}

// TestAVacantViewIsSilent: nothing is made or said until somebody watches, and what was made ends by itself.
func TestAVacantViewIsSilent(t *testing.T) {
	v, p := NewView("work", 150), NewPublisher(at(0), bob, phone, "im:bob", 150)
	check(t, "nobody", v.Due(at(0), &p), TurnNone)
	v.Vacant = false
	check(t, "somebody", v.Due(at(0), &p), TurnChange)
	v.Change(at(0), [64]byte{1})
	check(t, "said", len(p.Publish(at(0), v, 0)), 1)
	v.Vacant = true
	v.Leave(CauseUser)
	check(t, "nobody again", v.Due(at(hour), &p), TurnNone)
	check(t, "silent", len(p.Publish(at(hour), v, 0)), 0)
	check(t, "over", v.Due(at(9*day), &p), TurnRetire)
	v.Vacant = false
	check(t, "who left reads nothing new", len(p.Publish(at(hour), v, 0)), 0)
	check(t, "somebody else", v.Due(at(hour), &p), TurnChange)
}

// TestFaceIsWhatWasSealed: a fetch and a notice carry the same bytes (RFC 2779, 2.3.3).
func TestFaceIsWhatWasSealed(t *testing.T) {
	v, p := NewView(DefaultView, 150), NewPublisher(at(0), bob, phone, "im:bob", 150)
	v.Change(at(0), [64]byte{1})
	out := p.Publish(at(0), v, 0)
	check(t, "face", string(p.Face(at(hour), v)), string(out[0].Doc.Append(nil)))
	c := p.Choice
	c.Note = "lunch"
	_, _ = p.Choose(at(hour), c)
	check(t, "while a change waits", string(p.Face(at(hour), v)), string(out[0].Doc.Append(nil)))
	v.Vacant = true
	d, err := wire.ParseDoc(p.Face(at(hour), v))
	check(t, "err", err, nil)
	check(t, "where nobody watches", d.Notes[0].Text, "lunch")
}

// TestVersionsGoOn: a view that somebody is moved to counts on from the one that he saw.
func TestVersionsGoOn(t *testing.T) {
	v, p := NewView(DefaultView, 150), NewPublisher(at(0), bob, phone, "im:bob", 150)
	v.Change(at(0), [64]byte{1})
	p.Publish(at(0), v, 0)
	c := p.Choice
	c.Note = "lunch"
	_, _ = p.Choose(at(minute), c)
	p.Publish(at(minute), v, 0)
	w, q := NewView("closed/x", 150), NewPublisher(at(hour), bob, phone, "im:bob", 150)
	w.Vacant = false
	w.Change(at(hour), [64]byte{2})
	q.Follow(at(hour), w, p, v)
	out := q.Publish(at(hour), w, 0)
	check(t, "the next one", out[0].Doc.Ver, 3)
	q.Follow(at(hour), w, p, v)
	check(t, "once", q.Tracks[0].Ver, 3)
}
