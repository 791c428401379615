//go:build unix

package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// flockOf names the size of the flock that a process of this test binary is to be, and "apart" if each of
// them has a node of his own: records are asked of one node for 20 addresses a minute at most (SPEC 3.9).
const flockOf = "HUM_BENCH_FLOCK"

// A flock is many people in one process of its own, so that what they cost is not counted: they speak hum to
// the node that is measured, keep nothing and decide nothing. They say on stdout what came of what they were
// told on stdin:
//
//	watch CARD M N    members M to N-1 ask to watch; "granted E N" when N of them hold a grant of E
//	say WORD          each publishes a note
//	ears E ADDR N     N hosts, each of one watcher, WATCH E there; then "heard T" when all have heard T
type flock struct {
	*p2p.Net // of those who have none of their own
	clock    func() identity.Now
	out      chan string

	mu      sync.Mutex
	members []*member
	byKid   map[identity.KeyID]*member
	known   map[identity.Address]wire.Recipient
	granted map[wire.PublicKey]int
}

// A member is one of them.
type member struct {
	a, d      identity.SigningKey
	commit    [32]byte
	address   identity.Address
	device    identity.DeviceID
	prekey    *identity.PreKeySecret
	epoch     presence.Epoch
	net       *p2p.Net
	publisher presence.Publisher
	view      presence.View
	grant     wire.PublicKey // of the one who is watched
}

