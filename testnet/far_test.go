package testnet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
)

// TestFarIsLikeNear lives the same story with all hosts in one network, and spread over two and three that only exchange
// letters, as those of several processes do. Whatever a host notices must be the same, to the nanosecond.
func TestFarIsLikeNear(t *testing.T) {
	var first []string
	for _, k := range []int{1, 2, 3} {
		var log []string
		bubble(t, func(t *testing.T) { log = liveApart(t, k) })
		if k == 1 {
			first = log
			if len(log) < 20 {
				t.Fatalf("the story is too short:\n%s", strings.Join(log, "\n"))
			}
			continue
		}
		for i := range max(len(log), len(first)) {
			a, b := "nothing", "nothing"
			if i < len(first) {
				a = first[i]
			}
			if i < len(log) {
				b = log[i]
			}
			if a != b {
				t.Errorf("in %d networks: %s\n        in one: %s", k, b, a)
			}
		}
	}
}

func liveApart(t *testing.T, k int) (log []string) {
	began := time.Now()
	nets := make([]*Network, k)
	link := Link{Latency: 30 * time.Millisecond, Jitter: 9 * time.Millisecond, Loss: 0.05}
	number := func(ip string) int {
		var a, b, c, d int
		fmt.Sscanf(ip, "%d.%d.%d.%d", &a, &b, &c, &d)
		return (d - 1) % k
	}
	var crossed atomic.Int64 // each network has a lock of its own
	for i := range nets {
		c := Config{Seed: 3, Link: link, ByPair: true}
		if k > 1 {
			c.Far = &Far{Me: i, Where: number, Send: func(to int, at time.Time, lane uint64, data []byte) {
				if wait := time.Until(at); wait < 20*time.Millisecond {
					t.Errorf("%d of %d: a letter arrives after %v", i, k, wait)
				}
				crossed.Add(1)
				if err := nets[to].Take(at, lane, data); err != nil {
					t.Error(err)
				}
			}}
		}
		nets[i] = New(c)
	}
	all := func(f func(*Network)) {
		for _, n := range nets {
			f(n)
		}
	}
	note := func(format string, args ...any) {
		log = append(log, fmt.Sprintf("%v ", time.Since(began))+fmt.Sprintf(format, args...))
	}
	host := func(i int) *simTransport { return bare(t, nets[number(ip(i))], i) }
	listen := func(tr *simTransport, i int) transport.Listener {
		l, err := tr.Listen(Addr(ip(i)))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	a, b, c := host(1), host(2), host(3)
	lb, lc := listen(b, 2), listen(c, 3)
	listen(a, 1)

	_, err := a.Dial(t.Context(), addrOf(ip(2), "9"), b.self)
	note("a wrong port: %v", err)
	_, err = a.Dial(t.Context(), Addr(ip(2)), c.self)
	note("a wrong peer: %v", err)
	nobody, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	_, err = a.Dial(nobody, Addr(ip(9)), c.self)
	cancel()
	note("a place where nobody lives: %v", err)

	pair := func(from *simTransport, l transport.Listener, to int, self *simTransport) (transport.CapableConn, transport.CapableConn) {
		x, err := from.Dial(t.Context(), Addr(ip(to)), self.self)
		if err != nil {
			t.Fatal(err)
		}
		note("connected to %s", x.RemotePeer())
		y, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		note("from %s at %s, here %s", y.RemotePeer(), y.RemoteMultiaddr(), y.LocalMultiaddr())
		return x, y
	}
	x, y := pair(a, lb, 2, b)
	out, in := openStream(t, x, y)
	// Into how many frames this is cut depends on how the writer was woken, so luck has no part in it.
	all(func(n *Network) { n.Set(ip(1), ip(2), Link{Latency: 30 * time.Millisecond}) })
	note("a stream")
	// Nor has it where the window is given back in halves: the reader's pieces say how much of it is still owed, and half is sure.
	big := make([]byte, window+window/4+17)
	for i := range big {
		big[i] = byte(i * i >> 3)
	}
	wrote := make(chan time.Duration, 1)
	go func() {
		out.Write(big)
		wrote <- time.Since(began)
		out.CloseWrite()
	}()
	time.Sleep(2 * time.Second) // the window is full
	got, err := io.ReadAll(in)
	note("read %d bytes %x: %v", len(got), sha256.Sum256(got), err)
	note("written at %v", <-wrote)
	all(func(n *Network) { n.Set(ip(1), ip(2), link) })
	in, out = openStream(t, y, x)
	in.Write([]byte("thanks"))
	answer := make([]byte, 6)
	io.ReadFull(out, answer)
	note("answered %s", answer)
	in.ResetWithError(77)
	_, err = out.Read(answer)
	var reset *network.StreamError
	note("reset %v %v", errors.As(err, &reset), err)

	// Silence, then what was said meanwhile.
	out, in = openStream(t, y, x)
	all(func(n *Network) { n.Cut(ip(1), ip(2)) })
	out.Write([]byte("held"))
	time.Sleep(10 * time.Second)
	note("still cut")
	all(func(n *Network) { n.Join(ip(1), ip(2)) })
	io.ReadFull(in, answer[:4])
	note("heard %s", answer[:4])

	// A goodbye, and words for who has left.
	x.CloseWithError(5)
	_, err = y.AcceptStream()
	note("closed: %v", err)

	// A machine goes dark, another is reset.
	x, _ = pair(b, lc, 3, c)
	all(func(n *Network) { n.Kill(ip(3), Blackout) })
	_, err = x.AcceptStream()
	note("dark: %v", err)
	c = host(3)
	lc = listen(c, 3)
	x, y = pair(a, lc, 3, c)
	all(func(n *Network) { n.Kill(ip(3), Crash) })
	_, err = x.AcceptStream()
	note("crashed: %v", err)
	_, err = a.Dial(t.Context(), Addr(ip(3)), c.self)
	note("and gone: %v", err)
	_ = y

	// One end gives up in a silence, which then ends; the other still speaks, and is told.
	x, y = pair(a, lb, 2, b)
	out, in = openStream(t, x, y)
	all(func(n *Network) { n.Cut(ip(1), ip(2)) })
	for !x.IsClosed() && !y.IsClosed() {
		time.Sleep(50 * time.Millisecond)
	}
	out.Write([]byte("there?"))
	in.Write([]byte("there?"))
	time.Sleep(200 * time.Millisecond) // it is on its way while they are cut
	all(func(n *Network) { n.Join(ip(1), ip(2)) })
	note("one gave up: %v, %v", x.IsClosed(), y.IsClosed())
	_, err = x.AcceptStream()
	note("the one: %v", err)
	_, err = y.AcceptStream()
	note("the other: %v", err)
	time.Sleep(5 * time.Minute)
	var traffic Traffic
	for _, n := range nets {
		v := n.Traffic(ip(1), ip(2))
		traffic.Bytes, traffic.Heard = traffic.Bytes+v.Bytes, traffic.Heard+v.Heard
	}
	note("traffic %d, heard %d", traffic.Bytes, traffic.Heard) // how many frames that took depends on the windows
	if k > 1 && crossed.Load() < 30 {
		t.Errorf("only %d letters crossed", crossed.Load())
	}
	return slices.Clone(log)
}

func TestFarLetters(t *testing.T) {
	x := crossing{kind: frameData, line: 1 << 61, end: 1, stream: 6, seq: 9, arg: 1 << 40}
	x.texts[0] = []byte("data")
	y, err := decodeFar(x.encode())
	if err != nil || fmt.Sprint(x) != fmt.Sprint(y) {
		t.Errorf("%+v is read as %+v, %v", x, y, err)
	}
	b := x.encode()
	for i := range b {
		if _, err := decodeFar(b[:i]); err == nil {
			t.Errorf("cut after %d bytes it is read", i)
		}
	}
}
