package testnet

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	window   = 256 << 10 // bytes of a stream that may be unread, as in yamux
	maxFrame = 16 << 10
)

// A stream is one end of a muxed stream. What one end sends stays in order; different streams of a
// connection may overtake each other when there is jitter or loss, as on QUIC.
type stream struct {
	c    *conn
	id   uint64
	peer *stream

	mu     sync.Mutex
	cond   *sync.Cond
	read   half
	write  half
	in     []byte // arrived, unread
	unsaid int    // read, but the sender does not know
	credit int    // what may still be sent
	sent   uint64 // frames
	last   time.Time

	snapped bool // nothing more arrives: see Network.Snap
}

// A half is the state of one direction. Most deadlines are set for a call that does not wait, so that a timer is set only once
// somebody does.
type half struct {
	err     error // what every further call returns
	by      time.Time
	timer   *time.Timer
	waiting int // calls
}

func newStream(c *conn, id uint64) *stream {
	s := &stream{c: c, id: id, credit: window}
	s.cond = sync.NewCond(&s.mu)
	return s
}

// send lets a frame travel after all earlier ones of this stream; the lock is held.
func (s *stream) send(kind frameKind, arg uint64, data []byte, run func()) {
	s.sent++
	s.last = s.c.out.send(frame{stream: s.id, seq: s.sent, data: data, run: run, kind: kind, arg: arg}, s.last)
}

// sendData is send for what the other end reads.
func (s *stream) sendData(data []byte) {
	s.sent++
	s.last = s.c.out.send(frame{stream: s.id, seq: s.sent, data: data, kind: frameData,
		run: func() { s.peer.deliver(data) },
		snap: func(keep int) {
			if keep > 0 {
				s.peer.deliver(data[:keep])
			}
			s.snap()
		}}, s.last)
}

// snap has nothing more arrive at either end, and resets both a little later.
func (s *stream) snap() {
	for _, end := range []*stream{s, s.peer} {
		end.mu.Lock()
		end.snapped = true
		end.mu.Unlock()
	}
	time.AfterFunc(time.Millisecond, func() {
		s.fail(&network.StreamError{Remote: true})
		s.peer.fail(&network.StreamError{Remote: true})
	})
}

// Read returns what has arrived, and io.EOF after all of it once the other end closed for writing.
func (s *stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.read.late():
			return 0, os.ErrDeadlineExceeded
		case s.read.err != nil && (s.read.err != io.EOF || len(s.in) == 0):
			return 0, s.read.err
		case len(s.in) > 0:
			n := copy(b, s.in)
			if s.in = s.in[n:]; len(s.in) == 0 {
				s.in = nil // streams are many, and most are silent
			}
			s.consumed(n)
			return n, nil
		case len(b) == 0:
			return 0, nil
		}
		s.read.wait(s.cond, s.stir)
	}
}

// consumed gives the window back, half of it at a time; the lock is held.
func (s *stream) consumed(n int) {
	s.unsaid += n
	if s.unsaid < window/2 || s.read.err != nil {
		return
	}
	more := s.unsaid
	s.unsaid = 0
	s.send(frameGrant, uint64(more), nil, func() { s.peer.grant(more) })
}

func (s *stream) grant(more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit += more
	s.cond.Broadcast()
}

// Write sends b; it blocks while the other end has a window full of unread bytes.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for {
		switch {
		case s.write.err != nil:
			return done, s.write.err
		case s.write.late():
			return done, os.ErrDeadlineExceeded
		case done == len(b):
			return done, nil
		case s.credit > 0:
			n := min(len(b)-done, s.credit, maxFrame)
			data := append([]byte(nil), b[done:done+n]...)
			s.credit -= n
			done += n
			s.sendData(data)
			continue
		}
		s.write.wait(s.cond, s.stir)
	}
}

func (s *stream) deliver(data []byte) {
	if s.c.IsClosed() {
		s.c.unknown()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read.err == nil && !s.snapped {
		s.in = append(s.in, data...)
		s.cond.Broadcast()
	}
}

// CloseWrite tells the other end that nothing more comes.
func (s *stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.write.err != nil {
		return nil
	}
	s.write.stop(io.ErrClosedPipe)
	s.cond.Broadcast()
	s.send(frameFinish, 0, nil, func() { s.peer.finish() })
	s.leave()
	return nil
}

func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read.err == nil {
		s.read.err = io.EOF
		s.cond.Broadcast()
		s.leave()
	}
}

// CloseRead forgets what has arrived and what will.
func (s *stream) CloseRead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read.err == nil || s.read.err == io.EOF {
		s.read.stop(io.ErrClosedPipe)
		s.in = nil
		s.cond.Broadcast()
		s.leave()
	}
	return nil
}

func (s *stream) Close() error {
	s.CloseRead()
	return s.CloseWrite()
}

func (s *stream) Reset() error { return s.ResetWithError(network.StreamNoError) }

// ResetWithError ends both directions at both ends; what was under way is lost.
func (s *stream) ResetWithError(code network.StreamErrorCode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return nil
	}
	s.halt(&network.StreamError{ErrorCode: code})
	s.send(frameReset, uint64(code), nil, func() { s.peer.fail(&network.StreamError{ErrorCode: code, Remote: true}) })
	return nil
}

// fail ends both directions at this end.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over() {
		s.halt(err)
	}
}

func (s *stream) halt(err error) {
	s.read.stop(err)
	s.write.stop(err)
	s.in = nil
	s.cond.Broadcast()
	s.leave()
}

// over reports whether both directions have ended, read or unread.
func (s *stream) over() bool {
	return s.write.err != nil && s.read.err != nil && s.read.err != io.EOF
}

// leave takes the stream off its connection once both directions have ended.
func (s *stream) leave() {
	if s.write.err != nil && s.read.err != nil {
		s.c.drop(s)
	}
}

func (s *stream) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read.until(t, s.stir)
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write.until(t, s.stir)
	return nil
}

// stir wakes whoever waits, to look at his deadline.
func (s *stream) stir() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}

func (h *half) late() bool { return !h.by.IsZero() && !time.Now().Before(h.by) }

func (h *half) until(t time.Time, stir func()) {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	h.by = t
	if h.waiting > 0 {
		h.arm(stir)
	}
}

func (h *half) arm(stir func()) {
	if h.timer == nil && !h.by.IsZero() && h.err == nil {
		h.timer = time.AfterFunc(time.Until(h.by), stir)
	}
}

// wait waits until cond is signalled, which stir does at the deadline.
func (h *half) wait(cond *sync.Cond, stir func()) {
	h.arm(stir)
	h.waiting++
	cond.Wait()
	h.waiting--
}

func (h *half) stop(err error) {
	h.err = err
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}
