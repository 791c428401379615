package p2p

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A fake is a Handler that remembers, and can be told what to do.
type fake struct {
	mu       sync.Mutex
	parcels  []wire.Parcel
	boxes    []wire.AckBox
	recs     []heardBy
	clocks   []Time
	links    map[PeerID]link
	contacts map[PeerID]bool // nil: everybody
	bundle   map[wire.Address][]byte
	block    chan struct{} // HandleParcel waits for it
	running  int
	most     int
	faults   []string
	moves    []moved

	prekey    *identity.PreKeySecret // opens sessions
	inSession int                    // Parcels that came in one
	changed   chan struct{}
}

type moved struct {
	peer PeerID
	up   bool
}

type heardBy struct {
	from PeerID
	path RecPath
	e    PublicKey
	r    wire.Rec
}

const patience = 5 * time.Minute

var testKid = wire.KeyID{1, 2, 3}

func (f *fake) note(fn func()) {
	f.mu.Lock()
	fn()
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *fake) HasKey(k wire.KeyID) bool { return k == testKid }
func (f *fake) HandleSession(r wire.SessionRequest) (wire.Session, error) {
	return wire.OpenSession(r, sessionTo.Address, sessionTo.Device, func(k wire.KeyID) (*identity.PreKeySecret, bool) {
		return f.prekey, f.prekey != nil && k == f.prekey.ID()
	})
}
func (f *fake) HandleParcel(ctx context.Context, from PeerID, p wire.Parcel, in *wire.Session) {
	f.note(func() {
		f.parcels, f.running = append(f.parcels, p), f.running+1
		if in != nil {
			f.inSession++
		}
		f.most = max(f.most, f.running)
	})
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
		}
	}
	f.note(func() { f.running-- })
}
func (f *fake) HandleAckBox(_ context.Context, _ PeerID, b wire.AckBox) {
	f.note(func() { f.boxes = append(f.boxes, b) })
}
func (f *fake) HandleRecords(a wire.Address) ([]byte, bool) { b, ok := f.bundle[a]; return b, ok }
func (f *fake) HandleRec(from PeerID, path RecPath, e PublicKey, r wire.Rec) {
	f.note(func() { f.recs = append(f.recs, heardBy{from, path, e, r}) })
}
func (f *fake) HandleFault(_ PeerID, e PublicKey, cause string) {
	f.note(func() { f.faults = append(f.faults, cause) })
}
func (f *fake) HandleClock(_ PeerID, now Time) { f.note(func() { f.clocks = append(f.clocks, now) }) }
func (f *fake) HandlePeer(p PeerID, up, limited bool) {
	f.note(func() { f.links[p], f.moves = link{up, limited}, append(f.moves, moved{p, up}) })
}
func (f *fake) IsContact(p PeerID) bool { return f.contacts == nil || f.contacts[p] }

func (f *fake) heard() []heardBy {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]heardBy(nil), f.recs...)
}

func (f *fake) counts() (parcels, boxes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.parcels), len(f.boxes)
}

// parallel returns how many Parcels were handled at once at most, and how many are now.
func (f *fake) parallel() (most, now int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most, f.running
}

// wait waits until ok holds.
func (f *fake) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	waitFor(t, what, ok)
}

// waitFor outlasts, on a machine that has other work, a dial that comes too late, the pause after it and the next.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("timed out waiting for %s", what)
}

type node struct {
	*Net
	*fake
	t    *testing.T
	stop func()
}

// A randomness that tests own.
type lockedRand struct{ r *rand.ChaCha8 }

func (l lockedRand) Read(b []byte) (int, error) { return l.r.Read(b) }

var began = time.Now()

func testClock() identity.Now {
	now := time.Now()
	return identity.Now{Wall: identity.TimeOf(now), Heard: identity.TimeOf(now), Mono: now.Sub(began)}
}

var loopback = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}

func config(name string) Config {
	return Config{Transport: sha256.Sum256([]byte(name)), Listen: loopback, Clock: testClock,
		Rand: lockedRand{rand.NewChaCha8(sha256.Sum256([]byte(name)))}}
}

func start(t *testing.T, c Config, f *fake) *node {
	t.Helper()
	n, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	f.links, f.changed = map[PeerID]link{}, make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx, f) }()
	x := &node{Net: n, fake: f, t: t}
	x.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(x.stop)
	<-n.ready
	return x
}