func flockProcess(size string) {
	count, apart := strings.CutSuffix(size, " apart")
	n, err := strconv.Atoi(count)
	if err == nil {
		err = runFlock(n, apart, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "flock:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runFlock(size int, apart bool, in io.Reader, out io.Writer) error {
	f := &flock{clock: node.SystemClock(), out: make(chan string, 1000), byKid: map[identity.KeyID]*member{},
		known: map[identity.Address]wire.Recipient{}, granted: map[wire.PublicKey]int{}}
	var err error
	if f.Net, err = f.node(); err != nil {
		return err
	}
	for range size {
		m, err := newMember(f.clock())
		if err != nil {
			return err
		}
		if m.net = f.Net; apart {
			if m.net, err = f.node(); err != nil {
				return err
			}
		}
		f.members = append(f.members, m)
		f.byKid[identity.KeyIDOf(m.prekey.Public())] = m
		if err := m.net.Serve(m.epoch.E, m.epoch.NotAfter); err != nil {
			return err
		}
		fmt.Fprintln(out, identity.Card{Address: m.address, Dial: []string{p2p.DialText(m.net.Self(), m.net.Addrs()[0])}}.String())
	}
	fmt.Fprintln(out, "ready")
	go func() {
		for line := range f.out {
			fmt.Fprintln(out, line)
		}
	}()
	if size > 0 {
		go f.publish()
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "watch":
			err = f.watch(words[1], words[2], words[3])
		case "say":
			f.say(words[1])
		case "ears":
			err = f.ears(words[1], words[2], words[3])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// node opens a node that has no store.
func (f *flock) node() (*p2p.Net, error) {
	var seed [32]byte
	rand.Read(seed[:])
	n, err := p2p.Open(p2p.Config{Transport: seed, Clock: f.clock, Rand: rand.Reader, Host: plainTCP("127.0.0.1")})
	if err == nil {
		go n.Run(context.Background(), f)
	}
	return n, err
}

// plainTCP is how every host speaks here; each watcher has an address of his own.
func plainTCP(ip string) []libp2p.Option {
	return []libp2p.Option{libp2p.ListenAddrStrings("/ip4/" + ip + "/tcp/0"), libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New)}
}

func newMember(now identity.Now) (*member, error) {
	seed, err := identity.NewSeed(rand.Reader)
	if err != nil {
		return nil, err
	}
	m := &member{a: seed.AddressKey(0), commit: seed.Commitment(0)}
	m.address = identity.Address(m.a.Public())
	if m.d, err = identity.GenerateSigningKey(rand.Reader); err != nil {
		return nil, err
	}
	m.device = identity.DeviceIDOf(m.d.Public())
	var fresh [64]byte
	rand.Read(fresh[:])
	if m.prekey, err = identity.NewPreKeySecret([32]byte(fresh[:32])); err != nil {
		return nil, err
	}
	rand.Read(fresh[:])
	m.view = presence.NewView(presence.DefaultView, wire.DefaultTTLSeconds)
	m.view.Change(now, fresh)
	m.epoch = m.view.Epochs[0]
	m.publisher = presence.NewPublisher(now, m.address, m.device, m.address.IM(), wire.DefaultTTLSeconds)
	m.publisher.Restart()
	return m, nil
}

// records are what a Parcel of m carries.
func (f *flock) records(m *member) []wire.Signed {
	now := f.clock().Wall
	a := identity.AddressRecord{Address: m.address, Seq: now, Expires: now.Add(identity.AddressRecordLife), Services: identity.Inbox | identity.Presentity,
		Recovery: m.commit, Devices: []identity.Device{{Key: m.d.Public(), Roles: identity.RoleAdmin | identity.RoleInbox | identity.RolePublisher}}}
	d := identity.DeviceRecord{Address: m.address, Device: m.device, Seq: now, Expires: now.Add(identity.DeviceRecordLife),
		PreKeys: []identity.PreKey{{Suite: identity.Suite1, Public: m.prekey.Public()}}}
	r := identity.Reach{Address: m.address, Device: m.device, Seq: now, Peer: []byte(m.net.Self()), Addrs: m.net.Addrs()}
	return []wire.Signed{wire.Sign(m.a, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, a)),
		wire.Sign(m.d, wire.TypeDeviceRecord, wire.AppendDeviceRecord(nil, d)), wire.Sign(m.d, wire.TypeReach, wire.AppendReach(nil, r))}
}

func (f *flock) HandleRecords(a wire.Address) ([]byte, bool) {
	for _, m := range f.members {
		if m.address == a {
			r := f.records(m)
			return wire.Bundle{Address: r[0], Devices: r[1:2]}.Append(nil), true
		}
	}
	return nil, false
}

func (f *flock) HasKey(k wire.KeyID) bool { return f.byKid[k] != nil }

func (f *flock) HandleSession(wire.SessionRequest) (wire.Session, error) {
	return wire.Session{}, wire.ErrNoKey
}

// HandleParcel grants every request, and acks every state.
func (f *flock) HandleParcel(_ context.Context, from p2p.PeerID, p wire.Parcel, _ *wire.Session) {
	for _, w := range p.Wraps {
		m := f.byKid[w.Kid]
		if m == nil {
			continue
		}
		o, err := wire.OpenParcel(p, m.address, m.device, func(identity.KeyID) (*identity.PreKeySecret, bool) { return m.prekey, true })
		if err != nil || o.Inner.Signed.Verify() != nil {
			return
		}
		switch o.Inner.Signed.Type {
		case wire.TypeSubRequest:
			f.grant(m, from, o.Inner)
		case wire.TypeSubState:
			f.ack(m, from, o)
		}
		return
	}
}

func (f *flock) grant(m *member, to p2p.PeerID, in wire.Inner) {
	req, err := wire.ParseSubRequest(in.Signed.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	for _, s := range in.Attached {
		if d, err := wire.ParseDeviceRecord(s.Body); s.Type == wire.TypeDeviceRecord && err == nil {
			f.known[req.From] = wire.Recipient{Address: req.From, Device: d.Device, Kid: identity.KeyIDOf(d.PreKeys[0].Public), Key: d.PreKeys[0].Public}
		}
	}
	who, ok := f.known[req.From]
	f.mu.Unlock()
	if !ok {
		return
	}
	now := f.clock().Wall
	st := wire.SubState{From: m.address, To: req.From, Sub: req.Sub, Seq: now, State: wire.SubActive, Expires: now.Add(wire.SubscriptionLife),
		Grant: m.epoch.Grant(wire.DefaultTTLSeconds)}
	if p, err := f.seal(wire.Inner{Signed: wire.Sign(m.d, wire.TypeSubState, st.Append(nil)), Attached: f.records(m)}, who); err == nil {
		m.net.Push(to, p.Append(nil))
	}
}

func (f *flock) seal(in wire.Inner, to wire.Recipient) (wire.Parcel, error) {
	var cek [32]byte
	rand.Read(cek[:])
	return wire.SealParcel(rand.Reader, cek, in, []wire.Recipient{to}, wire.ParcelExpiry(f.clock().Wall.Add(wire.ControlExpiry)))
}

func (f *flock) ack(m *member, to p2p.PeerID, o wire.Opened) {
	st, err := wire.ParseSubState(o.Inner.Signed.Body)
	if err != nil {
		return
	}
	a := wire.Ack{From: m.address, To: st.From, Device: m.device, MIDs: []wire.MID{o.Inner.Signed.ID()}, Disposition: wire.Delivered, At: f.clock().Wall}
	m.net.PushAck(to, wire.SealAck(rand.Reader, o.CEK, wire.Sign(m.d, wire.TypeAck, a.Append(nil))).Append(nil))
	if st.Grant == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.grant != st.Grant.E {
		m.grant = st.Grant.E
		f.granted[m.grant]++
		f.out <- fmt.Sprintf("granted %x %d", m.grant[:], f.granted[m.grant])
	}
}

// watch has members ask to watch the one whose card it is.
func (f *flock) watch(card, first, end string) error {
	i, err := strconv.Atoi(first)
	j, err2 := strconv.Atoi(end)
	c, err3 := identity.ParseCard(card)
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	at, err := peer.AddrInfoFromString(c.Dial[0])
	if err != nil {
		return err
	}
	bob := p2p.PeerID(at.ID)
	f.Keep(bob, [][]byte{at.Addrs[0].Bytes()}, p2p.Watched)
	var b wire.Bundle
	for range 100 {
		if b, err = f.Records(context.Background(), bob, c.Address); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	d, err := wire.ParseDeviceRecord(b.Devices[0].Body)
	if err != nil {
		return err
	}
	to := wire.Recipient{Address: c.Address, Device: d.Device, Kid: identity.KeyIDOf(d.PreKeys[0].Public), Key: d.PreKeys[0].Public}
	for _, m := range f.members[i:j] {
		r := wire.SubRequest{From: m.address, To: c.Address, At: f.clock().Wall, Want: wire.WantPresence}
		rand.Read(r.Sub[:])
		p, err := f.seal(wire.Inner{Signed: wire.Sign(m.d, wire.TypeSubRequest, r.Append(nil)), Attached: f.records(m)}, to)
		if err != nil {
			return err
		}
		for {
			status, wait, err := f.Send(context.Background(), bob, p.Append(nil))
			if err != nil {
				return err
			}
			if status == wire.OK {
				break
			}
			time.Sleep(max(wait, 100*time.Millisecond))
		}
	}
	return nil
}

func (f *flock) say(word string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		c := m.publisher.Choice
		c.Note = word
		if _, err := m.publisher.Choose(f.clock(), c); err != nil {
			panic(err)
		}
	}
}

// publish says for every member what is due, as nodes do.
func (f *flock) publish() {
	for i := 0; ; i++ {
		f.mu.Lock()
		now := f.clock()
		for j, m := range f.members {
			for _, p := range m.publisher.Publish(now, m.view, float64((i+j)%97)/97) {
				_ = m.net.Publish(p.Epoch.E, p.Rec(rand.Reader, nil))
			}
		}
		f.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
	}
}

// ears are hosts of one watcher each, who WATCH e at an address.
func (f *flock) ears(key, addr, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	at, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	raw, err := hex.DecodeString(key)
	if err != nil || len(raw) != 32 {
		return fmt.Errorf("key %q: %v", key, err)
	}
	var mu sync.Mutex
	heard := map[wire.Stamp]int{}
	for i := range n {
		h, err := libp2p.New(append(plainTCP(fmt.Sprintf("127.0.%d.%d", 1+i/250, 1+i%250)), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))...)
		if err != nil {
			return err
		}
		if err := oneEar(h, *at, wire.PublicKey(raw), func(t wire.Stamp) {
			mu.Lock()
			defer mu.Unlock()
			if heard[t]++; heard[t] == n {
				f.out <- fmt.Sprint("heard ", t)
				delete(heard, t)
			}
		}); err != nil {
			return err
		}
	}
	f.out <- "listening"
	return nil
}

// oneEar WATCHes, and calls f with the t of each update.
func oneEar(h host.Host, at peer.AddrInfo, e wire.PublicKey, f func(wire.Stamp)) error {
	if err := h.Connect(context.Background(), at); err != nil {
		return err
	}
	s, err := h.NewStream(context.Background(), at.ID, "/hum/presence/1")
	if err != nil {
		return err
	}
	if _, err := s.Write(wire.AppendFrame(nil, wire.Frame{ID: 1, Op: wire.OpWatch, Payload: wire.WatchRequest{Keys: []wire.PublicKey{e}}.Append(nil)})); err != nil {
		return err
	}
	r := bufio.NewReader(s)
	go func() {
		for {
			frame, err := wire.ReadFrame(r)
			if err != nil {
				return
			}
			p, err := wire.ParseRecPush(frame.Payload)
			if frame.Op != wire.OpRec || err != nil {
				continue
			}
			if rec, err := wire.ParseRec(p.Rec); err == nil && !rec.IsBeacon() && rec.Verify(e) {
				f(rec.T)
			}
		}
	}()
	return nil
}

func (*flock) HandleAckBox(context.Context, p2p.PeerID, wire.AckBox)       {}
func (*flock) HandleRec(p2p.PeerID, p2p.RecPath, wire.PublicKey, wire.Rec) {}
func (*flock) HandleClock(p2p.PeerID, wire.Time)                           {}
func (*flock) HandleFault(p2p.PeerID, wire.PublicKey, string)              {}
func (*flock) HandlePeer(p2p.PeerID, bool, bool)                           {}
func (*flock) IsContact(p2p.PeerID) bool                                   { return true }

// others is a flock in a process of its own, as the benchmark sees it.
type others struct {
	tb    testing.TB
	in    io.Writer
	lines chan string
	cards []string
}

func startFlock(tb testing.TB, size string) *others {
	tb.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), flockOf+"="+size)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	o := &others{tb: tb, in: in, lines: make(chan string, 10_000)}
	go func() {
		defer close(o.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			o.lines <- s.Text()
		}
	}()
	for line := range o.lines {
		if line == "ready" {
			return o
		}
		o.cards = append(o.cards, line)
	}
	tb.Fatal("the flock did not start")
	return nil
}

