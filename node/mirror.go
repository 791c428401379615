package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
)

// looking is what the node knows of how it is seen itself.
type looking struct {
	mu      sync.Mutex
	cannot  string        // why nobody can tell whether the user is there
	spoke   identity.Time // when he last said how he wants to be seen
	silent  identity.Time // since when no input comes, as it was published; 0: he is there
	unheard bool          // nobody is reached
	since   time.Duration // that it is so, by the monotonic clock
	told    bool          // that nobody is reached
	moved   time.Duration // when a peer last came or went
	back    time.Duration // when it was last told that somebody is again; 0: never
	costs   costs
}

// How long nobody must be reached before it is said; it takes longer if it was told within the last minutes, as
// a path that flaps is none to speak of.
const (
	aloneAfter   = 10 * time.Second
	aloneFlapped = time.Minute
	aloneCalm    = 5 * time.Minute
)

// workMirror looks at how I am seen: whether the user is there, whether anybody is reached, at what cost.
func (n *Node) workMirror(ctx context.Context) (time.Duration, error) {
	pause, err := n.lookReach()
	err = errors.Join(err, n.lookIdle(ctx))
	n.looking.mu.Lock()
	n.looking.costs.note(n.now().Mono, n.net.Stats().Spent)
	n.looking.mu.Unlock()
	if n.minds() || n.linksMove() {
		pause = min(pause, idleLook)
	}
	return pause, err
}

// linksMove reports whether a peer came or went just now: what hangs on its connection follows a little later.
func (n *Node) linksMove() bool {
	n.looking.mu.Lock()
	defer n.looking.mu.Unlock()
	return n.looking.moved != 0 && n.now().Mono-n.looking.moved < 3*idleLook
}

// lookReach says when nobody who watches me is reached any more, and when somebody is again.
func (n *Node) lookReach() (pause time.Duration, err error) {
	reaching, err := n.reaching()
	if err != nil {
		return look, err
	}
	unheard := !reaching && n.hasWatchers()
	now := n.now().Mono
	l := &n.looking
	l.mu.Lock()
	if unheard != l.unheard {
		l.unheard, l.since = unheard, now
	}
	grace := aloneAfter
	if l.back != 0 && now-l.back < aloneCalm {
		grace = aloneFlapped
	}
	left := l.since + grace - now
	tell := unheard != l.told && (!unheard || left <= 0)
	l.mu.Unlock()
	pause = look
	if unheard {
		pause = aloneAfter // to notice soon who comes to watch
		if left > 0 {
			pause = min(left, aloneAfter)
		}
	}
	if !tell {
		return pause, nil
	}
	return pause, n.tellReach(unheard)
}

func (n *Node) tellReach(unheard bool) error {
	return n.update(func(t *txn) error {
		e := Event{Kind: "node", State: "reaching", Text: "your presence reaches somebody again"}
		if unheard {
			e.State, e.Text = "not-reaching", n.whyAlone()+": what you are shown as reaches nobody"
		}
		t.emit(e)
		t.after(func() {
			n.looking.mu.Lock()
			defer n.looking.mu.Unlock()
			if n.looking.told = unheard; !unheard {
				n.looking.back = t.now.Mono
			}
		})
		return nil
	})
}

// hasWatchers reports whether anybody has an active subscription to me.
func (n *Node) hasWatchers() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.watchers) > 0 && n.self.Services&identity.Presentity != 0
}

// reaching reports whether some stream or topic peer hears me now (SPEC 4.5).
func (n *Node) reaching() (reaching bool, err error) {
	err = n.eachView(n.view, func(t *txn, view presence.View, _ presence.Publisher) error {
		for _, e := range view.Publishing(t.now) {
			peers, streams := n.net.Audience(e.E)
			reaching = reaching || peers+streams > 0
		}
		return nil
	})
	return reaching, err
}

// whyAlone says why nobody is reached.
func (n *Node) whyAlone() string {
	addrs := n.net.Addrs()
	switch {
	case !n.hasWatchers():
		return "nobody watches you yet"
	case !n.net.Alone():
		return "none of those who watch you is connected"
	case len(n.net.Listening()) > 0 && !slices.ContainsFunc(addrs, func(a []byte) bool { return !loops(a) }):
		return "this machine is off the network"
	}
	return "this node is connected to nobody"
}

// loops reports whether an address is of this machine alone.
func loops(addr []byte) bool {
	s := p2p.AddrText(addr)
	return strings.HasPrefix(s, "/ip4/127.") || strings.HasPrefix(s, "/ip6/::1/")
}

// lookedAt adds to s what the mirror shows.
func (n *Node) lookedAt(s *Status, stats p2p.Stats) {
	l := &n.looking
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Costs = l.costs.rates(n.now().Mono, stats.Spent)
	switch {
	case n.self.Services&identity.Presentity == 0:
	case n.idleAfter() < 0:
		s.Idle = "off"
	case n.cfg.Input == nil:
		s.Idle, s.IdleWhy = "unknown", "this system does not tell whether you are there"
	case l.cannot != "":
		s.Idle, s.IdleWhy = "unknown", l.cannot
	default:
		s.Idle, s.IdleAfter = "on", n.idleAfter()
	}
}
