package formats

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hum-presence/hum/p2p/wire"
)

// A value is what a status entry says: a text, often words, and what is added to it.
type value struct {
	text   string
	params []param
}

type param struct{ name, text string }

// The parameters of a value, in the order in which they are written.
var paramNames = []string{"from", "until", "note", "lang", "other", "description", "last-input", "idle-threshold"}

func (v value) get(name string) string {
	for _, p := range v.params {
		if p.name == name {
			return p.text
		}
	}
	return ""
}

// set adds a parameter, unless it says nothing.
func (v *value) set(name, text string) {
	if text != "" {
		v.params = append(v.params, param{name, text})
	}
}

func (v value) words() []string { return strings.Fields(v.text) }

// parseValue reads what String writes; a parameter that nobody knows is kept.
func parseValue(s string) (v value) {
	parts := strings.Split(strings.ToValidUTF8(s, "\uFFFD"), ";")
	v.text = unescape(parts[0])
	for _, p := range parts[1:] {
		if name, text, ok := strings.Cut(p, "="); ok {
			v.set(name, unescape(text))
		}
	}
	return v
}

func (v value) String() string {
	slices.SortStableFunc(v.params, func(a, b param) int {
		return slices.Index(paramNames, a.name) - slices.Index(paramNames, b.name)
	})
	b := []byte(escape(v.text))
	for _, p := range v.params {
		b = append(append(append(b, ';'), p.name...), '=')
		b = append(b, escape(p.text)...)
	}
	return string(b)
}

const hexDigits = "0123456789ABCDEF"

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c == '%' || c == ';' || c < 0x20 {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape takes a % that begins no %XX as it stands, and never makes what is not UTF-8.
func unescape(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if isHex(s[i+1]) && isHex(s[i+2]) {
				c, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	if !utf8.Valid(b) {
		return s
	}
	return string(b)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// timeForm is how times are written: RFC 3339 in UTC, with the milliseconds that hum counts.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

func formatTime(t wire.Time) string { return t.Go().UTC().Format(timeForm) }

// parseTime reads an RFC 3339 time from 1970 to 9999; T and Z are capital (RFC 3863, section 4.1.7).
func parseTime(s string) (wire.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UnixMilli() <= 0 || t.UTC().Year() > 9999 {
		return 0, false
	}
	return wire.Time(t.UnixMilli()), true
}

var (
	schemeForm   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	langForm     = regexp.MustCompile(`^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$`)
	priorityForm = regexp.MustCompile(`^(0(\.[0-9]{0,3})?|1(\.0{0,3})?)$`)
	nameForm     = regexp.MustCompile(`^[\pL_][\pL\pN._-]*$`)
	wordForm     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._-]*$`)
)

// IsURI reports whether s is a URI with a scheme and something behind it (RFC 3986); letters beyond
// ASCII may stand in it, as they may in xs:anyURI.
func IsURI(s string) bool {
	scheme := schemeForm.FindString(s)
	if scheme == "" || len(s) == len(scheme) || strings.Count(s, "#") > 1 {
		return false
	}
	for i, r := range s {
		switch {
		case r == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])), strings.ContainsRune(`<>"{}|\^`+"`[]", r), r <= ' ' || r == 0x7f || r == utf8.RuneError:
			return false
		case r > 0x7f && !isChar(r):
			return false
		}
	}
	return true
}
