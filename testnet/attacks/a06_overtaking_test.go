package attacks

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestAttack_06_Overtaking: alice hears bob over mallory alone, who hands on a beacon before its update:
// alice fetches what she missed within five seconds of it, from bob himself, and applies the update once,
// also when it comes by every other way afterwards.
func TestAttack_06_Overtaking(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		announced := s.epochOf(alice)
		alice.add(bob)
		bob.add(alice)
		alice.subscribe(bob)
		pass(3 * time.Minute)
		c, d := s.stranger("mallory, with bob"), s.stranger("mallory, with alice")
		ctx, done := context.WithCancel(context.Background())
		defer done()
		c.dial(bob, wire.ParcelProtocol)
		d.dial(alice, wire.ParcelProtocol)
		heldBack := make(map[wire.Stamp]wire.Rec)
		l, out := c.join(ctx, announced()[0]), d.join(ctx, announced()[0])
		pass(5 * time.Second)
		for round := range 4 {
			s.net.Cut(alice.ip, bob.ip)
			pass(time.Minute) // longer than a silent connection lives
			l.recs()
			note := fmt.Sprint("overtaken ", round)
			bob.say(note)
			var update, beacon wire.Rec
			for range 30 {
				pass(5 * time.Second)
				for _, r := range l.recs() {
					if r.IsBeacon() {
						beacon = r
					} else {
						update, heldBack[r.T] = r, r
					}
				}
				if beacon.Base != 0 && beacon.Base == update.T {
					break
				}
			}
			if beacon.Base == 0 || beacon.Base != update.T {
				t.Fatalf("mallory heard no beacon of the update")
			}
			if p := alice.sees(bob); p.Note == note || s.net.Lines(alice.ip, bob.ip) > 0 {
				t.Fatalf("the fault was not planted: alice sees %q", p.Note)
			}
			s.net.Join(alice.ip, bob.ip)
			if round > 0 {
				out.topic.Publish(ctx, beacon.Raw)
			}
			quick := soon(5*time.Second, func() bool { p := alice.sees(bob); return p.Note == note && p.Basic == "open" })
			if quick != (round > 0) { // without the beacon nothing hurries her: so the test can fail
				t.Errorf("round %d: alice sees %s %q", round, alice.sees(bob).Basic, alice.sees(bob).Note)
			}
			for _, r := range heldBack {
				out.topic.Publish(ctx, r.Raw)
			}
			pass(2 * time.Minute)
			told := 0
			for _, e := range events(t, alice) {
				if e.Kind == "presence" && e.Text == note {
					told++
				}
			}
			if told != 1 {
				t.Errorf("%q was told %d times", note, told)
			}
		}
	})
}

// A reader turns records into what is shown. Whole nodes have one reader for all paths, so the rule that
// keeps t in order can be tried on it with every order there is, beside readers that break it.
type reader interface {
	read(now identity.Now, r wire.Rec, path presence.Path) (asks bool) // whether an update is to be fetched
	note() string                                                      // that is shown
	open(now identity.Now) bool
}

// byTheRule is the node's own.
type byTheRule struct {
	g wire.Grant
	p presence.Presence
}

func (x *byTheRule) read(now identity.Now, r wire.Rec, path presence.Path) bool {
	got, err := x.p.Apply(now, x.g, r, path, func(identity.DeviceID) (presence.Scope, bool) { return presence.Scope{}, true })
	return err == nil && got.NeedUpdate
}

func (x *byTheRule) note() string {
	if len(x.p.Docs) == 0 {
		return ""
	}
	return x.p.Docs[0].Doc.Notes[0].Text
}

func (x *byTheRule) open(now identity.Now) bool {
	return x.p.Shown(now, presence.Sight{Path: true}).Basic == wire.Open
}

// ignoringT is a planted fault: what came last is what is shown.
type ignoringT struct {
	byTheRule
	last string
}

func (x *ignoringT) read(now identity.Now, r wire.Rec, path presence.Path) bool {
	if b, err := wire.OpenDoc(x.g.K, x.g.E, r.Tag, r.T, r.CT); !r.IsBeacon() && err == nil {
		if d, err := wire.ParseDoc(b); err == nil {
			x.last = d.Notes[0].Text
		}
	}
	return x.byTheRule.read(now, r, path)
}

func (x *ignoringT) note() string { return x.last }

// notAsking is a planted fault: a beacon is the sign of a life, and of nothing that was missed.
type notAsking struct{ byTheRule }

func (x *notAsking) read(now identity.Now, r wire.Rec, path presence.Path) bool {
	x.byTheRule.read(now, r, path)
	return false
}

// believing is a planted fault: a record that comes again is news again.
type believing struct{ byTheRule }

