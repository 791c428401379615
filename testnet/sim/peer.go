package sim

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/testnet"
	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
)

// A Peer is one node of the plan, with its user.
type Peer struct {
	plan.Node
	w     *World
	clock *testnet.Clock
	home  string

	slower time.Duration // its line, by faults; of the goroutine that does what is planned, as losses
	losses []float64

	mu      sync.Mutex
	node    *node.Node // nil while it is down
	memory  *store.Memory
	lives   atomic.Int64 // begun
	cancel  context.CancelFunc
	ended   chan error
	address identity.Address
	saying  chan struct{} // full while he says something: who waits at a channel lets virtual time pass
	version int
	handle  string       // by which others know him; "" if by his card
	met     map[int]bool // whom he has named by his handle
	looked  uint64       // how often he asked a domain
	letters atomic.Int64 // sent
	late    bool         // started after the rest, and has met whom he asks
	asked   []int        // whom he watches
	askers  []int        // who watches him, if he starts late
	gossip  gossipCounts
	refused uint64 // in earlier lives
	leaving bool   // he has closed his program, which still signs off
	bytes   [4]uint64
	upSince time.Duration
	upTime  time.Duration
}

// Node returns the running node, nil while there is none.
func (p *Peer) Running() *node.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.node
}

// Address is the address that it has, or will have once it starts.
func (p *Peer) Address() identity.Address { return p.address }

// make makes the home.
func (p *Peer) make() error {
	seed := identity.Seed(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("seed of "+p.Name), p.w.Plan.Seed)))
	made, err := node.Init(p.home, node.InitConfig{Name: p.Name, Seed: &seed, Clock: p.clock.Now, Rand: p.rand()})
	if err == nil {
		p.address = made.Self.Address
	}
	return err
}

// rand is the source of one life.
func (p *Peer) rand() io.Reader { return chance(p.w.Plan.Seed, p.Name, p.lives.Load()) }

func chance(seed uint64, name string, life int64) io.Reader {
	b := binary.BigEndian.AppendUint64([]byte(name), seed)
	return rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(life))))
}

// start opens the node and runs it; it returns once it serves.
func (p *Peer) start() error {
	if p.Running() != nil {
		return nil
	}
	p.lives.Add(1)
	p.clock.Restart()
	s := p.w.Plan.Scenario
	light := p.Class.Light
	c := node.Config{Home: p.home, Clock: p.clock.Now, Rand: p.rand(), TTL: s.Node.Lease.D(), Light: &light, Seen: p.seen, Names: asker{p},
		Net: p2p.Config{Host: p.w.host(p), Degree: s.Node.Degree, Hub: p.Class.Hub, Gossip: []pubsub.Option{pubsub.WithRawTracer(&p.gossip)}}}
	if p.Class.Store == "memory" {
		if p.memory == nil {
			p.memory = store.NewMemory()
			if d := p.Class.Commit; d.Set() {
				luck := rand.New(rand.NewPCG(p.w.Plan.Seed, uint64(p.N)^0xd15c))
				var mu sync.Mutex
				p.memory.Sync = func() {
					mu.Lock()
					t := d.DrawTime(luck)
					mu.Unlock()
					time.Sleep(t)
				}
			}
		}
		c.Memory = p.memory
	}
	n, err := node.Open(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if p.lives.Load() == 1 {
		if allow := s.Node.Policy; allow != "confirm" {
			if _, err := n.SetPolicy(ctx, node.PolicyEdit{Class: "known", Watch: &allow}); err != nil {
				cancel()
				return errors.Join(err, n.Close())
			}
		}
	}
	p.mu.Lock()
	p.node, p.cancel, p.ended, p.leaving = n, cancel, ended, false
	p.upSince = p.w.Now()
	p.mu.Unlock()
	p.w.known(p, n)
	go func() {
		err := n.Run(ctx)
		if ctx.Err() == nil {
			p.w.died(p, err)
		}
		ended <- err
	}()
	select {
	case <-n.Ready():
	case err := <-ended:
		p.forget()
		return errors.Join(err, n.Close())
	}
	if p.lives.Load() == 1 {
		if err := p.w.settle(p, n); err != nil {
			return err
		}
	}
	p.w.publish(p, n)
	p.w.Book.Up(p.w.Now(), p.N)
	// What a node shows again of what it kept is no event: somebody has to look.
	for _, d := range []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second} {
		time.AfterFunc(d, func() {
			if p.Running() == n {
				_ = p.look() // it may be ending
			}
		})
	}
	return p.look()
}

