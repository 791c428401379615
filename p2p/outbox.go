package p2p

import (
	"bufio"
	"context"
	"sync"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/network"
)

const (
	maxQueuedFrames = 256     // on one stream
	maxQueuedBytes  = 8 << 20 // on one stream; one frame always fits
)

// An outbox is what waits to be written to one stream. Frames keep their order and are bounded in
// number; of the Recs of one key and tag at most one update and one beacon wait, and a newer one
// takes the place of the older (SPEC 4.6, "Slow reader").
type outbox struct {
	start func() // has somebody call drain; called when something waits and nobody writes

	mu      sync.Mutex
	writing bool
	queue   []token
	frames  int
	bytes   int
	recs    map[recKey][]byte // waiting Recs; their places are in queue
	ids     map[uint32]bool   // requests whose reply is not written yet
}

type recKey struct {
	e      PublicKey
	tag    wire.Tag
	beacon bool
}

// A token is the place in the queue of a frame, or of a Rec if frame is nil.
type token struct {
	frame []byte
	id    uint32 // of a reply
	rec   recKey
}

func newOutbox(start func()) *outbox {
	return &outbox{start: start}
}

// outboxTo is what waits for s. A goroutine writes it, as long as there is something to write; where none may begin
// any more, or a write fails, the stream ends.
func (n *Net) outboxTo(s network.Stream) (o *outbox) {
	o = newOutbox(func() {
		if !n.spawn(func(context.Context) {
			if o.drain(s) != nil {
				s.Reset()
			}
		}) {
			s.Reset()
		}
	})
	return o
}

// begin notes that request id awaits its reply; false if it is in use, or if there are too many.
func (o *outbox) begin(id uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids[id] || len(o.ids) >= wire.MaxOutstanding {
		return false
	}
	o.ids = with(o.ids, id, true)
	return true
}

// put queues f, and returns false if the queue is full.
func (o *outbox) put(f wire.Frame) bool {
	b := wire.AppendFrame(nil, f)
	t := token{frame: b}
	if f.Kind() == wire.Reply {
		t.id = f.ID
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.frames >= maxQueuedFrames || o.frames > 0 && o.bytes+len(b) > maxQueuedBytes {
		return false
	}
	o.frames, o.bytes = o.frames+1, o.bytes+len(b)
	o.push(t)
	return true
}

// putRec queues a Rec in place of an older one of its kind.
func (o *outbox) putRec(k recKey, raw []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, waits := o.recs[k]
	o.recs = with(o.recs, k, raw)
	if !waits {
		o.push(token{rec: k})
	}
}

func (o *outbox) push(t token) {
	o.queue = append(o.queue, t)
	if !o.writing {
		o.writing = true
		o.start()
	}
}

// rest ends the writing if nothing waits.
func (o *outbox) rest() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = len(o.queue) > 0
	return !o.writing
}

// pop takes what is first in the queue, encoded.
func (o *outbox) pop() ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		o.queue = nil
		return nil, false
	}
	t := o.queue[0]
	o.queue = o.queue[1:]
	if t.frame == nil {
		raw := o.recs[t.rec]
		o.recs = without(o.recs, t.rec)
		push := wire.RecPush{Key: t.rec.e, Rec: raw}
		return wire.AppendFrame(nil, wire.Frame{Op: wire.OpRec, Payload: push.Append(nil)}), true
	}
	o.frames, o.bytes = o.frames-1, o.bytes-len(t.frame)
	o.ids = without(o.ids, t.id)
	return t.frame, true
}

var writers = sync.Pool{New: func() any { return bufio.NewWriter(nil) }}

// drain writes to s what is queued, until nothing is or a write fails. A write that is blocked for 30 s resets
// the stream.
func (o *outbox) drain(s network.Stream) error {
	guard := time.AfterFunc(wire.SlowReader, func() { s.Reset() })
	defer guard.Stop()
	w := writers.Get().(*bufio.Writer)
	defer writers.Put(w)
	w.Reset(s)
	defer w.Reset(nil)
	for {
		b, ok := o.pop()
		guard.Reset(wire.SlowReader)
		if ok {
			if _, err := w.Write(b); err != nil {
				return err
			}
			continue
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if o.rest() {
			return nil
		}
	}
}
