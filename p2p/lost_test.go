package p2p

import (
	"crypto/ed25519"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
)

// TestLostConnection: a peer is started anew, and its new connection comes before the old one ends. It was
// connected all the time; the handler is told all the same that it has gone and come.
func TestLostConnection(t *testing.T) {
	b := run(t, "b")
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	must(t, err)
	life := func() host.Host {
		h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.DisableMetrics())
		must(t, err)
		t.Cleanup(func() { h.Close() })
		reach(t, h, b.info())
		return h
	}
	first := life()
	id := PeerID(first.ID())
	told := func() (ups []bool) {
		b.fake.mu.Lock()
		defer b.fake.mu.Unlock()
		for _, m := range b.moves {
			if m.peer == id {
				ups = append(ups, m.up)
			}
		}
		return ups
	}
	b.wait(t, "the first connection", func() bool { return len(told()) == 1 })
	life()
	b.wait(t, "the second connection", func() bool { return len(b.host.Network().ConnsToPeer(id.id())) == 2 })
	must(t, first.Close())
	b.wait(t, "gone and come", func() bool { return len(told()) == 3 })
	if got := told(); !got[0] || got[1] || !got[2] {
		t.Errorf("told %v", got)
	}
	if up, _ := b.Connected(id); !up {
		t.Error("it is connected no more")
	}
}
