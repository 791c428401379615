package wire

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The kinds of fields that a walk names. Each reads or writes field n, by the direction of its codec.

// num is a u32 or u64, by the type that holds it.
func num[T ~uint32 | ~uint64](c *codec, n uint32, v *T, need bool) {
	if !c.reading {
		c.putVarint(n, uint64(*v))
		return
	}
	if !c.at(n, protowire.VarintType, need) {
		return
	}
	if *v = T(c.val); uint64(*v) != c.val {
		c.fail(ErrMalformed, "overflow")
		return
	}
	c.done()
}

// flag is a varint 0/1.
func (c *codec) flag(n uint32, v *bool) {
	var x uint32
	if *v {
		x = 1
	}
	num(c, n, &x, may)
	if x > 1 {
		c.refuse(n, ErrMalformed, "not a flag")
	}
	*v = x == 1
}

// fixed is a bN. One that may be absent is absent when zero: a zero key or id names nothing, so
// writing it out is refused like any default.
func (c *codec) fixed(n uint32, v []byte, need bool) {
	if !c.reading {
		if need || !isZero(v) {
			c.putBytes(n, v)
		}
		return
	}
	if !c.at(n, protowire.BytesType, need) {
		return
	}
	if len(c.body) != len(v) {
		c.fail(ErrMalformed, "wrong length")
		return
	}
	if copy(v, c.body); !need && isZero(v) {
		c.fail(ErrMalformed, "zero written out")
		return
	}
	c.done()
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// octets is a bytes field of at most limit bytes.
func (c *codec) octets(n uint32, v *[]byte, limit int, need bool) {
	if !c.reading {
		c.putBytes(n, *v)
		return
	}
	if !c.at(n, protowire.BytesType, need) {
		return
	}
	if len(c.body) > limit {
		c.fail(ErrTooLarge, "too many bytes")
		return
	}
	*v = c.taken()
	c.done()
}

// taken returns the bytes under the cursor, to be kept.
func (c *codec) taken() []byte {
	if c.alias {
		return c.body[:len(c.body):len(c.body)]
	}
	return bytes.Clone(c.body)
}

// exactly is a bN that is nil when absent.
func (c *codec) exactly(n uint32, v *[]byte, size int) {
	c.octets(n, v, size, may)
	if c.reading && *v != nil && (len(*v) != size || isZero(*v)) {
		c.refuse(n, ErrMalformed, "wrong length, or zero written out")
	}
}

// text is a string of at most limit characters; 0: as many as its message has room for.
func (c *codec) text(n uint32, v *string, limit int, need bool) {
	if !c.reading {
		c.putBytes(n, []byte(*v))
		return
	}
	if !c.at(n, protowire.BytesType, need) {
		return
	}
	if *v = c.string(); limit > 0 && len(*v) > limit && utf8.RuneCountInString(*v) > limit {
		c.fail(ErrTooLarge, "too many characters")
		return
	}
	c.done()
}

// string returns the bytes under the cursor as text.
func (c *codec) string() string {
	if !utf8.Valid(c.body) {
		c.fail(ErrMalformed, "not UTF-8")
		return ""
	}
	return string(c.body)
}

// each calls take for every occurrence of field n, at most limit times.
func (c *codec) each(n uint32, limit int, need bool, take func()) {
	if !c.at(n, protowire.BytesType, need) {
		return
	}
	for i := 0; c.num == n; i++ {
		if i == limit {
			c.fail(ErrTooLarge, fmt.Sprintf("more than %d", limit))
			return
		}
		if c.typ != protowire.BytesType {
			c.fail(ErrMalformed, "wrong wire type")
			return
		}
		if take(); c.err == nil {
			c.next()
		}
	}
}

// texts is a repeated string; limit 0 leaves the number to the size of the message.
func (c *codec) texts(n uint32, v *[]string, limit int) {
	if !c.reading {
		for _, s := range *v {
			c.putBytes(n, []byte(s))
		}
		return
	}
	c.each(n, bound(limit), may, func() { *v = append(*v, c.string()) })
}

// blobs is a repeated bytes field.
func (c *codec) blobs(n uint32, v *[][]byte, limit int) {
	if !c.reading {
		for _, b := range *v {
			c.putBytes(n, b)
		}
		return
	}
	c.each(n, bound(limit), may, func() { *v = append(*v, c.taken()) })
}

func bound(limit int) int {
	if limit == 0 {
		return MaxFrame
	}
	return limit
}

// keys is a repeated b32.
func keys[T ~[32]byte](c *codec, n uint32, v *[]T, limit int, need bool) {
	if !c.reading {
		for _, k := range *v {
			c.putBytes(n, k[:])
		}
		return
	}
	c.each(n, limit, need, func() {
		if len(c.body) != 32 {
			c.fail(ErrMalformed, "wrong length")
			return
		}
		*v = append(*v, T(c.body))
	})
}

// critical is the packed list of field numbers that must be understood (SPEC 3.3).
func (c *codec) critical(v *[]uint32) {
	packed(c, 15, v, "crit is not a rising list of fields", func(x uint64) bool {
		return x <= maxField && (len(*v) == 0 || uint32(x) > (*v)[len(*v)-1])
	})
	if c.reading {
		c.crit = *v
	}
}

// packed is a list of numbers in one field; ok judges each before it joins those in v, and bad says what is wrong
// with one that is not.
func packed[T ~uint32 | ~uint64](c *codec, n uint32, v *[]T, bad string, ok func(x uint64) bool) {
	if !c.reading {
		var b []byte
		for _, x := range *v {
			b = protowire.AppendVarint(b, uint64(x))
		}
		c.putBytes(n, b)
		return
	}
	if !c.at(n, protowire.BytesType, may) {
		return
	}
	for b := c.body; len(b) > 0; {
		x, size := varint(b)
		if size == 0 || !ok(x) {
			c.fail(ErrMalformed, bad)
			return
		}
		*v, b = append(*v, T(x)), b[size:]
	}
	c.done()
}

// one is a nested message that is nil when absent.
func one[T any](c *codec, n uint32, v **T, walk func(*codec, *T)) {
	if !c.reading {
		if *v != nil {
			put(c, n, *v, walk)
		}
		return
	}
	if !c.at(n, protowire.BytesType, may) {
		return
	}
	*v = new(T)
	if enter(c, *v, walk); c.err == nil {
		c.done()
	}
}

// whole is a nested message that is always there.
func whole[T any](c *codec, n uint32, v *T, walk func(*codec, *T)) {
	if !c.reading {
		put(c, n, v, walk)
		return
	}
	if !c.at(n, protowire.BytesType, must) {
		return
	}
	if enter(c, v, walk); c.err == nil {
		c.done()
	}
}

// many is a repeated nested message.
func many[T any](c *codec, n uint32, v *[]T, limit int, need bool, walk func(*codec, *T)) {
	if !c.reading {
		for i := range *v {
			put(c, n, &(*v)[i], walk)
		}
		return
	}
	c.each(n, limit, need, func() {
		var x T
		enter(c, &x, walk)
		*v = append(*v, x)
	})
}

// enter reads the bytes under the cursor as a message.
func enter[T any](c *codec, x *T, walk func(*codec, *T)) {
	outer := *c
	*c = codec{reading: true, alias: outer.alias, buf: outer.body}
	c.next()
	walk(c, x)
	c.end()
	err := c.err
	if *c = outer; err != nil {
		c.err = fmt.Errorf("field %d: %w", c.num, err)
		c.num, c.buf = atEnd, nil
	}
}

// put writes x as field n; the length goes in front once it is known. An empty message is left out.
func put[T any](c *codec, n uint32, x *T, walk func(*codec, *T)) {
	c.flush(n)
	outer := *c
	buf := protowire.AppendTag(c.buf, protowire.Number(n), protowire.BytesType)
	start := len(buf)
	*c = codec{buf: buf}
	walk(c, x)
	c.end()
	buf = c.buf
	*c = outer
	if size := len(buf) - start; size > 0 {
		width := protowire.SizeVarint(uint64(size))
		buf = append(buf, make([]byte, width)...)
		copy(buf[start+width:], buf[start:])
		protowire.AppendVarint(buf[:start], uint64(size))
		c.buf = buf
	}
}
