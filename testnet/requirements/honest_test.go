package requirements

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// toldOf are the states of the events of one kind about q that p was told after event number from, each with
// its hint.
func (p *person) toldOf(kind string, q *person, from int) (out []string) {
	p.w.Helper()
	for _, e := range p.events()[from:] {
		if e.Kind == kind && (q == nil || e.Address.String() == addressOf(q)) {
			out = append(out, strings.TrimSpace(e.State+" "+e.Hint))
		}
	}
	return out
}

// breaks ends what connects two people, at once, and lets nothing through until they are joined.
func (w *world) breaks(p, q *person) {
	w.net.Cut(p.ip, q.ip)
	w.net.Break(p.ip, q.ip)
}

// hinted is the check of a first hint: within 5 s it stands beside a word that still holds.
func hinted(alice, bob *person) error {
	return await(5*time.Second, "a hint that he has gone", func() bool {
		p := alice.sees(bob)
		return p.Hint == node.HintLost && p.Basic == "open" && p.Evidence == "said"
	})
}

// The design's figure: a first hint, marked as such, within 5 s of a crash. What is shown stays his word until
// the lease lapses; the hint goes when he is back.
func TestHintOfACrash(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		time.Sleep(time.Minute)
		w.finds("somebody who is there", hinted(alice, bob))
		from := len(alice.events())
		bob.kill(testnet.Crash)
		w.must(hinted(alice, bob))
		if p := alice.sees(bob); p.HintAge > 5*time.Second || !strings.Contains(strings.Join(p.Why, "\n"), "a hint, not his word") {
			t.Errorf("the hint is %v old and says %q", p.HintAge, p.Why)
		}
		w.within(200*time.Second, "the lapse", func() bool { return alice.sees(bob).Evidence == "lapsed" })
		if p := alice.sees(bob); p.Hint != "" {
			t.Errorf("a hint stands beside a lapse: %q", p.Hint)
		}
		bob.up()
		w.within(time.Minute, "he is back", func() bool { p := alice.sees(bob); return p.Basic == "open" && p.Hint == "" })
		want := []string{"open available " + node.HintLost, "closed (lapsed)", "open available"}
		if got := alice.toldOf("presence", bob, from); !slices.Equal(got, want) {
			t.Errorf("alice was told %q, want %q", got, want)
		}
	})
}

// A hint goes without a lapse if the connection comes back.
func TestHintGoes(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		from := len(alice.events())
		w.breaks(alice, bob)
		time.Sleep(30 * time.Second)
		if p := alice.sees(bob); p.Hint != node.HintLost || p.Basic != "open" {
			t.Errorf("cut for half a minute: %s, hint %q", p.Basic, p.Hint)
		}
		w.net.Join(alice.ip, bob.ip)
		w.within(90*time.Second, "the hint goes", func() bool { return alice.sees(bob).Hint == "" })
		if got := alice.toldOf("presence", bob, from); !slices.Equal(got, []string{"open available " + node.HintLost, "open available"}) {
			t.Errorf("alice was told %q", got)
		}
	})
}

// While a path flaps nothing that is shown does; and while one path dies and another lives, what he says comes
// by the other, and shows that he is there.
func TestNoFlapping(t *testing.T) {
	t.Run("a path that flaps", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, bob := w.person("alice"), w.person("bob")
			alice.watch(bob)
			from := len(alice.events())
			for range 20 {
				w.breaks(alice, bob)
				time.Sleep(2 * time.Second)
				w.net.Join(alice.ip, bob.ip)
				time.Sleep(5 * time.Second)
				if p := alice.sees(bob); p.Basic != "open" || p.Evidence != "said" {
					t.Fatalf("alice sees %s %s", p.Basic, p.Evidence)
				}
			}
			if got := alice.toldOf("presence", bob, from); len(got) > 2 {
				t.Errorf("alice was told %q", got)
			}
			if got := bob.toldOf("node", nil, 0); len(got) > 2 {
				t.Errorf("bob was told %q", got)
			}
		})
	})
	t.Run("another path lives", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, carol, bob := w.person("alice"), w.person("carol"), w.person("bob")
			alice.watch(bob)
			carol.watch(bob)
			alice.watch(carol)
			time.Sleep(5 * time.Minute) // she hears him over his topic
			from := len(alice.events())
			w.breaks(alice, bob)
			bob.note("by the other way")
			w.within(10*time.Second, "his word comes over carol", func() bool { return alice.sees(bob).Note == "by the other way" })
			for range 60 {
				time.Sleep(10 * time.Second)
				if p := alice.sees(bob); p.Basic != "open" || p.Evidence != "said" || p.Hint != "" && p.HintAge > 70*time.Second {
					t.Fatalf("alice sees %s %s, hint %q for %v", p.Basic, p.Evidence, p.Hint, p.HintAge)
				}
			}
			hints := 0
			for _, s := range alice.toldOf("presence", bob, from) {
				if strings.HasSuffix(s, node.HintLost) {
					hints++
				}
			}
			if hints > 1 {
				t.Errorf("%d hints for one break", hints)
			}
		})
	})
}

