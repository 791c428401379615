package attacks

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// asks has alice, who is a stranger to bob, ask him, and returns how long it took until he knew.
func asks(t *testing.T, alice, bob *machine) time.Duration {
	t.Helper()
	alice.add(bob)
	began := time.Now()
	if _, err := alice.Watch(context.Background(), "bob", "it is me", 0); err != nil {
		t.Fatal(err)
	}
	soon(3*time.Minute, func() bool { return bob.watcher(alice) != "" })
	return time.Since(began)
}

// TestAttack_18_Vanishing: strangers hand in Parcels and are gone, so that their answers would have to be
// dialled to nobody. Others do not wait for that.
func TestAttack_18_Vanishing(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		for i := range 8 {
			c := s.stranger(fmt.Sprint("mallory ", i))
			l := c.dial(bob, wire.ParcelProtocol)
			b := l.recipient(bob.Self().Address)
			for range 8 {
				x := c.seal(wire.Inner{Signed: c.signIM(c.im(b.Address, "hi")), Attached: c.records()}, b)
				l.begin(wire.OpParcel, x.parcel.Append(nil))
			}
			s.net.Shut(c.ip, true)
			time.Sleep(30 * time.Millisecond)
			c.host.Close()
		}
		if took := asks(t, alice, bob); took > 5*time.Second {
			t.Errorf("alice's request took %v", took)
		}
	})
}

// TestAttack_18_Fetching: strangers whose records bob holds name newer ones, and serve none when he asks.
// Others do not wait for that.
func TestAttack_18_Fetching(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		var all []*stranger
		for i := range 5 {
			c := s.stranger(fmt.Sprint("mallory ", i))
			all = append(all, c)
			l := c.dial(bob, wire.ParcelProtocol)
			b := l.recipient(bob.Self().Address)
			x := c.seal(wire.Inner{Signed: c.signIM(c.im(b.Address, "hi")), Attached: c.records()}, b)
			l.put(x.parcel)
			if a := c.acked(x); answer(a) != "delivered" {
				t.Fatalf("first contact: %s", answer(a))
			}
			c.bundles = func(identity.Address) (wire.FrameStatus, []byte) { return 0, nil }
			other := newPerson("other")
			m := c.im(b.Address, "by a device that bob does not know")
			m.Device, m.ArSeq = other.device(), now().Add(time.Minute)
			l.begin(wire.OpParcel, c.seal(wire.Inner{Signed: other.signIM(m)}, b).parcel.Append(nil))
		}
		if took := asks(t, alice, bob); took > 5*time.Second {
			t.Errorf("alice's request took %v", took)
		}
		asked := 0
		for _, c := range all {
			asked += c.asked
		}
		if asked == 0 {
			t.Error("the fault was not planted: nobody was asked for records")
		}
	})
}

// TestAttack_18_Flood: many identities ask again and again, twenty peers send junk, unknown keys and
// requests for records as fast as they may, and read slowly. What bob holds is bounded, and alice's
// request comes through.
func TestAttack_18_Flood(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		peers, people := 20, size(60, 1000)
		var all []*stranger
		var lines []*line
		var b wire.Recipient
		for i := range peers {
			c := s.stranger(fmt.Sprint("mallory ", i))
			l := c.dial(bob, wire.ParcelProtocol)
			if i == 0 {
				b = l.recipient(bob.Self().Address)
			}
			all, lines = append(all, c), append(lines, l)
		}
		grown := heapGrowth()
		status := map[wire.FrameStatus]int{}
		took := time.Duration(-1)
		for i := range people {
			p := newPerson(fmt.Sprint("person ", i))
			c := all[i%peers]
			if lines[i%peers].ended() {
				lines[i%peers] = c.dial(bob, wire.ParcelProtocol)
			}
			l := lines[i%peers]
			for j := range 10 {
				r := p.subRequest(b.Address, p.subID())
				r.At += identity.Time(j)
				x := p.seal(wire.Inner{Signed: wire.Sign(p.d, wire.TypeSubRequest, r.Append(nil)), Attached: p.records()}, b)
				status[l.put(x.parcel)]++
			}
			junk := wire.Parcel{Suite: 1, Wraps: []wire.Wrap{{Kid: b.Kid, Sealed: make([]byte, 1168)}}, CT: make([]byte, 4096+28)}
			for range size(1, 4) {
				var answers []chan wire.Frame
				for j := range 60 {
					if j%4 == 0 {
						junk.Wraps[0].Kid[0]++
					}
					junk.CT[j] ^= 0xff
					answers = append(answers, l.begin(wire.OpParcel, junk.Append(nil)))
					junk.Wraps[0].Kid = b.Kid
				}
				for _, f := range answers {
					status[(<-f).Status]++
				}
			}
			for range 10 {
				l.ask(wire.OpRecords, wire.RecordsRequest{Address: b.Address}.Append(nil))
			}
			if i%7 == 0 {
				l.Write([]byte("\x05junk!"))
				pass(time.Second)
				if !l.ended() {
					t.Error("a malformed frame does not end the stream")
				}
			}
			if i == people/2 {
				took = asks(t, alice, bob)
			}
		}
		if took > 5*time.Second+time.Minute { // one retry
			t.Errorf("alice's request took %v", took)
		}
		t.Logf("alice's request took %v; frames were answered %v", took, status)
		pass(10 * time.Second)
		if n := pending(t, bob); n > 201 {
			t.Errorf("%d requests wait", n)
		}
		if bob.watcher(alice) != "pending" {
			t.Errorf("alice's request is %q", bob.watcher(alice))
		}
		if status[wire.BUSY] == 0 || status[wire.NO_KEY] == 0 {
			t.Errorf("no limit was met: %v", status)
		}
		if n := grown(); n > 128<<20 {
			t.Errorf("the heap grew by %d MiB", n>>20)
		}
	})
}

