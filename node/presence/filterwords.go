package presence

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// shownWords are the words for what a filter lets through as a whole.
var shownWords = map[string]Attribute{"note": ShowNotes, "unknown": ShowUnknown}

var inputWords = []string{"", "bare", "thresholds", "full"}

// FilterWords are the words that With and Without understand and that stand for themselves; the others are
// "user-input=bare|thresholds|full", "service=ID", "service-class=C", "service-uri=URI", "service-scheme=S",
// "person-class=C", "device=ID", and "other=NAME" for a status name that has no word here.
func FilterWords() []string {
	words := slices.Concat(slices.Collect(maps.Keys(attributes)), slices.Collect(maps.Keys(shownWords)))
	words = append(words, "all", "services", "person", "devices", "user-input")
	slices.Sort(words)
	return words
}

// With returns f with what word stands for shown, and false if it stands for nothing. An attribute of the
// person is shown with the person.
func (f Filter) With(word string) (Filter, bool) {
	if word == "all" {
		return Filter{}, true
	}
	name, value, given := strings.Cut(word, "=")
	switch list := f.list(name); {
	case list != nil && value != "":
		f.copy()
		*f.list(name) = add(*f.list(name), value)
		return f, true
	case given && name != "user-input":
		return f, false
	}
	return f.with(name, value)
}

func (f Filter) with(name, value string) (Filter, bool) {
	a := attributes[name] | shownWords[name]
	switch {
	case name == "services":
		f.Services.All = true
	case name == "person":
		f.Persons.All = true
	case name == "devices":
		f.Devices.All = true
	case name == "user-input" && slices.Contains(inputWords, value):
		f.Input = Input(slices.Index(inputWords, cmp.Or(value, "full")))
		f.Devices.All = f.Devices.All || len(f.Devices.IDs) == 0
	case a == 0:
		return f, false
	}
	f.Attributes |= a
	if a&^(ShowRelationship|ShowDeviceIDs|ShowClass|ShowUnknown) != 0 && len(f.Persons.Classes) == 0 {
		f.Persons.All = true
	}
	if a&ShowDeviceIDs != 0 && len(f.Devices.IDs) == 0 {
		f.Devices.All = true
	}
	return f, true
}

// Without returns f with what word stands for hidden, and false if it stands for nothing.
func (f Filter) Without(word string) (Filter, bool) {
	if !f.Limited { // from all that there is
		f = Filter{Limited: true, Services: Which{All: true}, Persons: Which{All: true}, Devices: Which{All: true}, Attributes: ShowEverything, Input: InputFull}
	}
	name, value, given := strings.Cut(word, "=")
	if list := f.list(name); list != nil && value != "" {
		f.copy()
		list = f.list(name)
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == value })
		return f, true
	}
	a := attributes[name] | shownWords[name]
	switch {
	case given:
		return f, false
	case name == "all":
		f = Filter{Limited: true}
	case name == "services":
		f.Services = Which{}
	case name == "person":
		f.Persons = Which{}
	case name == "devices":
		f.Devices = Which{}
	case name == "user-input":
		f.Input = InputNone
	case a == 0:
		return f, false
	}
	f.Attributes &^= a
	return f, true
}

// Words returns what f shows, as With understands it; "all" is everything.
func (f Filter) Words() (out []string) {
	if !f.Limited {
		return []string{"all"}
	}
	for name, all := range map[string]bool{"services": f.Services.All, "person": f.Persons.All, "devices": f.Devices.All} {
		if all {
			out = append(out, name)
		}
	}
	for _, words := range []map[string]Attribute{attributes, shownWords} {
		for name, a := range words {
			if f.Attributes&a != 0 {
				out = append(out, name)
			}
		}
	}
	if f.Input > InputNone && f.Input <= InputFull {
		out = append(out, "user-input="+inputWords[f.Input])
	}
	for _, name := range listWords {
		for _, value := range *f.list(name) {
			out = append(out, name+"="+value)
		}
	}
	slices.Sort(out)
	return out
}

// listWords are the words that take any value.
var listWords = []string{"service", "service-class", "service-uri", "service-scheme", "person-class", "device", "other"}

// list returns where the values of a word are kept; nil if it takes none.
func (f *Filter) list(name string) *[]string {
	switch name {
	case "service":
		return &f.Services.IDs
	case "service-class":
		return &f.Services.Classes
	case "service-uri":
		return &f.Services.URIs
	case "service-scheme":
		return &f.Services.Schemes
	case "person-class":
		return &f.Persons.Classes
	case "device":
		return &f.Devices.IDs
	case "other":
		return &f.Others
	}
	return nil
}

// copy makes the lists of f its own.
func (f *Filter) copy() {
	for _, name := range listWords {
		list := f.list(name)
		*list = slices.Clone(*list)
	}
}

func add(list []string, value string) []string {
	if slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}
