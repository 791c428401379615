package testnet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ip is the address of the i-th node of a test.
func ip(i int) string { return fmt.Sprintf("10.0.%d.%d", i/250, 1+i%250) }

// keyOf returns the i-th key of all tests, the same in every run.
func keyOf(i int) crypto.PrivKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "key %d", i))
	k, _, err := crypto.GenerateEd25519Key(&repeat{seed: seed[:]})
	if err != nil {
		panic(err)
	}
	return k
}

type repeat struct{ seed []byte }

func (r *repeat) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = r.seed[i%len(r.seed)]
	}
	return len(b), nil
}

// A site is a host with gossip on one topic, and what it heard when.
type site struct {
	host.Host
	topic *pubsub.Topic
	stop  context.CancelFunc

	mu    sync.Mutex
	heard map[string]time.Time
}

func open(t *testing.T, n *Network, i int) *site {
	t.Helper()
	opts := append(n.Host(ip(i)), libp2p.Identity(keyOf(i)), libp2p.DisableMetrics())
	h, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &site{Host: h, stop: stop, heard: map[string]time.Time{}}
	ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithFloodPublish(true))
	if err != nil {
		t.Fatal(err)
	}
	if s.topic, err = ps.Join("news"); err != nil {
		t.Fatal(err)
	}
	sub, err := s.topic.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.heard[string(m.Data)] = time.Now()
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *site) close() {
	s.stop()
	s.Close()
}

func (s *site) at(word string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard[word]
}

func (s *site) say(t *testing.T, word string) time.Time {
	t.Helper()
	if err := s.topic.Publish(t.Context(), []byte(word)); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

func dial(t *testing.T, a, b *site, bAt int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	info := peer.AddrInfo{ID: b.ID()}
	info.Addrs = append(info.Addrs, Addr(ip(bAt)))
	if err := a.Connect(ctx, info); err != nil {
		t.Fatalf("dial %s: %v", ip(bAt), err)
	}
}

func connected(a, b *site) bool {
	return a.Network().Connectedness(b.ID()) == network.Connected
}

// bubble runs f in virtual time. What f closed may still wait for something, so some time passes before
// the bubble ends; a goroutine that is left even then fails the test.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(time.Minute)
	})
}

func TestTwoHostsHearEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{Link: Link{Latency: 35 * time.Millisecond}})
		a, b := open(t, n, 1), open(t, n, 2)
		defer a.close()
		defer b.close()
		start := time.Now()
		dial(t, a, b, 2)
		if took := time.Since(start); took < 210*time.Millisecond || took > 400*time.Millisecond {
			t.Errorf("dial and identify took %v, want 3 round trips and identify's", took)
		}
		time.Sleep(5 * time.Second)
		said := a.say(t, "hello")
		time.Sleep(time.Second)
		if got := b.at("hello").Sub(said); got != 35*time.Millisecond {
			t.Errorf("heard after %v, want 35ms", got)
		}
	})
}

func TestTenHostsHearInExactTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{Link: Link{Latency: 10 * time.Millisecond}})
		far := 80 * time.Millisecond
		n.Set(ip(0), ip(9), Link{Latency: far})
		all := make([]*site, 10)
		for i := range all {
			all[i] = open(t, n, i)
			defer all[i].close()
			for j := range i {
				dial(t, all[i], all[j], j)
			}
		}
		time.Sleep(5 * time.Second)
		for round := range 3 {
			word := fmt.Sprint("round ", round)
			said := all[0].say(t, word)
			time.Sleep(10 * time.Second)
			for i := 1; i < 10; i++ {
				want := 10 * time.Millisecond
				if i == 9 {
					want = 20 * time.Millisecond // a neighbour is quicker than the long link
				}
				if got := all[i].at(word).Sub(said); got != want && !(i == 9 && got > want && got <= far) {
					t.Errorf("round %d: host %d heard after %v, want %v", round, i, got, want)
				}
			}
		}
	})
}

func TestCutIsSilentAndHealed(t *testing.T) {
	tests := []struct {
		name  string
		cut   time.Duration
		alive bool // the connection outlives the cut
	}{
		{"shorter than patience", 20 * time.Second, true},
		{"longer than patience", 2 * time.Minute, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := New(Config{})
				a, b := open(t, n, 1), open(t, n, 2)
				defer a.close()
				defer b.close()
				dial(t, a, b, 2)
				time.Sleep(5 * time.Second)
				n.Cut(ip(1), ip(2))
				said := a.say(t, "into the cut")
				time.Sleep(15 * time.Second)
				if !connected(a, b) || !connected(b, a) {
					t.Error("a cut was noticed before anybody could")
				}
				time.Sleep(tt.cut - 15*time.Second)
				if !b.at("into the cut").IsZero() {
					t.Error("heard through a cut")
				}
				if connected(a, b) != tt.alive || connected(b, a) != tt.alive {
					t.Errorf("connected %v, %v, want %v", connected(a, b), connected(b, a), tt.alive)
				}
				n.Join(ip(1), ip(2))
				time.Sleep(time.Second)
				heard := b.at("into the cut")
				if !heard.IsZero() != tt.alive {
					t.Errorf("heard at %v after the cut, want it to arrive: %v", heard.Sub(said), tt.alive)
				}
				if !tt.alive {
					dial(t, b, a, 1)
				}
				time.Sleep(5 * time.Second)
				said = b.say(t, "again")
				time.Sleep(time.Second)
				if got := a.at("again").Sub(said); got != 20*time.Millisecond {
					t.Errorf("after the join heard after %v, want 20ms", got)
				}
			})
		})
	}
}