// heapGrowth returns how many bytes the heap has grown by since it was called.
func heapGrowth() func() int64 {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	return func() int64 { return heap() - before }
}

// A mute is a stream of an adversary that writes and never reads.
type mute struct {
	x *stranger
	network.Stream
	resets int
	at     int // in the frame that never ends
}

func (m *mute) write(t *testing.T, to *machine, b []byte) {
	t.Helper()
	for {
		if m.Stream != nil {
			if _, err := m.Write(b); err == nil {
				return
			}
			m.resets++
		}
		id, err := peer.Decode(peerText(to))
		if err == nil {
			m.Stream, err = m.x.host.NewStream(t.Context(), id, wire.ParcelProtocol)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// peerText is the peer id in a machine's card.
func peerText(m *machine) string {
	_, id, _ := strings.Cut(m.card(), "/p2p/")
	id, _, _ = strings.Cut(id, "&")
	return id
}

// TestAttack_18_SlowReaders: twenty peers ask for 10,000 RECORDS and read not one answer; twenty others
// begin a frame and go on with it by an octet now and then. Bob holds no more for them than a window, ends
// their streams, and serves alice meanwhile as if they were not there. How much of a core strangers may
// take, whatever they send, is measured in p2p, TestStrangersShare.
func TestAttack_18_SlowReaders(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		var deaf, dribbling []*mute
		for i := range 40 {
			c := s.stranger(fmt.Sprint("mallory ", i))
			c.dial(bob, wire.ParcelProtocol) // the connection
			m := &mute{x: c}
			if deaf = append(deaf, m); i >= 20 {
				deaf, dribbling = deaf[:20], append(dribbling, m)
			}
		}
		grown := heapGrowth()
		endless := wire.AppendFrame(nil, wire.Frame{ID: 1, Op: wire.OpParcel, Payload: make([]byte, 100<<10)})
		request := wire.RecordsRequest{Address: bob.Self().Address}.Append(nil)
		took := time.Duration(-1)
		for i := range 500 {
			for _, m := range deaf {
				m.write(t, bob, wire.AppendFrame(nil, wire.Frame{ID: uint32(i + 1), Op: wire.OpRecords, Payload: request}))
			}
			for _, m := range dribbling {
				m.at++
				if resets := m.resets; m.Stream == nil || m.at == len(endless) {
					m.at = 0
					m.write(t, bob, endless[:1])
				} else if m.write(t, bob, endless[m.at:m.at+1]); m.resets > resets {
					m.at = 0 // what was written is no beginning, and ends the new stream by itself
				}
			}
			time.Sleep(time.Second)
			if i == 250 {
				took = asks(t, alice, bob)
			}
		}
		if took > 5*time.Second {
			t.Errorf("alice's request took %v", took)
		}
		if n := grown(); n > 32<<20 {
			t.Errorf("the heap grew by %d MiB", n>>20)
		}
		for _, m := range dribbling {
			if m.resets < 10 {
				t.Errorf("a frame that never ends was given up %d times in 500 s", m.resets)
			}
		}
		for _, m := range deaf {
			if m.resets == 0 {
				t.Errorf("whoever reads nothing still has his stream")
			}
		}
		t.Logf("alice's request took %v; deaf streams ended %d times, dribbling ones %d", took, deaf[0].resets, dribbling[0].resets)
	})
}

func pending(t *testing.T, m *machine) (n int) {
	t.Helper()
	all, err := m.Requests(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestAttack_18_Forks: a stranger signs ever new records of one number. The user's log is not his to fill.
func TestAttack_18_Forks(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		bob := s.machine("bob")
		c := s.stranger("mallory")
		l := c.dial(bob, wire.ParcelProtocol)
		b := l.recipient(bob.Self().Address)
		c.seq = now()
		for i := range 40 {
			c.lifeLess = time.Duration(i) * time.Hour
			x := c.seal(wire.Inner{Signed: c.signIM(c.im(b.Address, "hi")), Attached: c.records()}, b)
			if st := l.put(x.parcel); st != wire.OK {
				t.Errorf("%v", st)
			}
			pass(100 * time.Millisecond)
		}
		told := 0
		for _, e := range events(t, bob) {
			if e.State == "fork" {
				told++
			}
		}
		if told > 1 {
			t.Errorf("bob was told %d times", told)
		}
	})
}
