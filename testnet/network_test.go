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

// bubble runs f in virtual time and lets what it closed end.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(5 * time.Minute)
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
