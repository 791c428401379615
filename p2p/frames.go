package p2p

import (
	"bufio"
	"sync"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/network"
)

// A frames reads the frames of one stream. Streams are many and most of them are silent most of the time, each with a
// goroutine that waits: so the wait needs one byte, and as little stack as there is, and what reads the rest is borrowed.
type frames struct {
	s     network.Stream
	first [1]byte // what ended the wait
	taken bool    // first has been read
	guard *time.Timer
}

// readFrames calls f with each frame of s until it returns false, s ends or is silent for longer than
// idle returns (0: for ever). A frame that has begun must be whole within 30 s.
func readFrames(s network.Stream, idle func() time.Duration, f func(wire.Frame) bool) error {
	r := &frames{s: s, guard: time.AfterFunc(wire.SlowReader, func() { s.Reset() })}
	defer r.guard.Stop()
	for {
		if err := r.wait(idle()); err != nil {
			return err
		}
		if on, err := r.burst(f); !on {
			return err
		}
	}
}

// wait returns when something has come; it resets the stream when nothing has for d, unless that is 0.
func (r *frames) wait(d time.Duration) error {
	if d > 0 {
		r.guard.Reset(d)
	} else {
		r.guard.Stop()
	}
	for {
		if n, err := r.s.Read(r.first[:]); n > 0 {
			r.taken = false
			return nil
		} else if err != nil {
			return err
		}
	}
}

// readers are as large as a few frames; of a large one the rest is read past them.
var readers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

// burst reads frames as long as there is something to read at hand, and says whether to go on after it. It is no part of
// readFrames, so that who waits has given back the stack that it takes.
//
//go:noinline
func (r *frames) burst(f func(wire.Frame) bool) (on bool, err error) {
	b := readers.Get().(*bufio.Reader)
	defer readers.Put(b)
	b.Reset(r)
	defer b.Reset(nil)
	for !r.taken || b.Buffered() > 0 {
		r.guard.Reset(wire.SlowReader)
		frame, err := wire.ReadFrame(b)
		if err != nil {
			return false, err
		}
		r.guard.Stop() // f may take its time
		if !f(frame) {
			return false, nil
		}
	}
	return true, nil
}

// Read returns the byte that wait has read, then what comes after it.
func (r *frames) Read(b []byte) (int, error) {
	if !r.taken && len(b) > 0 {
		r.taken = true
		return copy(b, r.first[:]), nil
	}
	return r.s.Read(b)
}
