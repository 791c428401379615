package attacks

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A carrier is one node of the property of I20: a real p2p.Net, and the reading of SPEC 4.5 on top of it.
type carrier struct {
	*p2p.Net
	ip    string
	clock *testnet.Clock
	ended chan error
	end   func()

	epoch *wire.Grant
	of    identity.Address
	bob   p2p.PeerID

	mu      sync.Mutex
	p       presence.Presence
	deaf    map[p2p.RecPath]bool // a planted fault: what comes so is not read
	naive   bool                 // a planted fault: what comes is read without a look at its t
	last    uint64
	read    int
	skipped uint64
	modes   map[p2p.Mode]bool // that were seen
	wrong   []string
}

func (*carrier) HasKey(wire.KeyID) bool { return false }
func (*carrier) HandleSession(wire.SessionRequest) (wire.Session, error) {
	return wire.Session{}, wire.ErrNoKey
}
func (*carrier) HandleParcel(context.Context, p2p.PeerID, wire.Parcel, *wire.Session) {}
func (*carrier) HandleAckBox(context.Context, p2p.PeerID, wire.AckBox)                {}
func (*carrier) HandleRecords(wire.Address) ([]byte, bool)                            { return nil, false }
func (*carrier) HandleClock(p2p.PeerID, wire.Time)                                    {}
func (*carrier) HandlePeer(p2p.PeerID, bool, bool)                                    {}
func (*carrier) IsContact(p2p.PeerID) bool                                            { return true }
func (*carrier) HandleFault(p2p.PeerID, wire.PublicKey, string)                       {}

// HandleRec reads, and repairs what a beacon shows to be missed by a GET, as a node does.
func (c *carrier) HandleRec(_ p2p.PeerID, via p2p.RecPath, _ wire.PublicKey, r wire.Rec) {
	if c.take(via, r) {
		go func() {
			recs, _, _ := c.Get(context.Background(), c.bob, c.epoch.E)
			for _, r := range recs {
				c.take(p2p.ViaFetch, r)
			}
		}()
	}
}

func (c *carrier) take(via p2p.RecPath, r wire.Rec) (missed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf[via] {
		return false
	}
	if c.naive {
		c.p = presence.Presence{Of: c.of}
	}
	path := map[p2p.RecPath]presence.Path{p2p.ViaTopic: presence.ByTopic, p2p.ViaStream: presence.ByStream}
	by, live := path[via]
	if !live {
		by = presence.ByFetch
	}
	got, err := c.p.Apply(c.clock.Now(), *c.epoch, r, by, func(identity.DeviceID) (presence.Scope, bool) { return presence.Scope{}, true })
	switch {
	case err != nil:
		c.wrong = append(c.wrong, fmt.Sprintf("a record that cannot be read: %v", err))
	case got.Changed:
		if c.last != 0 && got.Doc.Ver != c.last+1+got.Skipped {
			c.wrong = append(c.wrong, fmt.Sprintf("version %d after %d, %d superseded", got.Doc.Ver, c.last, got.Skipped))
		}
		c.last, c.skipped = got.Doc.Ver, c.skipped+got.Skipped
		c.read++
	}
	return got.NeedUpdate
}

// look notes in which mode the epoch is heard.
func (c *carrier) look() {
	m := c.Path(c.epoch.E).Mode
	c.mu.Lock()
	defer c.mu.Unlock()
	c.modes[m] = true
}

// A movement is one round of the property: bob, who publishes, and some who follow him while paths go and
// come, also among themselves, at random instants.
type movement struct {
	t      *testing.T
	net    *testnet.Network
	rnd    *rand.Rand
	person *person
	epoch  presence.Epoch
	bob    *carrier
	all    []*carrier
	ver    uint64
	last   wire.Stamp // of any record
	update wire.Stamp
	said   time.Time
	beat   time.Time // when the next beacon is due
	looked time.Time
	down   [][2]string
	light  map[int]bool // those of them who are light
}

// newMovement is a network with nobody in it, and the epoch that bob will publish in; in a bubble.
func newMovement(t *testing.T, seed uint64) *movement {
	m := &movement{t: t, net: testnet.New(testnet.Config{Seed: seed}), rnd: rand.New(rand.NewPCG(seed, 20)), person: newPerson("bob of I20")}
	var fresh [64]byte
	io.ReadFull(entropy("epoch of I20", int(seed)), fresh[:])
	v := presence.NewView(presence.DefaultView, wire.DefaultTTLSeconds)
	v.Change(testnet.NewClock().Now(), fresh)
	m.epoch = v.Epochs[0]
	return m
}