// look tells the book what the user's screen shows.
func (p *Peer) look() error {
	n := p.Running()
	if n == nil {
		return nil
	}
	who, err := n.Who(context.Background(), nil)
	if err != nil {
		return err
	}
	for _, o := range who {
		if of, ok := p.w.byAddress[o.Address]; ok {
			p.w.Book.See(p.w.Now(), p.N, of, o.Basic == "open", versionOf(o.Note), o.Evidence == "said")
		}
	}
	return nil
}

// seen is called with what happened at the node as soon as it is kept.
func (p *Peer) seen(events []node.Event) {
	now := p.w.Now()
	for _, e := range events {
		of, known := p.w.byAddress[e.Address]
		switch {
		case !known || of == p.N:
		case e.Kind == "presence":
			state, lapsed := strings.CutSuffix(e.State, " (lapsed)")
			p.w.Book.See(now, p.N, of, strings.HasPrefix(state, "open"), versionOf(e.Text), !lapsed)
		case e.Kind == "message" && e.State == "received":
			p.w.Book.Inbox(now, p.N, e.ID)
		case e.Kind == "ack" || e.Kind == "message":
			p.w.Book.Settled(now, p.N, e.ID, e.State)
		}
		if p.w.Heard != nil {
			p.w.Heard(p, e)
		}
	}
}

// noteOf is what a user says as his nth word, and versionOf reads it.
func noteOf(version int) string { return "word " + strconv.Itoa(version) }

func versionOf(note string) int {
	v, _ := strconv.Atoi(strings.TrimPrefix(note, "word "))
	return v
}

// forget notes that the node is gone.
func (p *Peer) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.node == nil {
		return
	}
	p.tally()
	p.node = nil
	p.upTime += p.w.Now() - p.upSince
}

// tally adds what the node has counted to what is known of it; p.mu is held.
func (p *Peer) tally() {
	t, refused := p.spent()
	for i := range t {
		p.bytes[i] += t[i]
	}
	p.refused += refused
}

func (p *Peer) spent() (sent [4]uint64, refused uint64) {
	s := p.node.Counted()
	for i, service := range []p2p.Service{p2p.Topics, p2p.Watches, p2p.Parcels, p2p.Upkeep} {
		sent[i] = s.Spent[service].Out
	}
	for _, n := range s.Refused {
		refused += n
	}
	return sent, refused
}

// sent is what it sent so far, by service, in all lives.
func (p *Peer) sent() (out [4]uint64, refused uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, refused = p.bytes, p.refused
	if p.node != nil {
		t, r := p.spent()
		for i := range t {
			out[i] += t[i]
		}
		refused += r
	}
	return out, refused
}

// leaves reports whether its user looks at it no more, though it still runs.
func (p *Peer) leaves() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leaving
}

// stop ends the node with a sign-off.
func (p *Peer) stop() error {
	n := p.Running()
	if n == nil {
		return nil
	}
	p.w.Book.Down(p.w.Now(), p.N, true)
	p.mu.Lock()
	p.leaving = true
	cancel, ended := p.cancel, p.ended
	p.mu.Unlock()
	cancel()
	err := <-ended
	p.forget()
	return errors.Join(err, n.Close())
}

// kill ends the node in this instant; what is on its disk stays as it lies.
func (p *Peer) kill(d testnet.Death) error {
	n := p.Running()
	if n == nil {
		return nil
	}
	p.w.Net.Kill(p.IP, d)
	if p.memory != nil {
		p.memory = p.memory.Clone()
	} else {
		left := fmt.Sprintf("%s.%d", strings.SplitN(p.home, ".", 2)[0], p.lives.Load())
		if err := testnet.CopyHome(p.home, left); err != nil {
			return err
		}
		p.home = left
	}
	p.w.Book.Down(p.w.Now(), p.N, false)
	p.mu.Lock()
	cancel, ended := p.cancel, p.ended
	p.mu.Unlock()
	p.forget()
	cancel()
	p.w.dying.Go(func() {
		<-ended
		n.Close()
	})
	return nil
}

