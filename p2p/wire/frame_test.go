package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// readOne reads a frame that must be all of b.
func readOne(b []byte) (Frame, error) {
	r := bufio.NewReader(bytes.NewReader(b))
	f, err := ReadFrame(r)
	if err == nil && r.Buffered() > 0 {
		return Frame{}, errors.New("bytes left over")
	}
	return f, err
}

func TestReadFrame(t *testing.T) {
	largest := AppendFrame(nil, Frame{Op: 1, Payload: make([]byte, MaxFrame-6)})
	tests := []struct {
		name string
		in   []byte
		err  error
	}{
		{"smallest one-way frame", []byte{2, 0x10, 1}, nil},
		{"largest frame", largest, nil},
		{"end of stream", nil, io.EOF},
		{"end within the length", []byte{0x80}, io.ErrUnexpectedEOF},
		{"end after the length", []byte{2}, io.ErrUnexpectedEOF},
		{"end within the frame", []byte{2, 0x10}, io.ErrUnexpectedEOF},
		{"empty frame", []byte{0}, ErrMalformed},
		{"length not minimal", []byte{0x82, 0x00, 0x10, 1}, ErrMalformed},
		{"length above 256 KiB", []byte{0x81, 0x80, 0x10}, ErrTooLarge},
		{"endless length", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ErrTooLarge},
		{"no op", []byte{2, 0x08, 1}, ErrMalformed},
		{"status without id", []byte{4, 0x10, 1, 0x20, 1}, ErrMalformed},
		{"unknown field", []byte{4, 0x10, 1, 0x28, 1}, ErrMalformed},
		{"empty payload written out", []byte{4, 0x10, 1, 0x1a, 0}, ErrMalformed},
		{"id above u32", []byte{8, 0x08, 0x80, 0x80, 0x80, 0x80, 0x10, 0x10, 1}, ErrMalformed},
	}
	if len(largest) != MaxFrame+3 {
		t.Fatalf("largest frame has %d bytes", len(largest))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := readOne(tt.in)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil && !bytes.Equal(AppendFrame(nil, f), tt.in) {
				t.Errorf("a second encoding of %x", tt.in)
			}
		})
	}
}

func TestReadFrameKeepsTheErrorOfTheStream(t *testing.T) {
	reset := errors.New("reset")
	for _, sent := range [][]byte{nil, {0x80}, {2, 0x10}} {
		r := bufio.NewReader(io.MultiReader(bytes.NewReader(sent), iotest.ErrReader(reset)))
		if _, err := ReadFrame(r); !errors.Is(err, reset) {
			t.Errorf("after %x: %v", sent, err)
		}
	}
}

func TestReadFrameInARow(t *testing.T) {
	frames := []Frame{
		{ID: 1, Op: 1, Payload: []byte("parcel")},
		{Op: 2, Payload: []byte("ackbox")},
		{ID: 1, Op: 1, Status: BUSY},
	}
	var b []byte
	for _, f := range frames {
		b = AppendFrame(b, f)
	}
	r := bufio.NewReader(iotest.OneByteReader(bytes.NewReader(b)))
	for _, want := range frames {
		got, err := ReadFrame(r)
		if err != nil || !bytes.Equal(AppendFrame(nil, got), AppendFrame(nil, want)) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := ReadFrame(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestBusyReplyWaitsOneSecondUnlessTold(t *testing.T) {
	for _, tt := range []struct {
		payload []byte
		seconds float64
	}{{nil, 1}, {BusyReply{}.Append(nil), 1}, {BusyReply{30}.Append(nil), 30}} {
		x, err := ParseBusyReply(tt.payload)
		if err != nil || x.Wait().Seconds() != tt.seconds {
			t.Errorf("%x: %v, %v", tt.payload, x.Wait(), err)
		}
	}
}
