package testnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
)

const (
	ttl    = 150 * time.Second // a lease (SPEC 1)
	breath = 5 * time.Second   // what passes after each line of a story
	glance = 10 * time.Second  // how often everybody looks while time passes
)

// A World is some users, their machines and the network between them, in one bubble. It is used from one
// goroutine.
type World struct {
	Net   *Network
	Log   func(name string) *slog.Logger // of each user's machine
	Start func(Place) (Machine, error)   // StartNode
	Tired func() bool                    // enough of real time was spent; may be nil

	dir   string
	seed  uint64
	users []*user
	cuts  map[[2]string]bool
	judge *judge
	gone  sync.WaitGroup // machines that were killed and are still going down
}

// A user is a person with one machine.
type user struct {
	name, ip string
	address  identity.Address
	clock    *Clock
	lives    int // starts so far
	home     string
	machine  Machine // nil while it is off
	cancel   context.CancelFunc
	ended    chan error
	sight    sight // what he saw last
}

// NewWorld makes a world without users that keeps its homes in dir.
func NewWorld(dir string, c Config) *World {
	return &World{Net: New(c), Log: func(string) *slog.Logger { return slog.New(slog.DiscardHandler) }, Start: StartNode,
		dir: dir, seed: c.Seed, cuts: map[[2]string]bool{}, judge: newJudge()}
}

func (w *World) user(name string) (*user, error) {
	for _, u := range w.users {
		if u.name == name {
			return u, nil
		}
	}
	return nil, fmt.Errorf("nobody is called %q", name)
}

// running returns a user whose machine is on.
func (w *World) running(name string) (*user, error) {
	u, err := w.user(name)
	if err == nil && u.machine == nil {
		err = fmt.Errorf("the machine of %s is off", name)
	}
	return u, err
}

// name returns what a story calls an address.
func (w *World) name(a identity.Address) string {
	for _, u := range w.users {
		if u.address == a {
			return u.name
		}
	}
	return "a stranger"
}

// join adds a user and starts his machine.
func (w *World) join(name string) error {
	if _, err := w.user(name); err == nil {
		return fmt.Errorf("%s is here already", name)
	}
	u := &user{name: name, ip: fmt.Sprintf("10.0.0.%d", 1+len(w.users)), clock: NewClock(), home: filepath.Join(w.dir, name)}
	w.users = append(w.users, u)
	return w.start(u)
}

