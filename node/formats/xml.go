package formats

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// space is the white space of XML.
const space = " \t\r\n"

// The limits of what is read; bytes are counted as they came.
const (
	MaxDocument = 32 << 10
	maxDepth    = 16
	maxAttrs    = 32 // of one element, with its declarations of namespaces
	maxElements = 2000
)

// An element is one element of a document that was read. Its octets are source[start:end], and what it
// says of itself ends at head; nothing of them is changed.
type element struct {
	space, local string
	attrs        []attr
	children     []*element
	text         string // of its own, without that of its children
	lang         string // xml:lang, its own or that around it
	scope        *scope
	line         int
	start, head  int // head: just behind the name of the start tag
	end          int
}

type attr struct{ space, local, value string }

// A scope is what prefixes mean; each element that declares some has one of its own.
type scope struct {
	outer    *scope
	prefixes []binding
}

type binding struct{ prefix, space string }

// of returns what prefix means; the empty prefix is the namespace of names without one.
func (s *scope) of(prefix string) (space string, ok bool) {
	if prefix == "xml" {
		return nsXML, true
	}
	for ; s != nil; s = s.outer {
		for _, b := range s.prefixes {
			if b.prefix == prefix {
				return b.space, true
			}
		}
	}
	return "", prefix == ""
}

// all returns every binding that holds in s, each prefix once.
func (s *scope) all() (out []binding) {
	for ; s != nil; s = s.outer {
		for _, b := range s.prefixes {
			if !slices.ContainsFunc(out, func(o binding) bool { return o.prefix == b.prefix }) {
				out = append(out, b)
			}
		}
	}
	return out
}

// attr returns the attribute of that name, which is in no namespace unless space says so.
func (e *element) attr(space, local string) (string, bool) {
	for _, a := range e.attrs {
		if a.space == space && a.local == local {
			return a.value, true
		}
	}
	return "", false
}

func (e *element) is(space, local string) bool { return e.space == space && e.local == local }

// trimmed is the text of e without the white space around it.
func (e *element) trimmed() string { return strings.Trim(e.text, space) }

// A source is a document as text: the octets in UTF-8, whatever they came in.
type source struct {
	text []byte
	root *element
}

// parseXML reads one document (XML 1.0, Namespaces in XML 1.0). The octets may be in UTF-8 or UTF-16.
func parseXML(b []byte) (*source, error) {
	if len(b) > MaxDocument {
		return nil, problem(TooLarge, 0, "%d bytes; a document has at most %d", len(b), MaxDocument)
	}
	text, label, err := decode(b)
	if err != nil {
		return nil, err
	}
	if at := bytes.IndexFunc(text, func(r rune) bool { return !isChar(r) }); at >= 0 {
		return nil, problem(NotWellFormed, lineOf(text, at), "a character that XML does not have")
	}
	p := &parser{text: text, label: label}
	p.d = xml.NewDecoder(bytes.NewReader(text))
	p.d.CharsetReader = p.charset
	if err := p.run(); err != nil {
		return nil, err
	}
	return &source{text: text, root: p.root}, nil
}

// decode returns b in UTF-8 and the name of what it was, without its byte order mark.
func decode(b []byte) (text []byte, label string, err error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		b = b[3:]
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}), bytes.HasPrefix(b, []byte{0, '<', 0}):
		order = binary.BigEndian
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}), bytes.HasPrefix(b, []byte{'<', 0}):
		order = binary.LittleEndian
	}
	if order != nil {
		text, err = fromUTF16(b, order)
		return text, "utf-16", err
	}
	if !utf8.Valid(b) {
		return nil, "", problem(BadEncoding, lineOf(b, invalidAt(b)), "not UTF-8")
	}
	return b, "utf-8", nil
}

// isChar reports whether XML 1.0 has the character (section 2.2).
func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}