func run(t *testing.T, name string) *node {
	return start(t, config(t.Name()+name), &fake{})
}

// knows has a keep b, and waits until they are connected.
func (a *node) knows(b *node, role KeepRole) {
	a.t.Helper()
	a.Keep(b.Self(), b.Addrs(), role)
	a.wait(a.t, "a connection", func() bool {
		up, _ := a.Connected(b.Self())
		if !up {
			a.Nudge()
		}
		return up
	})
}

func (n *node) info() peer.AddrInfo {
	return peer.AddrInfo{ID: n.Self().id(), Addrs: multiaddrs(n.Addrs())}
}

// reach connects a host; on a machine that has other work the first handshake may take longer than libp2p waits.
func reach(t *testing.T, h host.Host, b peer.AddrInfo) {
	t.Helper()
	waitFor(t, "a connection", func() bool { return h.Connect(t.Context(), b) == nil })
}

func parcelOf(i int, kid wire.KeyID) []byte {
	ct := binary.BigEndian.AppendUint64(bytes.Repeat([]byte{7}, 300), uint64(i))
	return wire.Parcel{Suite: 1, Wraps: []wire.Wrap{{Kid: kid, Sealed: bytes.Repeat([]byte{9}, 1168)}}, CT: ct}.Append(nil)
}

func TestParcels(t *testing.T) {
	for _, tr := range []struct{ name, listen string }{
		{"tcp", "/ip4/127.0.0.1/tcp/0"}, {"quic", "/ip4/127.0.0.1/udp/0/quic-v1"},
	} {
		t.Run(tr.name, func(t *testing.T) {
			cb := config(t.Name() + "b")
			cb.Listen = []string{tr.listen}
			address := wire.Address{5}
			bundle := wire.Bundle{Address: wire.Signed{Type: 1, Body: []byte{1}, Key: PublicKey{1}, Sig: wire.Signature{1}}}.Append(nil)
			b := start(t, cb, &fake{bundle: map[wire.Address][]byte{address: bundle}})
			a := run(t, "a")
			a.knows(b, Watched)

			ctx := t.Context()
			tests := []struct {
				name   string
				parcel []byte
				want   wire.FrameStatus
			}{
				{"taken", parcelOf(1, testKid), wire.OK},
				{"a key that was erased", parcelOf(2, wire.KeyID{9}), wire.NO_KEY},
				{"junk", []byte("junk"), wire.MALFORMED},
				{"nothing", nil, wire.MALFORMED},
				{"taken again", parcelOf(1, testKid), wire.OK},
			}
			for _, tt := range tests {
				got, _, err := a.Send(ctx, b.Self(), tt.parcel)
				if err != nil || got != tt.want {
					t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
				}
			}
			b.wait(t, "two parcels", func() bool { p, _ := b.counts(); return p == 2 })

			if !b.Push(a.Self(), parcelOf(3, testKid)) {
				t.Error("push: no stream")
			}
			if a.Push(b.Self(), parcelOf(4, testKid)) {
				t.Error("pushed on a stream that b never opened")
			}
			box := wire.AckBox{Tag: [16]byte{1}, Box: bytes.Repeat([]byte{3}, 284)}.Append(nil)
			if err := b.Ack(ctx, a.Self(), box); err != nil {
				t.Error(err)
			}
			if err := a.Ack(ctx, b.Self(), box); err != nil {
				t.Error(err)
			}
			a.wait(t, "the pushed parcel and the ack", func() bool { p, x := a.counts(); return p == 1 && x == 1 })
			b.wait(t, "the ack on a's own stream", func() bool { _, x := b.counts(); return x == 1 })

			got, err := a.Records(ctx, b.Self(), address)
			if err != nil || !bytes.Equal(got.Append(nil), bundle) {
				t.Errorf("records: %v", err)
			}
			if _, err := a.Records(ctx, b.Self(), wire.Address{6}); fmt.Sprint(err) != "records: not found there" {
				t.Errorf("records of nobody: %v", err)
			}
			if up, limited := a.Connected(b.Self()); !up || limited {
				t.Errorf("connected: %v, limited %v", up, limited)
			}
			if s := b.Stats(); s.Refused["parcel no-key"] != 1 || s.BytesIn == 0 || s.Peers != 1 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}