func (w *World) start(u *user) error {
	if u.machine != nil {
		return fmt.Errorf("the machine of %s is on", u.name)
	}
	u.clock.Restart()
	u.lives++
	m, err := w.Start(Place{Name: u.name, IP: u.ip, Home: u.home, Clock: u.clock,
		Rand: newRand(w.seed, u.name, u.lives), Log: w.Log(u.name), Net: w.Net})
	if err != nil {
		return fmt.Errorf("start %s: %w", u.name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	u.machine, u.address, u.cancel, u.ended = m, m.Self().Address, cancel, make(chan error, 1)
	go func() { u.ended <- m.Run(ctx) }()
	select {
	case <-m.Ready():
	case err := <-u.ended:
		return fmt.Errorf("%s ended at once: %w", u.name, errors.Join(err, m.Close()))
	}
	w.said(u)
	return nil
}

// stop ends a machine as a user does, with a sign-off.
func (w *World) stop(u *user) error {
	m := u.machine
	u.machine = nil
	w.judge.say(u.name, offline, w.hiddenFrom(u))
	u.cancel()
	return errors.Join(<-u.ended, m.Close())
}

// kill ends a machine without a word, in this instant, and leaves its disk as it lies.
func (w *World) kill(u *user, d Death) error {
	synctest.Wait()
	w.Net.Kill(u.ip, d)
	left := filepath.Join(w.dir, fmt.Sprintf("%s.%d", u.name, u.lives))
	if err := CopyHome(u.home, left); err != nil {
		return err
	}
	m, ended := u.machine, u.ended
	u.home, u.machine = left, nil
	u.cancel()
	w.gone.Go(func() {
		<-ended
		m.Close()
	})
	return nil
}

// said notes what a user shows his watchers from now on, and whom he has blocked.
func (w *World) said(u *user) {
	if blocks, err := u.machine.Blocks(context.Background()); err == nil {
		u.sight.blocks = blocks
	}
	if s, err := u.machine.Status(context.Background()); err == nil {
		w.judge.say(u.name, shownAs(s.Presence, s.IM, s.Note), w.hiddenFrom(u))
	}
}

// hiddenFrom returns whom a user has blocked from his presence.
func (w *World) hiddenFrom(u *user) map[string]bool {
	hidden := map[string]bool{}
	for _, b := range u.sight.blocks {
		if b.Scope != "im" {
			hidden[w.name(b.Address)] = true
		}
	}
	return hidden
}

var errTired = errors.New("the story stands still: some machine does very much in very little time")

// pass lets time pass, and has everybody look around now and then.
func (w *World) pass(d time.Duration) error {
	for end := time.Now().Add(d); ; {
		time.Sleep(min(glance, time.Until(end)))
		synctest.Wait()
		if w.Tired != nil && w.Tired() {
			return errTired
		}
		if err := w.look(); err != nil {
			return err
		}
		if !time.Now().Before(end) {
			return nil
		}
	}
}

// look has everybody look at his screen, and judges what they see.
func (w *World) look() error {
	for _, u := range w.users {
		if u.machine == nil {
			continue
		}
		select {
		case err := <-u.ended:
			return fmt.Errorf("the machine of %s ended by itself: %v", u.name, err)
		default:
		}
		s, err := glimpse(u.machine)
		if err != nil {
			return fmt.Errorf("%s looks: %w", u.name, err)
		}
		u.sight = s
	}
	w.reach()
	w.judge.look(w)
	return nil
}

// reach notes who could hear of whom in this instant, over however many others.
func (w *World) reach() {
	for _, from := range w.users {
		seen := map[*user]bool{}
		for todo := []*user{from}; len(todo) > 0; todo = todo[1:] {
			u := todo[0]
			if u.machine == nil || seen[u] {
				continue
			}
			seen[u] = true
			w.judge.heard[[2]string{from.name, u.name}] = time.Now()
			for _, next := range w.users {
				if !w.cuts[pair(u.name, next.name)] {
					todo = append(todo, next)
				}
			}
		}
	}
}

func pair(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

func (w *World) cut(a, b *user) {
	w.cuts[pair(a.name, b.name)] = true
	w.Net.Cut(a.ip, b.ip)
}

func (w *World) heal(a, b *user) {
	delete(w.cuts, pair(a.name, b.name))
	w.Net.Join(a.ip, b.ip)
}

// mend makes everything good again: clocks right, nothing cut, all machines on.
func (w *World) mend() error {
	for i, u := range w.users {
		u.clock.Step(-u.clock.Offset())
		w.Net.Shut(u.ip, false)
		for _, v := range w.users[:i] {
			w.heal(u, v)
		}
		if u.machine == nil {
			if err := w.start(u); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close stops all machines.
func (w *World) Close() error {
	var errs []error
	for _, u := range w.users {
		if u.machine != nil {
			errs = append(errs, w.stop(u))
		}
	}
	w.gone.Wait()
	return errors.Join(errs...)
}

// A sight is all that one user can see at one instant.
type sight struct {
	who      []node.PresenceOf
	watching []node.Subscription
	watchers []node.Subscription
	inbox    []node.Received
	outbox   []node.Sent
	blocks   []node.BlockEntry
	status   node.Status
}

func glimpse(m Machine) (s sight, err error) {
	ctx := context.Background()
	var errs [7]error
	s.who, errs[0] = m.Who(ctx, nil)
	s.watching, errs[1] = m.Watching(ctx)
	s.watchers, errs[2] = m.Watchers(ctx)
	s.inbox, errs[3] = m.Inbox(ctx, node.InboxQuery{})
	s.outbox, errs[4] = m.Outbox(ctx, "")
	s.blocks, errs[5] = m.Blocks(ctx)
	s.status, errs[6] = m.Status(ctx)
	return s, errors.Join(errs[:]...)
}
