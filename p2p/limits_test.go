package p2p

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A raw peer speaks whatever a test wants.
type raw struct {
	host.Host
	to PeerID
}

func newRaw(t *testing.T, b *node) *raw {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.ForceReachabilityPrivate())
	must(t, err)
	t.Cleanup(func() { h.Close() })
	reach(t, h, b.info())
	return &raw{h, b.Self()}
}

func (r *raw) self() PeerID { return PeerID(r.ID()) }

type rawStream struct {
	network.Stream
	r *bufio.Reader
	t *testing.T
}

func (r *raw) open(t *testing.T, proto protocol.ID) *rawStream {
	t.Helper()
	s, err := r.NewStream(t.Context(), r.to.id(), proto)
	must(t, err)
	s.SetDeadline(time.Now().Add(patience))
	return &rawStream{s, bufio.NewReader(s), t}
}

func (s *rawStream) send(f wire.Frame) {
	s.t.Helper()
	if _, err := s.Write(wire.AppendFrame(nil, f)); err != nil {
		s.t.Fatal(err)
	}
}

// ask sends a request and returns the next reply.
func (s *rawStream) ask(id, op uint32, payload []byte) wire.Frame {
	s.t.Helper()
	s.send(wire.Frame{ID: id, Op: op, Payload: payload})
	for {
		f, err := wire.ReadFrame(s.r)
		if err != nil {
			s.t.Fatalf("no reply: %v", err)
		}
		if f.Kind() == wire.Reply {
			return f
		}
	}
}

// ended reports whether the other side resets the stream.
func (s *rawStream) ended() bool {
	_, err := io.Copy(io.Discard, s.r)
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// still is what a node is made of whose clock stands, so that no bucket fills.
func still(name string) Config {
	c := config(name)
	c.Clock = (&setClock{now: testClock()}).read
	return c
}

func TestStrangers(t *testing.T) {
	b := start(t, still(t.Name()), &fake{contacts: map[PeerID]bool{}})
	r := newRaw(t, b)
	s := r.open(t, protoParcel)
	taken := 0
	for i := range uint32(60) {
		f := s.ask(i+1, wire.OpParcel, parcelOf(int(i), testKid))
		if f.Status == wire.OK {
			taken++
		} else if f.Status != wire.BUSY || len(f.Payload) == 0 {
			t.Fatalf("parcel %d: %v", i, f.Status)
		}
	}
	if taken != wire.StrangerBurst {
		t.Errorf("%d taken at once from a stranger, want 50", taken)
	}
	b.wait(t, "what was taken", func() bool { p, _ := b.counts(); return p == taken })
	if most, _ := b.parallel(); most > 1 {
		t.Errorf("%d parcels of strangers at once", most)
	}
}

func TestStrangersShareOneQueue(t *testing.T) {
	f := &fake{contacts: map[PeerID]bool{}, block: make(chan struct{})}
	b := start(t, config(t.Name()), f)
	taken := 0
	for range 8 { // 8 strangers with a burst of 50 each, and nothing is worked off
		s := newRaw(t, b).open(t, protoParcel)
		for i := range uint32(45) {
			if s.ask(i+1, wire.OpParcel, parcelOf(int(i), testKid)).Status == wire.OK {
				taken++
			}
			b.wait(t, "the one in work", func() bool { p, _ := b.counts(); return p == 1 })
		}
	}
	if taken != strangerQueue+1 {
		t.Errorf("%d taken, want %d and the one in work", taken, strangerQueue)
	}
	close(f.block)
	b.wait(t, "what was taken", func() bool { p, _ := b.counts(); return p == taken })
}

func TestContactQueue(t *testing.T) {
	f := &fake{block: make(chan struct{})}
	b := start(t, config(t.Name()), f)
	s := newRaw(t, b).open(t, protoParcel)
	taken := 0
	for i := range uint32(parallelParcels + wire.QueueParcels + 40) {
		if s.ask(i+1, wire.OpParcel, parcelOf(int(i), testKid)).Status == wire.OK {
			taken++
		}
		if i < parallelParcels {
			want := int(i) + 1
			b.wait(t, "a worker", func() bool { p, _ := b.counts(); return p == want })
		}
	}
	if want := parallelParcels + wire.QueueParcels; taken != want {
		t.Errorf("%d taken from a contact, want %d", taken, want)
	}
	close(f.block)
	b.wait(t, "what was taken", func() bool { p, _ := b.counts(); return p == taken })
	if most, _ := b.parallel(); most != parallelParcels {
		t.Errorf("%d at once, want %d", most, parallelParcels)
	}
	if got := s.ask(1000, wire.OpParcel, parcelOf(0, testKid)).Status; got != wire.OK {
		t.Errorf("after the queue was worked off: %v", got)
	}
}

func TestRates(t *testing.T) {
	b := start(t, still(t.Name()), &fake{})
	x := newEpoch(t.Name())
	must(t, b.Serve(x.e, far()))
	tests := []struct {
		name    string
		proto   protocol.ID
		op      uint32
		payload []byte
		ok      wire.FrameStatus
		burst   int
	}{
		{"records", protoParcel, wire.OpRecords, wire.RecordsRequest{Address: wire.Address{1}}.Append(nil), wire.NOT_FOUND, 20},
		{"get", protoPresence, wire.OpGet, wire.GetRequest{Key: x.e}.Append(nil), wire.OK, 60},
		{"watch", protoPresence, wire.OpWatch, wire.WatchRequest{Keys: []PublicKey{x.e}}.Append(nil), wire.OK, 60},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newRaw(t, b).open(t, tt.proto)
			for i := range tt.burst + 5 {
				f := s.ask(uint32(i)+1, tt.op, tt.payload)
				want := tt.ok
				if i >= tt.burst {
					want = wire.BUSY
				}
				if f.Status != want {
					t.Fatalf("request %d: %v, want %v", i, f.Status, want)
				}
			}
		})
	}
}