// Who is cut off himself learns that nobody sees what he says (SPEC 4.5, "not reaching anyone"), once, and when
// somebody does again.
func TestOwnStatusWhenCutOff(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alone := func() error {
			return await(time.Minute, "bob is told that he reaches nobody", func() bool {
				s, err := bob.Status(ctx())
				return err == nil && !s.Reaching && s.Alone != "" && slices.Contains(bob.toldOf("node", nil, 0), "not-reaching")
			})
		}
		time.Sleep(time.Minute)
		if s, _ := bob.Status(ctx()); s.Alone != "nobody watches you yet" || len(bob.toldOf("node", nil, 0)) != 0 {
			t.Errorf("nobody watches him: %q, told %q", s.Alone, bob.toldOf("node", nil, 0))
		}
		alice.watch(bob)
		w.finds("one who reaches somebody", alone())
		me := func() node.PresenceOf {
			who, err := bob.Who(ctx(), []string{"me"})
			w.must(err)
			return who[0]
		}
		bob.note("heard")
		if p := me(); p.Hint != "" || p.Basic != "open" || p.Note != "heard" || p.Address != bob.Self().Address {
			t.Errorf("bob is shown to himself as %+v", p)
		}
		w.breaks(alice, bob)
		w.must(alone())
		if p := me(); p.Hint != node.HintAlone || p.Note != "heard" {
			t.Errorf("cut off, bob is shown to himself as %+v", p)
		}
		w.net.Join(alice.ip, bob.ip)
		w.within(2*time.Minute, "bob is told that he is seen again", func() bool {
			return slices.Equal(bob.toldOf("node", nil, 0), []string{"not-reaching", "reaching"})
		})
		if p := me(); p.Hint != "" {
			t.Errorf("seen again, with the hint %q", p.Hint)
		}
	})
}

// A desk is a machine that knows when it was last touched.
type desk struct {
	mu    sync.Mutex
	since time.Time // zero: he is there
	err   error
}

func (d *desk) input(context.Context) (time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.since, d.err
}

func (d *desk) left(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = at
}

func at(d *desk) option { return func(p *person) { p.input = d.input } }

// im is what p sees of q: IM status, and whether he told since when no input came.
func (p *person) im(q *person) string {
	s := p.sees(q)
	if len(s.Tuples) > 0 && !s.Tuples[0].IdleSince.IsZero() {
		return s.Basic + " " + s.IM + " since"
	}
	return s.Basic + " " + s.IM
}

// Busy stands beside OPEN and changes nothing about it; a machine left alone shows idle, with the time, and
// whoever reads basic alone sees the same as before. No word of the user gives way but "available".
func TestReq_S16_BusyAwayIdleBesideOpen(t *testing.T) {
	inWorld(t, func(w *world) {
		d := &desk{}
		alice, bob := w.person("alice"), w.person("bob", at(d))
		alice.watch(bob)
		set := func(s wire.IMStatus) {
			_, err := bob.Set(ctx(), node.Change{IM: &s})
			w.must(err)
		}
		shows := func(want string) error {
			return await(15*time.Second, "alice sees him "+want, func() bool { return alice.im(bob) == want })
		}
		for _, s := range []wire.IMStatus{wire.Busy, wire.Away, wire.DND, wire.XA} {
			set(s)
			w.must(shows("open " + s.String()))
			d.left(time.Now().Add(-time.Hour))
			time.Sleep(20 * time.Minute)
			w.must(shows("open " + s.String()))
			d.left(time.Time{})
			time.Sleep(time.Minute)
		}
		set(wire.Available)
		w.must(shows("open available"))
		w.finds("somebody at his desk", shows("open idle since"))

		d.left(time.Now())
		time.Sleep(9 * time.Minute)
		w.must(shows("open available"))
		time.Sleep(time.Minute)
		w.must(shows("open idle since"))
		alice.add(bob)
		alice.delivers(bob, "idle is open")
		if s, err := bob.Status(ctx()); err != nil || s.IM != "idle" || s.IdleSince.IsZero() || s.Idle != "on" {
			t.Errorf("bob's own status: %+v, %v", s, err)
		}
		d.left(time.Time{})
		w.must(shows("open available")) // by himself

		d.left(time.Now().Add(-time.Hour)) // a word while idle is input, and holds
		w.must(shows("open idle since"))
		set(wire.Available)
		w.must(shows("open available"))
		time.Sleep(9 * time.Minute)
		w.must(shows("open available"))
		bob.note("a script speaks, not he")
		time.Sleep(2 * time.Minute)
		w.must(shows("open idle since"))
		set(wire.Busy)
		w.must(shows("open busy"))
		set(wire.Available)
		d.left(time.Time{})
		_, err := bob.Offline(ctx())
		w.must(err)
		d.left(time.Now().Add(-time.Hour))
		time.Sleep(20 * time.Minute)
		if p := alice.sees(bob); p.Basic != "closed" || p.IM != "" {
			t.Errorf("offline and idle: %s %s", p.Basic, p.IM)
		}
		if got := bob.toldOf("presence", bob, 0); !slices.Contains(got, "open idle") {
			t.Errorf("bob was told %q of himself", got)
		}
	})
}

