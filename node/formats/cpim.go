package formats

import (
	"bytes"
	"mime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// TypeCPIM is the MIME type of a CPIM message (RFC 3862).
const TypeCPIM = "message/cpim"

// Namespaces of CPIM headers; docs/registry.md says what each is.
const (
	nsCPIM = "urn:ietf:params:cpim-headers:"
	nsIMDN = "urn:ietf:params:imdn"
)

const maxHeaders = 256

// A CPIM is a message as RFC 3862 has it, read from octets that it gives back unchanged.
type CPIM struct {
	Outer   string // MIME headers of the whole, up to and with the blank line; they may be absent
	Headers []CPIMHeader
	Joined  bool   // no blank line stands before the MIME headers, as in the samples of RFC 5438
	MIME    string // headers of the content, without the blank line behind them
	Content []byte

	Type string // MIME type of the content, in lower case
}

// A CPIMHeader is one header, in the order in which they stand. Value is what is meant, without escapes.
type CPIMHeader struct {
	NS, Name, Lang string // NS is the URI of its namespace
	Value          string

	line string // without CRLF
}

// IsCPIM reports whether a MIME type is message/cpim, parameters and case aside.
func IsCPIM(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(t), TypeCPIM)
}

// ParseCPIM reads a message, strictly by RFC 3862, but for one blank line that the samples of RFC 5438 lack.
// It must have From, once, and To. Errors are *[Error]: [TooLarge], [BadEncoding], [NotWellFormed],
// [BadNamespace], [BadValue], [NotOfFormat].
func ParseCPIM(b []byte) (*CPIM, error) {
	if len(b) > wire.MaxContent {
		return nil, problem(TooLarge, 0, "%d bytes are more than a message carries", len(b))
	}
	c, r := &CPIM{}, &cpimReader{b: b, prefixes: map[string]string{"": nsCPIM}}
	if err := r.outer(c); err != nil {
		return nil, err
	}
	if err := r.headers(c); err != nil {
		return nil, err
	}
	if err := r.content(c); err != nil {
		return nil, err
	}
	return c, c.check()
}

// Append appends the octets of the message.
func (c *CPIM) Append(b []byte) []byte {
	b = append(b, c.Outer...)
	for _, h := range c.Headers {
		b = append(append(b, h.line...), "\r\n"...)
	}
	if !c.Joined {
		b = append(b, "\r\n"...)
	}
	b = append(append(b, c.MIME...), "\r\n"...)
	return append(b, c.Content...)
}

// A cpimReader walks over the lines of a message.
type cpimReader struct {
	b        []byte
	at       int
	prefixes map[string]string // to namespaces
}

// line takes the next line, which ends with CRLF.
func (r *cpimReader) line() (string, error) {
	rest := r.b[r.at:]
	end := bytes.IndexByte(rest, '\n')
	switch {
	case end < 0:
		return "", problem(NotWellFormed, r.here(), "the message ends within its headers")
	case end == 0 || rest[end-1] != '\r':
		return "", problem(NotWellFormed, r.here(), "the line ends with a bare LF; CRLF is wanted")
	}
	r.at += end + 1
	return string(rest[:end-1]), nil
}

func (r *cpimReader) here() int { return lineOf(r.b, r.at) }

// outer takes the MIME headers of the whole, if there are any.
func (r *cpimReader) outer(c *CPIM) error {
	if !hasPrefixFold(r.b, "Content-Type:") && !hasPrefixFold(r.b, "MIME-Version:") {
		return nil
	}
	fields, err := r.mime()
	if err != nil {
		return err
	}
	if !IsCPIM(fields["content-type"]) {
		return problem(NotOfFormat, 1, "the content is %q, and no message/cpim", fields["content-type"])
	}
	c.Outer = string(r.b[:r.at])
	return nil
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && strings.EqualFold(string(b[:len(prefix)]), prefix)
}

// headers takes the message headers, up to the blank line.
func (r *cpimReader) headers(c *CPIM) error {
	for {
		if hasPrefixFold(r.b[r.at:], "Content-Type:") {
			c.Joined = true
			return nil
		}
		at := r.here()
		line, err := r.line()
		switch {
		case err != nil:
			return err
		case line == "" && len(c.Headers) == 0:
			return problem(NotOfFormat, at, "a blank line, and no header before it")
		case line == "":
			return nil
		case len(c.Headers) == maxHeaders:
			return problem(TooLarge, at, "more than %d headers", maxHeaders)
		}
		h, err := r.header(at, line)
		if err != nil {
			return err
		}
		c.Headers = append(c.Headers, h)
	}
}

