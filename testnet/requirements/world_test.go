package requirements

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/testnet"
)

const (
	soon  = 2 * time.Second
	lease = 5 * time.Second // of those who take lease5
)

// A world is some people on one simulated network, in one bubble of virtual time.
type world struct {
	*testing.T
	net   *testnet.Network
	dir   string
	ips   int
	says  *domainBook // whose handles are whose
	ends  []func()    // what must be ended before the bubble
	going sync.WaitGroup
	plain bool // nothing is encrypted on circuits, so that tapes hold what goes through relays as it is
}

// host are the options of a node at an address.
func (w *world) host(ip string) []libp2p.Option {
	o := w.net.Host(ip)
	if w.plain {
		o = append(o, libp2p.NoSecurity)
	}
	return o
}

// inWorld runs f in a bubble, and ends everybody in it.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	dir := quickDir(t)
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: testnet.New(testnet.Config{Seed: 1}), dir: dir}
		defer func() {
			for _, end := range w.ends {
				end()
			}
			w.going.Wait()
			time.Sleep(time.Minute) // what was closed may still wait for something
		}()
		f(w)
	})
}

// quickDir is a folder in memory where the system has such a place: virtual time stands still while a disk
// syncs, and what a kill leaves is the same there.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hum-requirements-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *world) ip() string {
	w.ips++
	return fmt.Sprintf("10.0.%d.%d", w.ips/250, 1+w.ips%250)
}

// A person is somebody with one node. Node is nil while it is off.
type person struct {
	*node.Node
	w         *world
	name, ip  string
	home      string
	services  identity.Services
	ttl       time.Duration
	light     bool       // he joins no topic of others
	bootstrap []string   // DHT servers and others that he is told of
	input     node.Input // nil: nobody can tell when he touched his machine
	clock     *testnet.Clock
	lives     int
	cancel    context.CancelFunc
	ended     chan error
	log       *logTape       // nil: what the node would log is not kept
	got       *tape          // every byte that the machine obtained
	info      *peer.AddrInfo // once asked for
}

// An option changes a person before his node is made.
type option func(*person)

func only(s identity.Services) option { return func(p *person) { p.services = s } }
func lease5(p *person)                { p.ttl = lease }
func light(p *person)                 { p.light = true }
func logging(p *person)               { p.log = &logTape{} }
func living(ip string) option         { return func(p *person) { p.ip = ip } }

// person adds somebody and starts his node.
func (w *world) person(name string, options ...option) *person {
	w.Helper()
	p := &person{w: w, name: name, ip: w.ip(), home: filepath.Join(w.dir, name), clock: testnet.NewClock(), got: &tape{}}
	for _, o := range options {
		o(p)
	}
	w.net.Capture(p.ip, p.got.add)
	seed := identity.Seed(sha256.Sum256([]byte("seed of " + name)))
	if _, err := node.Init(p.home, node.InitConfig{Name: name, Services: p.services, Seed: &seed, Clock: p.clock.Now, Rand: p.rand()}); err != nil {
		w.Fatal(err)
	}
	p.up()
	w.ends = append(w.ends, func() {
		if p.Node != nil {
			p.down()
		}
	})
	return p
}

// randomOf is a source that is the same for the same words.
func randomOf(words ...any) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256([]byte(fmt.Sprint(words...))))
}

func (p *person) rand() *rand.ChaCha8 { return randomOf(p.name, p.lives) }

// up starts the node from what is on the disk.
func (p *person) up() {
	p.w.Helper()
	p.open()
	p.run()
}

// open opens the node: its port is open, and nothing is done yet.
func (p *person) open() {
	p.w.Helper()
	p.lives++
	p.clock.Restart()
	n, err := node.Open(node.Config{Home: p.home, Clock: p.clock.Now, Rand: p.rand(), TTL: p.ttl, Input: p.input, Light: &p.light, Bootstrap: p.bootstrap, Names: p.w.names(), Log: p.log.logger(), Net: p2p.Config{Host: p.w.host(p.ip)}})
	if err != nil {
		p.w.Fatalf("%s: %v", p.name, err)
	}
	p.Node = n
}

// run starts what open has opened.
func (p *person) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	n := p.Node
	p.cancel, p.ended = cancel, ended
	go func() { ended <- n.Run(ctx) }()
	<-n.Ready()
}

// down stops the node as a user does.
func (p *person) down() {
	n := p.Node
	p.Node = nil
	p.cancel()
	if err := errors.Join(<-p.ended, n.Close()); err != nil {
		p.w.Errorf("%s ended: %v", p.name, err)
	}
}

