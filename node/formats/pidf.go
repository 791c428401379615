package formats

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Document is a PIDF document that was read: what hum understood of it, as the fields of a [wire.Doc].
type Document struct {
	Entity   string // the URI that it says it is about
	Tuples   []wire.Tuple
	Notes    []wire.Note
	Contacts []string // of tuples that say neither open nor closed, and the business card of the person
	Status   []wire.Status
	Ext      []wire.Ext
	Skipped  []Skipped
	Octets   []byte // as they came
	source   *source
}

// A Skipped is an element of which nothing is used.
type Skipped struct {
	Space, Local string
	Line         int
	Why          string
}

// Why an element is skipped.
const (
	unknown        = "not understood"
	mustUnderstand = "it must be understood as a whole, and is not"
	misfit         = "it does not say what it may say"
	noBasic        = "it says neither open nor closed; its contact is used"
	olderPerson    = "a newer word on the person is there"
)

// ParsePIDF reads a PIDF document (RFC 3863). What is wrong with it is an *[Error].
func ParsePIDF(b []byte) (*Document, error) {
	src, err := parseXML(b)
	if err != nil {
		return nil, err
	}
	d := &Document{Octets: slices.Clone(b), source: src}
	if err := d.read(src.root); err != nil {
		return nil, err
	}
	return d, nil
}

// The children of an element stand in an order; each step names those that may come then.
const (
	stepFirst = iota // tuple; status
	stepOther        // of a tuple: what other namespaces add
	stepContact
	stepNote
	stepLast // of a presence: what other namespaces add; of a tuple: timestamp
)

func (d *Document) read(root *element) error {
	if !root.is(nsPIDF, "presence") {
		return problem(NotOfFormat, root.line, "a presence document begins with <presence> of %s, and not with <%s> of %q", nsPIDF, root.local, root.space)
	}
	entity, _ := root.attr("", "entity")
	if d.Entity = strings.Trim(entity, space); !IsURI(d.Entity) {
		return problem(BadValue, root.line, "entity %q is no URI such as pres:bob@example.com", entity)
	}
	if err := uniqueIDs(root); err != nil {
		return err
	}
	step := stepFirst
	var persons []*element
	for _, e := range root.children {
		at := stepLast
		switch {
		case e.is(nsPIDF, "tuple"):
			at = stepFirst
		case e.is(nsPIDF, "note"):
			at = stepNote
		case e.space == nsPIDF:
			d.skip(e, unknown)
			continue
		}
		if at < step {
			return problem(NotOfFormat, e.line, "<%s> comes too late: tuples first, then notes, then what others add", e.local)
		}
		step = at
		switch {
		case at == stepFirst:
			if err := d.tuple(e); err != nil {
				return err
			}
		case at == stepNote:
			if err := note(e, &d.Notes); err != nil {
				return err
			}
		case e.is(nsModel, "person"):
			persons = append(persons, e)
		default:
			d.extra(e)
		}
	}
	if len(d.Tuples) > wire.MaxTuples {
		return problem(TooLarge, 0, "%d tuples; a presence document has at most %d", len(d.Tuples), wire.MaxTuples)
	}
	if err := d.person(persons); err != nil {
		return err
	}
	d.devices(root)
	return nil
}

func (d *Document) skip(e *element, why string) {
	d.Skipped = append(d.Skipped, Skipped{e.space, e.local, e.line, why})
}

// uniqueIDs checks the names of tuples, persons, devices and what else has one: each is a name, and is
// there once in the whole document (XML Schema, ID).
func uniqueIDs(root *element) error {
	seen := map[string]bool{}
	var walk func(e *element) error
	walk = func(e *element) error {
		if id, ok := e.attr("", "id"); ok && slices.Contains([]string{nsPIDF, nsModel, nsRPID}, e.space) {
			id = strings.Trim(id, space)
			if !nameForm.MatchString(id) {
				return problem(BadValue, e.line, "id %q: an id begins with a letter or _, and goes on with letters, digits, dot, - and _", id)
			}
			if seen[id] {
				return problem(DuplicateID, e.line, "a second <%s> with id %q", e.local, id)
			}
			seen[id] = true
		}
		for _, c := range e.children {
			if err := walk(c); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(root)
}

// note reads a note into list. An empty one says nothing.
func note(e *element, list *[]wire.Note) error {
	text := e.trimmed()
	if utf8.RuneCountInString(text) > wire.MaxNote {
		return problem(TooLarge, e.line, "a note of %d characters; it has at most %d", utf8.RuneCountInString(text), wire.MaxNote)
	}
	if text != "" {
		*list = append(*list, wire.Note{Text: text, Lang: langOr(e.lang)})
	}
	return nil
}

// extras reads what other namespaces add to a tuple.
func (d *Document) extras(t *wire.Tuple, list []*element) {
	for _, c := range list {
		if c.is(nsHum, "ext") {
			d.ext(&t.Ext, c)
			continue
		}
		d.entry(&t.Status, ofTuple, c)
	}
	idleSince(t)
}

func isInput(s wire.Status) bool { return s.Name == "user-input" }

// idleSince moves what has a field of its own out of the entries of t.
func idleSince(t *wire.Tuple) {
	t.Status = slices.DeleteFunc(t.Status, func(s wire.Status) bool {
		v := parseValue(s.Value)
		since, ok := parseTime(v.get("last-input"))
		if s.Name != "user-input" || v.text != "idle" || !ok {
			return false
		}
		t.IdleSince = since
		return v.get("idle-threshold") == ""
	})
}

// entry reads an element of the RPID family into list.
func (d *Document) entry(list *[]wire.Status, where int, c *element) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return c.is(k.space, k.name) && k.where&where != 0 })
	if i < 0 {
		d.skip(c, unknown)
		return
	}
	if c.derived() {
		return
	}
	if voided(c) {
		d.skip(c, mustUnderstand)
		return
	}
	v, ok := readKind(&kinds[i], c)
	if !ok {
		d.skip(c, misfit)
		return
	}
	for _, inner := range c.children {
		if !understood(inner) {
			d.skip(inner, unknown)
		}
	}
	*list = append(*list, wire.Status{Name: kinds[i].name, Value: v.String()})
}