func (r *cpimReader) header(at int, line string) (h CPIMHeader, err error) {
	h.line = line
	switch i := strings.IndexFunc(line, func(c rune) bool { return c < 0x20 || c == 0x7f }); {
	case !utf8.ValidString(line):
		return h, problem(BadEncoding, at, "the header is not in UTF-8")
	case line[0] == ' ' || line[0] == '\t':
		return h, problem(NotWellFormed, at, "a header begins with a blank: no header goes on over several lines")
	case i >= 0:
		return h, problem(NotWellFormed, at, "a control character that is not escaped")
	case strings.HasSuffix(line, " "):
		return h, problem(NotWellFormed, at, "a header ends with a blank")
	}
	name, rest, ok := strings.Cut(line, ":")
	prefix, local, dotted := strings.Cut(name, ".")
	if !dotted {
		prefix, local = "", name
	}
	if !ok || !isCPIMName(local) || dotted && !isCPIMName(prefix) {
		return h, problem(NotWellFormed, at, "%q is no header name with a colon behind it", cut(name))
	}
	if h.Lang, rest, err = cpimParams(at, rest); err != nil {
		return h, err
	}
	if !strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "  ") {
		return h, problem(NotWellFormed, at, "one space is wanted between %s and its value", cut(name))
	}
	if h.NS, ok = r.prefixes[prefix]; !ok {
		return h, problem(BadNamespace, at, "the prefix %q was not declared before", cut(prefix))
	}
	h.Name, h.Value = local, unescapeHeader(rest[1:])
	if h.is("NS") {
		return h, r.declare(at, h.Value)
	}
	return h, nil
}

func (h CPIMHeader) is(name string) bool { return h.NS == nsCPIM && h.Name == name }

// declare takes an NS header: a prefix, or none, for the headers that follow.
func (r *cpimReader) declare(at int, value string) error {
	prefix, uri, ok := strings.Cut(value, "<")
	uri, closed := strings.CutSuffix(uri, ">")
	prefix = strings.TrimSuffix(prefix, " ")
	if !ok || !closed || prefix != "" && !isCPIMName(prefix) || !absoluteURI(uri) || strings.Contains(uri, "#") {
		return problem(BadNamespace, at, "%q declares no namespace", cut(value))
	}
	r.prefixes[prefix] = uri
	return nil
}

// cpimParams takes the parameters behind the colon of a header.
func cpimParams(at int, rest string) (lang, left string, err error) {
	bad := problem(NotWellFormed, at, "a parameter that is none")
	for strings.HasPrefix(rest, ";") {
		name, value, ok := strings.Cut(rest[1:], "=")
		if !ok || !isCPIMName(name) {
			return "", "", bad
		}
		end := strings.IndexAny(value, "; ")
		if strings.HasPrefix(value, `"`) {
			if end = endOfString(value); end < 0 {
				return "", "", bad
			}
		}
		if end <= 0 || value[0] != '"' && strings.ContainsAny(value[:end], `()<>@,:\"/[]?={}`) {
			return "", "", bad
		}
		if rest = value[end:]; name == "lang" {
			if lang = value[:end]; !IsLanguage(lang) {
				return "", "", problem(BadValue, at, "%q is no language tag", cut(lang))
			}
		}
	}
	return lang, rest, nil
}

