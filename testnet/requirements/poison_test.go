package requirements

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	circuitpb "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/util"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A raw is a host of the adversary on the network of a world, without a node.
type raw struct {
	host.Host
	w  *world
	ip string
}

// raw starts one at an address with a key.
func (w *world) raw(ip string, key crypto.PrivKey) *raw {
	w.Helper()
	h, err := libp2p.New(append(w.net.Host(ip), libp2p.Identity(key), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.ForceReachabilityPrivate(), libp2p.DisableIdentifyAddressDiscovery())...)
	w.must(err)
	w.ends = append(w.ends, func() { _ = h.Close() })
	return &raw{Host: h, w: w, ip: ip}
}

func (r *raw) dial() string { return testnet.Addr(r.ip).String() + "/p2p/" + r.ID().String() }

// A poisoner is a server of the DHT that believes everything, keeps it, and says of any key what it likes.
type poisoner struct {
	*raw
	dht *dht.IpfsDHT

	mu    sync.Mutex
	kept  map[string][][]byte // every value that it was given, by key, in order
	empty bool                // it says that it has nothing
}

// poisoner starts one.
func (w *world) poisoner(name string) *poisoner {
	w.Helper()
	key, _, err := crypto.GenerateEd25519Key(randomOf("transport", name))
	w.must(err)
	p := &poisoner{raw: w.raw(w.ip(), key), kept: map[string][][]byte{}}
	p.dht, err = dht.New(p.raw, dht.Mode(dht.ModeServer), dht.ProtocolPrefix("/hum"), dht.DisableProviders(), dht.DisableAutoRefresh(),
		dht.RoutingTableFilter(nobody), dht.Validator(p), dht.Datastore(forgetful{datastore.NewMapDatastore(), p}))
	w.must(err)
	w.ends = append(w.ends, func() { _ = p.dht.Close() })
	return p
}

// nobody else is named to who asks.
func nobody(any, peer.ID) bool { return false }

// Validate keeps what is put.
func (p *poisoner) Validate(key string, value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if all := p.kept[key]; len(all) == 0 || !bytes.Equal(all[len(all)-1], value) {
		p.kept[key] = append(all, bytes.Clone(value))
	}
	return nil
}

// Select takes what it hears before what it has.
func (p *poisoner) Select(string, [][]byte) (int, error) { return 0, nil }

// A forgetful store is empty while its poisoner says so.
type forgetful struct {
	*datastore.MapDatastore
	p *poisoner
}

func (f forgetful) Get(c context.Context, k datastore.Key) ([]byte, error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if f.p.empty {
		return nil, datastore.ErrNotFound
	}
	return f.MapDatastore.Get(c, k)
}

// tell has it say a value under a key from now on, or with nil that there is none.
func (p *poisoner) tell(key string, value []byte) {
	p.mu.Lock()
	p.empty = value == nil
	p.mu.Unlock()
	if value != nil {
		_ = p.dht.PutValue(ctx(), key, value) // that nobody else takes it is an error
	}
}

// held are the values of an address that it was given for a period.
func (p *poisoner) held(key string) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.kept[key])
}

func rendezvousKey(w *world, a identity.Address, period uint64) string {
	w.Helper()
	blinded, err := a.Blinded(period)
	w.must(err)
	return wire.RendezvousKey(blinded)
}