// say changes his presence.
func (p *Peer) say() error {
	n := p.Running()
	if n == nil {
		return nil
	}
	p.saying <- struct{}{}
	defer func() { <-p.saying }()
	p.version++
	note, open := noteOf(p.version), wire.Open
	p.w.Book.Say(p.w.Now(), p.N, p.version)
	_, err := n.Set(context.Background(), node.Change{Basic: &open, Note: &note})
	return err
}

// send writes to somebody.
func (p *Peer) send(to *Peer, size int) error {
	n := p.Running()
	if n == nil {
		return nil
	}
	letter := p.letters.Add(1)
	text := fmt.Sprintf("message %d ", letter)
	text += strings.Repeat("x", max(0, size-len(text)))
	at := p.w.Now()
	sent, err := n.Send(context.Background(), node.Draft{To: to.name(), Content: []byte(text)})
	if err == nil {
		p.w.Book.Sent(at, p.N, to.N, sent.ID.String())
	}
	return err
}

// ask has him add somebody, and ask to watch him.
func (p *Peer) ask(o *Peer) error {
	n := p.Running()
	if n == nil {
		return nil
	}
	if found, err := p.find(o); !found || err != nil {
		return err
	}
	p.w.Book.Ask(p.w.Now(), p.N, o.N)
	_, err := n.Watch(context.Background(), o.name(), "", 0)
	var e *node.Error
	if errors.As(err, &e) && e.Kind == node.KindUsage { // he watches him already
		return nil
	}
	return err
}

// meet puts somebody on the roster.
func (p *Peer) meet(o *Peer) error {
	_, err := p.find(o)
	return err
}

// find puts somebody on the roster, by his handle or else by his card. It reports whether he was found: a domain that does not
// answer is no error of the run, but counts as a handle that led nowhere.
func (p *Peer) find(o *Peer) (found bool, err error) {
	if o.handle == "" {
		_, err := p.Running().Add(context.Background(), o.card().String(), "")
		return err == nil, err
	}
	began := p.w.Now()
	c, err := p.Running().Add(context.Background(), o.handle, "")
	state := measure.NamedRight
	var e *node.Error
	switch {
	case errors.As(err, &e) && (e.Kind == node.KindUnreachable || e.Kind == node.KindFailed):
		state, err = measure.NamedNone, nil
	case err != nil:
		return false, err
	case c.Address != o.address:
		state = measure.NamedWrong
	}
	p.mu.Lock()
	first := !p.met[o.N]
	if p.met == nil {
		p.met = map[int]bool{}
	}
	p.met[o.N] = true
	p.mu.Unlock()
	if now := p.w.Now(); first || state != measure.NamedRight {
		p.w.Book.Named(now, p.N, o.N, now-began, state)
	}
	return state == measure.NamedRight, err
}

// name is what others type to write to him.
func (p *Peer) name() string {
	if p.handle != "" {
		return p.handle
	}
	return p.address.String()
}

// card is what one hands to others: it says where he is to be dialled, if he can be.
func (p *Peer) card() identity.Card {
	c := identity.Card{Address: p.address, Name: p.Name}
	p.w.mu.Lock()
	if k, ok := p.w.cards[p.N]; ok {
		c = k
	}
	p.w.mu.Unlock()
	if p.NAT { // what is left leads through a relay
		c.Dial = slices.DeleteFunc(slices.Clone(c.Dial), func(a string) bool { return !strings.Contains(a, "p2p-circuit") })
	}
	return c
}

// clear removes the home from the disk.
func (p *Peer) clear() {
	if dirs, err := filepath.Glob(strings.SplitN(p.home, ".", 2)[0] + "*"); err == nil {
		for _, d := range dirs {
			_ = os.RemoveAll(d)
		}
	}
}
