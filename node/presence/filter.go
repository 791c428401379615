package presence

import (
	"slices"
	"strings"

	"github.com/hum-presence/hum/p2p/wire"
)

// An Attribute is a set of the attributes of a document that a filter lets through one by one (RFC 5025,
// section 3.3.2). What is not among them is never hidden: the contact, the basic and instant messaging
// status and the times of a service that is shown.
type Attribute uint32

const (
	ShowActivities Attribute = 1 << iota
	ShowClass
	ShowDeviceIDs
	ShowMood
	ShowPlaceIs
	ShowPlaceType
	ShowPrivacy
	ShowRelationship
	ShowSphere
	ShowStatusIcon
	ShowTimeOffset
	ShowNotes
	ShowUnknown              // every attribute that has no name here, and what was imported
	ShowEverything Attribute = 1<<iota - 1
)

// attributes are the status names of the attributes (SPEC 9.2), which are the element names of RFC 4480.
var attributes = map[string]Attribute{
	"activities": ShowActivities, "class": ShowClass, "deviceID": ShowDeviceIDs, "mood": ShowMood, "place-is": ShowPlaceIs,
	"place-type": ShowPlaceType, "privacy": ShowPrivacy, "relationship": ShowRelationship, "sphere": ShowSphere,
	"status-icon": ShowStatusIcon, "time-offset": ShowTimeOffset,
}

// Input says how much is shown of when the user last touched a device (RFC 5025, section 3.3.2.12).
type Input uint8

const (
	InputNone       Input = iota
	InputBare             // whether he is active or idle
	InputThresholds       // also after how long a time he counts as idle
	InputFull             // also since when
)

// Which selects services, persons or devices, by any of what it names (RFC 5025, section 3.3.1).
type Which struct {
	All     bool
	IDs     []string // of services: the tuple's id; of devices: the id in hexadecimal
	Classes []string
	URIs    []string // of services
	Schemes []string // of services: that of the contact
}

// A Filter says what of a document the members of a view are shown (RFC 5025, section 3.3). The zero
// Filter shows everything.
type Filter struct {
	Limited    bool // else what follows does not count
	Services   Which
	Persons    Which
	Devices    Which
	Attributes Attribute
	Input      Input
	Others     []string // status names without an Attribute of their own that are shown without ShowUnknown
}

// Apply returns what f lets through of d. To apply it again changes nothing, and what it returns is as
// valid as d. Entity, device, version and lease, which every reader needs, stay; so does reach, which is
// for the machine, and the first service, which says whether I am there (SPEC 4.1).
func (f Filter) Apply(d wire.Doc) wire.Doc {
	if !f.Limited {
		return d
	}
	device := f.Devices.shows(d.Device.String(), "")
	tuples := slices.Clone(d.Tuples)[:0]
	for i, t := range d.Tuples {
		if i == 0 || f.Services.service(t) {
			tuples = append(tuples, f.tuple(t, device))
		}
	}
	d.Tuples = tuples
	if f.Persons.shows("", classOf(d.Status)) {
		d.Notes, d.Status = f.notes(d.Notes), f.statuses(d.Status, f.Persons, device)
	} else {
		d.Notes, d.Status, d.Contact = nil, nil, nil
	}
	if f.Attributes&ShowUnknown == 0 {
		d.Crit, d.Ext, d.Unknown = nil, nil, nil
	}
	if !f.whole() {
		d.PIDF = nil // it may hold any of it
	}
	return d
}

// whole reports whether f hides nothing.
func (f Filter) whole() bool {
	return f.Services.All && f.Persons.All && f.Devices.All && f.Attributes&ShowEverything == ShowEverything && f.Input >= InputFull
}

func (f Filter) tuple(t wire.Tuple, device bool) wire.Tuple {
	t.Notes, t.Status = f.notes(t.Notes), f.statuses(t.Status, f.Services, device)
	if f.Input < InputFull || !device {
		t.IdleSince = 0
	}
	if f.Attributes&ShowUnknown == 0 {
		t.Crit, t.Ext, t.Unknown = nil, nil, nil
	}
	return t
}

// statuses returns what f shows of the attributes of a part that which selects; device says whether it may
// tell of the device. The class by which a part was selected stays with it: else a second look would select
// otherwise.
func (f Filter) statuses(in []wire.Status, which Which, device bool) (out []wire.Status) {
	for _, s := range in {
		a, named := attributes[s.Name]
		switch {
		case s.Name == "user-input" && f.Input == InputNone:
			continue
		case s.Name == "user-input", s.Name == "class" && len(which.Classes) > 0, s.Name == "service-class":
		case s.Name == "deviceID" && !device:
			continue
		case named && f.Attributes&a == 0:
			continue
		case !named && f.Attributes&ShowUnknown == 0 && !slices.Contains(f.Others, s.Name):
			continue
		}
		s.Value = f.cut(s.Value)
		if f.Attributes&ShowUnknown == 0 {
			s.Unknown = nil
		}
		out = append(out, s)
	}
	return out
}

// cut returns what f shows of a value: words, and behind each ";" a parameter, as "name=text" (SPEC 9.2).
func (f Filter) cut(value string) string {
	parts := strings.Split(value, ";")
	return strings.Join(append(parts[:1:1], slices.DeleteFunc(parts[1:], func(p string) bool {
		switch name, _, _ := strings.Cut(p, "="); name {
		case "note", "lang":
			return f.Attributes&ShowNotes == 0
		case "idle-threshold":
			return f.Input < InputThresholds
		case "last-input":
			return f.Input < InputFull
		}
		return false
	})...), ";")
}

func (f Filter) notes(in []wire.Note) []wire.Note {
	if f.Attributes&ShowNotes == 0 {
		return nil
	}
	if f.Attributes&ShowUnknown != 0 {
		return in
	}
	var out []wire.Note
	for _, n := range in {
		n.Unknown = nil
		out = append(out, n)
	}
	return out
}

// classOf returns the class among the statuses of a part, "" if it has none.
func classOf(all []wire.Status) string {
	for _, s := range all {
		if s.Name == "class" {
			return s.Value
		}
	}
	return ""
}

func (w Which) shows(id, class string) bool {
	return w.All || id != "" && slices.Contains(w.IDs, id) || class != "" && slices.Contains(w.Classes, class)
}

func (w Which) service(t wire.Tuple) bool {
	scheme, _, _ := strings.Cut(t.Contact, ":")
	return w.shows(t.ID, classOf(t.Status)) || t.Contact != "" &&
		(slices.Contains(w.URIs, t.Contact) || slices.ContainsFunc(w.Schemes, func(s string) bool { return strings.EqualFold(s, scheme) }))
}
