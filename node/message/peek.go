package message

import (
	"bytes"
	"encoding/binary"
)

// Fields of an IM (SPEC 5.1) and of a Signed (SPEC 3.1) that [Peek] looks for.
const (
	signedBody    = 2
	imContentType = 7
	imContent     = 8
)

// rowHead is how a kept row begins: a map whose first key is "Signed".
var rowHead = []byte("\x66Signed")

// Peek reads of a row as it is kept nothing but what a search looks at, at a small part of the cost of the whole; both
// point into the row. It says false of a row that is laid out otherwise, which is to be read as a whole.
func Peek(row []byte) (contentType, content []byte, ok bool) {
	if len(row) < 1 || row[0]>>5 != 5 || !bytes.HasPrefix(row[1:], rowHead) {
		return nil, nil, false
	}
	signed, ok := byteString(row[1+len(rowHead):])
	if !ok {
		return nil, nil, false
	}
	body, ok := lengthOf(signed, signedBody)
	if !ok {
		return nil, nil, false
	}
	if contentType, ok = lengthOf(body, imContentType); !ok {
		return nil, nil, false
	}
	content, _ = lengthOf(body, imContent) // which may be empty
	return contentType, content, true
}

// byteString is the CBOR byte string that b begins with.
func byteString(b []byte) (s []byte, ok bool) {
	if len(b) == 0 || b[0]>>5 != 2 {
		return nil, false
	}
	n, b := uint64(b[0]&31), b[1:]
	if n >= 24 {
		size := 1 << (n - 24)
		if n > 27 || len(b) < size {
			return nil, false
		}
		var word [8]byte
		copy(word[8-size:], b)
		n, b = binary.BigEndian.Uint64(word[:]), b[size:]
	}
	if n > uint64(len(b)) {
		return nil, false
	}
	return b[:n], true
}

// lengthOf is the first field of that number with a length in a message of SPEC 3.2.
func lengthOf(b []byte, field uint64) (s []byte, ok bool) {
	for len(b) > 0 {
		key, i := binary.Uvarint(b)
		if i <= 0 {
			return nil, false
		}
		n, j := binary.Uvarint(b[i:])
		if j <= 0 {
			return nil, false
		}
		b = b[i+j:]
		switch key & 7 {
		case 0:
			continue
		case 2:
		default:
			return nil, false
		}
		if n > uint64(len(b)) {
			return nil, false
		}
		if key>>3 == field {
			return b[:n], true
		}
		b = b[n:]
	}
	return nil, false
}
