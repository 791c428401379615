package p2p

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/network"
)

// A memStream is a stream whose other end reads when a test says so.
type memStream struct {
	network.Stream // nil: whatever is not below is not used
	in             io.Reader
	mu             sync.Mutex
	out            bytes.Buffer
	block          chan struct{} // writes wait for it to close
	reset          chan struct{}
	once           sync.Once
}

func newMemStream(in io.Reader) *memStream {
	s := &memStream{in: in, block: make(chan struct{}), reset: make(chan struct{})}
	close(s.block)
	return s
}

func (s *memStream) Read(b []byte) (int, error) { return s.in.Read(b) }
func (s *memStream) Write(b []byte) (int, error) {
	select {
	case <-s.reset:
		return 0, network.ErrReset
	case <-s.block:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}
func (s *memStream) Reset() error { s.once.Do(func() { close(s.reset) }); return nil }

// nobody writes what waits.
func nobody() {}

// A newer Rec takes the place of a waiting one of its kind; frames keep their order among them.
func TestOutboxKeepsTheNewest(t *testing.T) {
	o := newOutbox(nobody)
	x, y := recKey{e: PublicKey{1}}, recKey{e: PublicKey{1}, beacon: true}
	o.putRec(x, []byte("u1"))
	o.put(wire.Frame{ID: 1, Op: 1, Status: wire.OK})
	o.putRec(y, []byte("b1"))
	for _, s := range []string{"u2", "u3", "u4"} {
		o.putRec(x, []byte(s))
	}
	o.putRec(y, []byte("b2"))
	var got []string
	for {
		b, ok := o.pop()
		if !ok {
			break
		}
		f, err := wire.ReadFrame(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind() == wire.Reply {
			got = append(got, "OK")
			continue
		}
		p, err := wire.ParseRecPush(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(p.Rec))
	}
	if want := []string{"u4", "OK", "b2"}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("sent %v, want %v", got, want)
	}
}

func TestOutboxIsBounded(t *testing.T) {
	o := newOutbox(nobody)
	put := 0
	for o.put(wire.Frame{Op: 1, Payload: []byte{1}}) {
		put++
	}
	if put != maxQueuedFrames {
		t.Errorf("%d frames queued, want %d", put, maxQueuedFrames)
	}
	o, put = newOutbox(nobody), 0
	for o.put(wire.Frame{Op: 1, Payload: make([]byte, wire.MaxParcel)}) {
		put++
	}
	if want := maxQueuedBytes / (wire.MaxParcel + 8); put != want {
		t.Errorf("%d large frames queued, want %d", put, want)
	}
	for i := range uint32(wire.MaxOutstanding) {
		if !o.begin(i + 1) {
			t.Fatalf("request %d refused", i)
		}
	}
	if o.begin(1) || o.begin(1000) {
		t.Error("an id in use again, or a 65th request, was taken")
	}
}

func TestSlowReaderIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStream(nil)
		s.block = make(chan struct{})
		begun := time.Now()
		var err error
		done := make(chan struct{})
		var o *outbox
		o = newOutbox(func() { go func() { defer close(done); err = o.drain(s) }() })
		for i := range 1000 {
			o.putRec(recKey{e: PublicKey{1}}, []byte{byte(i)})
			o.putRec(recKey{e: PublicKey{1}, beacon: true}, []byte{byte(i)})
			time.Sleep(10 * time.Millisecond)
		}
		o.mu.Lock()
		if len(o.queue) > 2 || len(o.recs) > 2 {
			t.Errorf("%d recs wait, want at most one of each kind", len(o.queue))
		}
		o.mu.Unlock()
		<-done
		if err == nil || time.Since(begun) != wire.SlowReader {
			t.Errorf("ended after %v with %v, want %v", time.Since(begun), err, wire.SlowReader)
		}
	})
}

func TestHalfAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := newMemStream(r)
		go func() {
			<-s.reset
			r.CloseWithError(network.ErrReset)
		}()
		begun := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			readFrames(s, func() time.Duration { return time.Hour }, func(wire.Frame) bool { return true })
		}()
		time.Sleep(10 * time.Minute) // idle is allowed
		w.Write([]byte{10, 8, 1})    // seven bytes are missing
		<-done
		if got := time.Since(begun); got != 10*time.Minute+wire.SlowReader {
			t.Errorf("reset after %v", got)
		}
	})
}