// kill ends the node in this instant, and leaves its disk as kill -9 does.
func (p *person) kill(d testnet.Death) {
	p.w.Helper()
	synctest.Wait()
	p.w.net.Kill(p.ip, d)
	left := filepath.Join(p.w.dir, fmt.Sprintf("%s.%d", p.name, p.lives))
	if err := testnet.CopyHome(p.home, left); err != nil {
		p.w.Fatal(err)
	}
	n, ended := p.Node, p.ended
	p.home, p.Node = left, nil
	p.cancel()
	p.w.going.Go(func() {
		<-ended
		_ = n.Close()
	})
}

// within waits in virtual time until ok holds, for d at most.
func (w *world) within(d time.Duration, what string, ok func() bool) {
	w.Helper()
	if err := await(d, what, ok); err != nil {
		w.Fatal(err)
	}
}

// soonly is within what the requirements call soon.
func (w *world) soonly(what string, ok func() bool) {
	w.Helper()
	w.within(soon, what, ok)
}

// await is within for checks that may fail on purpose.
func await(d time.Duration, what string, ok func() bool) error {
	step := min(max(d/500, 20*time.Millisecond), time.Second)
	for end := time.Now().Add(d); ; time.Sleep(min(step, d)) {
		if ok() {
			return nil
		}
		if !time.Now().Before(end) {
			return fmt.Errorf("not within %v: %s", d, what)
		}
	}
}

