package formats

import (
	"fmt"
	"mime"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Letter is an instant message of hum, to be written as a CPIM message.
type Letter struct {
	ID wire.MID
	wire.IM
}

// CPIM returns the message as RFC 3862 has it; one that came as message/cpim, in its own octets. What RFC 3862
// and RFC 5438 have no header for stands under hum's own namespace.
func (l Letter) CPIM() []byte {
	if IsCPIM(l.ContentType) {
		return l.Content
	}
	var b strings.Builder
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, escapeHeader(value)) }
	header("From", "<"+addressURI(l.From)+">")
	header("To", "<"+addressURI(l.To)+">")
	header("DateTime", receiptTime(l.Sent))
	header("NS", "imdn <"+nsIMDN+">")
	header("imdn.Message-ID", l.ID.String())
	want := "positive-delivery, negative-delivery"
	if l.Report&1 != 0 {
		want += ", display"
	}
	header("imdn.Disposition-Notification", want)
	header("NS", "hum <"+nsHum+">")
	header("hum.Expires", receiptTime(l.Expires))
	if !l.InReplyTo.IsZero() {
		header("hum.In-Reply-To", l.InReplyTo.String())
	}
	for _, uri := range l.Contact {
		header("hum.Contact", strings.TrimSpace(uri))
	}
	b.WriteString("\r\n")
	fmt.Fprintf(&b, "Content-Type: %s\r\n", oneLine(l.ContentType))
	if l.Lang != "" && IsLanguage(l.Lang) {
		fmt.Fprintf(&b, "Content-Language: %s\r\n", l.Lang)
	}
	b.WriteString("\r\n")
	return append([]byte(b.String()), l.Content...)
}

func addressURI(a identity.Address) string {
	if a.IsZero() {
		return "im:anonymous@anonymous.invalid"
	}
	return a.IM()
}

// oneLine keeps what somebody named his content from becoming headers of its own.
func oneLine(contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(kind, "/") || strings.IndexFunc(contentType, func(r rune) bool { return r < 0x20 || r == 0x7f }) >= 0 {
		return "application/octet-stream"
	}
	return strings.TrimSpace(contentType)
}

// escapeHeader writes what may not stand in a header as RFC 3862, section 2.3.1 has it, and nothing else.
func escapeHeader(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unescapeHeader reads every escape of RFC 3862, section 2.3; before another character a backslash is nothing, and
// so is one at the end.
func unescapeHeader(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	var wide []uint16 // escapes of one character may stand side by side
	flush := func() {
		out.WriteString(string(utf16.Decode(wide)))
		wide = nil
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			flush()
			out.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			break
		}
		if s[i] == 'u' && i+4 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+5], 16, 16); err == nil {
				wide, i = append(wide, uint16(n)), i+4
				continue
			}
		}
		flush()
		if at := strings.IndexByte("btnr", s[i]); at >= 0 {
			out.WriteByte("\b\t\n\r"[at])
		} else {
			out.WriteByte(s[i])
		}
	}
	flush()
	return out.String()
}