// derived reports whether e repeats, for those who know no more, what an element of ours says.
func (e *element) derived() bool {
	_, ok := e.attr(nsHum, "derived")
	return ok
}

// understood reports whether an element is of a namespace that is read here.
func understood(e *element) bool {
	return slices.Contains([]string{nsPIDF, nsModel, nsRPID, nsTimed, nsCIPID, nsLocation, nsHum}, e.space)
}

// voided reports whether something within e must be understood and is not; then e is not used at all
// (RFC 3863, section 4.2.3). What is within an element that is ignored is ignored with it.
func voided(e *element) bool {
	for _, c := range e.children {
		if understood(c) {
			if voided(c) {
				return true
			}
			continue
		}
		if must, _ := c.attr(nsPIDF, "mustUnderstand"); must == "true" || must == "1" {
			return true
		}
	}
	return false
}

// extra reads what other namespaces add to the document.
func (d *Document) extra(e *element) {
	switch {
	case e.is(nsHum, "status"):
		d.ours(&d.Status, e)
	case e.is(nsHum, "ext"):
		d.ext(&d.Ext, e)
	case !e.is(nsModel, "device"): // see devices
		d.skip(e, unknown)
	}
}

// person reads the newest word on the person, the last of equals (RFC 4479, section 3.2).
func (d *Document) person(list []*element) error {
	var newest *element
	at := wire.Time(0)
	for _, e := range list {
		t, err := modelTime(e)
		if err != nil {
			return err
		}
		switch {
		case voided(e):
			d.skip(e, mustUnderstand)
			continue
		case newest != nil && t < at:
			d.skip(e, olderPerson)
			continue
		case newest != nil:
			d.skip(newest, olderPerson)
		}
		newest, at = e, t
	}
	if newest == nil {
		return nil
	}
	for _, c := range newest.children {
		switch {
		case c.is(nsModel, "note"):
			if err := note(c, &d.Notes); err != nil {
				return err
			}
		case c.is(nsModel, "timestamp"):
		default:
			d.entry(&d.Status, ofPerson, c)
		}
	}
	d.Status = slices.DeleteFunc(d.Status, func(s wire.Status) bool {
		card := s.Name == "card" && webForm(s.Value)
		if card {
			d.Contacts = append(d.Contacts, s.Value)
		}
		return card
	})
	return nil
}

// webForm reports whether a contact is a business card on the web, and so the person's and no tuple.
func webForm(uri string) bool {
	scheme, _, _ := strings.Cut(strings.ToLower(uri), ":")
	return (scheme == "http" || scheme == "https") && IsURI(uri) && !strings.Contains(uri, ";")
}

// modelTime is the timestamp of a person or device, 0 without one.
func modelTime(e *element) (at wire.Time, err error) {
	for _, c := range e.children {
		if !c.is(nsModel, "timestamp") {
			continue
		}
		var ok bool
		if at, ok = parseTime(c.trimmed()); !ok {
			return 0, problem(BadValue, c.line, "timestamp %q is not of RFC 3339, such as 2026-11-22T18:30:00Z", c.trimmed())
		}
	}
	return at, nil
}

// devices takes over what devices say of their input: it is that of the tuples that run on them (RFC 4479,
// section 3.4).
func (d *Document) devices(root *element) {
	for _, e := range root.children {
		if !e.is(nsModel, "device") {
			continue
		}
		if voided(e) {
			d.skip(e, mustUnderstand)
			continue
		}
		var id string
		var input []wire.Status
		for _, c := range e.children {
			switch {
			case c.is(nsModel, "deviceID"):
				id = c.trimmed()
			case c.space != nsModel:
				d.entry(&input, ofDevice, c)
			}
		}
		for i := range d.Tuples {
			t := &d.Tuples[i]
			if slices.ContainsFunc(t.Status, func(s wire.Status) bool { return s.Name == "deviceID" && s.Value == id }) {
				if !slices.ContainsFunc(t.Status, isInput) && t.IdleSince == 0 { // the service's own word is nearer
					t.Status = append(t.Status, input...)
					idleSince(t)
				}
			}
		}
	}
}

// About returns whose presence the document claims to be, if it names a hum address.
func (d *Document) About() (identity.Address, bool) { return AddressOf(d.Entity) }

// AddressOf returns the address in a URI such as pres:hum1…@hum.alt.
func AddressOf(uri string) (identity.Address, bool) {
	_, rest, ok := strings.Cut(uri, ":")
	local, domain, at := strings.Cut(rest, "@")
	if !ok || !at || !strings.EqualFold(domain, identity.Domain) {
		return identity.Address{}, false
	}
	a, err := identity.ParseAddress(local)
	return a, err == nil
}
