//go:build unix

package bench

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/hum-presence/hum/store"
)

// size is what a short message comes to on the wire, and what the floor signs and sends.
const size = 300

const proto = "/hum-bench/1"

// bare is a host with nothing on it, listening on loopback TCP with noise, as our nodes speak there.
func bare(tb testing.TB) host.Host {
	tb.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New), libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.ConnectionManager(connmgr.NullConnMgr{}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { h.Close() })
	return h
}

func connect(tb testing.TB, from, to host.Host) {
	tb.Helper()
	if err := from.Connect(context.Background(), peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		tb.Fatal(err)
	}
}

// keep returns a store on the disk, encrypted as a home's.
func keep(tb testing.TB) *store.Store {
	tb.Helper()
	s, err := store.Open(filepath.Join(tb.TempDir(), "store"), store.Options{Key: make([]byte, 32)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// A pinger sends signed frames over one stream to an echo that verifies, signs and answers each; it
// verifies the answers. With stores, each side puts a row and syncs it before it sends.
type pinger struct {
	tb     testing.TB
	key    ed25519.PrivateKey
	peer   ed25519.PublicKey
	out    chan []byte
	mine   *store.Store
	theirs *store.Store
	seq    atomic.Uint64
	wait   sync.Map // sequence → chan []byte
}

func newPinger(tb testing.TB, durable bool) *pinger {
	tb.Helper()
	peerPub, peerKey, _ := ed25519.GenerateKey(rand.Reader)
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	p := &pinger{tb: tb, key: key, peer: peerPub, out: make(chan []byte, 256)}
	if durable {
		p.mine, p.theirs = keep(tb), keep(tb)
	}
	a, b := bare(tb), bare(tb)
	b.SetStreamHandler(proto, func(s network.Stream) { p.echo(s, pub, peerKey) })
	connect(tb, a, b)
	s, err := a.NewStream(context.Background(), b.ID(), proto)
	if err != nil {
		tb.Fatal(err)
	}
	go pump(s, p.out)
	go p.answers(s)
	return p
}

// echo answers frames, each in a goroutine of its own, so that both cores are used.
func (p *pinger) echo(s network.Stream, pub ed25519.PublicKey, key ed25519.PrivateKey) {
	out := make(chan []byte, 256)
	go pump(s, out)
	_ = frames(s, func(f []byte) {
		go func() {
			if !ed25519.Verify(pub, f[64:], f[:64]) {
				p.tb.Error("bad signature")
			}
			p.save(p.theirs, f)
			out <- sign(key, f[64:])
		}()
	})
}

func (p *pinger) answers(s network.Stream) {
	_ = frames(s, func(f []byte) {
		if c, ok := p.wait.LoadAndDelete(binary.BigEndian.Uint64(f[64:])); ok {
			c.(chan []byte) <- f
		}
	})
}

// ping is one message there and its answer back.
func (p *pinger) ping() {
	body := make([]byte, size-64)
	n := p.seq.Add(1)
	binary.BigEndian.PutUint64(body, n)
	f := sign(p.key, body)
	p.save(p.mine, f)
	c := make(chan []byte, 1)
	p.wait.Store(n, c)
	p.out <- f
	if f := <-c; !ed25519.Verify(p.peer, f[64:], f[:64]) {
		p.tb.Error("bad signature")
	}
}

func (p *pinger) save(s *store.Store, f []byte) {
	if s == nil {
		return
	}
	k := store.Event(binary.BigEndian.Uint64(f[64:]))
	if err := s.Update(func(tx store.Tx) error { return tx.Put(k, f) }); err != nil {
		p.tb.Error(err)
	}
}

func sign(k ed25519.PrivateKey, body []byte) []byte { return append(ed25519.Sign(k, body), body...) }

// pump writes frames, and flushes when none waits.
func pump(w io.Writer, out <-chan []byte) {
	b := bufio.NewWriter(w)
	for f := range out {
		var head [4]byte
		binary.BigEndian.PutUint32(head[:], uint32(len(f)))
		b.Write(head[:])
		b.Write(f)
		if len(out) == 0 && b.Flush() != nil {
			return
		}
	}
}

func frames(r io.Reader, f func([]byte)) error {
	b := bufio.NewReader(r)
	for {
		var head [4]byte
		if _, err := io.ReadFull(b, head[:]); err != nil {
			return err
		}
		if n := binary.BigEndian.Uint32(head[:]); n < 72 || n > 1<<16 {
			return fmt.Errorf("frame of %d bytes", n)
		}
		frame := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(b, frame); err != nil {
			return err
		}
		f(frame)
	}
}
