package node

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// A stranger speaks the wire by hand, with keys of his own: he can say what no node would, and keep
// silent where a node would answer.
type stranger struct {
	*p2p.Net
	t      *testing.T
	a, d   identity.SigningKey
	prekey *identity.PreKeySecret
	in     chan wire.Opened
	second bool // he has another device at the same place, with the key d2 and the same prekey
	d2     identity.SigningKey

	mu   sync.Mutex
	acks map[[16]byte]chan wire.AckBox
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	s := &stranger{t: t, in: make(chan wire.Opened, 100), acks: map[[16]byte]chan wire.AckBox{}}
	s.a, s.d, s.d2 = signingKey(t), signingKey(t), signingKey(t)
	var err error
	if s.prekey, err = identity.GeneratePreKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	if s.Net, err = p2p.Open(p2p.Config{Transport: seed, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Clock: SystemClock(), Rand: rand.Reader}); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, s) }()
	eventually(t, "the stranger is up", func() bool {
		_, _, err := s.Send(t.Context(), s.Self(), nil)
		return !errors.Is(err, p2p.ErrClosed)
	})
	t.Cleanup(func() {
		end()
		<-done
		_ = s.Close()
	})
	return s
}

func signingKey(t *testing.T) identity.SigningKey {
	t.Helper()
	k, err := identity.GenerateSigningKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *stranger) address() identity.Address { return identity.Address(s.a.Public()) }
func (s *stranger) device() identity.DeviceID { return identity.DeviceIDOf(s.d.Public()) }

func (s *stranger) card() string {
	c := identity.Card{Address: s.address()}
	for _, a := range s.Addrs() {
		c.Dial = append(c.Dial, p2p.DialText(s.Self(), a))
	}
	return c.String()
}

// records are his own, as a node attaches them.
func (s *stranger) records() []wire.Signed {
	now := identity.TimeOf(time.Now())
	ar := identity.AddressRecord{Address: s.address(), Seq: now, Expires: now.Add(identity.AddressRecordLife), Services: identity.Inbox,
		Recovery: [32]byte{1}, Devices: []identity.Device{{Key: s.d.Public(), Roles: identity.RoleAdmin | identity.RoleInbox}}}
	devices := []identity.SigningKey{s.d}
	if s.second {
		devices = append(devices, s.d2)
		ar.Devices = append(ar.Devices, identity.Device{Key: s.d2.Public(), Roles: identity.RoleInbox})
	}
	out := []wire.Signed{wire.Sign(s.a, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, ar))}
	for _, d := range devices {
		dr := identity.DeviceRecord{Address: s.address(), Device: identity.DeviceIDOf(d.Public()), Seq: now, Expires: now.Add(identity.DeviceRecordLife),
			PreKeys: []identity.PreKey{{Suite: identity.Suite1, Public: s.prekey.Public()}}}
		out = append(out, wire.Sign(d, wire.TypeDeviceRecord, wire.AppendDeviceRecord(nil, dr)))
	}
	for _, d := range devices {
		r := identity.Reach{Address: s.address(), Device: identity.DeviceIDOf(d.Public()), Seq: now, Peer: []byte(s.Self()), Addrs: s.Addrs()}
		out = append(out, wire.Sign(d, wire.TypeReach, wire.AppendReach(nil, r)))
	}
	return out
}

// im is a rightful message to somebody.
func (s *stranger) im(to identity.Address, text string) wire.IM {
	now := identity.TimeOf(time.Now())
	im := wire.IM{From: s.address(), To: to, Device: s.device(), Sent: now, Expires: now.Add(time.Hour), ContentType: "text/plain", Content: []byte(text)}
	_, _ = rand.Read(im.Nonce[:])
	return im
}

func (s *stranger) sign(im wire.IM) wire.Signed { return wire.Sign(s.d, wire.TypeIM, im.Append(nil)) }

// letter is a sealed Parcel, and the key of its answer.
type rawLetter struct {
	cek    [32]byte
	parcel []byte
}

