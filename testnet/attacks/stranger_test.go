package attacks

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A person is an address with one device, whose keys the adversary holds.
type person struct {
	address   identity.Address
	a, d      identity.SigningKey
	commit    [32]byte
	prekey    *identity.PreKeySecret
	rand      io.Reader
	roles     identity.Roles
	listed    []identity.Device // besides d
	seq       identity.Stamp    // of every record; 0: now
	lifeLess  time.Duration     // records end this much sooner
	transport peer.ID
	at        ma.Multiaddr
}

// newPerson makes somebody whose keys follow from a name.
func newPerson(name string) *person {
	seed := identity.Seed(sha256.Sum256([]byte("seed of " + name)))
	p := &person{a: seed.AddressKey(0), commit: seed.Commitment(0), rand: entropy(name, 0), roles: identity.RoleAdmin | identity.RoleInbox | identity.RolePublisher}
	p.address = identity.Address(p.a.Public())
	p.d = identity.NewSigningKey(sha256.Sum256([]byte("device of " + name)))
	var err error
	if p.prekey, err = identity.NewPreKeySecret(sha256.Sum256([]byte("prekey of " + name))); err != nil {
		panic(err)
	}
	return p
}

func (p *person) device() identity.DeviceID { return identity.DeviceIDOf(p.d.Public()) }

func now() identity.Time { return identity.TimeOf(time.Now()) }

func (p *person) stamp() identity.Stamp {
	if p.seq != 0 {
		return p.seq
	}
	return now()
}

// addressRecord is signed by A.
func (p *person) addressRecord() wire.Signed {
	s := p.stamp()
	r := identity.AddressRecord{Address: p.address, Seq: s, Expires: s.Add(identity.AddressRecordLife - p.lifeLess), Services: identity.Inbox | identity.Presentity,
		Recovery: p.commit, Devices: append([]identity.Device{{Key: p.d.Public(), Roles: p.roles}}, p.listed...)}
	return wire.Sign(p.a, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, r))
}

func (p *person) deviceRecord() wire.Signed {
	s := p.stamp()
	r := identity.DeviceRecord{Address: p.address, Device: p.device(), Seq: s, Expires: s.Add(identity.DeviceRecordLife - p.lifeLess/2),
		PreKeys: []identity.PreKey{{Suite: identity.Suite1, Public: p.prekey.Public()}}}
	return wire.Sign(p.d, wire.TypeDeviceRecord, wire.AppendDeviceRecord(nil, r))
}

func (p *person) reach() wire.Signed {
	return p.reachAt(p.transport, p.at)
}

func (p *person) reachAt(id peer.ID, addrs ...ma.Multiaddr) wire.Signed {
	r := identity.Reach{Address: p.address, Device: p.device(), Seq: p.stamp(), Peer: []byte(id)}
	for _, a := range addrs {
		r.Addrs = append(r.Addrs, a.Bytes())
	}
	return wire.Sign(p.d, wire.TypeReach, wire.AppendReach(nil, r))
}

// records are what a first Parcel carries.
func (p *person) records() []wire.Signed {
	out := []wire.Signed{p.addressRecord(), p.deviceRecord()}
	if p.transport != "" {
		out = append(out, p.reach())
	}
	return out
}

func (p *person) bundle() wire.Bundle {
	return wire.Bundle{Address: p.addressRecord(), Devices: []wire.Signed{p.deviceRecord()}}
}

// im returns the body of a message, to be changed and signed.
func (p *person) im(to identity.Address, text string) wire.IM {
	m := wire.IM{From: p.address, To: to, Device: p.device(), Sent: now(), Expires: now().Add(wire.IMLife),
		ContentType: "text/plain", Content: []byte(text)}
	io.ReadFull(p.rand, m.Nonce[:])
	return m
}

func (p *person) signIM(m wire.IM) wire.Signed { return wire.Sign(p.d, wire.TypeIM, m.Append(nil)) }

func (p *person) subRequest(to identity.Address, sub wire.SubID) wire.SubRequest {
	return wire.SubRequest{From: p.address, To: to, Sub: sub, At: now(), Want: wire.WantPresence}
}

func (p *person) subID() (s wire.SubID) {
	io.ReadFull(p.rand, s[:])
	return s
}

// A letter is a sealed Parcel and the key that its answer comes under.
type letter struct {
	parcel wire.Parcel
	cek    [32]byte
}

// seal seals for recipients.
func (p *person) seal(inner wire.Inner, to ...wire.Recipient) letter {
	var l letter
	io.ReadFull(p.rand, l.cek[:])
	var err error
	if l.parcel, err = wire.SealParcel(p.rand, l.cek, inner, to, wire.ParcelExpiry(now().Add(wire.ControlExpiry))); err != nil {
		panic(err)
	}
	return l
}