func TestWatchCounts(t *testing.T) {
	b := run(t, "b")
	var keys []PublicKey
	for i := range wire.MaxWatch + 1 {
		x := newEpoch(fmt.Sprint(t.Name(), i))
		must(t, b.Serve(x.e, far()))
		keys = append(keys, x.e)
	}
	r := newRaw(t, b)
	s := r.open(t, protoPresence)
	ask := func(s *rawStream, id, op uint32, keys []PublicKey) wire.FrameStatus {
		return s.ask(id, op, wire.WatchRequest{Keys: keys}.Append(nil)).Status
	}
	if got := ask(s, 1, wire.OpWatch, keys[:wire.MaxWatch]); got != wire.OK {
		t.Errorf("256 keys: %v", got)
	}
	if got := ask(s, 2, wire.OpWatch, keys[:10]); got != wire.OK {
		t.Errorf("some of them again: %v", got)
	}
	if got := ask(s, 3, wire.OpWatch, keys[wire.MaxWatch:]); got != wire.QUOTA {
		t.Errorf("one more: %v", got)
	}
	if got := ask(s, 4, wire.OpUnwatch, keys[:1]); got != wire.OK {
		t.Errorf("unwatch: %v", got)
	}
	if got := ask(s, 5, wire.OpWatch, keys[wire.MaxWatch:]); got != wire.OK {
		t.Errorf("one more after unwatch: %v", got)
	}
	b.door.mu.Lock()
	if b.door.watched != wire.MaxWatch {
		t.Errorf("watched %d", b.door.watched)
	}
	b.door.watched += wire.MaxWatchNode - wire.MaxWatch
	b.door.mu.Unlock()
	if got := ask(r.open(t, protoPresence), 1, wire.OpWatch, keys[:1]); got != wire.BUSY {
		t.Errorf("node full: %v", got)
	}
	s.Reset()
	waitFor(t, "the watches to go", func() bool {
		b.door.mu.Lock()
		defer b.door.mu.Unlock()
		return b.door.watched == wire.MaxWatchNode-wire.MaxWatch
	})
}

func TestFifthStream(t *testing.T) {
	b := run(t, "b")
	r := newRaw(t, b)
	for _, proto := range []protocol.ID{protoParcel, protoPresence} {
		for i := range streamsPerPeer {
			s := r.open(t, proto)
			if got := s.ask(1, 77, nil).Status; got != wire.UNKNOWN_OP {
				t.Errorf("%s: stream %d: %v", proto, i, got)
			}
		}
		s := r.open(t, proto)
		s.send(wire.Frame{ID: 1, Op: 77})
		if !s.ended() {
			t.Errorf("%s: a fifth stream lives", proto)
		}
	}
}