func (o *others) tell(format string, args ...any) {
	o.tb.Helper()
	if _, err := fmt.Fprintf(o.in, format+"\n", args...); err != nil {
		o.tb.Fatal(err)
	}
}

// wait reads on until a line is what is waited for.
func (o *others) wait(within time.Duration, ok func(line string) bool) {
	o.tb.Helper()
	over := time.After(within)
	for {
		select {
		case line, open := <-o.lines:
			if !open {
				o.tb.Fatal("the flock ended")
			}
			if ok(line) {
				return
			}
		case <-over:
			o.tb.Fatalf("the flock did not say within %v what was waited for", within)
		}
	}
}

// drain forgets what was said until now.
func (o *others) drain() {
	for {
		select {
		case <-o.lines:
		default:
			return
		}
	}
}

// A rawFan is the floor of a fan-out: one bare host that writes to many streams, whose readers answer nothing.
type rawFan struct {
	out  []network.Stream
	all  crowd
	tb   testing.TB
	size int
}

func newRawFan(tb testing.TB, n int) *rawFan {
	tb.Helper()
	r := &rawFan{tb: tb, size: recSize}
	if n == 0 {
		return r
	}
	hub := bare(tb)
	hub.SetStreamHandler(proto, func(s network.Stream) {
		buf := make([]byte, r.size)
		for {
			if _, err := io.ReadFull(s, buf); err != nil {
				return
			}
			r.all.heard("round")
		}
	})
	for range n {
		h := bare(tb)
		connect(tb, h, hub)
		s, err := h.NewStream(context.Background(), hub.ID(), proto)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := s.Write(make([]byte, r.size)); err != nil { // a stream that says nothing is not agreed upon
			tb.Fatal(err)
		}
		r.out = append(r.out, s)
	}
	return r
}

// round sends one record's worth on each stream, and waits until all have arrived.
func (r *rawFan) round() {
	if len(r.out) == 0 {
		return
	}
	r.all.expect("round", len(r.out))
	start := time.Now()
	for _, s := range r.out {
		if _, err := s.Write(make([]byte, r.size)); err != nil {
			r.tb.Fatal(err)
		}
	}
	r.all.wait(r.tb, start)
}
