package formats

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"unicode/utf8"
)

// A Part is one content within a message: the whole of it, a part of a multipart, or what a CPIM message
// holds.
type Part struct {
	Type    string // MIME, in lower case, without parameters
	Lang    string // Content-Language
	Name    string // that its author suggests for a file; a claim
	Content []byte // without its transfer encoding
}

// Bounds of what is looked into; what lies beyond is no part, and the octets stay whole.
const (
	maxParts = 64
	maxNests = 4
)

// Parts returns what a message is made of, in order; of a content that is neither multipart nor CPIM, nothing.
// What is not well made ends the list.
func Parts(contentType string, content []byte) []Part {
	var out []Part
	if kind, _, _ := mime.ParseMediaType(contentType); !strings.HasPrefix(kind, "multipart/") && kind != TypeCPIM {
		return nil
	}
	appendParts(&out, textproto.MIMEHeader{"Content-Type": {contentType}}, content, 0)
	return out
}

func appendParts(out *[]Part, head textproto.MIMEHeader, content []byte, depth int) {
	kind, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err != nil {
		kind, params = "application/octet-stream", nil
		if head.Get("Content-Type") == "" {
			kind = "text/plain" // RFC 2046, section 5.1
		}
	}
	switch {
	case depth > maxNests || len(*out) >= maxParts:
	case strings.HasPrefix(kind, "multipart/") && params["boundary"] != "":
		r := multipart.NewReader(bytes.NewReader(content), params["boundary"])
		for len(*out) < maxParts {
			p, err := r.NextRawPart()
			if err != nil {
				return
			}
			inner, err := io.ReadAll(p)
			if err != nil {
				return
			}
			appendParts(out, p.Header, decodeTransfer(p.Header.Get("Content-Transfer-Encoding"), inner), depth+1)
		}
		return
	case kind == TypeCPIM && depth < maxNests:
		c, err := ParseCPIM(content)
		if err != nil {
			break
		}
		inner := textproto.MIMEHeader{}
		r := &cpimReader{b: []byte(c.MIME + "\r\n")}
		fields, _ := r.mime()
		for name, value := range fields {
			inner.Set(name, value)
		}
		appendParts(out, inner, decodeTransfer(inner.Get("Content-Transfer-Encoding"), c.Content), depth+1)
		return
	}
	_, place, _ := mime.ParseMediaType(head.Get("Content-Disposition"))
	*out = append(*out, Part{Type: kind, Lang: head.Get("Content-Language"), Name: place["filename"], Content: content})
}

// decodeTransfer undoes a transfer encoding; what does not follow it is left as it is.
func decodeTransfer(encoding string, b []byte) []byte {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		plain, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(b)))
		if err == nil {
			return plain
		}
	case "quoted-printable":
		plain, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(b)))
		if err == nil {
			return plain
		}
	}
	return b
}

// Words is what can be read to somebody of a message that is not text itself: its first part that is plain
// text, else none. Its author chose it: an image can so have words beside it.
func Words(parts []Part) (text, lang string) {
	for _, p := range parts {
		if p.Type == "text/plain" && utf8.Valid(p.Content) {
			return string(p.Content), p.Lang
		}
	}
	return "", ""
}

// Alternative joins words to a content of another kind, for whoever cannot see it: multipart/alternative, the
// words first (RFC 2046, section 5.1.4). It returns the MIME type and the octets.
func Alternative(words, lang, contentType string, content []byte) (string, []byte) {
	sum := sha256.Sum256(append([]byte(words), content...)) // no content holds the digest of itself
	boundary := "hum-" + hex.EncodeToString(sum[:16])
	var b bytes.Buffer
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n", boundary)
	if lang != "" {
		fmt.Fprintf(&b, "Content-Language: %s\r\n", lang)
	}
	fmt.Fprintf(&b, "\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n", words, boundary, oneLine(contentType))
	b.Write(content)
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return "multipart/alternative; boundary=" + boundary, b.Bytes()
}
