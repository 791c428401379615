package formats

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Subject is whom a document is about.
type Subject struct {
	Address identity.Address
	URI     string                // by which the document names him; "": by his address
	Other   func(uri string) bool // whether a URI is known to be somebody else's; nil: nothing is known
}

// About is somebody who is named by his address.
func About(a identity.Address) Subject { return Subject{Address: a} }

// Entity is the URI by which a composed document names him.
func (s Subject) Entity() string { return cmp.Or(s.URI, s.Address.Pres()) }

// PIDF returns the presence of one person as a PIDF document; docs are what his devices say, the newest
// first. A document that was imported is given out in its own octets if it is all that there is (SPEC 8), and
// names him as he is to be named here; everything else is composed: see [Subject.Compose].
func (s Subject) PIDF(docs []wire.Doc) []byte {
	if len(docs) == 1 {
		if d := s.octets(docs[0]); d != nil {
			return d.Octets
		}
	}
	return s.Compose(docs)
}

// Imported returns the URI that an imported document claims to be about, if doc carries one that PIDF gives out for
// its author.
func (s Subject) Imported(doc wire.Doc) (entity string, ok bool) {
	d := s.octets(doc)
	if d == nil {
		return "", false
	}
	return d.Entity, true
}

// octets is the imported document that may be given out as it came: under a name that was asked for only if it is
// under that name.
func (s Subject) octets(doc wire.Doc) *Document {
	d := s.imported(doc)
	if d == nil || s.URI != "" && d.Entity != s.URI {
		return nil
	}
	return d
}

// imported is the document that doc carries, if it may stand for its author: one that speaks in the name of another
// address, or under a name that is known to be another's, is none.
func (s Subject) imported(doc wire.Doc) *Document {
	if len(doc.PIDF) == 0 {
		return nil
	}
	d, err := ParsePIDF(doc.PIDF)
	if err != nil {
		return nil
	}
	if a, ok := d.About(); ok && a != s.Address || s.Other != nil && s.Other(d.Entity) {
		return nil
	}
	return d
}

// Compose returns one PIDF document of what several devices say, the newest first. Each tuple is that of
// one device; of the person the newest word counts. Elements of imported documents are copied octet for
// octet, with no more than the declarations they need; an id that is taken already is not used again, so
// the newest tuple of a name wins.
func (s Subject) Compose(docs []wire.Doc) []byte {
	c := &composer{w: &writer{}, ids: map[string]bool{}}
	var notes, rest []func()
	person, noted := false, false
	for _, doc := range docs {
		d := s.imported(doc)
		c.tuples(doc, d)
		if d == nil {
			if !noted && len(doc.Notes) > 0 {
				noted = true
				notes = append(notes, func() { c.notes(doc.Notes) })
			}
			rest = append(rest, func() { c.ours(doc) })
			if !person && says(doc) {
				person = true
				rest = append(rest, func() { c.person(doc) })
			}
			rest = append(rest, func() { c.device(doc) })
			continue
		}
		isNote := func(e *element) bool { return !noted && e.is(nsPIDF, "note") }
		hadPerson := person
		isExtra := func(e *element) bool { return e.space != nsPIDF && !(hadPerson && e.is(nsModel, "person")) }
		if has(d, isNote) {
			notes = append(notes, func() { c.copyAll(d, func(e *element) bool { return e.is(nsPIDF, "note") }) })
			noted = true
		}
		rest = append(rest, func() { c.copyAll(d, isExtra) })
		person = person || has(d, func(e *element) bool { return e.is(nsModel, "person") })
	}
	for _, write := range slices.Concat(notes, rest) {
		write()
	}
	return c.w.document("presence", nsPIDF, "entity", s.Entity())
}

// has reports whether a child of the document is such.
func has(d *Document, such func(*element) bool) bool {
	return slices.ContainsFunc(d.source.root.children, such)
}

// Empty returns a document that says nothing of any service, and why in words: for a presentity of whom
// nothing is known that still holds. Only he can say closed.
func (s Subject) Empty(why string) []byte {
	w := &writer{}
	if why != "" {
		w.leaf("note", why, "xml:lang", "en")
	}
	return w.document("presence", nsPIDF, "entity", s.Entity())
}

// A composer writes what several devices say; ids are those that are used.
type composer struct {
	w   *writer
	ids map[string]bool
}

// id makes a name that is used once in the document and means the same in the next one.
func (c *composer) id(name string, device identity.DeviceID) string {
	clean := []byte(name)
	for i, b := range clean {
		if !wordForm.Match([]byte{'_', b}) {
			clean[i] = '_'
		}
	}
	if len(clean) == 0 || !wordForm.Match(clean[:1]) {
		clean = append([]byte{'_'}, clean...)
	}
	id := string(clean)
	if suffix := "-" + hex.EncodeToString(device[:4]); !strings.HasSuffix(id, suffix) {
		id += suffix
	}
	for c.ids[id] {
		id += "_"
	}
	c.ids[id] = true
	return id
}

