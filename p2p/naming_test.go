package p2p

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// rules are those of the DHT, as node/community has them.
type rules struct{}

func (rules) Valid(key PublicKey, r wire.Rec) error {
	now := testClock()
	if now.Ahead(r.T) || r.T < now.Wall.Add(-30*24*time.Hour) || !r.VerifyKept(wire.ContextDHT, key) {
		return errors.New("not to be believed")
	}
	return nil
}

func (rules) Newest(recs []wire.Rec) (best int) {
	for i, r := range recs {
		if r.T > recs[best].T {
			best = i
		}
	}
	return best
}

func dhtServer(t *testing.T, name string, knows ...*node) *node {
	t.Helper()
	c := config(t.Name() + name)
	c.Naming, c.DHT = rules{}, true
	n := start(t, c, &fake{})
	for _, k := range knows {
		n.MeetDHT(k.Self(), k.Addrs())
		n.knows(k, Watched)
	}
	return n
}

func asker(t *testing.T, name string, knows ...*node) *node {
	t.Helper()
	c := config(t.Name() + name)
	c.Naming = rules{}
	n := start(t, c, &fake{})
	for _, k := range knows {
		n.MeetDHT(k.Self(), k.Addrs())
	}
	return n
}

func inPatience(t *testing.T) context.Context {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), patience)
	t.Cleanup(done)
	return ctx
}

// Servers that know each other in a row: what one puts, somebody who knows another finds; a newer one takes the older's
// place; and who knows no server is told so, at once.
func TestNamed(t *testing.T) {
	a := dhtServer(t, "a")
	b := dhtServer(t, "b", a)
	c := dhtServer(t, "c", b)
	d := dhtServer(t, "d", c)
	ctx := inPatience(t)
	k := identity.NewSigningKey([32]byte{9}).Blind(3)
	now := testClock().Wall
	home := asker(t, "home", a)
	old, newer := wire.NewKept(wire.ContextDHT, k, now-5, []byte("old")), wire.NewKept(wire.ContextDHT, k, now, []byte("new"))
	if err := home.PutNamed(ctx, k.Public(), old); err != nil {
		t.Fatal(err)
	}
	if err := home.PutNamed(ctx, k.Public(), newer); err != nil {
		t.Fatal(err)
	}
	if err := home.PutNamed(ctx, k.Public(), old); err == nil {
		t.Error("an older record takes the newer one's place")
	}
	alice := asker(t, "alice", d)
	got, asked, err := alice.FindNamed(ctx, k.Public(), false)
	if err != nil || string(got.CT) != "new" || asked == 0 {
		t.Fatalf("%q, %d asked, %v", got.CT, asked, err)
	}
	if _, _, err := alice.FindNamed(ctx, identity.NewSigningKey([32]byte{8}).Blind(3).Public(), true); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
	if _, _, err := asker(t, "lonely").FindNamed(ctx, k.Public(), false); !errors.Is(err, ErrNoDHT) {
		t.Errorf("without a server: %v", err)
	}
	if known := alice.KnownDHT(); len(known) < 2 {
		t.Errorf("alice has learned of no other server: %v", known)
	}
}

// credulous believes, stores and passes on everything.
type credulous struct{}

func (credulous) Validate(string, []byte) error        { return nil }
func (credulous) Select(string, [][]byte) (int, error) { return 0, nil }
func hostile(t *testing.T, key PublicKey, value []byte) host.Host {
	t.Helper()
	n := run(t, "hostile")
	_ = serveDHT(t, n.host).PutValue(t.Context(), wire.RendezvousKey(key), value) // there is nobody to take it but himself
	return n.host
}