func (s *stranger) seal(to *actor, signed wire.Signed, attached ...wire.Signed) (l rawLetter) {
	s.t.Helper()
	key := to.keys.PreKeys()[0]
	_, _ = rand.Read(l.cek[:])
	p, err := wire.SealParcel(rand.Reader, l.cek, wire.Inner{Signed: signed, Attached: attached},
		[]wire.Recipient{{Address: to.who.Address, Device: to.who.Device, Kid: key.ID, Key: key.Public}}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	l.parcel = p.Append(nil)
	return l
}

// postAgain is how long an ack is waited for before the Parcel goes once more, as its sender's outbox would have it: one that
// was taken as its stream ended is not answered.
const postAgain = 20 * time.Second

// post hands a Parcel over and returns its ack; ok is false if none comes within patience.
func (s *stranger) post(to *actor, l rawLetter, patience time.Duration) (ack wire.Ack, raw []byte, ok bool) {
	s.t.Helper()
	tag := wire.AckTag(l.cek)
	answer := make(chan wire.AckBox, 10)
	s.mu.Lock()
	s.acks[tag] = answer
	s.mu.Unlock()
	s.Keep(to.net.Self(), to.net.Addrs(), p2p.Watched)
	for end := time.Now().Add(patience); ; {
		s.handOver(to, l, end)
		select {
		case box := <-answer:
			signed, err := wire.OpenAck(l.cek, box)
			if err != nil || signed.Verify() != nil {
				s.t.Fatalf("ack: %v, %v", err, signed.Verify())
			}
			if ack, err = wire.ParseAck(signed.Body); err != nil || ack.Device != identity.DeviceIDOf(signed.Key) || ack.From != to.who.Address {
				s.t.Fatalf("ack: %+v, %v", ack, err)
			}
			return ack, signed.Append(nil), true
		case <-time.After(min(postAgain, time.Until(end))):
			if !time.Now().Before(end) {
				return ack, nil, false
			}
		}
	}
}

// handOver has a Parcel taken. Whoever was dialled while he was off is dialled again after a pause.
func (s *stranger) handOver(to *actor, l rawLetter, end time.Time) {
	s.t.Helper()
	status, _, err := s.Send(s.t.Context(), to.net.Self(), l.parcel)
	for err != nil && time.Now().Before(end) {
		time.Sleep(100 * time.Millisecond)
		status, _, err = s.Send(s.t.Context(), to.net.Self(), l.parcel)
	}
	if err != nil || status != wire.OK {
		s.t.Fatalf("parcel: %v, %v", status, err)
	}
}

// tell sends a message and returns its ack.
func (s *stranger) tell(to *actor, signed wire.Signed, attached ...wire.Signed) wire.Ack {
	s.t.Helper()
	ack, _, ok := s.post(to, s.seal(to, signed, attached...), patience)
	if !ok {
		s.t.Fatal("no ack")
	}
	return ack
}

// answer acks a Parcel that came, signed by key.
func (s *stranger) answer(o wire.Opened, peer p2p.PeerID, key identity.SigningKey, change func(*wire.Ack)) {
	s.t.Helper()
	ack := wire.Ack{From: s.address(), To: mustIM(s.t, o).From, Device: identity.DeviceIDOf(key.Public()), MIDs: []wire.MID{o.Inner.Signed.ID()},
		Disposition: wire.Delivered, At: identity.TimeOf(time.Now())}
	if change != nil {
		change(&ack)
	}
	box := wire.SealAck(rand.Reader, o.CEK, wire.Sign(key, wire.TypeAck, ack.Append(nil)))
	if err := s.Ack(s.t.Context(), peer, box.Append(nil)); err != nil {
		s.t.Fatal(err)
	}
}

func mustIM(t *testing.T, o wire.Opened) wire.IM {
	t.Helper()
	im, err := wire.ParseIM(o.Inner.Signed.Body)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// next is the next Parcel that comes.
func (s *stranger) next() wire.Opened {
	s.t.Helper()
	select {
	case o := <-s.in:
		return o
	case <-time.After(patience):
		s.t.Fatal("no parcel came")
	}
	panic("unreachable")
}

func (s *stranger) HasKey(kid wire.KeyID) bool { return kid == s.prekey.ID() }

func (s *stranger) HandleSession(wire.SessionRequest) (wire.Session, error) {
	return wire.Session{}, wire.ErrNoKey
}
func (s *stranger) HandleParcel(_ context.Context, _ p2p.PeerID, p wire.Parcel, in *wire.Session) {
	find := func(kid identity.KeyID) (*identity.PreKeySecret, bool) { return s.prekey, kid == s.prekey.ID() }
	for _, d := range []identity.SigningKey{s.d, s.d2} {
		if o, err := wire.OpenParcel(p, s.address(), identity.DeviceIDOf(d.Public()), find); err == nil {
			s.in <- o
		}
	}
}

func (s *stranger) HandleAckBox(_ context.Context, _ p2p.PeerID, b wire.AckBox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.acks[b.Tag]; c != nil {
		c <- b
	}
}

func (s *stranger) HandleRecords(a wire.Address) ([]byte, bool) {
	r := s.records()
	return wire.Bundle{Address: r[0], Devices: r[1:2]}.Append(nil), a == s.address()
}

func (s *stranger) HandleRec(p2p.PeerID, p2p.RecPath, wire.PublicKey, wire.Rec) {}
func (s *stranger) HandleFault(p2p.PeerID, wire.PublicKey, string)              {}
func (s *stranger) HandleClock(p2p.PeerID, wire.Time)                           {}
func (s *stranger) HandlePeer(p2p.PeerID, bool, bool)                           {}
func (s *stranger) IsContact(p2p.PeerID) bool                                   { return true }