func (x *believing) read(now identity.Now, r wire.Rec, path presence.Path) bool {
	x.p.Restart(now)
	return x.byTheRule.read(now, r, path)
}

// overtaken plays two updates and their beacons in every order, crosswise over the paths, and all of them
// once more from behind when their lease is nearly over. It returns what was seen that must not be: an older
// word after a newer one, a word told twice, another word in the end, a beacon of an unknown update that
// nobody asks about, or a lease that outlives the first coming.
func overtaken(readerOf func(wire.Grant, identity.Address) reader) (faults map[string]int) {
	c := newPerson("presentity")
	at := identity.Time(946684800000)
	g := wire.Grant{E: c.a.Public(), K: [32]byte{6}, NotBefore: at, NotAfter: at.Add(wire.GrantLife), TTL: 150}
	tag := wire.TagOf(g.K, c.device())
	var recs []wire.Rec
	for i, note := range []string{"older", "newer"} {
		doc := wire.Doc{Entity: c.address, Device: c.device(), Ver: uint64(i + 1), TTL: 150, Notes: []wire.Note{{Text: note}},
			Tuples: []wire.Tuple{{ID: "t", Basic: wire.Open, Timestamp: at}}}
		at = at.Add(time.Minute)
		recs = append(recs, wire.NewUpdate(c.a, tag, at, wire.SealDoc(c.rand, g.K, g.E, tag, at, doc.Append(nil))),
			wire.NewBeacon(c.a, tag, at.Add(time.Minute), at))
		at = at.Add(time.Minute)
	}
	after := func(d time.Duration) identity.Now { return identity.Now{Wall: at.Add(d), Mono: d} }
	rank := map[string]int{"": 0, "older": 1, "newer": 2}
	faults = map[string]int{}
	for _, order := range orders(len(recs)) {
		for first := range presence.Path(3) {
			x := readerOf(g, c.address)
			told := map[string]int{}
			again := append(slices.Clone(order), order...)
			slices.Reverse(again[len(order):])
			for i, which := range again {
				now := after(time.Duration(i+1) * time.Second)
				if i >= len(order) {
					now = after(100*time.Second + time.Duration(i)*time.Second)
				}
				before, r := x.note(), recs[which]
				asks := x.read(now, r, (first+presence.Path(i))%3)
				if note := x.note(); note != before {
					if told[note]++; told[note] > 1 {
						faults["told twice"]++
					}
					if rank[note] < rank[before] {
						faults["the older after the newer"]++
					}
				}
				if r.IsBeacon() && r.Base == recs[2].T && i < len(order) && x.note() != "newer" && !asks {
					faults["not asked for"]++
				}
			}
			if x.note() != "newer" {
				faults["another word in the end"]++
			}
			if !x.open(after(145 * time.Second)) {
				faults["closed too early"]++
			}
			if x.open(after(170 * time.Second)) {
				faults["open too long"]++
			}
		}
	}
	return faults
}

// orders are all orders of n things.
func orders(n int) (out [][]int) {
	if n == 0 {
		return [][]int{nil}
	}
	for _, o := range orders(n - 1) {
		for i := range n {
			out = append(out, slices.Insert(slices.Clone(o), i, n-1))
		}
	}
	return out
}

// TestAttack_06_EveryOrder: in whatever order and by whatever paths the records come, the reader ends with
// the newest word, tells each once, and asks for what a beacon shows that it missed; and the comparison
// finds a reader that ignores t, and one that does not ask.
func TestAttack_06_EveryOrder(t *testing.T) {
	ours := func(g wire.Grant, of identity.Address) byTheRule {
		return byTheRule{g: g, p: presence.Presence{Of: of}}
	}
	if f := overtaken(func(g wire.Grant, of identity.Address) reader { x := ours(g, of); return &x }); len(f) != 0 {
		t.Errorf("the reader: %v", f)
	}
	f := overtaken(func(g wire.Grant, of identity.Address) reader { return &ignoringT{byTheRule: ours(g, of)} })
	for _, what := range []string{"told twice", "the older after the newer", "another word in the end"} {
		if f[what] == 0 {
			t.Errorf("the planted fault, a reader that ignores t, is not found by: %s", what)
		}
	}
	f = overtaken(func(g wire.Grant, of identity.Address) reader { return &believing{ours(g, of)} })
	if f["open too long"] == 0 {
		t.Error("the planted fault, a reader that believes what comes again, is not found")
	}
	if f := overtaken(func(g wire.Grant, of identity.Address) reader { return &notAsking{ours(g, of)} }); f["not asked for"] == 0 {
		t.Error("the planted fault, a reader that does not ask, is not found")
	}
}
