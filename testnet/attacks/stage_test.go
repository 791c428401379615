package attacks

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

var logs = flag.String("logs", "", "log what the machine of this name logs")

// long says that the sizes of SPEC 13 are to be run, wide that what takes minutes is.
var (
	long = os.Getenv("HUM_LONG") == "1"
	wide = long || os.Getenv("HUM_LONG") == "wide"
)

// size returns the size of a test.
func size(everyDay, full int) int {
	if long {
		return full
	}
	return everyDay
}

// A stage is where an attack is played: a network and its machines, in one bubble.
type stage struct {
	t    *testing.T
	net  *testnet.Network
	dir  string
	ips  int
	all  []*machine
	ends []func() // of what is no machine
	gone sync.WaitGroup
}

// play runs an attack in a bubble of its own.
func play(t *testing.T, act func(t *testing.T, s *stage)) {
	t.Helper()
	dir := scratch(t)
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, net: testnet.New(testnet.Config{Seed: 13}), dir: dir}
		defer s.close()
		act(t, s)
	})
}

// scratch is a directory in memory if there is one: weeks of virtual time sync very often, and what is
// killed here is a process, never a machine.
func scratch(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "hum")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (s *stage) close() {
	for _, m := range s.all {
		if m.Node != nil {
			m.stop()
		}
	}
	for _, end := range s.ends {
		end()
	}
	s.gone.Wait()
	time.Sleep(time.Minute) // what was closed may still wait for something
}

func (s *stage) ip() string {
	s.ips++
	return fmt.Sprintf("10.0.%d.%d", s.ips/250, 1+s.ips%250)
}

// A machine is a user's node, which may be off.
type machine struct {
	*node.Node // nil while it is off
	s          *stage
	name, ip   string
	home       string
	clock      *testnet.Clock
	lives      int
	seed       string // that its identity is made from
	light      bool
	relays     []string
	cancel     context.CancelFunc
	ended      chan error
}

// machine starts the node of a new user.
func (s *stage) machine(name string) *machine {
	s.t.Helper()
	return s.machineOf(name, name)
}

// machineOf is machine with the seed of somebody who may have another machine.
func (s *stage) machineOf(name, seed string) *machine {
	s.t.Helper()
	m := &machine{s: s, name: name, seed: seed, ip: s.ip(), home: filepath.Join(s.dir, name), clock: testnet.NewClock()}
	s.all = append(s.all, m)
	m.start()
	return m
}

// entropy is the same for the same name and life in every run.
func entropy(name string, life int) io.Reader {
	return &source{src: rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%s %d", name, life)))}
}

type source struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func (r *source) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src.Read(b)
}