// SPEC 3.6: what resets a stream, and what does not.
func TestFrameRules(t *testing.T) {
	b := run(t, "b")
	r := newRaw(t, b)
	frame := func(f wire.Frame) []byte { return wire.AppendFrame(nil, f) }
	tests := []struct {
		name  string
		bytes []byte
		reset bool
	}{
		{"unknown op", frame(wire.Frame{ID: 1, Op: 99}), false},
		{"unknown one-way op", frame(wire.Frame{Op: 99}), false},
		{"one-way parcel from an opener", frame(wire.Frame{Op: wire.OpParcel, Payload: []byte{1}}), false},
		{"malformed ackbox", frame(wire.Frame{Op: wire.OpAckBox, Payload: []byte{1}}), false},
		{"malformed payload", frame(wire.Frame{ID: 1, Op: wire.OpRecords, Payload: []byte{1}}), false},
		{"status in a request", frame(wire.Frame{ID: 1, Op: wire.OpRecords, Status: wire.OK}), true},
		{"empty frame", []byte{0}, true},
		{"long varint", append([]byte{0x84, 0x00}, frame(wire.Frame{ID: 1, Op: 9})[1:]...), true},
		{"too long", []byte{0x81, 0x80, 0x10, 0x08}, true},
		{"no op", []byte{2, 0x08, 1}, true},
		{"garbage", bytes.Repeat([]byte{0x55}, 90), true},
		{"status without an id", []byte{4, 0x10, 1, 0x20, 1}, true},
	}
	for _, tt := range tests {
		for _, proto := range []protocol.ID{protoParcel, protoPresence} {
			s := r.open(t, proto)
			if _, err := s.Write(tt.bytes); err != nil {
				t.Fatal(err)
			}
			if tt.reset {
				if !s.ended() {
					t.Errorf("%s: %s: not reset", proto, tt.name)
				}
				continue
			}
			if got := s.ask(1000, 77, nil); got.ID != 1000 && got.ID != 1 {
				t.Errorf("%s: %s: reply to %d", proto, tt.name, got.ID)
			}
			s.Reset()
		}
		waitFor(t, "the streams to end", func() bool {
			return b.inbound.newest(r.self(), protoParcel) == nil && b.inbound.newest(r.self(), protoPresence) == nil
		})
	}
}

// A peer that is silent, refuses, or answers nonsense costs its caller no more than its patience.
func TestBadPeers(t *testing.T) {
	a := run(t, "a")
	tests := []struct {
		name  string
		serve func(network.Stream)
	}{
		{"silent", func(s network.Stream) { io.Copy(io.Discard, s) }},
		{"resets", func(s network.Stream) { s.Reset() }},
		{"closes", func(s network.Stream) { s.Close() }},
		{"garbage", func(s network.Stream) { s.Write([]byte{0, 0, 0}); io.Copy(io.Discard, s) }},
		{"asks us", func(s network.Stream) { s.Write(wire.AppendFrame(nil, wire.Frame{ID: 1, Op: 1})) }},
		{"answers another", func(s network.Stream) { s.Write(wire.AppendFrame(nil, wire.Frame{ID: 9, Op: 1, Status: wire.OK})) }},
		{"answers another op", func(s network.Stream) { s.Write(wire.AppendFrame(nil, wire.Frame{ID: 1, Op: 2, Status: wire.OK})) }},
		{"no such protocol", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRaw(t, a)
			if tt.serve != nil {
				r.SetStreamHandler(protoParcel, tt.serve)
				r.SetStreamHandler(protoPresence, tt.serve)
			}
			a.Keep(r.self(), [][]byte{r.Addrs()[0].Bytes()}, Watched)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, _, err := a.Send(ctx, r.self(), parcelOf(1, testKid)); !errors.Is(err, ErrUnreachable) {
				t.Errorf("send: %v", err)
			}
			if _, _, err := a.Get(ctx, r.self(), PublicKey{1}); !errors.Is(err, ErrUnreachable) {
				t.Errorf("get: %v", err)
			}
		})
	}
	if _, _, err := a.Send(t.Context(), "nobody", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("send to nobody: %v", err)
	}
}