// tuples writes the tuples of one device: those of the document it imported as they stand, and its own.
func (c *composer) tuples(doc wire.Doc, d *Document) {
	if d != nil {
		c.copyAll(d, func(e *element) bool { return e.is(nsPIDF, "tuple") })
	}
	for _, t := range doc.Tuples {
		if d == nil || !slices.ContainsFunc(d.Tuples, func(o wire.Tuple) bool { return o.ID == t.ID && o.Contact == t.Contact }) {
			c.tuple(c.id(t.ID, doc.Device), doc.Device, t)
		}
	}
	if d != nil {
		return
	}
	for i, uri := range doc.Contact {
		if !IsURI(uri) || webForm(uri) {
			continue
		}
		c.w.within("tuple", func() {
			c.w.within("status", func() { c.w.empty("h:unstated") })
			c.w.leaf("contact", uri)
		}, "id", c.id("contact"+strconv.Itoa(i+1), doc.Device))
	}
}

// tuple writes one tuple (RFC 3863, section 4.1.2), with what RPID has to say of a service.
func (c *composer) tuple(id string, device identity.DeviceID, t wire.Tuple) {
	w := c.w
	w.within("tuple", func() {
		var fits, others []wire.Status
		fits, others = c.sort(ofTuple, t.Status, t.Timestamp)
		w.within("status", func() {
			basic := wire.Closed
			if t.Basic == wire.Open {
				basic = wire.Open
			}
			w.leaf("basic", basic.String())
			if t.IM >= wire.Available && t.IM <= wire.XA {
				w.leaf("h:im", t.IM.String())
			}
			c.unnamed(others)
		})
		if !slices.ContainsFunc(fits, func(s wire.Status) bool { return s.Name == "deviceID" }) {
			w.leaf("dm:deviceID", deviceURN(device))
		}
		for _, s := range fits {
			w.writeKind(kindOf(s.Name), parseValue(s.Value))
		}
		input := slices.ContainsFunc(fits, func(s wire.Status) bool { return s.Name == "user-input" })
		if t.IdleSince != 0 && !input {
			w.leaf("r:user-input", "idle", "last-input", formatTime(t.IdleSince))
		} else if t.IM == wire.Idle && !input {
			w.leaf("r:user-input", "idle", "h:derived", "1")
		}
		c.exts(t.Ext)
		if IsURI(t.Contact) || t.Contact == "" && t.Priority != 0 {
			w.leaf("contact", t.Contact, "priority", formatPriority(t.Priority))
		}
		c.notes(t.Notes)
		if t.Timestamp != 0 {
			w.leaf("timestamp", formatTime(t.Timestamp))
		}
	}, "id", id)
}

// formatPriority writes thousandths; none is the lowest anyway.
func formatPriority(p uint32) string {
	switch {
	case p == 0:
		return ""
	case p >= wire.MaxPriority:
		return "1"
	}
	return strings.TrimRight(fmt.Sprintf("0.%03d", p), "0")
}

// deviceURN is a device's id as a URN (RFC 4479, section 3.4; RFC 9562).
func deviceURN(d identity.DeviceID) string {
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", d[:4], d[4:6], d[6:8], d[8:10], d[10:])
}

// sort parts status entries into those that have an element of their own in such a parent, and the rest.
// A timed status that covers the time of its tuple is none (RFC 4481, section 3).
func (c *composer) sort(where int, list []wire.Status, at wire.Time) (fits, others []wire.Status) {
	probe := &writer{}
	for _, s := range list {
		k, v := kindOf(s.Name), parseValue(s.Value)
		twice := func(f wire.Status) bool { return f.Name == s.Name }
		switch {
		case k == nil || k.where&where == 0, !k.repeats && slices.ContainsFunc(fits, twice):
		case k.name == "timed-status" && covers(v, at):
		case k.space == nsCIPID && where == ofTuple && !ofOthers(list):
		case probe.writeKind(k, v):
			fits = append(fits, s)
			continue
		}
		others = append(others, s)
	}
	return fits, others
}

func covers(v value, at wire.Time) bool {
	from, _ := parseTime(v.get("from"))
	until, ends := parseTime(v.get("until"))
	return at >= from && (!ends || at < until)
}

// ofOthers reports whether a tuple is about somebody else than the presentity: only then it holds
// information on a contact (RFC 4482, section 1).
func ofOthers(list []wire.Status) bool {
	return slices.ContainsFunc(list, func(s wire.Status) bool {
		return s.Name == "relationship" && parseValue(s.Value).text != "self"
	})
}

// unnamed writes the entries that have no element of their own.
func (c *composer) unnamed(list []wire.Status) {
	for _, s := range list {
		c.w.leaf("h:status", s.Value, "name", s.Name)
	}
}

func (c *composer) exts(list []wire.Ext) {
	for _, x := range list {
		c.w.leaf("h:ext", base64.StdEncoding.EncodeToString(x.Value), "name", x.Name)
	}
}

func (c *composer) notes(list []wire.Note) {
	for _, n := range list {
		c.w.leaf("note", n.Text, "xml:lang", langOr(n.Lang))
	}
}