// Every server of the DHT that Alice knows is one adversary (requirement 5.1.1), and then Bob's home is his, too: whatever
// they say of Bob's address, she does not reach him, and never anybody else in his place. What is Bob's own and old leads
// to Bob; and as soon as they say the truth she finds him.
func TestReq_5_1_1_PoisonedDHT(t *testing.T) {
	inWorld(t, func(w *world) {
		evil, l := w.poisoner("evil"), &liar{first: map[wire.PublicKey][]byte{}}
		d := w.operator("d", func(o *operator) {
			o.dht = []string{evil.dial()}
			o.lies = func(c p2p.Custodian) p2p.Custodian { l.Custodian = c; return l }
		})
		bob, mallory := w.person("bob"), w.person("mallory")
		bob.enters(d.invite(1))
		mallory.enters(d.invite(1))
		alice := w.person("alice", func(p *person) { p.bootstrap = []string{evil.dial()} })
		b, period := bob.Self().Address, identity.PeriodOf(identity.TimeOf(time.Now()))
		key, hers := rendezvousKey(w, b, period), rendezvousKey(w, mallory.Self().Address, period)
		w.within(20*time.Minute, "the home has put both into the DHT", func() bool { return len(evil.held(key)) > 0 && len(evil.held(hers)) > 0 })
		his := evil.held(key)[0]
		x := &misleader{w: w, key: identity.NewSigningKey([32]byte{6: 6}), at: mallory}

		sent := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("for bob alone"), Expires: 24 * time.Hour})
		cannot := func(what string) {
			t.Helper()
			r, err := alice.Resolve(ctx(), addressOf(bob))
			if code(err) != "unreachable" || r.Known {
				t.Errorf("%s: alice resolves bob: %v, %+v", what, err, r)
			}
			if r.Asked == 0 {
				t.Errorf("%s: no server was asked", what)
			}
			if f := alice.fate(sent); f != "queued" {
				t.Errorf("%s: her message is %s", what, f)
			}
		}
		for _, lie := range []struct {
			what string
			is   []byte
		}{
			{"nothing is known", nil},
			{"no record", []byte("bob is at my place")},
			{"a bit of it is another", anotherBit(his, len(his)/2)},
			{"it is cut off", his[:len(his)/2]},
			{"it is longer", append(slices.Clone(his), 0)},
			{"hers, as his", evil.held(hers)[0]},
			{"sealed as his, signed by her", x.rendezvous(x.key, b, period)},
			{"signed by him, for another week", x.rendezvous(bob.addressKey().Blind(period+1), b, period+1)},
			{"more than a record may be", bytes.Repeat(his, 40)},
		} {
			evil.tell(key, lie.is)
			cannot(lie.what)
		}
		evil.tell(key, his)
		for _, lie := range []string{"withholds", "forges", "truncates", "hands out another's slot"} {
			l.tells(lie)
			cannot("the DHT is right, and his home " + lie)
		}
		l.gives(x.bundle(x.key, b, period))
		cannot("his home has mallory's records, sealed as his")
		l.gives(x.bundle(bob.addressKey().Blind(period), b, period))
		cannot("his home has mallory's records, sealed and signed as his")

		l.gives(nil)
		l.tells("rolls back")
		before := must(bob.Resolve(ctx(), addressOf(bob))).Expires
		time.Sleep(time.Hour)
		must(bob.SetPolicy(ctx(), node.PolicyEdit{Acks: ptr("refusals")})) // his record is another now, and so is what the DHT is given
		w.within(30*time.Minute, "the DHT was told", func() bool { all := evil.held(key); return !bytes.Equal(all[len(all)-1], his) })
		evil.tell(key, his)
		if r, err := alice.Resolve(ctx(), addressOf(bob)); err != nil || r.Address != b || r.Devices != 1 || !r.Expires.Equal(before) {
			t.Errorf("what is his own and old: %+v, %v; it expired %v", r, err, before)
		}
		l.tells("")
		w.within(time.Hour, "bob has her message", func() bool { return bob.has("for bob alone") == 1 })
		if texts := mallory.inbox(); len(texts) != 0 {
			t.Errorf("mallory has %q", texts)
		}
	})
}

// addressKey is the key of an address, which nobody but its owner has.
func (p *person) addressKey() identity.SigningKey {
	return identity.Seed(sha256.Sum256([]byte("seed of " + p.name))).AddressKey(0)
}

// A misleader knows Bob's address, as everybody may, and so can seal what is read as his; what he cannot do is sign it.
type misleader struct {
	w   *world
	key identity.SigningKey
	at  *person // to whom it is to lead
}

// rendezvous names the node of another as the home of a.
func (x *misleader) rendezvous(k wire.Signer, a identity.Address, period uint64) []byte {
	t := identity.TimeOf(time.Now())
	plain := wire.Rendezvous{Homes: []wire.Endpoint{{Peer: []byte(peerOf(x.at)), Addrs: [][]byte{testnet.Addr(x.at.ip).Bytes()}}}, ArSeq: t, Record: [32]byte{1}}.Append(nil)
	return x.kept(k, wire.ContextDHT, wire.SealedRendezvous, a, period, plain)
}

// bundle is the records of another as those of a.
func (x *misleader) bundle(k wire.Signer, a identity.Address, period uint64) []byte {
	keys, err := identity.OpenKeyring(x.at.home, nil)
	x.w.must(err)
	t := identity.TimeOf(time.Now())
	rec := identity.AddressRecord{Address: x.at.Self().Address, Seq: t, Expires: t.Add(identity.AddressRecordLife), Services: identity.Inbox | identity.Presentity,
		Devices: []identity.Device{{Key: keys.Device().Public(), Roles: identity.RoleAdmin | identity.RoleInbox | identity.RolePublisher}}, Recovery: keys.Commitment()}
	b := wire.Bundle{Address: wire.Sign(keys.AddressKey(), wire.TypeAddressRecord, wire.AppendAddressRecord(nil, rec))}
	return x.kept(k, wire.ContextSlot, wire.SealedBundle, a, period, b.Append(nil))
}

func (x *misleader) kept(k wire.Signer, c wire.Context, kind string, a identity.Address, period uint64, plain []byte) []byte {
	blinded, err := a.Blinded(period)
	x.w.must(err)
	t := identity.TimeOf(time.Now())
	return wire.NewKept(c, k, t, wire.SealKept(randomOf("forger", kind), kind, a, period, blinded, t, plain)).Raw
}