// Whatever bytes a peer sends on a stream, at either end: no panic, no more than the limits queued.
func FuzzFrameLoops(f *testing.F) {
	x := newEpoch("fuzz")
	rec := x.update()
	frames := []wire.Frame{
		{ID: 1, Op: wire.OpParcel, Payload: parcelOf(1, testKid)},
		{ID: 2, Op: wire.OpRecords, Payload: wire.RecordsRequest{Address: wire.Address{1}}.Append(nil)},
		{Op: wire.OpAckBox, Payload: wire.AckBox{Tag: [16]byte{1}, Box: make([]byte, 284)}.Append(nil)},
		{ID: 3, Op: wire.OpWatch, Payload: wire.WatchRequest{Keys: []PublicKey{x.e}}.Append(nil)},
		{ID: 4, Op: wire.OpGet, Payload: wire.GetRequest{Key: x.e}.Append(nil)},
		{ID: 5, Op: wire.OpUnwatch, Payload: wire.WatchRequest{Keys: []PublicKey{x.e}}.Append(nil)},
		{Op: wire.OpRec, Payload: wire.RecPush{Key: x.e, Rec: rec.Raw}.Append(nil)},
		{ID: 1, Op: wire.OpWatch, Status: wire.OK, Payload: wire.WatchReply{Now: 5}.Append(nil)},
	}
	var all []byte
	for i, fr := range frames {
		for end := range byte(4) {
			f.Add(end, wire.AppendFrame(nil, fr))
		}
		all = wire.AppendFrame(all, frames[i])
	}
	f.Add(byte(0), all)
	f.Add(byte(1), all)
	f.Fuzz(func(t *testing.T, end byte, b []byte) {
		n, h := offline(x)
		s := newMemStream(bytes.NewReader(b))
		var out *outbox
		if end%4 < 2 {
			st := &inStream{n: n, peer: "p", proto: protoParcel, s: s, out: newOutbox(nobody), dead: make(chan struct{})}
			srv := n.serveParcel(st)
			if end%4 == 1 {
				st.proto, srv = protoPresence, n.servePresence(st)
			}
			readFrames(s, srv.idle, func(f wire.Frame) bool { return st.frame(&srv, f) })
			srv.closed()
			out = st.out
		} else {
			c := n.streams.get("p", protoParcel, 0)
			if end%4 == 3 {
				c = n.streams.get("p", protoPresence, 0)
			}
			st := newOutStream(c, s)
			st.out = newOutbox(nobody)
			st.expect([]PublicKey{x.e})
			readFrames(s, func() time.Duration { return 0 }, st.frame)
			out = st.out
		}
		if out.frames > maxQueuedFrames || len(out.ids) > wire.MaxOutstanding {
			t.Errorf("%d frames, %d ids wait", out.frames, len(out.ids))
		}
		n.mu.Lock()
		n.state = stopped
		n.mu.Unlock()
		n.wg.Wait()
		for _, r := range h.recs {
			if r.e != x.e || !r.r.Verify(x.e) {
				t.Errorf("an unverified rec went up: %+v", r)
			}
		}
		if n.door.watched != 0 {
			t.Errorf("%d keys are still watched", n.door.watched)
		}
	})
}

// offline returns a Net without a host that serves and follows x.
func offline(x *epoch) (*Net, *fake) {
	h := &fake{links: map[PeerID]link{}, changed: make(chan struct{}, 1)}
	n := &Net{cfg: config("offline"), stats: &counters{}, state: running, handler: h, run: context.Background(), ctx: context.Background()}
	n.inbound, n.streams, n.door, n.follows = newInbound(n), newConduits(n), newDoor(n), newFollows(n)
	n.door.serve(x.e, far())
	if err := n.Follow(x.e, nil); err != nil && !errors.Is(err, ErrClosed) {
		panic(err)
	}
	return n, h
}

var offlineLog = slog.New(slog.DiscardHandler)

// withStop ends when stop closes.
func withStop(ctx context.Context, stop <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		<-stop
		cancel()
	}()
	return ctx, cancel
}

// A goroutine writes while there is something to write, and none is left when there is not; what comes just
// as it ends is not forgotten.
func TestOutboxWritesOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStream(nil)
		var o *outbox
		var writers, running atomic.Int32
		o = newOutbox(func() {
			writers.Add(1)
			running.Add(1)
			go func() { _ = o.drain(s); running.Add(-1) }()
		})
		for i := range byte(100) {
			o.put(wire.Frame{Op: 1, Payload: []byte{i}})
			if i%10 == 9 {
				synctest.Wait()
				if n := running.Load(); n != 0 {
					t.Fatalf("%d writers while nothing waits", n)
				}
			}
		}
		if n := writers.Load(); n < 10 { // one may end within a burst
			t.Errorf("%d writers for ten bursts", n)
		}
		r := bufio.NewReader(bytes.NewReader(s.out.Bytes()))
		for i := range byte(100) {
			if f, err := wire.ReadFrame(r); err != nil || f.Payload[0] != i {
				t.Fatalf("frame %d: %v, %v", i, f.Payload, err)
			}
		}
	})
}