// A stranger is a host of the adversary, with streams and frames of its own making.
type stranger struct {
	*person
	s    *stage
	host host.Host
	ps   *pubsub.PubSub // once it has joined a topic
	ip   string

	mu      sync.Mutex
	boxes   map[[16]byte][]wire.AckBox
	pushed  []wire.Parcel // what came one-way, or to our door
	came    []time.Time   // when each of them did
	bundles func(identity.Address) (wire.FrameStatus, []byte)
	asked   int // RECORDS that came
}

// stranger starts a host of the adversary.
func (s *stage) stranger(name string) *stranger {
	s.t.Helper()
	x := &stranger{person: newPerson(name), s: s, ip: s.ip(), boxes: map[[16]byte][]wire.AckBox{}}
	seed := sha256.Sum256([]byte("transport of " + name))
	key, _, err := crypto.GenerateEd25519Key(&repeat{seed[:]})
	if err != nil {
		s.t.Fatal(err)
	}
	opts := append(s.net.Host(x.ip), libp2p.Identity(key), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery(), libp2p.ForceReachabilityPrivate())
	if x.host, err = libp2p.New(opts...); err != nil {
		s.t.Fatal(err)
	}
	x.transport, x.at = x.host.ID(), testnet.Addr(x.ip)
	x.bundles = func(a identity.Address) (wire.FrameStatus, []byte) {
		if a == x.address {
			return wire.OK, x.bundle().Append(nil)
		}
		return wire.NOT_FOUND, nil
	}
	x.host.SetStreamHandler(wire.ParcelProtocol, x.serve)
	s.t.Cleanup(func() { x.host.Close() })
	return x
}

type repeat struct{ seed []byte }

func (r *repeat) Read(b []byte) (int, error) { return copy(b, r.seed), nil }

// serve takes what others send to our door.
func (x *stranger) serve(s network.Stream) {
	defer s.Reset()
	r := bufio.NewReader(s)
	for {
		f, err := wire.ReadFrame(r)
		if err != nil {
			return
		}
		if x.oneWay(f); f.Kind() != wire.Request {
			continue
		}
		reply := wire.Frame{ID: f.ID, Op: f.Op, Status: wire.OK}
		if f.Op == wire.OpRecords {
			x.mu.Lock()
			x.asked++
			answer := x.bundles
			x.mu.Unlock()
			req, _ := wire.ParseRecordsRequest(f.Payload)
			if reply.Status, reply.Payload = answer(req.Address); reply.Status == 0 {
				continue // never
			}
		}
		if _, err := s.Write(wire.AppendFrame(nil, reply)); err != nil {
			return
		}
	}
}

// oneWay keeps AckBoxes and Parcels.
func (x *stranger) oneWay(f wire.Frame) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch f.Op {
	case wire.OpAckBox:
		if b, err := wire.ParseAckBox(f.Payload); err == nil {
			x.boxes[b.Tag] = append(x.boxes[b.Tag], b)
		}
	case wire.OpParcel:
		if p, err := wire.ParseParcel(f.Payload); err == nil {
			x.pushed, x.came = append(x.pushed, p), append(x.came, time.Now())
		}
	}
}

// A line is a stream of ours to a node.
type line struct {
	x *stranger
	network.Stream

	mu      sync.Mutex
	next    uint32
	waiting map[uint32]chan wire.Frame
	other   []wire.Frame
	dead    bool
}

// dial opens a stream to a machine.
func (x *stranger) dial(to *machine, proto protocol.ID) *line {
	x.s.t.Helper()
	l, err := x.tryDial(to, proto)
	if err != nil {
		x.s.t.Fatalf("dial %s: %v", to.name, err)
	}
	return l
}

func (x *stranger) tryDial(to *machine, proto protocol.ID) (*line, error) {
	card, err := identity.ParseCard(to.card())
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromString(card.Dial[0])
	if err != nil {
		return nil, err
	}
	return x.openTo(*info, proto)
}

// openTo opens a stream to whoever is there.
func (x *stranger) openTo(info peer.AddrInfo, proto protocol.ID) (*line, error) {
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	if err := x.host.Connect(ctx, info); err != nil {
		return nil, err
	}
	s, err := x.host.NewStream(ctx, info.ID, proto)
	if err != nil {
		return nil, err
	}
	l := &line{x: x, Stream: s, waiting: map[uint32]chan wire.Frame{}}
	go l.read()
	return l, nil
}

