package attacks

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// An ear is a node that follows keys and notes what it hears of them; it is nobody's address.
type ear struct {
	*p2p.Net
	ip    string
	clock *testnet.Clock
	end   func()

	mu    sync.Mutex
	heard map[wire.Time]bool
	first func() // called when a word is heard that was not; nil: nothing

	rec func(wire.PublicKey, wire.Rec) // called with what is heard, in place of noting it; nil: it is noted
}

func (x *ear) HasKey(wire.KeyID) bool { return false }
func (x *ear) HandleSession(wire.SessionRequest) (wire.Session, error) {
	return wire.Session{}, p2p.ErrRefused
}
func (x *ear) HandleParcel(context.Context, p2p.PeerID, wire.Parcel, *wire.Session) {}
func (x *ear) HandleAckBox(context.Context, p2p.PeerID, wire.AckBox)                {}
func (x *ear) HandleRecords(wire.Address) ([]byte, bool)                            { return nil, false }
func (x *ear) HandleRec(_ p2p.PeerID, _ p2p.RecPath, e wire.PublicKey, r wire.Rec) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rec != nil {
		x.rec(e, r)
		return
	}
	if x.first != nil && !x.heard[r.T] {
		x.first()
	}
	x.heard[r.T] = true
}
func (x *ear) HandleFault(p2p.PeerID, wire.PublicKey, string) {}
func (x *ear) HandleClock(p2p.PeerID, wire.Time)              {}
func (x *ear) HandlePeer(p2p.PeerID, bool, bool)              {}
func (x *ear) IsContact(p2p.PeerID) bool                      { return true }

// count is how many of these an ear has heard.
func (x *ear) count(said []wire.Time) (n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range said {
		if x.heard[t] {
			n++
		}
	}
	return n
}

// A shelf is a custodian that takes everything; what is served is in the memory of its node.
type shelf struct{}

func (shelf) HandleHost(_ p2p.PeerID, r wire.HostRequest) (wire.Time, wire.FrameStatus) {
	return r.Until, wire.OK
}
func (shelf) HandleRecKept(wire.PublicKey, wire.Rec) error { return nil }
func (shelf) HandlePut(wire.Context, wire.PublicKey, []byte) wire.FrameStatus {
	return wire.DENIED
}
func (shelf) HandleGet(wire.PublicKey) ([]byte, bool) { return nil, false }
func (shelf) HandleMbox(context.Context, p2p.PeerID, wire.Nonce, wire.Frame) (wire.FrameStatus, []byte) {
	return wire.DENIED, nil
}
func (shelf) HandleMember([]byte) bool { return true }

// hubs is a presentity, the hubs that carry its epoch, and those who listen.
type hubs struct {
	t      *testing.T
	net    *testnet.Network
	ips    int
	all    []*ear
	bob    *ear
	hubs   []*ear
	leaves []*ear

	key  identity.SigningKey
	t0   wire.Time
	said []wire.Time
}

func (h *hubs) ear(name string, hub, light bool) *ear {
	h.t.Helper()
	h.ips++
	x := &ear{ip: fmt.Sprintf("10.1.%d.%d", h.ips/250, 1+h.ips%250), clock: testnet.NewClock(), heard: map[wire.Time]bool{}}
	c := p2p.Config{Transport: sha256.Sum256([]byte(name)), Clock: x.clock.Now, Rand: entropy(name, 1), Host: h.net.Host(x.ip), Hub: hub, Light: light}
	if hub {
		c.Custodian, c.WatchKeys = shelf{}, 100_000
	}
	var err error
	if x.Net, err = p2p.Open(c); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = x.Run(ctx, x) }()
	x.end = func() { cancel(); <-ended; _ = x.Net.Close() }
	h.all = append(h.all, x)
	return x
}