// TestCutThatOneEndOutlives: the path is there again when one end has given up and the other has not yet; the
// other learns of it although it says nothing.
func TestCutThatOneEndOutlives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{})
		a, b := open(t, n, 1), open(t, n, 2)
		defer a.close()
		defer b.close()
		dial(t, a, b, 2)
		time.Sleep(5 * time.Second)
		cut := time.Now()
		n.Cut(ip(1), ip(2))
		for connected(a, b) && connected(b, a) {
			time.Sleep(10 * time.Millisecond)
		}
		if !connected(a, b) && !connected(b, a) {
			t.Fatal("both gave up at once, so that nothing is tried")
		}
		n.Join(ip(1), ip(2))
		time.Sleep(50*time.Second - time.Since(cut))
		if connected(a, b) || connected(b, a) || n.Lines(ip(1), ip(2)) != 0 {
			t.Errorf("connected %v, %v, though one end had given up", connected(a, b), connected(b, a))
		}
	})
}

func TestDialsThatFail(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(n *Network, b *site)
		quick   bool // the answer is no; else there is none
	}{
		{"nobody ever lived there", func(n *Network, b *site) {}, false},
		{"cut", func(n *Network, b *site) { n.Cut(ip(1), ip(2)) }, false},
		{"behind a NAT", func(n *Network, b *site) { n.Shut(ip(2), true) }, false},
		{"crashed", func(n *Network, b *site) { n.Kill(ip(2), Crash) }, true},
		{"dark", func(n *Network, b *site) { n.Kill(ip(2), Blackout) }, false},
		{"closed", func(n *Network, b *site) { b.Close() }, true},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := New(Config{})
				a, b := open(t, n, 1), open(t, n, 2)
				defer a.close()
				defer b.close()
				tt.prepare(n, b)
				at := 2
				if i == 0 {
					at = 77
				}
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				info := peer.AddrInfo{ID: b.ID()}
				info.Addrs = append(info.Addrs, Addr(ip(at)))
				start := time.Now()
				if err := a.Connect(ctx, info); err == nil {
					t.Fatal("connected")
				}
				if took := time.Since(start); tt.quick != (took == 40*time.Millisecond) {
					t.Errorf("took %v, want one round trip: %v", took, tt.quick)
				}
			})
		})
	}
}

func TestWrongPeerIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{})
		a, b, c := open(t, n, 1), open(t, n, 2), open(t, n, 3)
		defer a.close()
		defer b.close()
		defer c.close()
		info := peer.AddrInfo{ID: c.ID()}
		info.Addrs = append(info.Addrs, Addr(ip(2)))
		if err := a.Connect(t.Context(), info); err == nil || connected(a, b) || connected(a, c) {
			t.Fatalf("err %v; a host at another's address passed for it", err)
		}
	})
}

func TestKilledNodeSaysNothingAndComesBack(t *testing.T) {
	for _, d := range []Death{Crash, Blackout} {
		t.Run(map[Death]string{Crash: "crash", Blackout: "blackout"}[d], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := New(Config{})
				a, b := open(t, n, 1), open(t, n, 2)
				defer a.close()
				dial(t, a, b, 2)
				time.Sleep(5 * time.Second)

				var after int
				n.Kill(ip(2), d)
				n.Capture(ip(1), func(c Chunk) { after += len(c.Data) })
				b.say(t, "from the grave")
				b.close()
				time.Sleep(30 * time.Millisecond)
				if connected(a, b) != (d == Blackout) {
					t.Errorf("connected %v at once", connected(a, b))
				}
				time.Sleep(time.Minute)
				if connected(a, b) {
					t.Error("still connected after a minute")
				}
				if after != 0 || !a.at("from the grave").IsZero() {
					t.Errorf("a dead node said %d bytes", after)
				}

				b = open(t, n, 2) // the same key
				defer b.close()
				dial(t, b, a, 1)
				time.Sleep(5 * time.Second)
				said := b.say(t, "back")
				time.Sleep(time.Second)
				if got := a.at("back").Sub(said); got != 20*time.Millisecond {
					t.Errorf("heard after %v, want 20ms", got)
				}
			})
		})
	}
}

func TestRestartBeforePeersNotice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{})
		a, b := open(t, n, 1), open(t, n, 2)
		defer a.close()
		dial(t, a, b, 2)
		time.Sleep(5 * time.Second)
		n.Kill(ip(2), Blackout)
		b.close()
		b = open(t, n, 2)
		defer b.close()
		dial(t, b, a, 1)
		time.Sleep(2 * time.Minute)
		if !connected(a, b) || !connected(b, a) {
			t.Error("the new connection died with the old one")
		}
		if got := n.Lines(ip(1), ip(2)); got != 1 {
			t.Errorf("%d connections, want 1", got)
		}
	})
}
