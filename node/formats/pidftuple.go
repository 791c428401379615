package formats

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/hum-presence/hum/p2p/wire"
)

// tuple reads one tuple (RFC 3863, section 4.1.2).
func (d *Document) tuple(e *element) error {
	id, ok := e.attr("", "id")
	if !ok {
		return problem(BadValue, e.line, "a tuple without id")
	}
	t := wire.Tuple{ID: strings.Trim(id, space)}
	step, seen := -1, 0
	var extra []*element
	for _, c := range e.children {
		at := stepOther
		if c.space == nsPIDF {
			switch c.local {
			case "status":
				at = stepFirst
			case "contact":
				at = stepContact
			case "note":
				at = stepNote
			case "timestamp":
				at = stepLast
			default:
				d.skip(c, unknown)
				continue
			}
		}
		if at < step {
			return problem(NotOfFormat, c.line, "<%s> comes too late: status, what others add, contact, notes, timestamp", c.local)
		}
		if seen&(1<<at) != 0 && at != stepOther && at != stepNote {
			return problem(NotOfFormat, c.line, "a second <%s> in one tuple", c.local)
		}
		step, seen = at, seen|1<<at
		if at == stepOther {
			extra = append(extra, c)
		} else if err := d.part(&t, c); err != nil {
			return err
		}
	}
	if seen&(1<<stepFirst) == 0 {
		return problem(NotOfFormat, e.line, "tuple %q has no status", t.ID)
	}
	d.extras(&t, extra)
	if t.Basic != 0 {
		d.Tuples = append(d.Tuples, t)
		return nil
	}
	if t.Contact != "" {
		d.Contacts = append(d.Contacts, t.Contact)
	}
	if !unstated(e) {
		d.skip(e, noBasic)
	}
	return nil
}

// unstated reports whether a tuple of ours stands for a bare contact.
func unstated(tuple *element) bool {
	for _, s := range tuple.children {
		for _, c := range s.children {
			if s.is(nsPIDF, "status") && c.is(nsHum, "unstated") {
				return true
			}
		}
	}
	return false
}

// part reads one of PIDF's own children of a tuple.
func (d *Document) part(t *wire.Tuple, c *element) error {
	switch c.local {
	case "status":
		return d.status(t, c)
	case "contact":
		uri := c.trimmed()
		if p, ok := c.attr("", "priority"); ok {
			t.Priority = priority(strings.Trim(p, space))
		}
		if uri == "" { // as of a postal address (RFC 4480, section 3.9)
			return nil
		}
		if !schemeForm.MatchString(uri) {
			return problem(NoScheme, c.line, "contact %q has no scheme; for example im:, tel: or mailto: stands before it", uri)
		}
		if !IsURI(uri) {
			return problem(BadValue, c.line, "contact %q is no URI", uri)
		}
		t.Contact = uri
	case "note":
		return note(c, &t.Notes)
	case "timestamp":
		at, ok := parseTime(c.trimmed())
		if !ok {
			return problem(BadValue, c.line, "timestamp %q is not of RFC 3339, such as 2026-11-22T18:30:00Z", c.trimmed())
		}
		t.Timestamp = at
	}
	return nil
}

// priority returns thousandths; what is out of range counts as none (RFC 3863, section 4.1.5).
func priority(s string) uint32 {
	if !priorityForm.MatchString(s) {
		return 0
	}
	whole, part, _ := strings.Cut(s, ".")
	n, _ := strconv.Atoi(whole + (part + "000")[:3])
	return uint32(n)
}

func (d *Document) status(t *wire.Tuple, e *element) error {
	for i, c := range e.children {
		switch {
		case c.is(nsPIDF, "basic"):
			switch word := c.trimmed(); {
			case i > 0:
				return problem(NotOfFormat, c.line, "basic comes first in a status, and once")
			case word == "open":
				t.Basic = wire.Open
			case word == "closed":
				t.Basic = wire.Closed
			default:
				return problem(BadValue, c.line, "basic is open or closed, and not %q", word)
			}
		case c.is(nsHum, "im"):
			for s := wire.Available; s <= wire.XA; s++ {
				if c.trimmed() == s.String() {
					t.IM = s
				}
			}
		case c.is(nsHum, "status"):
			d.ours(&t.Status, c)
		case c.is(nsHum, "unstated"):
		default:
			d.skip(c, unknown)
		}
	}
	return nil
}

// ours reads a status entry that has no element of its own.
func (d *Document) ours(list *[]wire.Status, c *element) {
	name, _ := c.attr("", "name")
	if name == "" {
		d.skip(c, misfit)
		return
	}
	*list = append(*list, wire.Status{Name: name, Value: c.text})
}

// ext reads an extension of a hum document.
func (d *Document) ext(list *[]wire.Ext, c *element) {
	name, _ := c.attr("", "name")
	b, err := base64.StdEncoding.DecodeString(c.trimmed())
	if name == "" || err != nil || len(b) > wire.MaxExtValue || len(*list) == wire.MaxExts {
		d.skip(c, misfit)
		return
	}
	*list = append(*list, wire.Ext{Name: name, Value: b})
}