// inHubs plays f with hubs that know each other, and leaves that know two of them each, if there are two: one that
// they watch, and a warm one. Every fourth leaf is light.
func inHubs(t *testing.T, hubCount, leafCount int, f func(h *hubs)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hubs{t: t, net: testnet.New(testnet.Config{Seed: 11}), key: identity.NewSigningKey(sha256.Sum256([]byte(t.Name())))}
		defer func() {
			for _, x := range h.all {
				if x.end != nil {
					x.end()
				}
			}
			time.Sleep(time.Minute)
		}()
		h.bob = h.ear("bob", false, false)
		for i := range hubCount {
			hub := h.ear(fmt.Sprint("hub ", i), true, false)
			for _, other := range h.hubs {
				hub.Keep(other.Self(), other.Addrs(), p2p.Watched)
			}
			h.hubs = append(h.hubs, hub)
		}
		until := h.bob.clock.Now().Wall.Add(24 * time.Hour)
		e := h.key.Public()
		if err := h.bob.Serve(e, until); err != nil {
			t.Fatal(err)
		}
		for _, hub := range h.hubs[:min(2, hubCount)] { // two operators
			h.bob.Keep(hub.Self(), hub.Addrs(), p2p.Watched)
		}
		time.Sleep(5 * time.Second)
		for _, hub := range h.hubs { // whoever has members that watch bob carries his epoch
			if err := h.bob.AskHost(t.Context(), hub.Self(), wire.HostRequest{Key: e, Until: until, Token: []byte("m")}); err != nil && hubCount <= 2 {
				t.Fatal(err)
			} else if err != nil {
				if err := hub.Host(e, until, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range leafCount {
			x := h.ear(fmt.Sprint("leaf ", i), false, i%4 == 3)
			at := []*ear{h.hubs[i%hubCount]}
			if warm := h.hubs[(i+1)%hubCount]; warm != at[0] {
				at = append(at, warm)
			}
			var peers []p2p.PeerID
			for _, hub := range at {
				x.Keep(hub.Self(), hub.Addrs(), p2p.Watched)
				peers = append(peers, hub.Self())
			}
			if err := x.Follow(e, peers); err != nil {
				t.Fatal(err)
			}
			h.leaves = append(h.leaves, x)
		}
		time.Sleep(30 * time.Second)
		f(h)
	})
}

// say has bob publish an update, and put it at the hubs that he is a member of.
func (h *hubs) say() {
	h.t.Helper()
	at := max(h.t0+1, h.bob.clock.Now().Wall)
	h.t0 = at
	r := wire.NewUpdate(h.key, wire.Tag{1}, at, make([]byte, 28+256))
	if err := h.bob.Publish(h.key.Public(), r); err != nil {
		h.t.Fatal(err)
	}
	for _, hub := range h.hubs[:min(2, len(h.hubs))] {
		if up, _ := h.bob.Connected(hub.Self()); up && hub.end != nil {
			go func() {
				_ = h.bob.Put(context.Background(), hub.Self(), wire.PutRequest{Ctx: wire.ContextTopic, Key: h.key.Public(), Rec: r.Raw})
			}()
		}
	}
	h.said = append(h.said, at)
}

// missing is how many of the words that bob said since from were not heard by a leaf, over all leaves.
func (h *hubs) missing(from int) (n int) {
	for _, x := range h.leaves {
		n += len(h.said[from:]) - x.count(h.said[from:])
	}
	return n
}

// TestAttack_11_Hubs: leaves that know nobody but their hubs hear every word that bob says: forty at one hub, at two
// that he is a member of, and at eight that are connected among each other, where he is a member of two. Then the hub
// that most depend on goes, without a word: who watched there goes on with the warm one, and its snapshot leaves
// no gap.
func TestAttack_11_Hubs(t *testing.T) {
	for _, shape := range []struct{ hubs, leaves int }{{1, 40}, {2, 40}, {8, size(40, 200)}} {
		t.Run(fmt.Sprintf("%d hubs", shape.hubs), func(t *testing.T) {
			inHubs(t, shape.hubs, shape.leaves, func(h *hubs) {
				for range size(40, 100) {
					h.say()
					time.Sleep(1100 * time.Millisecond) // the rate of a topic is 1 a second
				}
				time.Sleep(5 * time.Second)
				if n := h.missing(0); n != 0 {
					t.Errorf("of %d words at %d leaves %d were not heard", len(h.said), len(h.leaves), n)
				}
				h.said = append(h.said, h.t0+1) // which nobody said
				if n := h.missing(0); n != len(h.leaves) {
					t.Errorf("a word that was never said was missed by %d leaves", n)
				}
				h.said = h.said[:len(h.said)-1]
				if shape.hubs == 1 {
					return
				}
				gone := h.hubs[0]
				synctest.Wait()
				h.net.Kill(gone.ip, testnet.Crash)
				gone.end()
				gone.end = nil
				h.say()
				time.Sleep(2 * time.Minute)
				from := len(h.said)
				for range 20 {
					h.say()
					time.Sleep(1100 * time.Millisecond)
				}
				time.Sleep(5 * time.Second)
				if n := h.missing(from - 1); n != 0 {
					t.Errorf("after a hub was lost, %d of %d words at %d leaves were not heard", n, len(h.said)-from+1, len(h.leaves))
				}
			})
		})
	}
}