// finds fails unless a check finds the fault that was planted for it.
func (w *world) finds(planted string, err error) {
	w.Helper()
	if err == nil {
		w.Fatalf("the check does not find a planted fault: %s", planted)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func ctx() context.Context { return context.Background() }

func (p *person) address() string { return p.Self().Address.String() }

func (p *person) card() string {
	p.w.Helper()
	c, err := p.Card()
	p.w.must(err)
	return c
}

// add puts somebody on the roster by his card.
func (p *person) add(q *person) {
	p.w.Helper()
	_, err := p.Add(ctx(), q.card(), q.name)
	p.w.must(err)
}

// code is that of a refusal, or "" for none.
func code(err error) string {
	var e *node.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// watch subscribes p to q, with q's yes, until p sees q as he is.
func (p *person) watch(q *person) {
	p.w.Helper()
	p.add(q)
	p.ask(q)
	p.w.soonly(q.name+" hears of the request", func() bool { return q.watcher(p).State == "pending" })
	q.approve(p)
	p.w.within(3*time.Second, p.name+" sees "+q.name+" open", func() bool { return p.sees(q).Basic == "open" })
}

func (p *person) ask(q *person) {
	p.w.Helper()
	_, err := p.Watch(ctx(), q.name, "please", 0)
	p.w.must(err)
}

func (p *person) approve(q *person) {
	p.w.Helper()
	_, err := p.Approve(ctx(), q.address())
	p.w.must(err)
}

// sees is how p sees q now.
func (p *person) sees(q *person) node.PresenceOf {
	p.w.Helper()
	who, err := p.Who(ctx(), []string{addressOf(q)})
	p.w.must(err)
	return who[0]
}

// addressOf is that of a person whose node may be off.
func addressOf(p *person) string {
	return identity.Address(identity.Seed(sha256.Sum256([]byte("seed of " + p.name))).AddressKey(0).Public()).String()
}

// watching is p's subscription to q, zero if there is none.
func (p *person) watching(q *person) node.Subscription { return p.watchingAt(addressOf(q)) }

func (p *person) watchingAt(a string) node.Subscription {
	p.w.Helper()
	every, err := p.Watching(ctx())
	p.w.must(err)
	for _, s := range every {
		if s.Address.String() == a {
			return s
		}
	}
	return node.Subscription{}
}

// watcher is q's subscription to p as p's list has it, zero if it does not.
func (p *person) watcher(q *person) node.Subscription { return p.watcherAt(addressOf(q)) }

func (p *person) watcherAt(a string) node.Subscription {
	p.w.Helper()
	every, err := p.Watchers(ctx())
	p.w.must(err)
	for _, s := range every {
		if s.Address.String() == a {
			return s
		}
	}
	return node.Subscription{}
}

// note publishes a note.
func (p *person) note(text string) {
	p.w.Helper()
	_, err := p.Set(ctx(), node.Change{Note: &text})
	p.w.must(err)
}

// shuts publishes CLOSED, or OPEN.
func (p *person) shuts(closed bool) {
	p.w.Helper()
	basic := wire.Open
	if closed {
		basic = wire.Closed
	}
	p.basic(basic)
}

func (p *person) basic(b wire.Basic) {
	p.w.Helper()
	_, err := p.Set(ctx(), node.Change{Basic: &b})
	p.w.must(err)
}

// send queues a message for 20 s, which is as long as checks wait for what cannot be delivered.
func (p *person) send(q *person, text string) node.Sent {
	p.w.Helper()
	return p.draft(node.Draft{To: addressOf(q), Content: []byte(text), Expires: 20 * time.Second})
}

func (p *person) draft(d node.Draft) node.Sent {
	p.w.Helper()
	s, err := p.Send(ctx(), d)
	p.w.must(err)
	return s
}

// outcome is what has become of a message of p.
func (p *person) outcome(s node.Sent) node.Sent {
	p.w.Helper()
	out, err := p.Outbox(ctx(), s.ID.String())
	p.w.must(err)
	return out[0]
}

// fates is what has become of all of them.
func (p *person) fates() map[wire.MID]node.Sent {
	p.w.Helper()
	out, err := p.Outbox(ctx(), "")
	p.w.must(err)
	all := map[wire.MID]node.Sent{}
	for _, s := range out {
		all[s.ID] = s
	}
	return all
}

// fate is a state, with its reason if it failed.
func (p *person) fate(s node.Sent) string {
	s = p.outcome(s)
	if s.Reason != 0 {
		return s.State + "(" + s.Reason.String() + ")"
	}
	return s.State
}

// comesTo waits until a message has come to fate.
func (p *person) comesTo(s node.Sent, fate string, d time.Duration) {
	p.w.Helper()
	if await(d, fate, func() bool { return p.fate(s) == fate }) != nil {
		p.w.Fatalf("%q is %s after %v, not %s", s.Content, p.fate(s), d, fate)
	}
}

// delivers sends and waits for the ack.
func (p *person) delivers(q *person, text string) node.Sent {
	p.w.Helper()
	s := p.send(q, text)
	p.comesTo(s, "delivered", soon)
	return s
}

// inbox is the texts in p's inbox, oldest first.
func (p *person) inbox() (texts []string) {
	p.w.Helper()
	rows, err := p.Inbox(ctx(), node.InboxQuery{})
	p.w.must(err)
	for _, r := range rows {
		texts = append(texts, string(r.Content))
	}
	return texts
}

// has is how often a text is in p's inbox.
func (p *person) has(text string) (n int) {
	for _, t := range p.inbox() {
		if t == text {
			n++
		}
	}
	return n
}

// refused is how much p's node has turned away, for a reason or, for "", for any.
func (p *person) refused(reason string) (n uint64) {
	p.w.Helper()
	s, err := p.Status(ctx())
	p.w.must(err)
	for r, c := range s.Refused {
		if reason == "" || r == reason {
			n += c
		}
	}
	return n
}

// lookAll reads all files of a home.
func lookAll(t testing.TB, home string) (all []byte) {
	t.Helper()
	if err := filepath.WalkDir(home, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		all = append(append(all, b...), '\n')
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// opened is all that is in the store of p, whose node is down, to whoever has the whole disk and so its keys too.
func (p *person) opened() []byte { return openedAt(p.w, p.home) }

func openedAt(w *world, home string) (all []byte) {
	w.Helper()
	keys, err := identity.OpenKeyring(home, nil)
	w.must(err)
	k := keys.StoreKey()
	s, err := store.Open(filepath.Join(home, "store"), store.Options{Key: k[:]})
	w.must(err)
	w.must(s.View(func(tx store.Tx) error {
		for k, v := range tx.Scan(store.Prefix{}, store.ScanOptions{}) {
			all = append(append(append(all, k.String()...), v...), '\n')
		}
		return nil
	}))
	w.must(s.Close())
	return all
}

// atRest checks that the disks of some hold what is secret, and that nobody finds it there who has no key of their store.
func atRest(w *world, secret string, of ...*person) {
	w.Helper()
	for _, p := range of {
		p.down()
		w.must(clean("the disk of "+p.name, lookAll(w, p.home), secret))
		w.finds("the opened disk of "+p.name, clean("the opened disk of "+p.name, p.opened(), secret))
		p.up()
	}
}

func fail(format string, args ...any) error { return fmt.Errorf(format, args...) }

// events are all that p's node told so far.
func (p *person) events() (all []node.Event) {
	p.w.Helper()
	over, stop := context.WithCancel(ctx())
	stop()
	every, err := p.Events(over, 0)
	p.w.must(err)
	for e, err := range every {
		if err != nil {
			break
		}
		all = append(all, e)
	}
	return all
}