// A false relay is in the place of a community's, with its key: it gives circuits to somebody else than who was asked for.
type falseRelay struct {
	*raw
	to     peer.AddrInfo
	mu     sync.Mutex
	joined int // circuits that ended at somebody else's
}

// takesOver puts one in the place of an operator's node, which is down.
func (o *operator) takesOver(to *person) *falseRelay {
	o.w.Helper()
	k, err := identity.OpenKeyring(o.home, nil)
	o.w.must(err)
	t := k.Transport()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(t[:]))
	o.w.must(err)
	f := &falseRelay{raw: o.w.raw(o.ip, key)}
	info, err := peer.AddrInfoFromString(testnet.Addr(to.ip).String() + "/p2p/" + peerOf(to).String())
	o.w.must(err)
	f.to = *info
	f.SetStreamHandler(circuit.ProtoIDv2Hop, f.hop)
	return f
}

// hop grants what it is asked, and joins every circuit to the one of its own choice.
func (f *falseRelay) hop(s network.Stream) {
	defer s.Reset()
	var m circuitpb.HopMessage
	if util.NewDelimitedReader(s, 4096).ReadMsg(&m) != nil {
		return
	}
	reply := &circuitpb.HopMessage{Type: circuitpb.HopMessage_STATUS.Enum(), Status: circuitpb.Status_RESERVATION_REFUSED.Enum()}
	if m.GetType() != circuitpb.HopMessage_CONNECT {
		_ = util.NewDelimitedWriter(s).WriteMsg(reply)
		return
	}
	if f.Connect(ctx(), f.to) != nil {
		return
	}
	out, err := f.NewStream(ctx(), f.to.ID, circuit.ProtoIDv2Stop)
	if err != nil {
		return
	}
	defer out.Reset()
	ask := &circuitpb.StopMessage{Type: circuitpb.StopMessage_CONNECT.Enum(), Peer: util.PeerInfoToPeerV2(peer.AddrInfo{ID: s.Conn().RemotePeer()})}
	var said circuitpb.StopMessage
	if util.NewDelimitedWriter(out).WriteMsg(ask) != nil || util.NewDelimitedReader(out, 4096).ReadMsg(&said) != nil || said.GetStatus() != circuitpb.Status_OK {
		return
	}
	reply.Status = circuitpb.Status_OK.Enum()
	if util.NewDelimitedWriter(s).WriteMsg(reply) != nil {
		return
	}
	f.mu.Lock()
	f.joined++
	f.mu.Unlock()
	back := make(chan struct{})
	go func() { defer close(back); _, _ = io.Copy(s, out); _ = s.CloseWrite() }()
	_, _ = io.Copy(out, s)
	_ = out.CloseWrite()
	<-back
}

func (f *falseRelay) circuits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joined
}

// The relay through which alone Bob is reached is in the hands of an adversary, who has its key and joins whoever calls Bob
// to Mallory (requirement 5.1.1): neither Alice, who knows him, nor Carol, who has but his card, ever takes her for him.
// Bob is gone, and what was written to him waits; when the relay is itself again he has it.
func TestReq_5_1_1_RelayToSomebodyElse(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob", lease5), w.person("alice")
		mallory, carol := w.person("mallory"), w.person("carol")
		invite := d.invite(2)
		for _, p := range []*person{bob, alice} {
			p.behind(true)
			p.enters(invite)
			p.slotted()
		}
		alice.watch(bob)
		card := bob.card()
		w.net.Cut(bob.ip, d.ip) // he is not to hear of it
		d.down()
		f := d.takesOver(mallory)
		s := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("for bob alone"), Expires: 24 * time.Hour})
		if r, err := carol.Resolve(ctx(), card); code(err) != "unreachable" || r.Known {
			t.Errorf("carol, by his card: %+v, %v", r, err)
		}
		time.Sleep(10 * time.Minute)
		if f.circuits() < 2 {
			t.Fatalf("the false relay joined %d circuits: nobody has tried", f.circuits())
		}
		if got := alice.sees(bob).Basic; got == "open" {
			t.Errorf("alice sees bob %s", got)
		}
		alice.comesTo(s, "queued", 0)
		if texts, asks := mallory.inbox(), must(mallory.Requests(ctx())); len(texts) != 0 || len(asks) != 0 {
			t.Errorf("mallory has %q and %d requests", texts, len(asks))
		}
		w.must(f.Close())
		d.up()
		w.net.Join(bob.ip, d.ip)
		w.within(time.Hour, "bob has it", func() bool { return bob.has("for bob alone") == 1 })
		alice.comesTo(s, "delivered", time.Hour)
		w.within(30*time.Minute, "alice sees him", func() bool { return alice.sees(bob).Basic == "open" })
	})
}

func anotherBit(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i] ^= 1
	return b
}
