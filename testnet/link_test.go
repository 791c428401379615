package testnet

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
)

func bare(t *testing.T, n *Network, i int) *simTransport {
	t.Helper()
	f := n.transportAt(ip(i)).(func(crypto.PrivKey, network.ResourceManager, connmgr.ConnectionGater) (*simTransport, error))
	tr, err := f(keyOf(i), &network.NullResourceManager{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// connect returns both ends of a connection from host 1 to host 2, without a swarm above it.
func connect(t *testing.T, n *Network) (a, b transport.CapableConn) {
	t.Helper()
	from, to := bare(t, n, 1), bare(t, n, 2)
	l, err := to.Listen(Addr(ip(2)))
	if err != nil {
		t.Fatal(err)
	}
	if a, err = from.Dial(t.Context(), Addr(ip(2)), to.self); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close(); l.Close() })
	return a, b
}

func openStream(t *testing.T, a, b transport.CapableConn) (out, in network.MuxedStream) {
	t.Helper()
	out, err := a.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in, err = b.AcceptStream(); err != nil {
		t.Fatal(err)
	}
	return out, in
}

// delays sends count frames of size bytes, one a second, and returns how long each took.
func delays(t *testing.T, n *Network, count, size int) []time.Duration {
	a, b := connect(t, n)
	out, in := openStream(t, a, b)
	var got []time.Duration
	for range count {
		start := time.Now()
		if _, err := out.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(in, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		got = append(got, time.Since(start))
		time.Sleep(time.Minute)
	}
	return got
}

func TestLinkTakesItsTime(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name     string
		link     Link
		up, down int
		size     int
		min, max time.Duration
		spread   bool // not always the same
	}{
		{"latency only", Link{Latency: 30 * ms}, 0, 0, 100, 30 * ms, 30 * ms, false},
		{"jitter", Link{Latency: 30 * ms, Jitter: 10 * ms}, 0, 0, 100, 30 * ms, 40 * ms, true},
		{"loss", Link{Latency: 30 * ms, Loss: 0.2}, 0, 0, 100, 30 * ms, 20 * time.Second, true},
		{"thin uplink", Link{Latency: 30 * ms}, 1000, 0, 100, 130 * ms, 130 * ms, false},
		{"thin downlink", Link{Latency: 30 * ms}, 0, 2000, 100, 80 * ms, 80 * ms, false},
		{"both", Link{Latency: 30 * ms}, 1000, 2000, 100, 180 * ms, 180 * ms, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := New(Config{Seed: 7, Link: tt.link})
				n.Limit(ip(1), tt.up, 0)
				n.Limit(ip(2), 0, tt.down)
				got := delays(t, n, 100, tt.size)
				lo, hi := slices.Min(got), slices.Max(got)
				if lo < tt.min || hi > tt.max || (lo != hi) != tt.spread {
					t.Errorf("took %v to %v, want %v to %v", lo, hi, tt.min, tt.max)
				}
			})
		})
	}
}

func TestSeedDecides(t *testing.T) {
	run := func(seed uint64) (got []time.Duration) {
		bubble(t, func(t *testing.T) {
			link := Link{Latency: 30 * time.Millisecond, Jitter: time.Second, Loss: 0.1}
			got = delays(t, New(Config{Seed: seed, Link: link}), 20, 2000)
		})
		return got
	}
	one, again, other := run(1), run(1), run(2)
	if !slices.Equal(one, again) {
		t.Errorf("one seed, two runs:\n%v\n%v", one, again)
	}
	if slices.Equal(one, other) {
		t.Error("the seed changes nothing")
	}
}

func TestLossCostsWhatItShould(t *testing.T) {
	l := Link{Latency: 50 * time.Millisecond, Loss: 0.01}
	n := New(Config{Seed: 3})
	lost, twice := 0, 0
	const frames = 100_000
	for i := range uint64(frames) {
		switch late := l.retransmission(100, n.draw(1, 2, i, saltLoss)); {
		case late >= 900*time.Millisecond:
			twice++
			fallthrough
		case late > 0:
			lost++
		}
	}
	if lost < 900 || lost > 1100 || twice > 30 {
		t.Errorf("%d of %d late, %d of them twice; want about 1000 and 10", lost, frames, twice)
	}
	if got := l.retransmission(100, 0); got != 63*300*time.Millisecond {
		t.Errorf("the worst luck costs %v", got)
	}
}

func TestStreamsKeepOrderUnderJitter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{Link: Link{Latency: time.Millisecond, Jitter: time.Second, Loss: 0.05}})
		a, b := connect(t, n)
		out, in := openStream(t, a, b)
		var want []byte
		for i := range 300 {
			want = append(want, byte(i), byte(i>>8))
			out.Write([]byte{byte(i), byte(i >> 8)})
		}
		out.CloseWrite()
		if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, want) {
			t.Errorf("err %v, order kept: %v", err, bytes.Equal(got, want))
		}
	})
}

