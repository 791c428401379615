package shard

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Format is the number of the protocol.
const Format = 1

// A Parcel is what crosses from one shard to another.
type Parcel struct {
	From, To int    // shards
	At       int64  // when it arrives: nanoseconds of virtual Unix time
	Lane     uint64 // parcels that arrive at one instant come in the order of their lanes
	N        uint64 // and of this number, which its shard gives it
	Data     []byte
}

// A hello is the first line of a shard.
type hello struct {
	Format int    `json:"format"`
	Shard  int    `json:"shard"`
	Shards int    `json:"shards"`
	Run    string `json:"run"`
}

// A welcome answers it.
type welcome struct {
	Window int64  `json:"window_ns,omitempty"`
	Error  string `json:"error,omitempty"`
}

const (
	kindStep = iota + 1
	kindGoOn
	kindEnd
	kindAbort
	kindResult
)

const maxFrame = 1 << 30

var errFrame = errors.New("shard: a frame that cannot be")

// A wire is one side's end of a socket.
type wire struct {
	r *bufio.Reader
	w *bufio.Writer
}

func newWire(c io.ReadWriter) wire {
	return wire{bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)}
}

func (w wire) sendLine(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := w.w.Write(append(b, '\n')); err != nil {
		return err
	}
	return w.w.Flush()
}

func (w wire) line(v any) error {
	b, err := w.r.ReadSlice('\n') // no longer than the buffer: whoever calls may be anybody
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func (w wire) send(kind byte, body []byte) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)+1))
	if _, err := w.w.Write(append(head, kind)); err != nil {
		return err
	}
	if _, err := w.w.Write(body); err != nil {
		return err
	}
	return w.w.Flush()
}

func (w wire) receive() (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxFrame {
		return 0, nil, fmt.Errorf("%w: %d bytes long", errFrame, n)
	}
	body = make([]byte, n-1)
	_, err = io.ReadFull(w.r, body)
	return head[4], body, err
}

// A step is the end of a window.
type step struct {
	now     int64
	last    bool
	parcels []Parcel
}

func (s step) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(s.now))
	last := byte(0)
	if s.last {
		last = 1
	}
	return appendParcels(append(b, last), s.parcels)
}

func decodeStep(b []byte) (s step, err error) {
	if len(b) < 9 {
		return s, errFrame
	}
	s.now, s.last = int64(binary.BigEndian.Uint64(b)), b[8] == 1
	s.parcels, err = decodeParcels(b[9:])
	return s, err
}

func appendParcels(b []byte, ps []Parcel) []byte {
	b = binary.AppendUvarint(b, uint64(len(ps)))
	for _, p := range ps {
		b = binary.AppendUvarint(b, uint64(p.From))
		b = binary.AppendUvarint(b, uint64(p.To))
		b = binary.BigEndian.AppendUint64(b, uint64(p.At))
		b = binary.BigEndian.AppendUint64(b, p.Lane)
		b = binary.AppendUvarint(b, p.N)
		b = binary.AppendUvarint(b, uint64(len(p.Data)))
		b = append(b, p.Data...)
	}
	return b
}

func decodeParcels(b []byte) (ps []Parcel, err error) {
	bad := false
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad = true
			return 0
		}
		b = b[n:]
		return v
	}
	fixed := func() uint64 {
		if len(b) < 8 {
			bad = true
			return 0
		}
		v := binary.BigEndian.Uint64(b)
		b = b[8:]
		return v
	}
	for n := number(); n > 0 && !bad; n-- {
		p := Parcel{From: int(number()), To: int(number()), At: int64(fixed()), Lane: fixed(), N: number()}
		size := number()
		if bad || size > uint64(len(b)) {
			return nil, errFrame
		}
		p.Data, b = b[:size:size], b[size:]
		ps = append(ps, p)
	}
	if bad || len(b) > 0 {
		return nil, errFrame
	}
	return ps, nil
}
