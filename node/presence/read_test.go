package presence

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

func noise(name string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

func anyone(DeviceID) (Scope, bool) { return Scope{}, true }

var sight = Sight{Path: true}

// A teller is bob, as far as others hear him.
type teller struct {
	p    Publisher
	v    View
	rand io.Reader
	by   *identity.SigningKey // of his device, if it signs
}

func newTeller(d DeviceID) *teller {
	p, v := publishing()
	p.Device = d
	return &teller{p: p, v: v, rand: noise(d.String())}
}

// tell returns what bob publishes now, under its epochs.
func (b *teller) tell(now Now) (out []told) {
	turn(&b.v, now, &b.p)
	for _, p := range b.p.Publish(now, b.v, 0.5) {
		out = append(out, told{*p.Epoch.Grant(150), p.Rec(b.rand, b.by)})
	}
	return out
}

func (b *teller) choose(t testing.TB, now Now, c Choice) {
	t.Helper()
	if _, err := b.p.Choose(now, c); err != nil {
		t.Fatal(err)
	}
}

type told struct {
	g wire.Grant
	r wire.Rec
}

func (x told) to(t testing.TB, p *Presence, now Now, path Path) Reading {
	t.Helper()
	r, err := wire.ParseRec(x.r.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Apply(now, x.g, r, path, anyone)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func see(p *Presence, now Now) string {
	s := p.Shown(now, sight)
	switch s.Basic {
	case wire.Open:
		return "open"
	case wire.Closed:
		return "closed(" + s.Evidence.String() + ")"
	}
	return s.Evidence.String()
}

func TestALifeOfPresence(t *testing.T) {
	b, p := newTeller(phone), &Presence{Of: bob}
	check(t, "before", see(p, at(0)), "unknown")
	first := b.tell(at(0))[0]
	if out := first.to(t, p, at(0), ByTopic); !out.Changed || out.SaidClosed || out.NeedUpdate {
		t.Errorf("first: %+v", out)
	}
	check(t, "open", see(p, at(time.Second)), "open")
	check(t, "again, other path", first.to(t, p, at(time.Second), ByStream).Old, true)
	if out := b.tell(at(minute))[0].to(t, p, at(minute), ByStream); !out.Prolonged || out.Changed {
		t.Errorf("beacon: %+v", out)
	}
	check(t, "prolonged", see(p, at(209*time.Second)), "open")
	check(t, "asked too soon", p.Ask(at(204*time.Second)), false)
	check(t, "wakes", p.Wake(at(204*time.Second)), time.Second)
	check(t, "asked", p.Ask(at(205*time.Second)), true)
	check(t, "asked once", p.Ask(at(206*time.Second)), false)
	check(t, "lapsed", see(p, at(210*time.Second)), "closed(lapsed)")
	check(t, "since", p.Shown(at(hour), sight).Since, start.Add(210*time.Second))

	b.choose(t, at(hour), Choice{Basic: wire.Closed, Note: "gone"})
	if out := b.tell(at(hour))[0].to(t, p, at(hour), ByTopic); !out.SaidClosed {
		t.Errorf("closed: %+v", out)
	}
	check(t, "said", see(p, at(10*hour)), "closed(said)")
	s := p.Shown(at(10*hour), Sight{})
	if s.Basic != 0 || s.Why[0] != "no path" || s.Notes[0].Text != "gone" {
		t.Errorf("no path: %+v", s)
	}
	check(t, "doubt", p.Shown(at(hour), Sight{true, true}).Evidence, Unknown)
}

func TestBeaconOvertakesUpdate(t *testing.T) {
	b, p := newTeller(phone), &Presence{Of: bob}
	update, beacon := b.tell(at(0))[0], b.tell(at(minute))[0]
	if out := beacon.to(t, p, at(minute), ByTopic); !out.NeedUpdate || out.Changed {
		t.Errorf("beacon: %+v", out)
	}
	check(t, "nothing to show yet", see(p, at(minute)), "unknown")
	if out := update.to(t, p, at(minute+2*time.Second), ByFetch); !out.Changed || out.NeedUpdate {
		t.Errorf("update: %+v", out)
	}
	check(t, "open", see(p, at(minute)), "open")
	check(t, "by the beacon's lease", see(p, at(205*time.Second)), "open")
	check(t, "once", update.to(t, p, at(2*minute), ByStream).Old, true)

	b.choose(t, at(3*minute), Choice{Basic: wire.Open, IM: wire.Busy})
	b.tell(at(3 * minute)) // lost
	if out := b.tell(at(4 * minute))[0].to(t, p, at(4*minute), ByTopic); !out.NeedUpdate || out.Prolonged {
		t.Errorf("beacon of a lost update: %+v", out)
	}
	check(t, "what it does not speak of is not prolonged", see(p, at(4*minute)), "closed(lapsed)")
}

func TestSkippedVersionsAreReported(t *testing.T) {
	b, p := newTeller(phone), &Presence{Of: bob}
	b.tell(at(0))[0].to(t, p, at(0), ByTopic)
	for i := range 3 {
		b.choose(t, at(0), Choice{Basic: wire.Open, Note: fmt.Sprint(i)})
		b.tell(at(0))
	}
	b.choose(t, at(0), Choice{Basic: wire.Closed})
	check(t, "skipped", b.tell(at(0))[0].to(t, p, at(0), ByStream).Skipped, 3)
}

func TestFetchedLease(t *testing.T) {
	tests := []struct {
		name  string
		age   time.Duration
		lease time.Duration
	}{
		{"new", 0, 150 * time.Second},
		{"old", 30 * time.Second, 120 * time.Second},
		{"at least P", 140 * time.Second, 60 * time.Second},
		{"but never beyond t+ttl+S", 250 * time.Second, 20 * time.Second},
		{"long dead", hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, p := newTeller(phone), &Presence{Of: bob}
			b.tell(at(0))[0].to(t, p, at(tt.age), ByFetch)
			if tt.lease > 0 {
				check(t, "before", see(p, at(tt.age+tt.lease-1e6)), "open")
			}
			check(t, "after", see(p, at(tt.age+tt.lease+1e6)), "closed(lapsed)")
		})
	}
}

func TestRefusedRecords(t *testing.T) {
	b := newTeller(phone)
	good := b.tell(at(hour))[0]
	k, e := b.v.Epochs[0].K, b.v.Epochs[0].Key()
	doc := func(edit func(*wire.Doc)) wire.Rec {
		d := wire.Doc{Entity: bob, Device: phone, Ver: 2, TTL: 150}
		edit(&d)
		tag, ts := wire.TagOf(k, phone), start.Add(hour+1e6)
		return wire.NewUpdate(e, tag, ts, wire.SealDoc(b.rand, k, e.Public(), tag, ts, d.Append(nil)))
	}
	other := identity.NewSigningKey([32]byte{99})
	tests := []struct {
		name string
		r    wire.Rec
		err  error
	}{
		{"another signer", wire.NewUpdate(other, good.r.Tag, start.Add(hour+1e6), good.r.CT), wire.ErrBadSignature},
		{"moved to another t", wire.NewUpdate(e, good.r.Tag, start.Add(hour+1e6), good.r.CT), wire.ErrUndecryptable},
		{"from the future", wire.NewBeacon(e, good.r.Tag, start.Add(2*hour), good.r.T), ErrAhead},
		{"before the epoch", wire.NewBeacon(e, good.r.Tag, start.Add(-hour), start.Add(-2*hour)), ErrOutside},
		{"of somebody else", doc(func(d *wire.Doc) { d.Entity = carol }), ErrPublisher},
		{"under another's tag", doc(func(d *wire.Doc) { d.Device = desk }), ErrPublisher},
		{"not to be understood", doc(func(d *wire.Doc) { d.Ext = []wire.Ext{{Name: "x.test/a", MustUnderstand: true}} }), wire.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &Presence{Of: bob}
			good.to(t, p, at(hour), ByTopic)
			before := fmt.Sprintf("%+v", p)
			if _, err := p.Apply(at(hour+time.Second), good.g, tt.r, ByTopic, anyone); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if after := fmt.Sprintf("%+v", p); after != before {
				t.Errorf("changed:\n%s\n%s", before, after)
			}
		})
	}
	p := &Presence{Of: bob}
	if _, err := p.Apply(at(hour), good.g, good.r, ByTopic, func(DeviceID) (Scope, bool) { return Scope{}, false }); !errors.Is(err, ErrPublisher) {
		t.Errorf("unlisted device: %v", err)
	}
}

func TestSeventeenthTag(t *testing.T) {
	b, p := newTeller(phone), &Presence{Of: bob}
	e := b.v.Epochs[0].Key()
	for i := range wire.MaxTags + 1 {
		r := wire.NewBeacon(e, wire.Tag{byte(i + 1)}, start.Add(minute), start)
		if _, err := p.Apply(at(minute), *b.v.Epochs[0].Grant(150), r, ByTopic, anyone); (i == wire.MaxTags) != errors.Is(err, ErrTags) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestRestartRemembersButDoesNotBelieve(t *testing.T) {
	for _, basic := range []wire.Basic{wire.Open, wire.Closed} {
		b, p := newTeller(phone), &Presence{Of: bob}
		b.choose(t, at(0), Choice{Basic: basic})
		first := b.tell(at(0))[0]
		first.to(t, p, at(0), ByTopic)
		p.Restart(at(20 * time.Second))
		check(t, "cached", see(p, at(20*time.Second)), "cached")
		if out := first.to(t, p, at(30*time.Second), ByFetch); !out.Confirmed || out.Changed {
			t.Errorf("%+v", out)
		}
		check(t, "confirmed once", first.to(t, p, at(40*time.Second), ByFetch).Old, true)
		check(t, "believed", see(p, at(40*time.Second)), map[wire.Basic]string{wire.Open: "open", wire.Closed: "closed(said)"}[basic])
		check(t, "not for longer", see(p, at(151*time.Second)), map[wire.Basic]string{wire.Open: "closed(lapsed)", wire.Closed: "closed(said)"}[basic])

		p.Restart(at(hour))
		check(t, "not heard", see(p, at(hour+149*time.Second)), "cached")
		check(t, "wakes", p.Wake(at(hour)), 150*time.Second)
		check(t, "in vain", see(p, at(hour+150*time.Second)), map[wire.Basic]string{wire.Open: "closed(lapsed)", wire.Closed: "closed(said)"}[basic])
	}
}

func TestClockStepsShowNoLapsedLease(t *testing.T) {
	b, p := newTeller(phone), &Presence{Of: bob}
	b.tell(at(0))[0].to(t, p, at(0), ByTopic)
	for _, step := range []time.Duration{-365 * day, -hour, -minute, 0} {
		check(t, "clock moved by "+step.String(), see(p, stepped(at(151*time.Second), step)), "closed(lapsed)")
	}
	check(t, "clock thrown forward", see(p, stepped(at(time.Second), hour)), "closed(lapsed)")
	check(t, "and back", see(p, at(2*time.Second)), "open")
}

// All clocks ran ahead by years, and were set right (I30): bob changes epoch, and is seen again at once.
func TestAllClocksRanAhead(t *testing.T) {
	const years = 14 * 365 * day
	b, p := newTeller(phone), &Presence{Of: bob}
	for _, x := range b.tell(at(years)) {
		x.to(t, p, at(years), ByTopic)
	}
	check(t, "then", see(p, at(years)), "open")
	for _, d := range []time.Duration{0, minute, 2 * minute} {
		for _, x := range b.tell(at(d)) {
			x.to(t, p, at(d), ByTopic)
		}
		check(t, d.String(), see(p, at(d)), "open")
	}
	check(t, "dies as it should", see(p, at(2*minute+151*time.Second)), "closed(lapsed)")
}

func TestDevicesAreMerged(t *testing.T) {
	one, two := newTeller(phone), newTeller(desk)
	two.v = one.v
	p := &Presence{Of: bob}
	one.choose(t, at(0), Choice{Basic: wire.Open, IM: wire.Away})
	one.tell(at(0))[0].to(t, p, at(0), ByTopic)
	two.choose(t, at(time.Second), Choice{Basic: wire.Open, IM: wire.DND})
	two.tell(at(time.Second))[0].to(t, p, at(time.Second), ByTopic)
	s := p.Shown(at(2*time.Second), sight)
	if s.IM != wire.DND || len(s.Tuples) != 2 {
		t.Errorf("newest of equals: %+v", s)
	}
	two.choose(t, at(minute), Choice{Basic: wire.Closed})
	two.tell(at(minute))[0].to(t, p, at(minute), ByTopic)
	s = p.Shown(at(minute), sight)
	if s.Basic != wire.Open || s.IM != wire.Away || len(s.Tuples) != 1 {
		t.Errorf("one closed: %+v", s)
	}
	check(t, "the other silent since", see(p, at(hour)), "closed(lapsed)")
	check(t, "removed", p.Keep(func(d DeviceID) bool { return d == desk }), true)
	check(t, "said", see(p, at(hour)), "closed(said)")
}

// A change of epoch is invisible: the newer document counts, and a beacon in either epoch prolongs.
func TestEpochChangeIsInvisible(t *testing.T) {
	b, p := newTeller(phone), &Presence{Of: bob}
	for d := 6 * day; d < 8*day+hour; d += minute {
		for i, x := range b.tell(at(d)) {
			if !(d > 7*day && d < 7*day+12*hour && i == 1) { // the new one is not heard at first
				x.to(t, p, at(d), ByTopic)
			}
		}
		check(t, d.String(), see(p, at(d)), "open")
	}
	check(t, "tags", len(p.Tags), 1)
}

// Two paths lose, repeat and reorder at random. OPEN is shown only if bob signed within ttl+S (I4), not
// later than ttl after his last record came (I5), accepted stamps rise (I6), and every order of arrival
// of the same records ends in the same documents (I27).
func TestTwoLossyPaths(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, p := newTeller(phone), &Presence{Of: bob}
		var last, accepted Stamp
		var all []told
		now := time.Duration(0)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			now += time.Duration(rapid.IntRange(1, 100).Draw(rt, "s")) * time.Second
			if rapid.IntRange(0, 5).Draw(rt, "choose") == 0 {
				b.choose(t, at(now), Choice{Basic: wire.Basic(rapid.IntRange(1, 2).Draw(rt, "basic")), Note: now.String()})
			}
			if rapid.IntRange(0, 3).Draw(rt, "up") > 0 {
				for _, x := range b.tell(at(now)) {
					all, last = append(all, x), max(last, x.r.T)
				}
			}
			for range rapid.IntRange(0, 3).Draw(rt, "arrivals") {
				if len(all) == 0 {
					break
				}
				x := all[max(0, len(all)-1-rapid.IntRange(0, 5).Draw(rt, "back"))]
				path := Path(rapid.IntRange(0, 2).Draw(rt, "path"))
				if out := x.to(t, p, at(now), path); out.Changed {
					if x.r.T <= accepted {
						rt.Fatalf("t %d accepted after %d", x.r.T, accepted)
					}
					accepted = x.r.T
				}
			}
			if see(p, at(now)) == "open" && start.Add(now) > last.Add(150*time.Second+identity.Skew) {
				rt.Fatalf("open at %v, last word at %v", now, last.Sub(start))
			}
		}
		if s := see(p, at(now+151*time.Second)); s == "open" {
			rt.Fatalf("open after ttl")
		}
		q := &Presence{Of: bob}
		for _, i := range rapid.Permutation(indices(len(all))).Draw(rt, "order") {
			all[i].to(t, q, at(now), ByFetch)
			all[i].to(t, q, at(now), ByTopic)
		}
		for _, x := range all {
			x.to(t, p, at(now), ByStream)
		}
		if len(all) > 0 && (!reflect.DeepEqual(p.Docs[0].Doc, q.Docs[0].Doc) || q.Tags[0].Beat != p.Tags[0].Beat) {
			rt.Fatalf("%+v\n%+v", p.Docs[0], q.Docs[0])
		}
	})
}

func indices(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// A watcher who leaves and comes back within one epoch sees the presentity by the very records that he had
// read before: by a snapshot, and if only beacons come, by asking for the update that he dropped.
func TestGrantedAgain(t *testing.T) {
	b := newTeller(phone)
	now := at(0)
	update := b.tell(now)[0]
	now = at(70 * time.Second)
	beacon := b.tell(now)[0]
	p := &Presence{Of: bob}
	update.to(t, p, now, ByStream)
	beacon.to(t, p, now, ByTopic)
	if got := see(p, now); got != "open" {
		t.Fatalf("at first: %s", got)
	}
	p.Forget()
	if got := see(p, now); got != "unknown" {
		t.Errorf("after leaving: %s", got)
	}
	if got := beacon.to(t, p, now, ByTopic); !got.NeedUpdate {
		t.Errorf("a beacon of a document that was dropped: %+v", got)
	}
	if got := update.to(t, p, now, ByFetch); !got.Changed {
		t.Errorf("the same update again: %+v", got)
	}
	if got := see(p, now); got != "open" {
		t.Errorf("granted again: %s", got)
	}
}