// invalidAt is where b stops being UTF-8.
func invalidAt(b []byte) (at int) {
	for at < len(b) {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

func fromUTF16(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%2 != 0 {
		return nil, problem(BadEncoding, 0, "UTF-16 ends within a character")
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	if units[0] == 0xfeff {
		units = units[1:]
	}
	for i, u := range units {
		high, low := u >= 0xd800 && u < 0xdc00, u >= 0xdc00 && u < 0xe000
		if high && (i+1 == len(units) || units[i+1] < 0xdc00 || units[i+1] >= 0xe000) || low && (i == 0 || units[i-1] < 0xd800 || units[i-1] >= 0xdc00) {
			return nil, problem(BadEncoding, 0, "half a character in UTF-16")
		}
	}
	return []byte(string(utf16.Decode(units))), nil
}

// A parser builds the tree of elements.
type parser struct {
	text  []byte
	label string // of the octets as they came
	d     *xml.Decoder
	root  *element
	open  []*element
	names []string // of the open elements, as written
	count int
	enc   *Error // what the declaration got wrong

	counted, lines int // see line
}

// charset is asked about every encoding that the declaration names and that is not UTF-8.
func (p *parser) charset(label string, r io.Reader) (io.Reader, error) {
	if l := strings.ToLower(label); strings.HasPrefix(l, "utf-16") && p.label == "utf-16" {
		return r, nil
	}
	p.enc = problem(BadEncoding, 1, "it says %q; only UTF-8 and UTF-16 are read", label)
	return nil, p.enc
}

// line is the line of the offset at, which never falls from call to call.
func (p *parser) line(at int) int {
	p.lines += bytes.Count(p.text[p.counted:at], []byte{'\n'})
	p.counted = at
	return 1 + p.lines
}

// run reads until the end of the octets.
func (p *parser) run() error {
	for {
		at := int(p.d.InputOffset())
		t, err := p.d.RawToken()
		if err == io.EOF { // not one that something wraps: that is an end within a token
			break
		}
		if err != nil {
			return p.refusal(err)
		}
		if err := p.take(t, at); err != nil {
			return err
		}
	}
	switch {
	case len(p.open) > 0:
		return problem(NotWellFormed, p.line(len(p.text)), "<%s> is not closed", p.names[len(p.names)-1])
	case p.root == nil:
		return problem(NotWellFormed, 0, "no element at all")
	}
	return nil
}

// refusal names what the decoder found wrong.
func (p *parser) refusal(err error) error {
	if p.enc != nil {
		return p.enc
	}
	line := p.line(int(p.d.InputOffset()))
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		if strings.Contains(syntax.Msg, "invalid character entity") {
			return problem(BadEntity, line, "%s: only amp, lt, gt, apos, quot and numbers are read", syntax.Msg)
		}
		return problem(NotWellFormed, line, "%s", syntax.Msg)
	}
	return problem(NotWellFormed, line, "%v", err)
}

// take adds one token that begins at the offset at.
func (p *parser) take(t xml.Token, at int) error {
	switch t := t.(type) {
	case xml.StartElement:
		return p.start(t, at)
	case xml.EndElement:
		return p.end(t, at)
	case xml.CharData:
		if len(p.open) > 0 {
			e := p.open[len(p.open)-1]
			e.text += string(t)
		} else if len(bytes.Trim(p.since(at), space)) > 0 {
			return problem(NotWellFormed, p.line(at), "text outside of the document's element")
		}
	case xml.ProcInst:
		return p.instruction(t, at)
	case xml.Directive:
		return problem(HasDTD, p.line(at), "a document type (<!…>) is not read")
	}
	return nil
}

// since returns the octets of the token that begins at the offset at.
func (p *parser) since(at int) []byte { return p.text[at:p.d.InputOffset()] }

// declaration is what may stand between <?xml and ?> (XML 1.0, section 2.8).
var declaration = regexp.MustCompile(`^version\s*=\s*("1\.0"|'1\.0')(\s+encoding\s*=\s*("[A-Za-z][A-Za-z0-9._-]*"|'[A-Za-z][A-Za-z0-9._-]*'))?(\s+standalone\s*=\s*("yes"|"no"|'yes'|'no'))?\s*$`)

func (p *parser) instruction(t xml.ProcInst, at int) error {
	behind := p.since(at)[len("<?"+t.Target):]
	if !bytes.HasPrefix(behind, []byte("?>")) && !strings.Contains(space, string(behind[:1])) || strings.Contains(t.Target, ":") {
		return problem(NotWellFormed, p.line(at), "an instruction without a name of its own")
	}
	if !strings.EqualFold(t.Target, "xml") {
		return nil
	}
	said := declaration.FindSubmatch(t.Inst)
	switch {
	case at != 0 || t.Target != "xml":
		return problem(NotWellFormed, p.line(at), "an XML declaration that does not come first")
	case said == nil:
		return problem(NotWellFormed, 1, "a declaration says version, encoding and standalone, in this order")
	case p.label == "utf-16" && len(said[3]) > 0 && !strings.HasPrefix(strings.ToLower(string(said[3][1:])), "utf-16"):
		return problem(BadEncoding, 1, "it says %s, and is UTF-16", said[3])
	}
	return nil
}

// spaced reports whether white space stands before each attribute of a start tag.
func spaced(tag []byte) bool {
	var quote byte
	for i, b := range tag {
		switch {
		case quote == 0 && (b == '"' || b == '\''):
			quote = b
		case quote != 0 && b == quote:
			quote = 0
			if i+1 < len(tag) && !bytes.ContainsRune([]byte(space+"/>"), rune(tag[i+1])) {
				return false
			}
		}
	}
	return true
}

// start opens an element: namespaces first, then its name and attributes in their light.
func (p *parser) start(t xml.StartElement, at int) error {
	line := p.line(at)
	p.count++
	switch {
	case p.root != nil && len(p.open) == 0:
		return problem(NotWellFormed, line, "a second element beside the first")
	case len(p.open) >= maxDepth:
		return problem(TooDeep, line, "elements more than %d deep", maxDepth)
	case len(t.Attr) > maxAttrs:
		return problem(TooManyAttrs, line, "%d attributes; an element has at most %d", len(t.Attr), maxAttrs)
	case !spaced(p.since(at)):
		return problem(NotWellFormed, line, "no space between two attributes")
	case p.count > maxElements:
		return problem(TooLarge, line, "more than %d elements", maxElements)
	}
	e := &element{line: line, start: at, local: t.Name.Local, head: at + 1 + len(written(t.Name))}
	if len(p.open) > 0 {
		outer := p.open[len(p.open)-1]
		e.scope, e.lang = outer.scope, outer.lang
		outer.children = append(outer.children, e)
	} else {
		p.root = e
	}
	if err := e.declare(t.Attr); err != nil {
		return err
	}
	ns, err := e.resolve(t.Name)
	if err != nil {
		return err
	}
	e.space = ns
	if err := e.take(t.Attr); err != nil {
		return err
	}
	p.open, p.names = append(p.open, e), append(p.names, written(t.Name))
	return nil
}

// declare opens a scope for the prefixes that attrs declare.
func (e *element) declare(attrs []xml.Attr) error {
	var own []binding
	for _, a := range attrs {
		prefix := a.Name.Local
		switch {
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			prefix = ""
		case a.Name.Space != "xmlns":
			continue
		case a.Value == "", prefix == "xmlns", (prefix == "xml") != (a.Value == nsXML):
			return problem(BadNamespace, e.line, "prefix %q cannot mean %q", prefix, a.Value)
		}
		if a.Value != "" && !IsURI(a.Value) {
			return problem(BadNamespace, e.line, "%q is no URI, and so no namespace", a.Value)
		}
		if a.Value == nsXMLNS || prefix == "" && a.Value == nsXML {
			return problem(BadNamespace, e.line, "%q is not to be declared", a.Value)
		}
		if slices.ContainsFunc(own, func(b binding) bool { return b.prefix == prefix }) {
			return problem(NotWellFormed, e.line, "prefix %q is declared twice", prefix)
		}
		own = append(own, binding{prefix, a.Value})
	}
	if own != nil {
		e.scope = &scope{outer: e.scope, prefixes: own}
	}
	return nil
}

// resolve returns the namespace of a name as written.
func (e *element) resolve(n xml.Name) (string, error) {
	if strings.Contains(n.Local, ":") {
		return "", problem(BadNamespace, e.line, "%q has two prefixes", written(n))
	}
	space, ok := e.scope.of(n.Space)
	if !ok {
		return "", problem(BadNamespace, e.line, "nobody says what the prefix of %q means", written(n))
	}
	return space, nil
}

// take adds the attributes that declare no namespace.
func (e *element) take(attrs []xml.Attr) error {
	for _, a := range attrs {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		space := ""
		if a.Name.Space != "" {
			var err error
			if space, err = e.resolve(a.Name); err != nil {
				return err
			}
		} else if strings.Contains(a.Name.Local, ":") {
			return problem(BadNamespace, e.line, "%q is no name", a.Name.Local)
		}
		if _, twice := e.attr(space, a.Name.Local); twice {
			return problem(NotWellFormed, e.line, "attribute %q is there twice", written(a.Name))
		}
		if space == nsXML && a.Name.Local == "lang" {
			e.lang = a.Value
		}
		e.attrs = append(e.attrs, attr{space, a.Name.Local, a.Value})
	}
	return nil
}

func (p *parser) end(t xml.EndElement, at int) error {
	last := len(p.open) - 1
	if last < 0 || p.names[last] != written(t.Name) {
		return problem(NotWellFormed, p.line(at), "</%s> closes nothing", written(t.Name))
	}
	p.open[last].end = int(p.d.InputOffset())
	p.open, p.names = p.open[:last], p.names[:last]
	return nil
}

// written is a raw name as it stands in the document.
func written(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}
