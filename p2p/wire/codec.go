package wire

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// A codec reads or writes one message of strict protobuf (SPEC 3.2). Each message has one function
// that names its fields in ascending order, and that is used in both directions, so that reading and
// writing cannot disagree: when reading, the cursor stands on a field and only moves on when the walk
// reaches its number; when writing, a field is put unless it is zero.
//
// Whatever holds for every field is checked in next. Nesting needs no counter: the deepest type of
// this package lies well below the eight levels of SPEC 3.2, and unknown fields are not entered.
type codec struct {
	reading bool
	alias   bool   // reading: bytes may point into the input
	buf     []byte // reading: what follows the cursor; writing: the output so far
	err     error  // the first one; nothing is read after it

	num  uint32 // the field under the cursor, or atEnd
	typ  protowire.Type
	val  uint64 // of a varint
	body []byte // of bytes
	raw  []byte // the field whole
	seen [2]uint64

	unknown unknownRule
	keep    *[]Unknown // for keepUnknown
	left    []Unknown  // writing: the unknown fields not yet put
	crit    []uint32   // reading: must name fields in seen
}

// An unknownRule says what becomes of a field that the walk does not name (SPEC 3.3).
type unknownRule uint8

const (
	refuseUnknown unknownRule = iota
	skipUnknown               // payloads of ops
	keepUnknown               // bodies of Signed, Doc, Tuple, Grant and what they hold
)

const (
	must  = true  // a field whose absence is an error
	may   = false // a field that is absent when zero
	atEnd = math.MaxUint32
	// maxField is the largest field number that any message may hold.
	maxField = 127
)

// parse reads the whole of b as one message of at most limit bytes.
func parse[T any](b []byte, name string, limit int, walk func(*codec, *T)) (T, error) {
	return parseWith(codec{}, b, name, limit, walk)
}

// parseAlias is parse for input that belongs to the result.
func parseAlias[T any](b []byte, name string, limit int, walk func(*codec, *T)) (T, error) {
	return parseWith(codec{alias: true}, b, name, limit, walk)
}

func parseWith[T any](c codec, b []byte, name string, limit int, walk func(*codec, *T)) (T, error) {
	var x, none T
	if len(b) > limit {
		return none, fmt.Errorf("%s: %w: %d bytes", name, ErrTooLarge, len(b))
	}
	c.reading, c.buf = true, b
	c.next()
	walk(&c, &x)
	c.end()
	if c.err != nil {
		return none, fmt.Errorf("%s: %w", name, c.err)
	}
	return x, nil
}

// appendTo writes x behind b.
func appendTo[T any](b []byte, x *T, walk func(*codec, *T)) []byte {
	c := codec{buf: b}
	walk(&c, x)
	c.end()
	return c.buf
}

// next moves the cursor to the field at the front of buf.
func (c *codec) next() {
	last := c.num
	if c.err != nil || len(c.buf) == 0 {
		c.num = atEnd
		return
	}
	key, n := varint(c.buf)
	num := key >> 3
	if n == 0 || num == 0 || num > maxField {
		c.fail(ErrMalformed, "bad key")
		return
	}
	c.num, c.typ = uint32(num), protowire.Type(key&7)
	if c.num < last {
		c.fail(ErrMalformed, "out of order")
		return
	}
	size := c.value(c.buf[n:])
	if c.err != nil {
		return
	}
	c.raw, c.buf = c.buf[:n+size], c.buf[n+size:]
	c.seen[c.num>>6] |= 1 << (c.num & 63)
}

// value reads what follows a key and returns its size. A zero and an empty value are never written.
func (c *codec) value(b []byte) int {
	v, n := varint(b)
	if n == 0 || v == 0 {
		c.fail(ErrMalformed, "bad or zero varint")
		return 0
	}
	switch c.typ {
	case protowire.VarintType:
		c.val = v
		return n
	case protowire.BytesType:
		if v > uint64(len(b)-n) {
			c.fail(ErrMalformed, "truncated")
			return 0
		}
		c.body = b[n : n+int(v)]
		return n + int(v)
	}
	c.fail(ErrMalformed, "bad wire type")
	return 0
}

// varint returns the minimal varint at the front of b and its size, 0 if there is none.
func varint(b []byte) (uint64, int) {
	v, n := protowire.ConsumeVarint(b)
	if n <= 0 || n != protowire.SizeVarint(v) {
		return 0, 0
	}
	return v, n
}

// at reports whether field n of type typ is there, after taking the unknown fields before it.
func (c *codec) at(n uint32, typ protowire.Type, need bool) bool {
	for c.num < n {
		c.stray()
	}
	if c.num != n {
		if need {
			c.refuse(n, ErrMalformed, "missing")
		}
		return false
	}
	if c.typ != typ {
		c.fail(ErrMalformed, "wrong wire type")
		return false
	}
	return true
}

// done leaves a field that occurs once.
func (c *codec) done() {
	n := c.num
	if c.next(); c.num == n {
		c.fail(ErrMalformed, "repeated")
	}
}

// stray takes or refuses the unknown field under the cursor.
func (c *codec) stray() {
	switch c.unknown {
	case refuseUnknown:
		c.fail(ErrMalformed, "unknown field")
		return
	case keepUnknown:
		*c.keep = append(*c.keep, Unknown{Number: c.num, Raw: slices.Clone(c.raw)})
	}
	c.next()
}

// keepUnknown makes u the place of the fields that the walk does not name; it is called first.
func (c *codec) keepUnknown(u *[]Unknown) {
	c.unknown, c.keep = keepUnknown, u
	if !c.reading {
		c.left = *u
	}
}

// skipUnknown drops the fields that the walk does not name; it is called first.
func (c *codec) skipUnknown() { c.unknown = skipUnknown }

// end finishes a message.
func (c *codec) end() {
	if !c.reading {
		c.flush(atEnd)
		return
	}
	for c.num != atEnd {
		c.stray()
	}
	for _, n := range c.crit {
		if n > maxField || c.seen[n>>6]&(1<<(n&63)) == 0 {
			c.fail(ErrMalformed, "crit names a field that is absent")
			return
		}
	}
}

// fail records the first error, names the field under the cursor, and ends reading.
func (c *codec) fail(kind error, what string) {
	switch {
	case c.err != nil:
	case c.num == 0 || c.num == atEnd:
		c.err = fmt.Errorf("%w: %s", kind, what)
	default:
		c.err = fmt.Errorf("field %d: %w: %s", c.num, kind, what)
	}
	c.num, c.buf = atEnd, nil
}

// refuse is fail for field n, wherever the cursor is.
func (c *codec) refuse(n uint32, kind error, what string) {
	if c.err == nil {
		c.num = n
		c.fail(kind, what)
	}
}

// flush writes the unknown fields below n.
func (c *codec) flush(n uint32) {
	for len(c.left) > 0 && c.left[0].Number < n {
		c.buf = append(c.buf, c.left[0].Raw...)
		c.left = c.left[1:]
	}
}

func (c *codec) putVarint(n uint32, v uint64) {
	if v == 0 {
		return
	}
	c.flush(n)
	c.buf = protowire.AppendTag(c.buf, protowire.Number(n), protowire.VarintType)
	c.buf = protowire.AppendVarint(c.buf, v)
}

func (c *codec) putBytes(n uint32, v []byte) {
	if len(v) == 0 {
		return
	}
	c.flush(n)
	c.buf = protowire.AppendTag(c.buf, protowire.Number(n), protowire.BytesType)
	c.buf = protowire.AppendBytes(c.buf, v)
}