func (m *machine) start() {
	t := m.s.t
	t.Helper()
	m.lives++
	m.clock.Restart()
	rand := entropy(m.name, m.lives)
	if _, err := os.Stat(m.home); os.IsNotExist(err) {
		seed := identity.Seed(sha256.Sum256([]byte("seed of " + m.seed)))
		if _, err := node.Init(m.home, node.InitConfig{Name: m.seed, Seed: &seed, Clock: m.clock.Now, Rand: rand}); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	if *logs == m.name {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n, err := node.Open(node.Config{Home: m.home, Clock: m.clock.Now, Rand: rand, Log: log, Light: &m.light, Relays: m.relays,
		Net: p2p.Config{Host: m.s.net.Host(m.ip)}})
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	m.Node, m.cancel, m.ended = n, cancel, ended
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case err := <-ended:
		t.Fatalf("%s ended at once: %v", m.name, err)
	}
}

// stop ends a machine as its user does, with a sign-off.
func (m *machine) stop() {
	m.s.t.Helper()
	m.cancel()
	if err := errors.Join(<-m.ended, m.Close()); err != nil {
		m.s.t.Errorf("%s: %v", m.name, err)
	}
	m.Node = nil
}

// kill ends a machine in this instant, and leaves its disk as it lies.
func (m *machine) kill() {
	m.s.t.Helper()
	synctest.Wait()
	m.s.net.Kill(m.ip, testnet.Crash)
	left := filepath.Join(m.s.dir, fmt.Sprintf("%s.%d", m.name, m.lives))
	if err := testnet.CopyHome(m.home, left); err != nil {
		m.s.t.Fatal(err)
	}
	n, ended := m.Node, m.ended
	m.home, m.Node = left, nil
	m.cancel()
	m.s.gone.Go(func() {
		<-ended
		n.Close()
	})
}

func (m *machine) restart() {
	m.s.t.Helper()
	m.stop()
	m.start()
}

func (m *machine) address() string { return m.Self().Address.String() }

// card is what others add m by, also while it is off.
func (m *machine) card() string {
	m.s.t.Helper()
	c, err := m.Card()
	if err != nil {
		m.s.t.Fatal(err)
	}
	return c
}

// add puts others on m's roster, by their cards.
func (m *machine) add(others ...*machine) {
	m.s.t.Helper()
	for _, o := range others {
		if _, err := m.Add(context.Background(), o.card(), o.name); err != nil {
			m.s.t.Fatal(err)
		}
	}
}

// befriend has all put each other on their rosters and watch each other.
func befriend(all ...*machine) {
	t := all[0].s.t
	t.Helper()
	for _, m := range all {
		for _, o := range all {
			if m != o {
				m.add(o)
			}
		}
	}
	for _, m := range all {
		for _, o := range all {
			if m != o {
				m.subscribe(o)
			}
		}
	}
	for _, m := range all {
		for _, o := range all {
			if m != o {
				m.eventually(30*time.Second, "sees "+o.name+" open", func() bool { return m.sees(o).Basic == "open" })
			}
		}
	}
}

// subscribe has m watch o, who agrees.
func (m *machine) subscribe(o *machine) {
	m.s.t.Helper()
	if _, err := m.Watch(context.Background(), o.name, "", 0); err != nil {
		m.s.t.Fatal(err)
	}
	o.eventually(10*time.Second, "is asked by "+m.name, func() bool { return o.watcher(m) != "" })
	if _, err := o.Approve(context.Background(), m.address()); err != nil {
		m.s.t.Fatal(err)
	}
}

// sees is how m sees o.
func (m *machine) sees(o *machine) node.PresenceOf {
	m.s.t.Helper()
	p, err := m.Who(context.Background(), []string{o.name})
	if err != nil {
		m.s.t.Fatal(err)
	}
	return p[0]
}

// watcher is the state in which o's newest subscription stands at m, "" if there is none.
func (m *machine) watcher(o *machine) (state string) {
	m.s.t.Helper()
	all, err := m.Watchers(context.Background())
	if err != nil {
		m.s.t.Fatal(err)
	}
	var at time.Time
	for _, s := range all {
		if s.Address == o.Self().Address && !s.At.Before(at) {
			state, at = s.State, s.At
		}
	}
	return state
}

// watching is the state in which m's subscription to o stands.
func (m *machine) watching(o *machine) string { return m.watchingOf(o.Self().Address) }

func (m *machine) watchingOf(a identity.Address) string {
	m.s.t.Helper()
	all, err := m.Watching(context.Background())
	if err != nil {
		m.s.t.Fatal(err)
	}
	for _, s := range all {
		if s.Address == a {
			return s.State
		}
	}
	return ""
}

func (m *machine) set(c node.Change) {
	m.s.t.Helper()
	if _, err := m.Set(context.Background(), c); err != nil {
		m.s.t.Fatal(err)
	}
}

// say has m publish a note.
func (m *machine) say(note string) { m.set(node.Change{Note: &note}) }

var closed, opened = wire.Closed, wire.Open

// send queues a message and returns its id.
func (m *machine) send(to *machine, text string, expires time.Duration) wire.MID {
	m.s.t.Helper()
	s, err := m.Send(context.Background(), node.Draft{To: to.name, Content: []byte(text), Expires: expires})
	if err != nil {
		m.s.t.Fatal(err)
	}
	return s.ID
}

// sent is what a message of m has come to.
func (m *machine) sent(id wire.MID) node.Sent {
	m.s.t.Helper()
	all, err := m.Outbox(context.Background(), "")
	if err != nil {
		m.s.t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == id {
			return s
		}
	}
	m.s.t.Fatalf("%s has no message %v in the outbox", m.name, id)
	return node.Sent{}
}

// inbox is the texts that m has.
func (m *machine) inbox() (texts []string) {
	m.s.t.Helper()
	all, err := m.Inbox(context.Background(), node.InboxQuery{})
	if err != nil {
		m.s.t.Fatal(err)
	}
	for _, r := range all {
		texts = append(texts, string(r.Content))
	}
	return texts
}

// table is all that m holds of subscriptions, as text: two of them are equal if nothing changed.
func (m *machine) table() string {
	m.s.t.Helper()
	var b strings.Builder
	for _, list := range []func(context.Context) ([]node.Subscription, error){m.Watching, m.Watchers} {
		all, err := list(context.Background())
		if err != nil {
			m.s.t.Fatal(err)
		}
		for _, s := range all {
			fmt.Fprintf(&b, "%v %v %v %v %v\n", s.Address, s.ID, s.State, s.Reason, s.Since.UnixMilli())
		}
		b.WriteString("--\n")
	}
	return b.String()
}

// refused is how much m has turned away for a cause.
func (m *machine) refused(cause string) uint64 {
	m.s.t.Helper()
	st, err := m.Status(context.Background())
	if err != nil {
		m.s.t.Fatal(err)
	}
	return st.Refused[cause]
}

// eventually waits until ok holds, in virtual time.
func (m *machine) eventually(within time.Duration, what string, ok func() bool) {
	m.s.t.Helper()
	if !soon(within, ok) {
		m.s.t.Fatalf("%s never %s", m.name, what)
	}
}

func soon(within time.Duration, ok func() bool) bool {
	for end := time.Now().Add(within); ; {
		synctest.Wait()
		if ok() {
			return true
		}
		if !time.Now().Before(end) {
			return false
		}
		time.Sleep(min(time.Until(end), max(within/100, 50*time.Millisecond)))
	}
}

// pass lets time pass and everything come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// events are all that m told its user.
func events(t *testing.T, m *machine) (out []node.Event) {
	t.Helper()
	ctx, done := context.WithCancel(context.Background())
	seq, err := m.Events(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Millisecond, done).Stop()
	for e, err := range seq {
		if err != nil {
			break
		}
		out = append(out, e)
	}
	return out
}

// prekey names the prekey that m's records tell.
func (m *machine) prekey() identity.KeyID {
	m.s.t.Helper()
	b, err := wire.ParseBundle(m.s.bundleOf(m))
	if err != nil {
		m.s.t.Fatal(err)
	}
	d, err := wire.ParseDeviceRecord(b.Devices[0].Body)
	if err != nil {
		m.s.t.Fatal(err)
	}
	return identity.KeyIDOf(d.PreKeys[0].Public)
}

// part is a part of a play: a bubble has no subtests.
func part(t *testing.T, name string, act func(t *testing.T)) {
	t.Helper()
	failed := t.Failed()
	act(t)
	if t.Failed() && !failed {
		t.Errorf("that was: %s", name)
	}
}
