package node

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/testnet/ports"
)

// An actor is somebody with a home, whose node may end, crash and start again at the same place, and
// whose clock is set by hand.
type actor struct {
	*Node
	t      *testing.T
	home   string
	listen string
	clock  *handClock
	ttl    time.Duration
	light  *bool
	who    Self
	seed   identity.Seed
	end    func()
	done   chan error
}

// handClock is the clock of this machine, set off by hand.
type handClock struct {
	real func() identity.Now

	mu         sync.Mutex
	wall, mono time.Duration
}

func (c *handClock) now() identity.Now {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.real()
	now.Wall, now.Mono = now.Wall.Add(c.wall), now.Mono+c.mono
	return now
}

func (c *handClock) move(wall, mono time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall+wall, c.mono+mono
}

// settle makes a home with both services, or with those named.
func settle(t *testing.T, name string, services ...identity.Services) *actor {
	t.Helper()
	a := &actor{t: t, home: filepath.Join(t.TempDir(), name), listen: ports.TCP(t),
		clock: &handClock{real: SystemClock()}, ttl: wire.DefaultTTL}
	c := InitConfig{Name: name, Clock: a.clock.now, Rand: rand.Reader}
	for _, s := range services {
		c.Services |= s
	}
	created, err := Init(a.home, c)
	if err != nil {
		t.Fatal(err)
	}
	a.who, a.seed = created.Self, created.Seed
	t.Cleanup(a.stop)
	return a
}

// start is settle and up.
func start(t *testing.T, name string, services ...identity.Services) *actor {
	t.Helper()
	a := settle(t, name, services...)
	a.up()
	return a
}

// open opens the node without running it.
func (a *actor) open() {
	a.t.Helper()
	n, err := Open(Config{Home: a.home, Rand: rand.Reader, Listen: []string{a.listen}, TTL: a.ttl, Light: a.light, Clock: a.clock.now, Names: noNames{}})
	if err != nil {
		a.t.Fatal(err)
	}
	a.Node = n
	a.end, a.done = func() {}, make(chan error, 1)
	a.done <- nil
}

func (a *actor) up() {
	a.t.Helper()
	a.open()
	<-a.done
	ctx, end := context.WithCancel(context.Background())
	a.end = end
	n := a.Node
	go func() { a.done <- n.Run(ctx) }()
	<-n.Ready()
}

// stop signs off and ends; a home that is shut stays shut.
func (a *actor) stop() {
	a.t.Helper()
	if a.Node == nil {
		return
	}
	a.end()
	if err := <-a.done; err != nil {
		a.t.Errorf("%s: run: %v", a.who.Name, err)
	}
	if err := a.Close(); err != nil {
		a.t.Errorf("%s: close: %v", a.who.Name, err)
	}
	a.Node = nil
}

// crash ends without a word.
func (a *actor) crash() {
	a.t.Helper()
	a.mute.Store(true)
	a.stop()
}

// set sets the clock off by d, as somebody who sets the system clock does; the node looks at once.
func (a *actor) set(d time.Duration) {
	a.clock.move(d, 0)
	a.wakeAll()
}

// pass lets d pass at once.
func (a *actor) pass(d time.Duration) {
	a.clock.move(d, d)
	a.wakeAll()
}

func (a *actor) wakeAll() {
	for _, l := range []*loop{&a.watching, &a.serving, &a.publish, &a.reading, &a.outbox, &a.chores} {
		l.nudge()
	}
}

func (a *actor) address() string { return a.who.Address.String() }

// must ends the test on an error.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// befriend has a know b's card under his name.
func (a *actor) befriend(b *actor) {
	a.t.Helper()
	must(a.Add(a.t.Context(), card(a.t, b.Node), b.who.Name))(a.t)
}

// subscribe has a watch b, with b's yes, until a sees him.
func (a *actor) subscribe(b *actor) {
	a.t.Helper()
	a.befriend(b)
	must(a.Watch(a.t.Context(), b.who.Name, "it is "+a.who.Name, 0))(a.t)
	b.requestOf(a)
	must(b.Approve(a.t.Context(), a.address()))(a.t)
	a.sees(b, "open said")
}

// requestOf waits for a's request.
func (a *actor) requestOf(b *actor) {
	a.t.Helper()
	eventually(a.t, a.who.Name+" has the request of "+b.who.Name, func() bool {
		for _, r := range must(a.Requests(a.t.Context()))(a.t) {
			if r.Address == b.who.Address {
				return true
			}
		}
		return false
	})
}

// shown is b as a sees him: basic, IM status if there is one, note, evidence.
func (a *actor) shown(b *actor) string {
	p := a.presenceOf(b.who.Address)
	return strings.Join(strings.Fields(p.Basic+" "+p.IM+" "+p.Note+" "+p.Evidence), " ")
}

// sees waits until a sees b as wanted; "available" is left out.
func (a *actor) sees(b *actor, want string) {
	a.t.Helper()
	got := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = strings.ReplaceAll(a.shown(b), "available ", ""); got == want {
			return
		}
	}
	w, _ := a.Node.presence.watchingOf(b.who.Address)
	for _, g := range w.Grants() {
		peers, streams := b.net.Audience(g.E)
		a.t.Logf("epoch %x: path %+v, audience %d %d, counts %v %v", g.E[:4], a.net.Path(g.E), peers, streams, must(a.Status(a.t.Context()))(a.t).Refused, must(b.Status(b.t.Context()))(b.t).Refused)
	}
	a.t.Fatalf("%s sees %q, want %q; %v", a.who.Name, got, want, a.presenceOf(b.who.Address).Why)
}

// stands waits until a's subscription to b is in a state.
func (a *actor) stands(b *actor, state presence.WatchState, reason wire.Reason) {
	a.t.Helper()
	var got presence.Watching
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got, _ = a.Node.presence.watchingOf(b.who.Address); got.State == state && got.Reason == reason {
			return
		}
	}
	a.t.Fatalf("%s's subscription is %v %v, want %v %v", a.who.Name, got.State, got.Reason, state, reason)
}

// says sets the note.
func (a *actor) says(note string) {
	a.t.Helper()
	must(a.Set(a.t.Context(), Change{Note: &note}))(a.t)
}

func (a *actor) im(s wire.IMStatus) {
	a.t.Helper()
	must(a.Set(a.t.Context(), Change{IM: &s}))(a.t)
}

// told lists the states of the kept events of one kind about b, in order.
func (a *actor) told(kind string, b *actor) (out []string) {
	a.t.Helper()
	last := uint64(0)
	err := a.view(func(t *txn) error {
		events, err := all[Event](t, store.AllEvents())
		for _, e := range events {
			if e.N != last+1 {
				a.t.Errorf("event %d follows %d", e.N, last)
			}
			last = e.N
			if e.Kind == kind && (b == nil || e.Address == b.who.Address) {
				out = append(out, strings.TrimSpace(e.State+" "+e.Text))
			}
		}
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// toldOfClock waits until the newest event about a's clock is the one wanted.
func (a *actor) toldOfClock(want string) {
	a.t.Helper()
	eventually(a.t, a.who.Name+" is told "+want, func() bool {
		told := a.told("node", nil)
		return len(told) > 0 && strings.HasPrefix(told[len(told)-1], want+" ")
	})
}

// noNames is an Internet without domains.
type noNames struct{}

func (noNames) Look(context.Context, wire.Handle) (names.Answer, error) {
	return names.Answer{}, names.ErrNoDomain
}
