package attacks

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// What the design allows somebody who watches 150 contacts of whom 30 % are online, in bytes a second.
const (
	gateContacts = 150
	gateWatch    = 600  // by WATCH
	gateMesh     = 2000 // by their topics
)

// A street is people who say their presence on topics that two hubs carry, and those who watch all of them there. Of
// ten people three are online: each says a beacon every 60 s ±10 % and changes every five minutes in the mean.
type street struct {
	*hubs
	people []*neighbour
	stop   context.CancelFunc
	work   sync.WaitGroup
	hosts  []host.Host // of those who only read
}

// A neighbour has a node while he is online, and is known to the hubs by what he said last.
type neighbour struct {
	key  identity.SigningKey
	node *ear // nil: offline

	mu   sync.Mutex
	t    wire.Time
	base wire.Time // of the last update
	said int
}

// inStreet plays f where contacts live.
func inStreet(t *testing.T, links testnet.Fidelity, contacts int, f func(s *street)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &street{hubs: &hubs{t: t, net: testnet.New(testnet.Config{Seed: 15, Links: links})}}
		ctx, stop := context.WithCancel(context.Background())
		s.stop = stop
		defer s.close()
		for i := range 2 {
			s.hubs.hubs = append(s.hubs.hubs, s.ear(fmt.Sprint("hub ", i), true, false))
		}
		s.hubs.hubs[1].Keep(s.hubs.hubs[0].Self(), s.hubs.hubs[0].Addrs(), p2p.Watched)
		for i := range contacts {
			s.settle(i, i%10 < 3)
		}
		time.Sleep(10 * time.Second) // the hubs have told who comes of their topics
		for i, p := range s.people {
			if p.node != nil {
				s.work.Go(func() { p.live(ctx, t, rand.New(rand.NewPCG(15, uint64(i)))) })
			}
		}
		f(s)
	})
}

// settle makes a neighbour whom both hubs carry.
func (s *street) settle(i int, online bool) {
	s.t.Helper()
	p := &neighbour{key: identity.NewSigningKey(sha256.Sum256(fmt.Append(nil, "person ", i)))}
	until := s.hubs.hubs[0].clock.Now().Wall.Add(24 * time.Hour)
	first := p.update(s.hubs.hubs[0].clock.Now().Wall)
	for _, hub := range s.hubs.hubs {
		if err := hub.Host(p.key.Public(), until, []wire.Rec{first}); err != nil {
			s.t.Fatal(err)
		}
	}
	if online {
		p.node = s.ear(fmt.Sprint("person ", i), false, false)
		if err := p.node.Serve(p.key.Public(), until); err != nil {
			s.t.Fatal(err)
		}
		s.member(p.node)
	}
	s.people = append(s.people, p)
}

// member connects a node to both hubs.
func (s *street) member(x *ear) (at []p2p.PeerID) {
	for _, hub := range s.hubs.hubs {
		x.Keep(hub.Self(), hub.Addrs(), p2p.Watched)
		at = append(at, hub.Self())
	}
	return at
}

// update is a Rec of 373 bytes, that of a small Doc.
func (p *neighbour) update(now wire.Time) wire.Rec {
	p.t = max(p.t+1, now)
	p.base = p.t
	return wire.NewUpdate(p.key, wire.Tag{1}, p.t, make([]byte, 28+256))
}

// live says beacons and changes until ctx ends.
func (p *neighbour) live(ctx context.Context, t *testing.T, lot *rand.Rand) {
	period := wire.BeaconPeriod(wire.DefaultTTL)
	wait := time.Duration(lot.Float64() * float64(period))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		p.mu.Lock()
		now := p.node.clock.Now().Wall
		var r wire.Rec
		if lot.Float64() < 0.2 { // of five beacons' times one is a change
			r = p.update(now)
		} else {
			p.t = max(p.t+1, now)
			r = wire.NewBeacon(p.key, wire.Tag{1}, p.t, p.base)
		}
		p.said++
		p.mu.Unlock()
		if err := p.node.Publish(p.key.Public(), r); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		wait = time.Duration((0.9 + 0.2*lot.Float64()) * float64(period))
	}
}

