package testnet

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const echo = "/echo"

// echoer is a host that says back what it hears.
func echoer(t *testing.T, n *Network, i int) host.Host {
	t.Helper()
	h, err := libp2p.New(append(n.Host(ip(i)), libp2p.Identity(keyOf(i)), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableIdentifyAddressDiscovery())...)
	if err != nil {
		t.Fatal(err)
	}
	h.SetStreamHandler(echo, func(s network.Stream) {
		_, _ = io.Copy(s, s)
		_ = s.Close()
	})
	return h
}

func infoOf(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func reach(t *testing.T, a, b host.Host) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return a.Connect(network.WithForceDirectDial(ctx, "test"), infoOf(b))
}

// talk sends size bytes and waits until all are back.
func talk(t *testing.T, a, b host.Host, size int) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s, err := a.NewStream(ctx, b.ID(), echo)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	one := func(size int) error {
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() { _, _ = s.Write(make([]byte, size)) })
		_, err := io.ReadFull(s, make([]byte, size))
		return err
	}
	if err := one(1); err != nil { // which protocol the stream speaks is settled with it
		return 0, err
	}
	began := time.Now()
	err = one(size)
	return time.Since(began), err
}

// nets are a network, or its parts in several processes that exchange letters.
type nets []*Network

func newNets(t *testing.T, c Config, k int) nets {
	ns := make(nets, k)
	for i := range ns {
		if c.ByPair = true; k > 1 {
			c.Far = &Far{Me: i, Where: ns.where, Send: func(to int, at time.Time, lane uint64, data []byte) {
				if time.Until(at) < c.Link.Latency {
					t.Errorf("a letter arrives after %v", time.Until(at))
				}
				if err := ns[to].Take(at, lane, data); err != nil {
					t.Error(err)
				}
			}}
		}
		ns[i] = New(c)
	}
	return ns
}

func (ns nets) where(at string) int {
	for i := range 10 {
		if at == ip(i) {
			return i % len(ns)
		}
	}
	return 0
}

func (ns nets) of(i int) *Network { return ns[ns.where(ip(i))] }

// all does what each process does.
func (ns nets) all(f func(*Network)) {
	for _, n := range ns {
		f(n)
	}
}

func (ns nets) traffic(a, b string) (sum Traffic) {
	for _, n := range ns {
		t := n.Traffic(a, b)
		sum.Frames, sum.Bytes, sum.Heard = sum.Frames+t.Frames, sum.Bytes+t.Bytes, sum.Heard+t.Heard
	}
	return sum
}