// derived is what the IM status of the first open tuple says of the person to those who know RPID only.
func derived(doc wire.Doc) string {
	for _, t := range doc.Tuples {
		if t.Basic != wire.Open {
			continue
		}
		switch t.IM {
		case wire.Busy, wire.DND:
			return "busy"
		case wire.Away, wire.XA:
			return "away"
		}
		return ""
	}
	return ""
}

// says reports whether a document says anything of the person.
func says(doc wire.Doc) bool {
	fits, _ := (&composer{}).sort(ofPerson, doc.Status, 0)
	return len(fits) > 0 || derived(doc) != "" || slices.ContainsFunc(doc.Contact, webForm)
}

// person writes what a device says of the person (RFC 4479, section 3.2).
func (c *composer) person(doc wire.Doc) {
	var at wire.Time
	for _, t := range doc.Tuples {
		at = max(at, t.Timestamp)
	}
	c.w.within("dm:person", func() {
		fits, _ := c.sort(ofPerson, doc.Status, 0)
		busy := slices.ContainsFunc(fits, func(s wire.Status) bool { return s.Name == "activities" })
		card := slices.ContainsFunc(fits, func(s wire.Status) bool { return s.Name == "card" })
		if word := derived(doc); word != "" && !busy {
			c.w.within("r:activities", func() { c.w.empty("r:" + word) }, "h:derived", "1")
		}
		for _, s := range fits {
			c.w.writeKind(kindOf(s.Name), parseValue(s.Value))
		}
		for _, uri := range doc.Contact {
			if webForm(uri) && !card {
				c.w.leaf("c:card", uri)
				card = true
			}
		}
		if at != 0 {
			c.w.leaf("dm:timestamp", formatTime(at))
		}
	}, "id", c.id("person", doc.Device))
}

// ours writes the entries and extensions of a document that no RFC has an element for.
func (c *composer) ours(doc wire.Doc) {
	_, others := c.sort(ofPerson, doc.Status, 0)
	c.unnamed(others)
	c.exts(doc.Ext)
}

// device writes the device that a document comes from, if there is something to say of it.
func (c *composer) device(doc wire.Doc) {
	i := slices.IndexFunc(doc.Tuples, func(t wire.Tuple) bool { return t.IdleSince != 0 })
	if i < 0 {
		return
	}
	c.w.within("dm:device", func() {
		c.w.leaf("r:user-input", "idle", "last-input", formatTime(doc.Tuples[i].IdleSince), "h:derived", "1")
		c.w.leaf("dm:deviceID", deviceURN(doc.Device))
	}, "id", c.id("device", doc.Device))
}

// copyAll copies the children of an imported document that are chosen, octet for octet.
func (c *composer) copyAll(d *Document, chosen func(*element) bool) {
	for _, e := range d.source.root.children {
		if chosen(e) && c.claim(e) {
			c.copy(d.source, e)
		}
	}
}

// claim takes the ids in e, all or none.
func (c *composer) claim(e *element) bool {
	var ids []string
	var walk func(*element)
	walk = func(e *element) {
		if id, ok := e.attr("", "id"); ok {
			ids = append(ids, strings.Trim(id, space))
		}
		for _, child := range e.children {
			walk(child)
		}
	}
	walk(e)
	if slices.ContainsFunc(ids, func(id string) bool { return c.ids[id] }) {
		return false
	}
	for _, id := range ids {
		c.ids[id] = true
	}
	return true
}

// copy copies one element. What its prefixes mean is told behind its name, as far as it is not told
// there already or means the same here; nothing else is added, and nothing is changed.
func (c *composer) copy(src *source, e *element) {
	c.w.line()
	c.w.b = append(c.w.b, src.text[e.start:e.head]...)
	bindings := e.scope.all()
	if !slices.ContainsFunc(bindings, func(b binding) bool { return b.prefix == "" }) {
		bindings = append(bindings, binding{}) // what has no prefix there is in no namespace
	}
	for _, b := range bindings {
		if b.prefix == "" && b.space == nsPIDF || e.declares(src, b.prefix) {
			continue
		}
		name := "xmlns"
		if b.prefix != "" {
			name += ":" + b.prefix
		}
		c.w.b = append(append(append(append(c.w.b, ' '), name...), '=', '"'), appendText(nil, b.space, true)...)
		c.w.b = append(c.w.b, '"')
	}
	if _, ok := e.attr(nsXML, "lang"); !ok && e.lang != "" && e.is(nsPIDF, "note") {
		c.w.b = append(append(append(c.w.b, ` xml:lang="`...), appendText(nil, e.lang, true)...), '"')
	}
	c.w.b = append(c.w.b, src.text[e.head:e.end]...)
}

// declares reports whether e itself says what prefix means.
func (e *element) declares(src *source, prefix string) bool {
	return e.scope != src.root.scope && slices.ContainsFunc(e.scope.prefixes, func(b binding) bool { return b.prefix == prefix })
}