func TestWindowStopsTheWriter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{})
		a, b := connect(t, n)
		out, in := openStream(t, a, b)
		out.SetWriteDeadline(time.Now().Add(time.Second))
		wrote, err := out.Write(make([]byte, 1<<20))
		if wrote != window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("wrote %d, %v; want a window and a deadline", wrote, err)
		}
		out.SetWriteDeadline(time.Time{})
		go func() {
			out.Write(make([]byte, 1<<20))
			out.CloseWrite()
		}()
		if got, err := io.ReadAll(in); err != nil || len(got) != window+1<<20 {
			t.Errorf("read %d, %v", len(got), err)
		}
	})
}

func TestReadDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := connect(t, New(Config{}))
		_, in := openStream(t, a, b)
		start := time.Now()
		in.SetReadDeadline(start.Add(3 * time.Second))
		if _, err := in.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("err %v after %v", err, time.Since(start))
		}
		go func() {
			time.Sleep(time.Second)
			in.SetReadDeadline(time.Now().Add(-time.Hour)) // interrupts
		}()
		in.SetReadDeadline(time.Time{})
		if _, err := in.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 4*time.Second {
			t.Errorf("err %v after %v", err, time.Since(start))
		}
	})
}

func TestCodesTravel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := connect(t, New(Config{}))
		out, in := openStream(t, a, b)
		out.ResetWithError(77)
		_, err := in.Read(make([]byte, 1))
		if se := (*network.StreamError)(nil); !errors.As(err, &se) || se.ErrorCode != 77 || !se.Remote {
			t.Errorf("read %v", err)
		}
		a.CloseWithError(network.ConnGated)
		_, err = b.AcceptStream()
		if ce := (*network.ConnError)(nil); !errors.As(err, &ce) || ce.ErrorCode != network.ConnGated || !ce.Remote {
			t.Errorf("accept %v", err)
		}
	})
}

func TestCloseComesAfterTheLastByte(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := connect(t, New(Config{Link: Link{Latency: time.Millisecond, Jitter: time.Second}}))
		out, in := openStream(t, a, b)
		for range 50 {
			out.Write([]byte("x"))
		}
		a.Close()
		got := 0
		for {
			k, err := in.Read(make([]byte, 1))
			if err != nil {
				break
			}
			got += k
		}
		if got != 50 {
			t.Errorf("%d bytes before the close, want 50", got)
		}
	})
}

func TestHalfOpenIsReset(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{})
		a, b := connect(t, n)
		out, _ := openStream(t, a, b)
		n.Cut(ip(1), ip(2))
		for !a.IsClosed() && !b.IsClosed() {
			time.Sleep(time.Second)
		}
		if a.IsClosed() == b.IsClosed() {
			t.Skip("both ends gave up in the same second")
		}
		n.Join(ip(1), ip(2))
		late, early := b, a
		if b.IsClosed() {
			late, early = a, b
		}
		if late == a {
			out.Write([]byte("hello?"))
		} else if s, err := late.OpenStream(t.Context()); err == nil {
			s.Write([]byte("hello?"))
		}
		time.Sleep(2 * time.Second)
		if !late.IsClosed() || !early.IsClosed() {
			t.Error("one end talks to nobody")
		}
	})
}

func TestTrafficAndCapture(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(Config{})
		var seen []Chunk
		n.Capture(ip(2), func(c Chunk) { seen = append(seen, c) })
		a, b := connect(t, n)
		out, in := openStream(t, a, b)
		out.Write([]byte("to b"))
		in.Write([]byte("to a, more"))
		sent := n.Traffic(ip(1), ip(2))
		time.Sleep(time.Second)
		if want := (Traffic{Frames: 1, Bytes: 4}); sent != want {
			t.Errorf("under way: %+v, want %+v", sent, want)
		}
		if got, want := n.Traffic(ip(2), ip(1)), (Traffic{Frames: 1, Bytes: 10, Heard: 10}); got != want {
			t.Errorf("back: %+v, want %+v", got, want)
		}
		if len(seen) != 1 || string(seen[0].Data) != "to b" || seen[0].From != ip(1) || seen[0].To != ip(2) {
			t.Errorf("captured %+v", seen)
		}
	})
}

func TestClockSteps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := NewClock()
		first := c.Now()
		c.Step(-25 * time.Hour)
		time.Sleep(time.Hour)
		now := c.Now()
		if got := now.Wall.Sub(first.Wall); got != -24*time.Hour {
			t.Errorf("wall moved by %v", got)
		}
		if now.Mono != time.Hour || c.Offset() != -25*time.Hour || now.Heard != 0 {
			t.Errorf("now %+v, offset %v", now, c.Offset())
		}
		c.Restart()
		if now := c.Now(); now.Mono != 0 || now.Wall.Sub(first.Wall) != -24*time.Hour {
			t.Errorf("after a restart %+v", now)
		}
	})
}

func TestSpinningIsFound(t *testing.T) {
	spins := func(pause time.Duration, seconds int) (found bool) {
		bubble(t, func(t *testing.T) {
			defer func() { found = recover() != nil }()
			c := NewClock()
			for range time.Duration(seconds) * time.Second / pause {
				for range 5 {
					c.Now()
				}
				time.Sleep(pause)
			}
		})
		return found
	}
	if !spins(time.Millisecond, 40) {
		t.Error("a spin was not found")
	}
	if spins(10*time.Millisecond, 60) || spins(time.Millisecond, 4) {
		t.Error("hard work was taken for a spin")
	}
}