// Where nobody can tell, it is said, and nothing is claimed.
func TestIdlenessThatCannotBeTold(t *testing.T) {
	inWorld(t, func(w *world) {
		d := &desk{err: errors.New("no login manager answers"), since: time.Now().Add(-time.Hour)}
		alice, bob := w.person("alice"), w.person("bob", at(d))
		alice.watch(bob)
		time.Sleep(20 * time.Minute)
		if got := alice.im(bob); got != "open available" {
			t.Errorf("alice sees him %s", got)
		}
		for who, want := range map[*person]string{bob: "no login manager answers", alice: "this system does not tell whether you are there"} {
			if s, err := who.Status(ctx()); err != nil || s.Idle != "unknown" || s.IdleWhy != want {
				t.Errorf("%s: %q %q, %v", who.name, s.Idle, s.IdleWhy, err)
			}
		}
	})
}

// Publishing is a step: the node that starts says the saved choice, watchers hear it within a lease, and
// offline while the node runs is CLOSED, under the same rules for messages as before.
func TestReq_S14_PublishingIsAStep(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, carol := w.person("alice", lease5), w.person("bob", lease5), w.person("carol", lease5)
		alice.watch(bob)
		bob.add(alice)
		_, err := bob.Block(ctx(), carol.address(), "im")
		w.must(err)
		away := wire.Away
		_, err = bob.Set(ctx(), node.Change{IM: &away, Note: text("back at four")})
		w.must(err)
		saved := func() error {
			return await(lease, "alice is told the saved choice", func() bool {
				p := alice.sees(bob)
				return p.Basic == "open" && p.IM == "away" && p.Note == "back at four" && p.Evidence == "said"
			})
		}
		w.must(saved())
		bob.down()
		w.finds("a node that is off", saved())
		bob.up()
		w.must(saved())

		_, err = bob.Offline(ctx())
		w.must(err)
		w.within(lease, "alice sees him closed", func() bool { p := alice.sees(bob); return p.Basic == "closed" && p.Evidence == "said" })
		carol.add(bob)
		carol.comesTo(carol.send(bob, "refused as ever"), "failed(refused)", soon)
		alice.comesTo(alice.send(bob, "are you there?"), "failed(closed)", soon)
		bob.down()
		bob.up()
		time.Sleep(lease)
		if p := alice.sees(bob); p.Basic != "closed" || p.Evidence != "said" {
			t.Errorf("offline before a restart, %s %s after it", p.Basic, p.Evidence)
		}
	})
}

func text(s string) *string { return &s }

// Coalescing end to end: a change after a pause is seen at once, a burst is merged, what is seen is never older
// than what was, and the last word always wins.
func TestBurstsAreMerged(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		r := randomOf("bursts")
		number := func(note string) (n int) {
			_, _ = fmt.Sscanf(note, "word %d", &n)
			return n
		}
		last, seen, shown := 0, 0, 0
		look := func() {
			if n := number(alice.sees(bob).Note); n < seen {
				t.Fatalf("word %d after word %d", n, seen)
			} else if n > seen {
				seen, shown = n, shown+1
			}
		}
		for range 15 {
			time.Sleep(15 * time.Second) // the bucket is full
			last++
			bob.note(fmt.Sprint("word ", last))
			if err := await(300*time.Millisecond, "the first change at once", func() bool { look(); return seen == last }); err != nil {
				t.Fatal(err)
			}
			began, before := time.Now(), shown
			burst := int(1 + r.Uint64()%60)
			for range burst {
				last++
				bob.note(fmt.Sprint("word ", last))
				time.Sleep(time.Duration(r.Uint64()%150) * time.Millisecond)
				look()
			}
			if err := await(3*time.Second, "the last word", func() bool { look(); return seen == last }); err != nil {
				t.Fatalf("%v: %d of %d", err, seen, last)
			}
			if most := wire.UpdateBurst + int(time.Since(began)/wire.UpdateEvery) + 1; shown-before > most {
				t.Errorf("a burst of %d in %v made %d changes, more than %d", burst, time.Since(began), shown-before, most)
			}
		}
	})
}

