package attacks

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A fuse cuts the streams of /hum/parcel/1 on which a machine obtains bytes: after so many bytes, counted from
// the beginning of a stream or from the moment that it is set.
type fuse struct {
	mu      sync.Mutex
	armed   bool
	left    int
	blown   bool
	streams map[[2]uint64]*fused
}

// fused is one stream, which is known by how it begins.
type fused struct {
	head   []byte
	parcel bool
}

func (s *stage) fuse(m *machine) *fuse {
	x := &fuse{streams: map[[2]uint64]*fused{}}
	s.net.Snap(m.ip, x.take)
	return x
}

// set has the fuse blow after n more bytes of Parcel streams.
func (x *fuse) set(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armed, x.left, x.blown = true, n, false
}

// took disarms the fuse, and says whether it has blown.
func (x *fuse) took() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armed = false
	return x.blown
}

func (x *fuse) take(c testnet.Chunk) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := [2]uint64{c.Line, c.Stream}
	s := x.streams[key]
	if s == nil {
		s = &fused{}
		x.streams[key] = s
	}
	if len(s.head) < 64 {
		s.head = append(s.head, c.Data...)
		s.parcel = bytes.Contains(s.head, []byte(wire.ParcelProtocol))
	}
	if !s.parcel || !x.armed || x.blown {
		return len(c.Data)
	}
	if x.left -= len(c.Data); x.left >= 0 {
		return len(c.Data)
	}
	x.blown = true
	return len(c.Data) + x.left
}

// TestAttack_02_ResetAtEveryByte resets the stream of an exchange after each of its bytes, those that come to
// the recipient and those that come to the sender: of a message alone on a new stream, and of one for which a
// session is offered and the next, which goes in it. Each is delivered, or ends by its own expiry if that comes
// before the next try; nothing is shown twice, and what is said to be delivered is there.
func TestAttack_02_ResetAtEveryByte(t *testing.T) {
	step := 41 // every day; a prime, so that the offsets meet all kinds of fields
	if wide {
		step = 1
	}
	for _, session := range []bool{false, true} {
		for _, atSender := range []bool{false, true} {
			t.Run(fmt.Sprintf("session %v, at the sender %v", session, atSender), func(t *testing.T) {
				cut := 0
				for from, more := 0, true; more; from += 200 * step {
					play(t, func(t *testing.T, s *stage) {
						var sent map[wire.MID]string
						sent, more = s.resets(from, step, session, atSender)
						for _, wrong := range s.unsettled(sent) {
							t.Error(wrong)
						}
						if cut += len(sent); from == 0 && !session && !atSender {
							s.plant(sent)
						}
					})
				}
				if t.Logf("%d messages", cut); cut*step < 300 { // an ack alone has more bytes
					t.Error("the exchange was hardly cut")
				}
			})
		}
	}
}

// resets plays 200 offsets, each step apart; false if the exchange has no more bytes.
func (s *stage) resets(from, step int, session, atSender bool) (sent map[wire.MID]string, more bool) {
	alice, bob := s.machine("alice"), s.machine("bob")
	at := bob
	if atSender {
		at = alice
	}
	x := s.fuse(at) // which knows a stream by how it begins
	alice.add(bob)
	bob.add(alice)
	if id := alice.send(bob, "first of all", 0); !soon(time.Minute, func() bool { return alice.sent(id).State == "delivered" }) {
		s.t.Fatal("the first is not delivered")
	}
	x.set(0) // so that the stream begins anew
	alice.send(bob, "second", 0)
	pass(30 * time.Second)
	x.took()
	sent, more = map[wire.MID]string{}, true
	for i := range 200 {
		n := from + i*step
		life := []time.Duration{time.Hour, 3 * time.Second}[btoi(i%5 == 4)] // 3 s are over before the next try
		write := func(text string) {
			text = fmt.Sprint(text, " ", n)
			sent[alice.send(bob, text, life)] = text
			pass(time.Second)
		}
		if session { // the stream stands, and its second Parcel comes
			write("before")
		}
		x.set(n)
		write("one")
		if session {
			write("in the session")
		}
		if !x.took() {
			more = false
			break
		}
		pass(20 * time.Second)
	}
	pass(20 * time.Minute)
	return sent, more
}

// plant has the recipient lose a message that he acknowledged, which the check must find.
func (s *stage) plant(sent map[wire.MID]string) {
	s.t.Helper()
	for id := range sent {
		if s.all[0].sent(id).State == "delivered" {
			if _, err := s.all[1].Delete(context.Background(), []string{id.String()}); err != nil {
				s.t.Fatal(err)
			}
			break
		}
	}
	if len(s.unsettled(sent)) != 1 {
		s.t.Error("a planted loss is not found")
	}
}

// unsettled is what is wrong with the final states of what was sent.
func (s *stage) unsettled(sent map[wire.MID]string) (wrong []string) {
	s.t.Helper()
	alice, bob, left := s.all[0], s.all[1], len(sent)
	all, err := alice.Outbox(context.Background(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	there := map[string]int{}
	for _, text := range bob.inbox() {
		there[text]++
	}
	shown := map[string]int{}
	for _, e := range events(s.t, bob) {
		if e.Kind == "message" && e.State == "received" {
			shown[e.ID]++
		}
	}
	for _, m := range all {
		text, mine := sent[m.ID]
		if !mine {
			continue
		}
		ok := m.State == "delivered" && there[text] == 1 || m.State == "failed" && there[text] <= 1 && m.Expires.Sub(m.Sent) < time.Minute
		if !ok || shown[m.ID.String()] != there[text] {
			wrong = append(wrong, fmt.Sprintf("%q is %s (%v), %d times in the inbox, and was shown %d times", text, m.State, m.Reason, there[text], shown[m.ID.String()]))
		}
		left--
	}
	if left > 0 {
		wrong = append(wrong, fmt.Sprintf("the outbox has forgotten %d", left))
	}
	return wrong
}