// TestFidelities: on links of every kind, in one process and between two, a word takes as long as the link says, what is lost on the
// way is made good, a cut keeps words back, NAT keeps strangers out, also such as dial each other at once, and a death is noticed
// and survived.
func TestFidelities(t *testing.T) {
	const ms = time.Millisecond
	for _, links := range []Fidelity{Stream, Noise, QUIC} {
		in := func(name string, link Link, f func(t *testing.T, n nets, a, b host.Host)) {
			for k, where := range []string{1: "near", 2: "far"} {
				if k == 0 {
					continue
				}
				t.Run(string(links)+"/"+name+"/"+where, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						n := newNets(t, Config{Seed: 3, Links: links, Link: link}, k)
						a, b := echoer(t, n.of(1), 1), echoer(t, n.of(2), 2)
						f(t, n, a, b)
						a.Close()
						b.Close()
						time.Sleep(5 * time.Minute)
					})
				})
			}
		}
		in("time", Link{Latency: 30 * ms}, func(t *testing.T, n nets, a, b host.Host) {
			began := time.Now()
			if err := reach(t, a, b); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(began); d < 60*ms || d > 360*ms {
				t.Errorf("a dial takes %v", d)
			}
			d, err := talk(t, a, b, 100)
			if err != nil || d < 60*ms || d > 62*ms {
				t.Errorf("there and back takes %v: %v", d, err)
			}
			if c := a.Network().ConnsToPeer(b.ID())[0].ConnState(); links != Stream && (c.Security == "/simulated" || c.StreamMultiplexer == "/simulated") {
				t.Errorf("the links are %+v", c)
			}
		})
		in("loss", Link{Latency: 20 * ms, Loss: 0.1}, func(t *testing.T, n nets, a, b host.Host) {
			if err := reach(t, a, b); err != nil {
				t.Fatal(err)
			}
			d, err := talk(t, a, b, 100_000)
			if err != nil {
				t.Fatal(err)
			}
			sent := n.traffic(ip(1), ip(2))
			if d < 60*ms || d > 2*time.Minute || sent.Bytes < 100_000 || (sent.Heard < sent.Bytes) != (links == QUIC) {
				t.Errorf("it takes %v and %+v", d, sent)
			}
		})
		in("thin", Link{Latency: 20 * ms}, func(t *testing.T, n nets, a, b host.Host) {
			n.all(func(n *Network) { n.Limit(ip(1), 100_000, 100_000) })
			if err := reach(t, a, b); err != nil {
				t.Fatal(err)
			}
			if d, err := talk(t, a, b, 300_000); err != nil || d < 3*time.Second || d > 12*time.Second {
				t.Errorf("300 kB at 100 kB a second take %v there and back: %v", d, err)
			}
		})
		in("cut", Link{Latency: 20 * ms}, func(t *testing.T, n nets, a, b host.Host) {
			if err := reach(t, a, b); err != nil {
				t.Fatal(err)
			}
			n.all(func(n *Network) { n.Cut(ip(1), ip(2)) })
			time.AfterFunc(5*time.Second, func() { n.all(func(n *Network) { n.Join(ip(1), ip(2)) }) })
			began := time.Now()
			if _, err := talk(t, a, b, 100); err != nil || time.Since(began) < 5*time.Second {
				t.Errorf("across a cut of 5 s it takes %v: %v", time.Since(began), err)
			}
		})
		in("nat", Link{Latency: 20 * ms}, func(t *testing.T, n nets, a, b host.Host) {
			n.all(func(n *Network) { n.Shut(ip(1), true) })
			if err := reach(t, b, a); err == nil {
				t.Error("a host behind NAT is dialled")
			}
			if err := reach(t, a, b); err != nil {
				t.Fatal(err)
			}
			if _, err := talk(t, b, a, 100); err != nil {
				t.Errorf("over the connection that it made: %v", err)
			}
		})
		in("two behind nat", Link{Latency: 20 * ms}, func(t *testing.T, n nets, a, b host.Host) {
			n.all(func(n *Network) { n.Shut(ip(1), true); n.Shut(ip(2), true) })
			var both sync.WaitGroup
			for range 5 { // in one instant, as who would punch a hole does
				both.Go(func() { _ = reach(t, a, b) })
				both.Go(func() { _ = reach(t, b, a) })
				both.Wait()
			}
			if t1, t2 := n.traffic(ip(1), ip(2)), n.traffic(ip(2), ip(1)); len(a.Network().Conns())+len(b.Network().Conns()) > 0 || t1.Heard+t2.Heard > 0 {
				t.Errorf("they hear each other: %+v, %+v", t1, t2)
			}
		})
		in("death", Link{Latency: 20 * ms}, func(t *testing.T, n nets, a, b host.Host) {
			if err := reach(t, a, b); err != nil {
				t.Fatal(err)
			}
			n.all(func(n *Network) { n.Kill(ip(2), Blackout) })
			time.Sleep(2 * time.Minute)
			if a.Network().Connectedness(b.ID()) == network.Connected {
				t.Error("a dead host is still connected after two minutes")
			}
			if err := reach(t, a, b); err == nil {
				t.Error("a dead host is dialled")
			}
			b.Close()
			again := echoer(t, n.of(2), 2)
			defer again.Close()
			if swarm, ok := a.Network().(interface {
				Backoff() interface{ Clear(peer.ID) }
			}); ok {
				swarm.Backoff().Clear(b.ID())
			}
			time.Sleep(5 * time.Minute) // of the dialler's patience
			if err := reach(t, a, again); err != nil {
				t.Fatal(err)
			}
			if _, err := talk(t, a, again, 100); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPackets: packets overtake each other, and a full line loses some.
func TestPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Config{Seed: 1, Links: QUIC, Link: Link{Latency: 10 * time.Millisecond, Jitter: 50 * time.Millisecond}})
		a, err := n.bind(ip(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := n.bind(ip(2), Port)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.bind(ip(2), Port); err == nil {
			t.Error("a port is taken twice")
		}
		send := func(count int) (got []byte) {
			for i := range count {
				if _, err := a.WriteTo(append(make([]byte, 999), byte(i)), b.LocalAddr()); err != nil {
					t.Fatal(err)
				}
			}
			_ = b.SetReadDeadline(time.Now().Add(time.Minute))
			for buf := make([]byte, 2000); ; {
				size, from, err := b.ReadFrom(buf)
				if err != nil {
					return got
				}
				if size != 1000 || from.String() != a.LocalAddr().String() {
					t.Fatalf("%d bytes from %v", size, from)
				}
				got = append(got, buf[size-1])
			}
		}
		if got := send(100); len(got) != 100 || slices.IsSorted(got) {
			t.Errorf("%d of 100 packets arrive, in order: %v", len(got), slices.IsSorted(got))
		}
		n.Limit(ip(1), 20_000, 0) // 200 ms of it are about four packets
		if got := send(100); len(got) < 3 || len(got) > 8 {
			t.Errorf("%d of 100 packets pass a line that is full", len(got))
		}
		a.Close()
		if _, err := a.WriteTo(nil, b.LocalAddr()); err == nil {
			t.Error("a closed socket sends")
		}
		b.Close()
	})
}

// TestThinLineKeepsOrder: what lands in the instant in which something earlier has passed a thin line comes after it.
func TestThinLineKeepsOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{Seed: 1, Link: Link{Latency: 10 * time.Millisecond}, Quantum: time.Millisecond})
		n.Limit(ip(2), 0, 1_000_000)
		a, b := connect(t, n)
		out, in := openStream(t, a, b)
		if _, err := out.Write(make([]byte, 20)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if err := out.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in); err != nil || len(got) != 20 {
			t.Errorf("%d of 20 bytes come before the end: %v", len(got), err)
		}
	})
}

// TestChargeDelays: a processor that takes 2 ms for each frame has dealt with the tenth of those that come at once after 20 ms.
func TestChargeDelays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{Seed: 1, Link: Link{Latency: 10 * time.Millisecond}, Charge: Charge{Frame: 2 * time.Millisecond, Kilobyte: 1 * time.Millisecond}})
		a, b := connect(t, n)
		out, in := openStream(t, a, b)
		began := time.Now()
		for range 10 {
			if _, err := out.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(in, make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 40*time.Millisecond {
			t.Errorf("ten frames of 1 kB take %v, want 10 ms on the way and ten times 3 ms", d)
		}
	})
}
