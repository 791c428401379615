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

// OfDevice begins the names of those statuses of a document that are about the device it comes from, and not
// about the person: "device:user-input".
const OfDevice = "device:"

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
	IDs     []string // of services: the tuple's id; of devices: the deviceID
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
	tuples := slices.Clone(d.Tuples)[:0]
	for i, t := range d.Tuples {
		if i == 0 || f.Services.service(t) {
			tuples = append(tuples, f.tuple(t))
		}
	}
	d.Tuples = tuples
	d.Status = f.parts(d)
	if !f.Persons.shows("", classOf(d.Status, "")) {
		d.Notes, d.Contact = nil, nil
	}
	d.Notes = f.notes(d.Notes)
	if !f.all() {
		d.PIDF = nil // its octets cannot be shown in part
	}
	if f.Attributes&ShowUnknown == 0 {
		d.Crit, d.Ext, d.Unknown = nil, nil, nil
	}
	return d
}

// all reports whether f hides nothing.
func (f Filter) all() bool {
	return f.Services.All && f.Persons.All && f.Devices.All && f.Attributes == ShowEverything && f.Input == InputFull
}

// parts returns the statuses of the person and of the device, each as far as that part is shown.
func (f Filter) parts(d wire.Doc) (out []wire.Status) {
	person := f.Persons.shows("", classOf(d.Status, ""))
	device := f.Devices.shows(d.Device.String(), classOf(d.Status, OfDevice))
	for _, s := range d.Status {
		name, ofDevice := strings.CutPrefix(s.Name, OfDevice)
		which, shown := f.Persons, person
		if ofDevice {
			which, shown = f.Devices, device
		}
		if shown {
			out = f.status(out, which, name, s)
		}
	}
	return out
}

func (f Filter) tuple(t wire.Tuple) wire.Tuple {
	var kept []wire.Status
	for _, s := range t.Status {
		kept = f.status(kept, f.Services, s.Name, s)
	}
	t.Notes, t.Status = f.notes(t.Notes), kept
	if f.Input < InputFull {
		t.IdleSince = 0
	}
	if f.Attributes&ShowUnknown == 0 {
		t.Crit, t.Ext, t.Unknown = nil, nil, nil
	}
	return t
}

// status appends what f shows of s, an attribute called name of a part that which selects. The class by
// which a part was selected stays with it: else a second look would select otherwise.
func (f Filter) status(to []wire.Status, which Which, name string, s wire.Status) []wire.Status {
	if f.Attributes&ShowUnknown == 0 {
		s.Unknown = nil
	}
	a, named := attributes[name]
	switch {
	case name == "user-input":
		if s.Value = f.Input.cut(s.Value); s.Value == "" {
			return to
		}
	case name == "class" && len(which.Classes) > 0, name == "service-class":
	case named && f.Attributes&a == 0:
		return to
	case !named && f.Attributes&ShowUnknown == 0 && !slices.Contains(f.Others, name):
		return to
	}
	return append(to, s)
}

// cut returns what is shown of a user-input: a word, and after it what is known in more detail, each as
// ";name=value" (docs/registry.md).
func (i Input) cut(value string) string {
	words := strings.Split(value, ";")
	if i == InputFull || value == "" {
		return value
	}
	if i == InputNone {
		return ""
	}
	return strings.Join(append(words[:1:1], slices.DeleteFunc(words[1:], func(w string) bool {
		return i < InputThresholds || !strings.HasPrefix(w, "idle-threshold=")
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
func classOf(all []wire.Status, prefix string) string {
	for _, s := range all {
		if s.Name == prefix+"class" {
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
	return w.shows(t.ID, classOf(t.Status, "")) || t.Contact != "" &&
		(slices.Contains(w.URIs, t.Contact) || slices.ContainsFunc(w.Schemes, func(s string) bool { return strings.EqualFold(s, scheme) }))
}