// carrier opens a node that follows bob, or bob's own.
func (m *movement) carrier(i int) *carrier {
	m.t.Helper()
	c := &carrier{ip: fmt.Sprintf("10.20.%d.%d", i/250, 1+i%250), clock: testnet.NewClock(), ended: make(chan error, 1), modes: map[p2p.Mode]bool{},
		epoch: m.epoch.Grant(wire.DefaultTTLSeconds), of: m.person.address, p: presence.Presence{Of: m.person.address}}
	var err error
	if c.Net, err = p2p.Open(p2p.Config{Transport: sha256.Sum256(fmt.Appendf(nil, "carrier %d", i)), Clock: c.clock.Now,
		Rand: entropy("carrier", i), Light: m.light[i], Host: m.net.Host(c.ip)}); err != nil {
		m.t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	go func() { c.ended <- c.Run(ctx, c) }()
	return c
}

func (m *movement) open(watchers int, fault func(*carrier)) {
	m.t.Helper()
	m.bob = m.carrier(0)
	if err := m.bob.Serve(m.epoch.E, m.epoch.NotAfter); err != nil {
		m.t.Fatal(err)
	}
	for i := range watchers {
		c := m.carrier(1 + i)
		c.bob = m.bob.Self()
		if fault != nil {
			fault(c)
		}
		c.Keep(m.bob.Self(), m.bob.Addrs(), p2p.Watched)
		if err := c.Follow(m.epoch.E, []p2p.PeerID{m.bob.Self()}); err != nil {
			m.t.Fatal(err)
		}
		for _, o := range m.all[:min(len(m.all), 7)] {
			if m.rnd.IntN(3) == 0 {
				c.Keep(o.Self(), o.Addrs(), p2p.Watched)
			}
		}
		m.all = append(m.all, c)
	}
}

func (m *movement) close() {
	for _, c := range append(m.all, m.bob) {
		c.end()
		<-c.ended
		c.Close()
	}
	time.Sleep(time.Minute)
}

// say publishes the next version.
func (m *movement) say() {
	m.t.Helper()
	m.ver++
	m.last = max(m.last+1, identity.TimeOf(time.Now()))
	m.update, m.said = m.last, time.Now()
	d := wire.Doc{Entity: m.person.address, Device: m.person.device(), Ver: m.ver, TTL: wire.DefaultTTLSeconds,
		Tuples: []wire.Tuple{{ID: "t", Basic: wire.Open, Timestamp: m.last}}}
	m.publish(presence.Publication{Epoch: m.epoch, Device: m.person.device(), T: m.update, Doc: d})
}

func (m *movement) publish(p presence.Publication) {
	m.t.Helper()
	m.beat = time.Now().Add(54*time.Second + time.Duration(m.rnd.IntN(12_000))*time.Millisecond)
	if err := m.bob.Publish(m.epoch.E, p.Rec(m.person.rand, nil)); err != nil {
		m.t.Fatal(err)
	}
}

// pass lets time pass; bob's beacons go on.
func (m *movement) pass(d time.Duration) {
	m.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(time.Until(end), time.Until(m.beat)))
		if !time.Now().Before(m.beat) {
			m.last = max(m.last+1, identity.TimeOf(time.Now()))
			m.publish(presence.Publication{Epoch: m.epoch, Device: m.person.device(), T: m.last, Base: m.update})
		}
		if time.Since(m.looked) >= 5*time.Second {
			m.looked = time.Now()
			for _, c := range m.all {
				c.look()
			}
		}
	}
}

// stir does something at random: bob speaks, or a path goes or comes.
func (m *movement) stir() {
	if m.rnd.IntN(5) < 2 && time.Since(m.said) > wire.UpdateEvery {
		m.say()
		return
	}
	m.shake()
}

// shake has a path go, with or without a word, or come back.
func (m *movement) shake() {
	a, b := m.bob, m.all[m.rnd.IntN(len(m.all))]
	if m.rnd.IntN(3) == 0 {
		a = m.all[m.rnd.IntN(len(m.all))]
	}
	switch m.rnd.IntN(6) {
	case 0, 1:
		if a != b {
			m.net.Break(a.ip, b.ip)
			m.down = append(m.down, [2]string{a.ip, b.ip})
		}
	case 2:
		if a != b {
			m.net.Cut(a.ip, b.ip)
			m.down = append(m.down, [2]string{a.ip, b.ip})
		}
	default:
		if len(m.down) > len(m.all)/5 {
			i := m.rnd.IntN(len(m.down))
			m.net.Join(m.down[i][0], m.down[i][1])
			m.down = append(m.down[:i:i], m.down[i+1:]...)
		}
	}
}