// said is how many Recs all people have said so far.
func (s *street) said() (n int) {
	for _, p := range s.people {
		p.mu.Lock()
		n += p.said
		p.mu.Unlock()
	}
	return n
}

// An onlooker follows all people at the hubs, and notes what it hears.
type onlooker struct {
	*ear
	all    int                          // Recs heard, each counted once
	newest map[wire.PublicKey]wire.Time // t of the newest of any kind
	at     []p2p.PeerID
}

// onlooker makes a watcher, connected to both hubs; light, he hears by WATCH alone.
func (s *street) onlooker(i int, light bool) *onlooker {
	r := &onlooker{ear: s.ear(fmt.Sprint("onlooker ", i), false, light), newest: map[wire.PublicKey]wire.Time{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec = func(e wire.PublicKey, x wire.Rec) {
		if x.T > r.newest[e] {
			r.newest[e] = x.T
			r.all++
		}
	}
	r.at = s.member(r.ear)
	return r
}

// follow has r follow everybody.
func (s *street) follow(r *onlooker) {
	s.t.Helper()
	for _, p := range s.people {
		if err := r.Follow(p.key.Public(), r.at); err != nil {
			s.t.Fatal(err)
		}
	}
}

// behind is of how many people r has not heard what they said last.
func (s *street) behind(r *onlooker) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range s.people {
		p.mu.Lock()
		if r.newest[p.key.Public()] < p.t {
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// quiet waits, 5 s at most, for an instant in which nothing is under way to any of rs, and returns how many last words
// were not heard then.
func (s *street) quiet(rs ...*onlooker) (late int) {
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		synctest.Wait()
		late = 0
		for _, r := range rs {
			late += s.behind(r)
		}
		if late == 0 {
			break
		}
	}
	return late
}

func (r *onlooker) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// spent is what went over the streams of presence, and over everything, both ways.
func (r *onlooker) spent() (streams, everything uint64) {
	x := r.Stats()
	return x.Spent[p2p.Watches].In + x.Spent[p2p.Watches].Out, x.BytesIn + x.BytesOut
}

// catchUp has r hear nothing for a while, as its line is gone, and returns how long after it was back r had heard all,
// and the bytes that went meanwhile over the streams of presence and over everything.
func (s *street) catchUp(r *onlooker, away time.Duration) (took time.Duration, streams, everything uint64) {
	s.t.Helper()
	for _, hub := range s.hubs.hubs {
		s.net.Break(r.ip, hub.ip)
	}
	time.Sleep(away)
	if s.behind(r) == 0 {
		s.t.Error("nobody said anything while the line was gone")
	}
	streams, everything = r.spent()
	for _, hub := range s.hubs.hubs {
		s.net.Join(r.ip, hub.ip)
	}
	for !s.connected(r) {
		time.Sleep(time.Millisecond)
	}
	back := time.Now()
	for s.behind(r) > 0 && time.Since(back) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	took = time.Since(back)
	a, b := r.spent()
	return took, a - streams, b - everything
}

// connected reports whether r has a connection to a hub.
func (s *street) connected(r *onlooker) bool {
	return slices.ContainsFunc(s.hubs.hubs, func(hub *ear) bool { up, _ := r.Connected(hub.Self()); return up })
}

// raw is a host that WATCHes people at the first hub, over bare streams, and counts the Recs that come. Nothing is
// watched before the function that it returns is called, which says from which of them to which, and waits for the answers.
func (s *street) raw(i int, heard func()) (watch func(from, to int)) {
	s.t.Helper()
	s.ips++
	seed := sha256.Sum256(fmt.Append(nil, "raw ", i))
	id, _, err := crypto.GenerateEd25519Key(&repeat{seed[:]})
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := libp2p.New(append(s.net.Host(fmt.Sprintf("10.1.%d.%d", s.ips/250, 1+s.ips%250)), libp2p.Identity(id), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery(), libp2p.ForceReachabilityPrivate())...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.hosts = append(s.hosts, h)
	hub := peer.ID(s.hubs.hubs[0].Self())
	if err := h.Connect(s.t.Context(), peer.AddrInfo{ID: hub, Addrs: []ma.Multiaddr{testnet.Addr(s.hubs.hubs[0].ip)}}); err != nil {
		s.t.Fatal(err)
	}
	return func(from, to int) { s.watchRaw(h, hub, s.keys()[from:to], heard) }
}

// watchRaw watches keys, on as many streams as they need.
func (s *street) watchRaw(h host.Host, hub peer.ID, keys []wire.PublicKey, heard func()) {
	s.t.Helper()
	for len(keys) > 0 {
		part := keys[:min(len(keys), wire.MaxWatch)]
		keys = keys[len(part):]
		st, err := h.NewStream(s.t.Context(), hub, protocol.ID(wire.PresenceProtocol))
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := st.Write(wire.AppendFrame(nil, wire.Frame{ID: 1, Op: wire.OpWatch, Payload: wire.WatchRequest{Keys: part}.Append(nil)})); err != nil {
			s.t.Fatal(err)
		}
		stands := make(chan wire.FrameStatus, 1)
		s.work.Go(func() {
			for in := bufio.NewReader(st); ; {
				f, err := wire.ReadFrame(in)
				switch {
				case err != nil:
					return
				case f.Kind() == wire.Reply:
					stands <- f.Status
				default:
					heard()
				}
			}
		})
		if got := <-stands; got != wire.OK {
			s.t.Fatalf("WATCH of %d keys: %v", len(part), got)
		}
	}
}

func (s *street) keys() (es []wire.PublicKey) {
	for _, p := range s.people {
		es = append(es, p.key.Public())
	}
	return es
}

func (s *street) close() {
	s.stop()
	for _, h := range s.hosts {
		_ = h.Close()
	}
	s.work.Wait()
	for _, x := range s.all {
		x.end()
	}
	time.Sleep(time.Minute)
}

// watched is how many keys all streams watch at the first hub.
func (s *street) watched() (n int) {
	for _, e := range s.keys() {
		_, streams := s.hubs.hubs[0].Audience(e)
		n += streams
	}
	return n
}

// TestWatchIsThrifty: somebody who hears his contacts by WATCH alone hears each thing that they say, for what the design
// allows, reads the second hub now and then, and has caught up at once when his line is back.
func TestWatchIsThrifty(t *testing.T) {
	const contacts, window = 20, 20 * time.Minute
	inStreet(t, testnet.Stream, contacts, func(s *street) {
		r := s.onlooker(0, true)
		time.Sleep(5 * time.Second)
		s.follow(r)
		time.Sleep(2 * time.Minute)
		late := s.quiet(r)
		said, heard := s.said(), r.count()
		bytes, _ := r.spent()
		time.Sleep(window)
		late += s.quiet(r)
		said, heard = s.said()-said, r.count()-heard
		after, _ := r.spent()
		bytes = after - bytes
		if said < 6*15 || heard != said || late != 0 {
			t.Errorf("of %d Recs %d were heard, %d late", said, heard, late)
		}
		least, most := uint64(said*92), uint64(gateWatch*contacts/gateContacts*int(window/time.Second))
		if bytes < least || bytes > most {
			t.Errorf("%d bytes for %d Recs; at least %d, at most %d", bytes, said, least, most)
		}
		took, bytes, _ := s.catchUp(r, 3*time.Minute)
		if took > 5*time.Second || bytes > contacts*1000 {
			t.Errorf("all was heard %v after the line was back, for %d bytes", took, bytes)
		}
	})
}