// endOfString is where the string that s begins with has ended.
func endOfString(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// isCPIMName reports whether s is a Name of RFC 3862, section 3.6.
func isCPIMName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}.`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// content takes the encapsulated MIME object.
func (r *cpimReader) content(c *CPIM) error {
	begins, at := r.at, r.here()
	fields, err := r.mime()
	if err != nil {
		return err
	}
	c.MIME = string(r.b[begins : r.at-len("\r\n")])
	if c.Type, _, err = mime.ParseMediaType(fields["content-type"]); err != nil || !strings.Contains(c.Type, "/") {
		return problem(NotOfFormat, at, "the content has no Content-Type")
	}
	c.Content = r.b[r.at:]
	return nil
}

// mime takes MIME headers and the blank line behind them; a line may go on with a blank.
func (r *cpimReader) mime() (map[string]string, error) {
	fields, last := map[string]string{}, ""
	for {
		at := r.here()
		line, err := r.line()
		if err != nil || line == "" {
			return fields, err
		}
		name, value, ok := strings.Cut(line, ":")
		switch {
		case strings.ContainsAny(line, "\r\x00") || !utf8.ValidString(line):
			return nil, problem(BadEncoding, at, "a MIME header that is not in UTF-8, or holds a control character")
		case (line[0] == ' ' || line[0] == '\t') && last != "":
			fields[last] += line
		case !ok || !isCPIMName(name):
			return nil, problem(NotWellFormed, at, "%q is no MIME header", cut(line))
		default:
			last = strings.ToLower(name)
			if _, twice := fields[last]; twice {
				return nil, problem(NotWellFormed, at, "%s twice", cut(name))
			}
			fields[last] = strings.TrimSpace(value)
		}
	}
}

// check holds a message to what it must have, and its headers to their syntax.
func (c *CPIM) check() error {
	from, to := 0, 0
	for i, h := range c.Headers {
		at := i + 1 + strings.Count(c.Outer, "\n")
		switch {
		case h.is("From"), h.is("To"), h.is("cc"):
			if _, _, ok := cpimAddress(h.Value); !ok {
				return problem(BadValue, at, "%s: %q is no address: <URI>, with a name before it if there is one", h.Name, cut(h.Value))
			}
			if h.Name == "From" {
				from++
			} else if h.Name == "To" {
				to++
			}
		case h.is("DateTime"):
			if _, err := time.Parse(time.RFC3339Nano, h.Value); err != nil {
				return problem(BadValue, at, "DateTime: %q is no time of RFC 3339", cut(h.Value))
			}
		case h.is("Require"):
			for name := range strings.SplitSeq(h.Value, ",") {
				if _, _, err := c.resolve(i, name); err != nil {
					return problem(BadNamespace, at, "Require: %v", err)
				}
			}
		}
	}
	switch {
	case from != 1:
		return problem(NotOfFormat, 0, "a message has one From, and this has %d; names of headers are written as they are, in their case", from)
	case to == 0:
		return problem(NotOfFormat, 0, "a message has a To; names of headers are written as they are, in their case")
	}
	return nil
}

// resolve finds the namespace of a header name by what was declared before the header number n.
func (c *CPIM) resolve(n int, name string) (ns, local string, err error) {
	prefix, local, dotted := strings.Cut(name, ".")
	if !dotted {
		prefix, local = "", name
	}
	declared := map[string]string{"": nsCPIM}
	for _, h := range c.Headers[:n] {
		if h.is("NS") {
			p, uri, _ := strings.Cut(h.Value, "<")
			declared[strings.TrimSuffix(p, " ")] = strings.TrimSuffix(uri, ">")
		}
	}
	ns, ok := declared[prefix]
	if !isCPIMName(local) || dotted && !isCPIMName(prefix) {
		return "", "", problem(NotWellFormed, 0, "%q is no name of a header", cut(name))
	}
	if !ok {
		return "", "", problem(BadNamespace, 0, "the prefix %q was not declared before", cut(prefix))
	}
	return ns, local, nil
}

// Unknown returns the first header or feature that the message requires and hum does not understand, "" if
// there is none (RFC 3862, section 3.5).
func (c *CPIM) Unknown() string {
	for i, h := range c.Headers {
		if !h.is("Require") {
			continue
		}
		for name := range strings.SplitSeq(h.Value, ",") {
			if ns, local, err := c.resolve(i, name); err != nil || !actsOn(ns, local) {
				return name
			}
		}
	}
	return ""
}

// actsOn reports whether hum acts upon a header when it shows or exports a message.
func actsOn(ns, name string) bool {
	switch ns {
	case nsCPIM:
		return slices.Contains([]string{"From", "To", "cc", "DateTime", "Subject", "NS", "Require"}, name)
	case nsIMDN:
		return name == "Message-ID"
	}
	return false
}

// From is whom the message says that it is from: the URI, and a name if he gives one.
func (c *CPIM) From() (name, uri string) {
	for _, h := range c.Headers {
		if h.is("From") {
			name, uri, _ = cpimAddress(h.Value)
		}
	}
	return name, uri
}

// To is whom the message says that it is for.
func (c *CPIM) To() (uris []string) {
	for _, h := range c.Headers {
		if h.is("To") || h.is("cc") {
			_, uri, _ := cpimAddress(h.Value)
			uris = append(uris, uri)
		}
	}
	return uris
}

// Subjects are the subjects of the message, each with its language.
func (c *CPIM) Subjects() (out []wire.Note) {
	for _, h := range c.Headers {
		if h.is("Subject") {
			out = append(out, wire.Note{Text: h.Value, Lang: h.Lang})
		}
	}
	return out
}

// Belies reports whether the message names a hum address as its author other than from, or hum addresses as
// its recipients of which to is none. Names in other systems are claims.
func (c *CPIM) Belies(from, to identity.Address) (author, recipient bool) {
	_, uri := c.From()
	a, ok := AddressOf(uri)
	author = ok && a != from
	named, mine := false, false
	for _, uri := range c.To() {
		if a, ok := AddressOf(uri); ok {
			named, mine = true, mine || a == to
		}
	}
	return author, named && !mine
}

// cpimAddress parts an address: a formal name, or none, and a URI in angle brackets.
func cpimAddress(value string) (name, uri string, ok bool) {
	name, uri, ok = strings.Cut(value, "<")
	uri, closed := strings.CutSuffix(uri, ">")
	name = strings.TrimSuffix(name, " ")
	if quoted, ok := strings.CutPrefix(name, `"`); ok {
		if name, ok = strings.CutSuffix(quoted, `"`); !ok {
			return "", "", false
		}
	}
	return name, uri, ok && closed && absoluteURI(uri)
}

// absoluteURI reports whether s has a scheme, and nothing that no URI has.
func absoluteURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	for i, c := range []byte(scheme) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return ok && scheme != "" && rest != "" && !strings.ContainsAny(s, " <>\"\\^`{|}") && strings.IndexFunc(s, func(r rune) bool { return r < 0x21 || r >= 0x7f }) < 0
}

// IsLanguage reports whether s has the form of a language tag (BCP 47).
func IsLanguage(s string) bool {
	for i, part := range strings.Split(s, "-") {
		if part == "" || len(part) > 8 {
			return false
		}
		for _, c := range []byte(part) {
			letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
			if !letter && (i == 0 || c < '0' || c > '9') {
				return false
			}
		}
	}
	return true
}

// cut is as much of what somebody wrote as an error repeats.
func cut(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