// serveDHT makes a host a DHT server that takes anything.
func serveDHT(t *testing.T, h host.Host) *dht.IpfsDHT {
	d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.ProtocolPrefix(dhtPrefix), dht.DisableProviders(), dht.Validator(credulous{}), dht.DisableAutoRefresh())
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// A server that has just started, and tells that it is one when somebody is connected to it already, is asked.
func TestNamedByALateServer(t *testing.T) {
	n := run(t, "late")
	k := identity.NewSigningKey([32]byte{9}).Blind(3)
	who := asker(t, "who")
	who.MeetDHT(PeerID(n.host.ID()), dialable(n.host.Addrs()))
	if err := who.host.Connect(t.Context(), peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := who.FindNamed(inPatience(t), k.Public(), true); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("who asks no server: %v", err)
	}
	defer time.AfterFunc(namingTold/10, func() { serveDHT(t, n.host) }).Stop()
	if _, _, err := who.FindNamed(inPatience(t), k.Public(), true); !errors.Is(err, ErrNotFound) {
		t.Errorf("who asks a server that has just started: %v", err)
	}
}

// A DHT server that lies: forged, older, of another key, too large, from the future, no record at all. Whoever asks it
// believes nothing, and finds what is true elsewhere; if nobody else is asked, he finds nothing.
func TestNamedPoisoned(t *testing.T) {
	k, other := identity.NewSigningKey([32]byte{9}).Blind(3), identity.NewSigningKey([32]byte{7}).Blind(3)
	now := testClock().Wall
	true_ := wire.NewKept(wire.ContextDHT, k, now, []byte("true"))
	forged := wire.NewKept(wire.ContextDHT, k, now+1, []byte("forged"))
	forged.Raw[len(forged.Raw)-1] ^= 1
	for _, x := range []struct {
		name  string
		value []byte
	}{
		{"forged", forged.Raw},
		{"of another", wire.NewKept(wire.ContextDHT, other, now+1, []byte("other")).Raw},
		{"of a slot", wire.NewKept(wire.ContextSlot, k, now+1, []byte("slot")).Raw},
		{"from the future", wire.NewKept(wire.ContextDHT, k, now.Add(time.Hour), []byte("late")).Raw},
		{"very old", wire.NewKept(wire.ContextDHT, k, now.Add(-31*24*time.Hour), []byte("ancient")).Raw},
		{"too large", wire.NewKept(wire.ContextSlot, k, now+1, make([]byte, 4096)).Raw},
		{"nothing", []byte("nothing")},
	} {
		t.Run(x.name, func(t *testing.T) {
			ctx := inPatience(t)
			liar := hostile(t, k.Public(), x.value)
			at := PeerID(liar.ID())
			eclipsed := asker(t, "eclipsed")
			eclipsed.MeetDHT(at, dialable(liar.Addrs()))
			if _, _, err := eclipsed.FindNamed(ctx, k.Public(), true); !errors.Is(err, ErrNotFound) {
				t.Errorf("who asks a liar alone: %v", err)
			}
			honest := dhtServer(t, "honest")
			honest.MeetDHT(at, dialable(liar.Addrs()))
			if err := asker(t, "home", honest).PutNamed(ctx, k.Public(), true_); err != nil {
				t.Fatal(err)
			}
			both := asker(t, "both", honest)
			both.MeetDHT(at, dialable(liar.Addrs()))
			if got, _, err := both.FindNamed(ctx, k.Public(), true); err != nil || string(got.CT) != "true" {
				t.Errorf("who asks both: %q, %v", got.CT, err)
			}
		})
	}
}

// What a server holds is bounded: the newest is there, and so is whatever was not put out for it.
func TestNamingIsBounded(t *testing.T) {
	h := newHeap(10)
	for i := range 100 {
		sum := sha256.Sum256([]byte{byte(i)})
		if err := h.Put(t.Context(), ds.NewKey(string(sum[:])), sum[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Get(t.Context(), ds.NewKey(string(sum[:]))); err != nil || len(h.rows) > 10 {
			t.Fatalf("after %d: %d rows, %v", i, len(h.rows), err)
		}
	}
}
