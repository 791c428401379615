package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// A FrameKind is what a Frame is by its id and status (SPEC 3.6).
type FrameKind uint8

const (
	OneWay  FrameKind = iota // no id, no status
	Request                  // an id, no status
	Reply                    // an id and a status
)

// String names k as SPEC 3.6 does.
func (k FrameKind) String() string {
	return named(word(uint32(k)+1, "one-way", "request", "reply"), "kind", uint32(k))
}

// Kind returns what f is.
func (f Frame) Kind() FrameKind {
	switch {
	case f.ID == 0:
		return OneWay
	case f.Status == 0:
		return Request
	}
	return Reply
}

// ParseFrame reads a frame without the length in front of it. A status without an id is malformed,
// as is an empty frame.
func ParseFrame(b []byte) (Frame, error) { return parse(b, "frame", MaxFrame, frame) }

// Append appends the encoding of f, without its length, to b.
func (f Frame) Append(b []byte) []byte { return appendTo(b, &f, frame) }

func frame(c *codec, f *Frame) {
	num(c, 1, &f.ID, may)
	num(c, 2, &f.Op, must)
	c.octets(3, &f.Payload, MaxFrame, may)
	num(c, 4, &f.Status, may)
	if c.reading && f.ID == 0 && f.Status != 0 {
		c.refuse(4, ErrMalformed, "a status without an id")
	}
}

// AppendFrame appends f as it travels on a stream, behind its length, to b. The sender keeps it
// within [MaxFrame].
func AppendFrame(b []byte, f Frame) []byte {
	var scratch [64]byte
	body := f.Append(scratch[:0])
	b = protowire.AppendVarint(b, uint64(len(body)))
	return append(b, body...)
}

// ReadFrame reads the next frame of a stream (SPEC 3.6). It returns io.EOF if the stream ended before
// it, io.ErrUnexpectedEOF if within it, [ErrMalformed] or [ErrTooLarge] if the stream is to be reset,
// and else the error of the stream. No more than the length promises, and no more than [MaxFrame], is
// allocated.
func ReadFrame(r *bufio.Reader) (Frame, error) {
	size, err := readLength(r)
	if err != nil {
		return Frame{}, err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return Frame{}, unexpected(err)
	}
	return parseAlias(b, "frame", MaxFrame, frame)
}

// maxLength is the size of the varint of MaxFrame.
const maxLength = 3

// readLength reads a minimal varint of at most MaxFrame. A 0 is let through: an empty frame has no op,
// so parsing refuses it.
func readLength(r *bufio.Reader) (uint64, error) {
	var buf [maxLength]byte
	for i := range buf {
		x, err := r.ReadByte()
		if err != nil && i > 0 {
			err = unexpected(err)
		}
		if err != nil {
			return 0, err
		}
		if buf[i] = x; x < 0x80 {
			return frameLength(buf[:i+1])
		}
	}
	return 0, fmt.Errorf("frame: %w: length", ErrTooLarge)
}

func frameLength(b []byte) (uint64, error) {
	size, n := varint(b)
	switch {
	case n == 0:
		return 0, fmt.Errorf("frame: %w: length", ErrMalformed)
	case size > MaxFrame:
		return 0, fmt.Errorf("frame: %w: %d bytes", ErrTooLarge, size)
	}
	return size, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
