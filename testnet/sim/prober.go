package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// A prober wraps a real node whose user wants to know who has blocked him. Some of the honest let him watch them, and block him
// politely in the middle of the run; decoys, nodes of the adversary's own that nobody measures, say at the same time that they are
// closed, which is what a polite block is to look like. From then on he asks in every way that his node has: what it shows, a
// fetch, a message, his subscription. He was told if anything that one who blocked him answered never came from a decoy.
type prober struct {
	w      *World
	p      *Peer
	block  func(ctx context.Context, by *node.Node, who string) error // politely
	cancel context.CancelFunc
	busy   sync.WaitGroup

	mu      sync.Mutex
	asked   int
	answers map[bool]map[string]bool // by whether its giver has blocked him
}

const probed = 3 // whom he watches, and as many decoys

func newProber() Behaviour {
	return &prober{block: func(ctx context.Context, by *node.Node, who string) error {
		_, err := by.PoliteBlock(ctx, who)
		return err
	}}
}

func (r *prober) Begin(w *World, p *Peer) error {
	if r.cancel != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.w, r.p, r.cancel = w, p, cancel
	r.answers = map[bool]map[string]bool{true: {}, false: {}}
	r.busy.Go(func() {
		if err := r.run(ctx); err != nil && ctx.Err() == nil {
			w.Fail("prober: %v", err)
		}
	})
	return nil
}

// What a prober has others do.
const (
	wordMeet = "meet a prober"      // have him on the roster, so that he may watch
	wordTurn = "turn from a prober" // block him politely, or be closed as a decoy is
)

// Act is what those do whom he watches.
func (r *prober) Act(w *World, on, by *Peer, word string) error {
	ctx, closed, n := context.Background(), wire.Closed, on.Running()
	switch {
	case n == nil:
		return nil
	case word == wordMeet:
		return on.meet(by)
	case on.Adversary:
		_, err := n.Set(ctx, node.Change{Basic: &closed})
		return err
	}
	return r.block(ctx, n, by.address.String())
}

func (r *prober) run(ctx context.Context) error {
	wait := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-ctx.Done():
			return false
		}
	}
	if !wait(r.w.Plan.Scenario.Warmup.D() - r.w.Now()) {
		return nil
	}
	var honest, decoys []*Peer // by the plan, as they may run in other processes
	for _, o := range r.w.Peers {
		switch {
		case o.Start < 0:
		case !o.Adversary && len(honest) < probed:
			honest = append(honest, o)
		case o.Class.Behaviour == "decoy" && len(decoys) < probed:
			decoys = append(decoys, o)
		}
	}
	targets := append(honest, decoys...)
	for _, o := range targets {
		r.w.Have(o, r.p, wordMeet)
	}
	if !wait(2 * cardDelay) {
		return nil
	}
	for _, o := range targets {
		n := r.p.Running()
		if n == nil {
			return nil
		}
		if err := r.p.meet(o); err != nil {
			return err
		}
		if _, err := n.Watch(ctx, o.address.String(), "", 0); err != nil {
			return err
		}
	}
	if !wait(r.w.Plan.Scenario.Duration.D() / 3) {
		return nil
	}
	for _, o := range targets {
		r.w.Have(o, r.p, wordTurn)
	}
	for round := 0; wait(20 * time.Second); round++ {
		for _, o := range targets {
			r.ask(ctx, o, !o.Adversary, round)
		}
	}
	return nil
}

// ask notes each answer by its kind, without what must differ between people.
func (r *prober) ask(ctx context.Context, o *Peer, blocked bool, round int) {
	n := r.p.Running()
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	note := func(what string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked++
		r.answers[blocked][what] = true
	}
	if who, err := n.Who(ctx, []string{o.address.String()}); err == nil && len(who) == 1 {
		note("shown " + who[0].Basic)
	}
	subs, _ := n.Watching(ctx)
	for _, s := range subs {
		if s.Address == o.address {
			note("subscription " + s.State)
		}
	}
	if f, err := n.Fetch(ctx, o.address.String(), false); err == nil {
		note("fetched " + f.Basic)
	} else if ctx.Err() == nil {
		note("fetch: " + codeOf(err))
	}
	if round == 1 {
		if sent, err := n.Send(ctx, node.Draft{To: o.address.String(), Content: []byte("are you there?")}); err != nil {
			note("message: " + codeOf(err))
		} else if out, err := n.Outbox(ctx, sent.ID.String()); err == nil && len(out) == 1 && out[0].State == "failed" {
			note("message failed")
		}
	}
}

func codeOf(err error) string {
	var e *node.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "error"
}

// Figures are how many kinds of answers gave a block away.
func (r *prober) Figures() map[string]float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := 0
	for what := range r.answers[true] {
		if !r.answers[false][what] {
			told++
			r.w.Fail("a prober is told that he is blocked: %s", what)
		}
	}
	return map[string]float64{"prober_told": float64(told), "prober_asked": float64(r.asked)}
}

func (r *prober) End() {
	r.cancel()
	r.busy.Wait()
}