func (l *line) read() {
	r := bufio.NewReader(l.Stream)
	for {
		f, err := wire.ReadFrame(r)
		l.mu.Lock()
		if err != nil {
			l.dead = true
			for _, c := range l.waiting {
				close(c)
			}
			clear(l.waiting)
			l.mu.Unlock()
			return
		}
		if f.Kind() == wire.Reply {
			if c := l.waiting[f.ID]; c != nil {
				delete(l.waiting, f.ID)
				c <- f
			}
		} else {
			l.other = append(l.other, f)
		}
		l.mu.Unlock()
		if f.Kind() == wire.OneWay {
			l.x.oneWay(f)
		}
	}
}

// ask sends a request; the zero Frame if the stream was reset instead of an answer.
func (l *line) ask(op uint32, payload []byte) wire.Frame {
	c := l.begin(op, payload)
	select {
	case f := <-c:
		return f
	case <-time.After(time.Minute):
		return wire.Frame{}
	}
}

func (l *line) begin(op uint32, payload []byte) chan wire.Frame {
	c := make(chan wire.Frame, 1)
	l.mu.Lock()
	if l.dead {
		close(c)
		l.mu.Unlock()
		return c
	}
	l.next++
	id := l.next
	l.waiting[id] = c
	l.mu.Unlock()
	if _, err := l.Write(wire.AppendFrame(nil, wire.Frame{ID: id, Op: op, Payload: payload})); err != nil {
		l.Reset()
	}
	return c
}

func (l *line) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// recipient asks a machine for its records, and returns whom to seal to.
func (l *line) recipient(a identity.Address) wire.Recipient {
	t := l.x.s.t
	t.Helper()
	f := l.ask(wire.OpRecords, wire.RecordsRequest{Address: a}.Append(nil))
	b, err := wire.ParseBundle(f.Payload)
	if f.Status != wire.OK || err != nil {
		t.Fatalf("records: %v, %v", f.Status, err)
	}
	d, err := wire.ParseDeviceRecord(b.Devices[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Recipient{Address: a, Device: d.Device, Kid: identity.KeyIDOf(d.PreKeys[0].Public), Key: d.PreKeys[0].Public}
}

// put hands a Parcel over.
func (l *line) put(p wire.Parcel) wire.FrameStatus {
	return l.ask(wire.OpParcel, p.Append(nil)).Status
}

// acked waits for the answer to a letter; nil if there is none.
func (x *stranger) acked(l letter) *wire.Ack {
	all := x.acks(l, 1)
	if len(all) == 0 {
		return nil
	}
	return &all[0]
}

// acks waits for n answers to a letter, or as many as come in 5 s.
func (x *stranger) acks(l letter, n int) (out []wire.Ack) {
	tag := wire.AckTag(l.cek)
	soon(5*time.Second, func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.boxes[tag]) >= n })
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.boxes[tag] {
		s, err := wire.OpenAck(l.cek, b)
		if err == nil {
			err = s.Verify()
		}
		a, err2 := wire.ParseAck(s.Body)
		if err != nil || err2 != nil {
			x.s.t.Errorf("an answer that does not open: %v, %v", err, err2)
			continue
		}
		out = append(out, a)
	}
	return out
}

// states are the SubStates that came for this person's subscription.
func (x *stranger) states(sub wire.SubID) (out []wire.SubState) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.pushed {
		o, err := wire.OpenParcel(p, x.address, x.device(), func(k identity.KeyID) (*identity.PreKeySecret, bool) {
			return x.prekey, k == x.prekey.ID()
		})
		if err != nil || o.Inner.Signed.Type != wire.TypeSubState {
			continue
		}
		if st, err := wire.ParseSubState(o.Inner.Signed.Body); err == nil && st.Sub == sub && o.Inner.Signed.Verify() == nil {
			out = append(out, st)
		}
	}
	return out
}

// answer is what a machine says to a letter: the reason of its ack.
func answer(a *wire.Ack) string {
	if a == nil {
		return "silence"
	}
	if a.Reason == 0 {
		return a.Disposition.String()
	}
	return fmt.Sprintf("%v(%v)", a.Disposition, a.Reason)
}

// author is somebody with the keys of a machine. No adversary has them: what it cannot bring about must be
// what their owner can, or the attack was refused for another cause than its own.
func author(m *machine) *person {
	m.s.t.Helper()
	k, err := identity.OpenKeyring(m.home, nil)
	if err != nil {
		m.s.t.Fatal(err)
	}
	return &person{address: k.Address(), a: k.AddressKey(), d: k.Device(), commit: k.Commitment(), rand: entropy("author "+m.name, 0),
		roles: identity.RoleAdmin | identity.RoleInbox | identity.RolePublisher}
}
