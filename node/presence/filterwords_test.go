package presence

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFilterWords(t *testing.T) {
	tests := []struct {
		name       string
		show, hide []string
		want       []string
	}{
		{"nothing", nil, nil, nil},
		{"a note brings the person", []string{"note"}, nil, []string{"note", "person"}},
		{"of one class only", []string{"person-class=work", "note"}, nil, []string{"note", "person-class=work"}},
		{"a relationship does not", []string{"relationship"}, nil, []string{"relationship"}},
		{"user input in full, with the device", []string{"user-input"}, nil, []string{"devices", "user-input=full"}},
		{"user input of one device", []string{"device=ab", "user-input=bare"}, nil, []string{"device=ab", "user-input=bare"}},
		{"everything", []string{"all"}, nil, []string{"all"}},
		{"one service less", []string{"service=tel", "service=mail"}, []string{"service=tel"}, []string{"service=mail"}},
		{"shown and hidden", []string{"mood", "note"}, []string{"mood"}, []string{"note", "person"}},
	}
	for _, tt := range tests {
		f, ok := Filter{Limited: true}, true
		for _, w := range tt.show {
			if f, ok = f.With(w); !ok {
				t.Errorf("%s: no word %q", tt.name, w)
			}
		}
		for _, w := range tt.hide {
			if f, ok = f.Without(w); !ok {
				t.Errorf("%s: no word %q", tt.name, w)
			}
		}
		if got := f.Words(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, w := range []string{"", "moods", "mood=x", "service", "service=", "user-input=half", "all=1", "services=x"} {
		if _, ok := (Filter{Limited: true}).With(w); ok {
			t.Errorf("%q was taken to be shown", w)
		}
	}
	for _, w := range []string{"", "moods", "mood=x", "service", "user-input=bare"} {
		if _, ok := (Filter{Limited: true}).Without(w); ok {
			t.Errorf("%q was taken to be hidden", w)
		}
	}
	all, _ := Filter{}.Without("note")
	if words := all.Words(); slices.Contains(words, "note") || !slices.Contains(words, "mood") || !slices.Contains(words, "services") {
		t.Errorf("all but the note: %q", words)
	}
}

// TestWordsSayTheFilter: what Words says makes the same filter, and no edit changes the filter it began with.
func TestWordsSayTheFilter(t *testing.T) {
	words := append(FilterWords(), "service=tel", "service-uri=tel:+1", "service-scheme=tel", "service-class=c", "person-class=c", "device=ab", "other=x.a.b/c", "user-input=bare")
	rapid.Check(t, func(t *rapid.T) {
		f := Filter{Limited: true}
		for range rapid.IntRange(0, 8).Draw(t, "edits") {
			word := rapid.SampledFrom(words).Draw(t, "word")
			before := f.Words()
			next, ok := f.With(word)
			if rapid.Bool().Draw(t, "hide") {
				next, ok = f.Without(word)
			}
			if !slices.Equal(before, f.Words()) {
				t.Fatal("an edit changed what it began with")
			}
			if ok {
				f = next
			}
		}
		again := Filter{Limited: true}
		said := f.Words()
		for _, w := range said {
			again, _ = again.With(w)
		}
		if got := again.Words(); !containsAll(got, said) || !f.Limited && again.Limited {
			t.Fatalf("%q became %q", said, got)
		}
		if !reflect.DeepEqual(f.Apply(f.Apply(rich())), f.Apply(rich())) {
			t.Fatal("not idempotent")
		}
	})
}

func containsAll(in, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(in, w) })
}
