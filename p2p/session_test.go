package p2p

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// sessionTo is the device that the fakes are, in a session.
var sessionTo = wire.Recipient{Address: wire.Address{5}, Device: wire.DeviceID{6}}

// handy is a node of somebody who has, or has not, the prekey of sessionTo, and one who writes to him.
func handy(t *testing.T, clock func() identity.Now) (a, b *node, to wire.Recipient) {
	t.Helper()
	key, err := identity.GeneratePreKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	to = sessionTo
	to.Kid, to.Key = key.ID(), key.Public()
	cb, ca := config(t.Name()+"b"), config(t.Name()+"a")
	cb.Rand, ca.Rand, cb.Clock, ca.Clock = rand.Reader, rand.Reader, clock, clock
	b, a = start(t, cb, &fake{prekey: key}), start(t, ca, &fake{})
	a.knows(b, Watched)
	return a, b, to
}

// post sends a Parcel, and returns whether it went in a session, and how it was answered.
func (a *node) post(t *testing.T, to *node, r wire.Recipient) (session bool, status wire.FrameStatus) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), patience)
	defer done()
	cek, ct := [32]byte{1}, make([]byte, 284)
	status, _, err := a.SendTo(ctx, to.Self(), r, func(s *wire.Session) ([]byte, error) {
		p := wire.Parcel{Suite: 1, CT: ct, Wraps: []wire.Wrap{{Kid: testKid, Sealed: make([]byte, 1168)}}}
		if session = s != nil; session {
			p.Wraps = []wire.Wrap{s.Wrap(rand.Reader, cek, ct)}
		}
		return p.Append(nil), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return session, status
}

// TestSession: one Parcel needs none; from the second on it is offered, and once it stands it is used, on
// this stream and no other.
func TestSession(t *testing.T) {
	a, b, to := handy(t, testClock)
	for i := range 2 {
		if in, status := a.post(t, b, to); in || status != wire.OK {
			t.Errorf("parcel %d: in a session: %v, %v", i, in, status)
		}
	}
	waitFor(t, "a session", func() bool { return a.InSession(b.Self(), to) })
	if in, status := a.post(t, b, to); !in || status != wire.OK {
		t.Errorf("in a session: %v, %v", in, status)
	}
	waitFor(t, "what was sent", func() bool { n, _ := b.counts(); return n == 3 })
	if b.inSession != 1 {
		t.Errorf("%d came in a session", b.inSession)
	}
	other := to
	other.Kid = wire.KeyID{1}
	if a.InSession(b.Self(), other) {
		t.Error("a session serves another prekey")
	}
	// With the stream the session is gone, and its wrap opens nowhere else.
	old := a.streams.get(b.Self(), protoParcel, 0).current()
	wrapped := old.wrapping(to)
	old.retire()
	if in, status := a.post(t, b, to); in || status != wire.OK || a.InSession(b.Self(), to) {
		t.Errorf("on a new stream: in a session: %v, %v", in, status)
	}
	stale := wire.Parcel{Suite: 1, CT: make([]byte, 284), Wraps: []wire.Wrap{wrapped.Wrap(rand.Reader, [32]byte{1}, make([]byte, 284))}}
	if status, _, err := a.Send(t.Context(), b.Self(), stale.Append(nil)); err != nil || status != wire.NO_KEY {
		t.Errorf("the wrap of a session that has gone: %v, %v", status, err)
	}
}

// TestSessionForgotten: the other end does not know the session any more; the Parcel goes once more at once,
// by the prekey, and nobody above notices.
func TestSessionForgotten(t *testing.T) {
	a, b, to := handy(t, testClock)
	for !a.InSession(b.Self(), to) {
		a.post(t, b, to)
		time.Sleep(10 * time.Millisecond)
	}
	st := a.streams.get(b.Self(), protoParcel, 0).current()
	st.mu.Lock()
	st.offer.Session, _, _ = wire.OfferSession(rand.Reader, to)
	st.mu.Unlock()
	if in, status := a.post(t, b, to); in || status != wire.OK {
		t.Errorf("in a session: %v, %v", in, status)
	}
	waitFor(t, "another session", func() bool { a.post(t, b, to); return a.InSession(b.Self(), to) })
	a.EndSession(b.Self(), to)
	if in, status := a.post(t, b, to); in || status != wire.OK {
		t.Errorf("after its end: in a session: %v, %v", in, status)
	}
}

// TestNoSession: a node without the prekey, and one of an older profile, get every Parcel by the prekey, and
// are asked once.
func TestNoSession(t *testing.T) {
	a, b, to := handy(t, testClock)
	b.prekey = nil
	for range 5 {
		if in, status := a.post(t, b, to); in || status != wire.OK {
			t.Errorf("in a session: %v, %v", in, status)
		}
	}
	waitFor(t, "the refusal", func() bool { return b.Stats().Refused["session no-key"] == 1 })
	a.post(t, b, to)
	if got := b.Stats().Refused["session no-key"]; got != 1 {
		t.Errorf("asked %d times", got)
	}
	if a.InSession(b.Self(), to) {
		t.Error("a session nevertheless")
	}
}

// TestSessionEnds: after a day, and after 2^20 Wraps, both ends take another.
func TestSessionEnds(t *testing.T) {
	h := held{Session: wire.Session{ID: wire.KeyID{1}}, begun: time.Hour}
	tests := []struct {
		name  string
		at    time.Duration
		wraps int
		want  bool
	}{
		{"begun", time.Hour, 0, true},
		{"a moment before a day", 25*time.Hour - 1, 0, true},
		{"a day", 25 * time.Hour, 0, false},
		{"the last wrap", 2 * time.Hour, wire.SessionWraps - 1, true},
		{"one more", 2 * time.Hour, wire.SessionWraps, false},
	}
	for _, tt := range tests {
		h.wraps = tt.wraps
		if got := h.use(tt.at); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if (&held{}).use(0) {
		t.Error("no session is used")
	}
}

// TestSessionsOfStrangers are bound before any public-key operation, all together.
func TestSessionsOfStrangers(t *testing.T) {
	_, b, to := handy(t, testClock)
	b.contacts = map[PeerID]bool{}
	_, req, err := wire.OfferSession(rand.Reader, to)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for i := range 20 {
		for range 10 {
			st := &inStream{n: b.Net, peer: PeerID(rune('a' + i))}
			switch status, _ := b.takeSession(st, req.Append(nil)); status {
			case wire.OK:
				taken++
			case wire.BUSY:
			default:
				t.Fatalf("answered %v", status)
			}
		}
	}
	if taken < strangerSessions || taken > strangerSessions+2*sessionsPerS {
		t.Errorf("%d sessions of strangers were opened", taken)
	}
	st := &inStream{n: b.Net, peer: "contact"}
	b.contacts = map[PeerID]bool{"contact": true}
	if status, _ := b.takeSession(st, req.Append(nil)); status != wire.OK {
		t.Errorf("a contact is answered %v", status)
	}
	if status, _ := b.takeSession(st, []byte{1}); status != wire.MALFORMED {
		t.Errorf("rubbish is answered %v", status)
	}
}
