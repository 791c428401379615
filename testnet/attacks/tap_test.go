package attacks

import (
	"bytes"
	"sync"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A tap holds the frames of /hum/parcel/1 that one machine obtained, as somebody who reads along could
// who has broken the transport's encryption: what hum promises must not rest on that.
type tap struct {
	mu      sync.Mutex
	streams map[[2]uint64]*flow
	frames  []wire.Frame
}

// A flow is one direction of a stream: frames behind their lengths, as multistream's lines are too.
type flow struct {
	buf    []byte
	parcel bool // it speaks /hum/parcel/1
}

// tap reads along what m obtains from now on.
func (s *stage) tap(m *machine) *tap {
	x := &tap{streams: map[[2]uint64]*flow{}}
	s.net.Capture(m.ip, x.take)
	return x
}

func (x *tap) take(c testnet.Chunk) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := [2]uint64{c.Line, c.Stream}
	f := x.streams[key]
	if f == nil {
		f = &flow{}
		x.streams[key] = f
	}
	f.buf = append(f.buf, c.Data...)
	for {
		body, ok := f.next()
		if !ok {
			return
		}
		if bytes.Equal(body, []byte(wire.ParcelProtocol+"\n")) {
			f.parcel = true
		} else if frame, err := wire.ParseFrame(body); f.parcel && err == nil {
			x.frames = append(x.frames, frame)
		}
	}
}

// next cuts off what is behind the next length.
func (f *flow) next() (body []byte, ok bool) {
	size, shift := 0, 0
	for i, b := range f.buf {
		size |= int(b&0x7f) << shift
		if shift += 7; b >= 0x80 {
			continue
		}
		if len(f.buf) < i+1+size {
			return nil, false
		}
		body, f.buf = f.buf[i+1:i+1+size], f.buf[i+1+size:]
		return body, true
	}
	return nil, false
}

// parcels are the Parcels so far.
func (x *tap) parcels() (out []wire.Parcel) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.frames {
		if f.Op != wire.OpParcel || f.Kind() == wire.Reply {
			continue
		}
		if p, err := wire.ParseParcel(bytes.Clone(f.Payload)); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// gossipID is SPEC 4.7's message id.
func gossipID(m *pb.Message) string { return wire.GossipID(m.GetTopic(), m.GetData()) }

// A sieve spoils chosen frames of /hum/parcel/1 on their way to one machine: their last byte is changed,
// so that a sealed one is as good as lost.
type sieve struct {
	mu      sync.Mutex
	spoil   func(head []byte) bool // asked with the first 24 bytes of a frame, or all of it
	streams map[[2]uint64]*course
	spoiled int
}

// A course is where a sieve stands in a stream.
type course struct {
	size, shift int  // of the length that is being read
	inside      bool // of a frame
	left        int  // bytes of it to come
	head        []byte
	parcel      bool
}

// sieve spoils what m obtains from now on.
func (s *stage) sieve(m *machine, spoil func(head []byte) bool) *sieve {
	x := &sieve{spoil: spoil, streams: map[[2]uint64]*course{}}
	s.net.Tamper(m.ip, x.take)
	return x
}

const headSize = 24 // op 2, the payload's length and the tag of an AckBox

func (x *sieve) take(c testnet.Chunk) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := [2]uint64{c.Line, c.Stream}
	f := x.streams[key]
	if f == nil {
		f = &course{}
		x.streams[key] = f
	}
	for i := range c.Data {
		x.next(f, &c.Data[i])
	}
}

func (x *sieve) next(f *course, b *byte) {
	if !f.inside {
		f.size |= int(*b&0x7f) << f.shift
		if f.shift += 7; *b < 0x80 {
			f.inside, f.left, f.head = f.size > 0, f.size, nil
			f.size, f.shift = 0, 0
		}
		return
	}
	if len(f.head) < headSize {
		f.head = append(f.head, *b)
	}
	if f.left--; f.left > 0 {
		return
	}
	f.inside = false
	if string(f.head) == wire.ParcelProtocol+"\n" {
		f.parcel = true
	} else if f.parcel && x.spoil(f.head) {
		*b ^= 1
		x.spoiled++
	}
}

// boxTag returns the tag of the AckBox that begins with head, if one does: a one-way frame of op 2.
func boxTag(head []byte) (tag [16]byte, ok bool) {
	i := bytes.Index(head, []byte{0x0a, 16})
	if len(head) < headSize || head[0] != 0x10 || head[1] != byte(wire.OpAckBox) || i < 0 || i+18 > len(head) {
		return tag, false
	}
	return [16]byte(head[i+2:]), true
}