// play moves for some minutes, makes all good again and, once everybody has found his way, has bob say ten
// things more, of which not one may be missed.
func (m *movement) play() {
	m.t.Helper()
	m.say()
	for end := time.Now().Add(6 * time.Minute); time.Now().Before(end); m.stir() {
		m.pass(time.Duration(m.rnd.ExpFloat64() * float64(1500*time.Millisecond)))
	}
	m.mend()
	m.pass(25 * time.Minute) // the longest pause between two dials, a fifth more, and the way to the mesh
	m.current()
	m.say()
	m.pass(time.Minute)
	var before []uint64
	for _, c := range m.all {
		c.mu.Lock()
		before = append(before, c.skipped)
		c.mu.Unlock()
	}
	for range 10 {
		m.say()
		m.pass(2*time.Second + time.Duration(m.rnd.IntN(5000))*time.Millisecond)
	}
	m.pass(time.Minute)
	m.current()
	for i, c := range m.all {
		c.mu.Lock()
		if c.skipped != before[i] {
			c.wrong = append(c.wrong, fmt.Sprintf("misses %d versions on a path that stands", c.skipped-before[i]))
		}
		c.mu.Unlock()
	}
}

// mend has all paths stand again.
func (m *movement) mend() {
	for _, p := range m.down {
		m.net.Join(p[0], p[1])
	}
	m.down = nil
}

// current sees that everybody has read what bob said last.
func (m *movement) current() {
	for _, c := range m.all {
		c.mu.Lock()
		if c.last != m.ver {
			c.wrong = append(c.wrong, fmt.Sprintf("has version %d, not %d", c.last, m.ver))
		}
		c.mu.Unlock()
	}
}

// moving plays one round and returns what was wrong, how much was read, and the modes that were seen.
func moving(t *testing.T, seed uint64, fault func(*carrier)) (wrong []string, read int, seen map[p2p.Mode]bool) {
	t.Helper()
	seen = map[p2p.Mode]bool{}
	synctest.Test(t, func(t *testing.T) {
		m := newMovement(t, seed)
		defer m.close()
		m.open(1+m.rnd.IntN(7), fault)
		m.play()
		for i, c := range m.all {
			c.mu.Lock()
			for _, w := range c.wrong {
				wrong = append(wrong, fmt.Sprintf("watcher %d of %d: %s", i+1, len(m.all), w))
			}
			for mode := range c.modes {
				seen[mode] = true
			}
			read += c.read
			c.mu.Unlock()
		}
	})
	return wrong, read, seen
}

// TestI20_Moving: paths go and come at random instants for one to seven watchers, while they move between
// stream, both and mesh. No version is read twice or out of order, none is missing without being told as
// superseded, everybody ends with the last, and on paths that stand nothing is missed at all. The same
// rounds find a reader that is deaf to snapshots and fetches, and one that does not look at t.
func TestI20_Moving(t *testing.T) {
	modes := map[p2p.Mode]bool{}
	total := 0
	for seed := range uint64(size(8, 300)) {
		wrong, read, seen := moving(t, seed, nil)
		for _, w := range wrong {
			t.Errorf("seed %d: %s", seed, w)
		}
		for m := range seen {
			modes[m] = true
		}
		total += read
	}
	t.Logf("%d versions were read", total)
	if len(modes) != 3 {
		t.Errorf("only the modes %v were met", modes)
	}
	for name, fault := range map[string]func(*carrier){
		"deaf to what repairs": func(c *carrier) { c.deaf = map[p2p.RecPath]bool{p2p.ViaSnapshot: true, p2p.ViaFetch: true} },
		"no look at t":         func(c *carrier) { c.naive = true },
	} {
		found := false
		for seed := uint64(0); seed < 12 && !found; seed++ {
			wrong, _, _ := moving(t, seed, fault)
			found = len(wrong) > 0
		}
		if !found {
			t.Errorf("the planted fault is not found: %s", name)
		}
	}
}

// TestI20_StaysInBoth: where too little comes by the topic to rely upon it, a tiny audience stays on both paths
// for good: each version comes twice, and is read once.
func TestI20_StaysInBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMovement(t, 1)
		defer m.close()
		m.open(3, nil)
		const versions = 20
		for range versions {
			m.say()
			m.beat = time.Now().Add(time.Hour) // closed: no beacons
			m.pass(140 * time.Second)          // more than a Rec that shows the topic to work may be old
			topic, streams := m.bob.Audience(m.epoch.E)
			if topic != len(m.all) || streams != len(m.all) {
				t.Fatalf("version %d: %d on the topic, %d on streams", m.ver, topic, streams)
			}
		}
		m.current()
		for i, c := range m.all {
			c.mu.Lock()
			if c.modes[p2p.Mesh] || len(c.wrong) > 0 || c.read != versions || c.skipped != 0 {
				t.Errorf("watcher %d: read %d, %d superseded, modes %v, %q", i+1, c.read, c.skipped, c.modes, c.wrong)
			}
			c.mu.Unlock()
		}
	})
}