// Heartbeats keep a quiet presence alive, and do not come in step.
func TestHeartbeatsAreJittered(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		time.Sleep(time.Minute)
		var beats []time.Time
		for end := time.Now().Add(30 * time.Minute); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
			p := alice.sees(bob)
			if p.Basic != "open" || p.Evidence != "said" {
				t.Fatalf("%s %s", p.Basic, p.Evidence)
			}
			if at := p.Basis.Devices[0].Last; len(beats) == 0 || at.After(beats[len(beats)-1]) {
				beats = append(beats, at)
			}
		}
		pauses := map[time.Duration]int{}
		for i := range beats[1:] {
			d := beats[i+1].Sub(beats[i])
			if d < 54*time.Second || d > 66*time.Second {
				t.Errorf("a pause of %v", d)
			}
			pauses[d.Round(time.Second)]++
		}
		if len(beats) < 27 || len(pauses) < 5 {
			t.Errorf("%d beats, %d different pauses: %v", len(beats), len(pauses), pauses)
		}
	})
}

// What presence costs is counted by service, and an hour of a quiet pair costs little.
func TestCostOfPresence(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		cost := func(p *person, service string) node.Cost {
			s, err := p.Status(ctx())
			w.must(err)
			for _, c := range s.Costs {
				if c.Service == service {
					return c
				}
			}
			return node.Cost{}
		}
		time.Sleep(2 * time.Hour)
		quiet := cost(alice, "messages").InPerHour
		presence := cost(alice, "topics").InPerHour + cost(alice, "streams").InPerHour
		if presence < 60*92 || presence > 60_000 {
			t.Errorf("an hour of one contact's presence costs %d bytes in", presence)
		}
		s, err := alice.Status(ctx())
		w.must(err)
		var in, out uint64
		for _, c := range s.Costs {
			in, out = in+c.In, out+c.Out
		}
		if in != s.BytesIn || out != s.BytesOut {
			t.Errorf("%d in and %d out by service, %d and %d in all", in, out, s.BytesIn, s.BytesOut)
		}
		before := cost(alice, "messages").In
		for i := range 30 {
			bob.delivers(alice, fmt.Sprint("message ", i))
		}
		time.Sleep(2 * time.Minute)
		busy := cost(alice, "messages")
		came := busy.In - before
		if came < 30*512 || came > 30*2000 { // a Parcel holds its Signed padded, to 512 bytes for a short message
			t.Errorf("30 messages cost %d bytes", came)
		}
		if busy.InPerHour < quiet+came*95/100 || busy.InPerHour > quiet+came*105/100 {
			t.Errorf("an hour with 30 messages of %d bytes costs %d bytes, one without %d", came, busy.InPerHour, quiet)
		}
	})
}

// Why somebody is shown as he is: which record, by which way it came, how long it holds, and the rest that it
// depends on.
func TestWhy(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		bob.note("one")
		w.soonly("alice sees it", func() bool { return alice.sees(bob).Note == "one" })
		p := alice.sees(bob)
		b := p.Basis
		if b == nil || b.State != "active" || !b.Direct || b.Path == "none" || b.Suspect || len(b.Devices) != 1 || b.Heard.IsZero() {
			t.Fatalf("basis: %+v", b)
		}
		d := b.Devices[0]
		if !d.Open || d.Version < 2 || d.By == "" || d.Ago > soon || d.Left < 140*time.Second || d.Said.IsZero() {
			t.Errorf("device: %+v", d)
		}
		all := strings.Join(p.Why, "\n")
		for _, want := range []string{"his signed word holds for", "said so", "which came", "you hear him", "your subscription is active", "your clock agrees"} {
			if !strings.Contains(all, want) {
				t.Errorf("%q does not say %q", all, want)
			}
		}
		time.Sleep(5 * time.Minute)
		if d := alice.sees(bob).Basis.Devices[0]; !d.Last.After(d.Said) || d.Ago > 70*time.Second {
			t.Errorf("after beacons: %+v", d)
		}
		w.net.Cut(alice.ip, bob.ip)
		time.Sleep(4 * time.Minute)
		p = alice.sees(bob)
		if p.Evidence != "lapsed" || p.Basis.Direct || p.Basis.Path != "none" || p.Basis.Devices[0].Left != 0 {
			t.Errorf("after a lapse: %+v %+v", p, p.Basis)
		}
		alice.down()
		alice.up()
		p = alice.sees(bob)
		if p.Evidence != "cached" || p.Basis.Devices[0].By != "" || !strings.Contains(strings.Join(p.Why, "\n"), "remembered from before the start") {
			t.Errorf("after a restart: %s %+v %q", p.Evidence, p.Basis.Devices, p.Why)
		}
	})
}
