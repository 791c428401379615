package formats

import (
	"bytes"
	"fmt"
)

// A Problem names why a document was refused; it is the code that the command line shows.
type Problem string

const (
	TooLarge      Problem = "too-large"    // of bytes, elements, or of what a presence document may hold
	BadEncoding   Problem = "encoding"     // neither UTF-8 nor UTF-16, or not what it says
	HasDTD        Problem = "dtd"          // a document type, which could define entities
	BadEntity     Problem = "entity"       // an entity that XML does not bring along
	TooDeep       Problem = "depth"        // elements within elements
	TooManyAttrs  Problem = "attributes"   // of one element
	NotWellFormed Problem = "malformed"    // not XML
	BadNamespace  Problem = "namespace"    // a prefix that nobody declared, or declared wrongly
	NotOfFormat   Problem = "format"       // XML, but of another format, or an element where none may be
	BadValue      Problem = "value"        // an attribute or text that the format does not have
	DuplicateID   Problem = "duplicate-id" // two elements under one name
	NoScheme      Problem = "no-scheme"    // a contact that is no URI

	// Of a receipt.
	Altered      Problem = "altered"         // it is not as it was written
	BadSignature Problem = "bad-signature"   // octets that its signer did not sign
	WrongPerson  Problem = "binding-invalid" // it belongs to somebody or something else than it is about
	Revoked      Problem = "revoked"         // its signer was no device of the address at that time
	Expired      Problem = "expired"         // the certificate of its signer was over at that time
)

// An Error says why a document was refused, and where.
type Error struct {
	Problem Problem
	Line    int // from 1; 0 if it is about the whole document
	Detail  string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Problem, e.Detail)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Problem, e.Detail)
}

func problem(p Problem, line int, format string, args ...any) *Error {
	return &Error{Problem: p, Line: line, Detail: fmt.Sprintf(format, args...)}
}

// lineOf is the line of the offset at in b.
func lineOf(b []byte, at int) int { return 1 + bytes.Count(b[:min(at, len(b))], []byte{'\n'}) }
