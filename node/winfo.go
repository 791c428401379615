package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// WatcherInfo is everybody who watches me, asked to, asked once, was refused or gave up (SPEC 4.12): each
// subscription of each device, and beside them whoever asked once, in the order of their addresses. It is
// what RFC 3858 calls the watcher list of a resource.
type WatcherInfo struct {
	Resource identity.Address
	At       time.Time
	Watchers []Subscription
}

// WatcherInfo returns the whole list.
func (n *Node) WatcherInfo(context.Context) (WatcherInfo, error) {
	info, err := n.watcherInfo()
	n.prove(info.Watchers)
	return info, err
}

// watcherInfo is WatcherInfo without the fingerprints, of which each costs a millisecond.
func (n *Node) watcherInfo() (info WatcherInfo, err error) {
	info.Resource, info.At = n.self.Address, n.now().Wall.Go()
	err = n.view(func(t *txn) error {
		info.Watchers, err = n.watcherRows(t, store.AllWatchers(), store.AllFetchers())
		return err
	})
	return info, err
}

// watcherRows is the list, one line for each subscription and for each fetcher, by address.
func (n *Node) watcherRows(t *txn, subs, fetchers store.Prefix) (out []Subscription, err error) {
	err = rows(t, subs, store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		out = append(out, n.watcherFace(w))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	err = rows(t, fetchers, store.ScanOptions{}, func(_ store.Key, w presence.Fetcher) (bool, error) {
		out = append(out, n.fetcherFace(w))
		return true, nil
	})
	slices.SortStableFunc(out, func(a, b Subscription) int { return slices.Compare(a.Address[:], b.Address[:]) })
	return out, err
}

// Watchers is everybody who watches me or asked, once each, and what became of it (RFC 3857).
func (n *Node) Watchers(context.Context) (out []Subscription, err error) {
	out, err = n.byAddress()
	n.prove(out)
	return out, err
}

func (n *Node) byAddress() (out []Subscription, err error) {
	info, err := n.watcherInfo()
	for every := info.Watchers; len(every) > 0; {
		next := slices.IndexFunc(every, func(s Subscription) bool { return s.Address != every[0].Address })
		if next < 0 {
			next = len(every)
		}
		out, every = append(out, together(every[:next])), every[next:]
	}
	return out, err
}

// watcherOf is what Watchers says of one address; its State is empty if there is nothing to say.
func (n *Node) watcherOf(t *txn, a identity.Address) (Subscription, error) {
	of, err := n.watcherRows(t, store.WatchersOf(a), store.FetcherOf(a))
	if err != nil || len(of) == 0 {
		return Subscription{Address: a, Petname: n.petname(a)}, err
	}
	return together(of), nil
}

// together is one line for all rows of an address: the subscription that goes furthest, the newest of
// equals, with what was counted of those who asked once. A subscription that is over says less than a Fetch
// that waits.
func together(rows []Subscription) Subscription {
	rank := map[string]int{presence.WatcherActive.String(): 3, presence.WatcherPending.String(): 2, presence.WatcherWaiting.String(): 1}
	s := slices.MaxFunc(rows, func(a, b Subscription) int {
		return cmp.Or(cmp.Compare(rank[a.Winfo], rank[b.Winfo]), compareBool(b.Once, a.Once), a.At.Compare(b.At))
	})
	for _, r := range rows {
		if r.Once {
			s.Fetches, s.Turned, s.Fetched = r.Fetches, r.Turned, r.Fetched
		}
		if s.Began.IsZero() || !r.Began.IsZero() && r.Began.Before(s.Began) {
			s.Began = r.Began
		}
	}
	return s
}

// Requests are those who wait for my decision: on a subscription, on a Fetch, or on their messages.
func (n *Node) Requests(context.Context) ([]Subscription, error) {
	every, err := n.byAddress()
	if err != nil {
		return nil, err
	}
	var wrote []Subscription
	err = n.view(func(t *txn) error {
		wrote, err = n.writers(t)
		return err
	})
	out := withWriters(slices.DeleteFunc(every, func(s Subscription) bool { return s.State != wire.SubPending.String() }), wrote)
	n.prove(out)
	return out, err
}

// proofs are the fingerprints that were worked out since the start. There are no more than proofsKept: what
// lists name goes by their own bounds.
type proofs struct {
	mu sync.Mutex
	of map[identity.Address]string
}

const proofsKept = 4096

// prove adds the fingerprints to what is shown.
func (n *Node) prove(list []Subscription) {
	for i := range list {
		list[i].Proof = n.proofs.get(list[i].Address)
	}
}

func (p *proofs) get(a identity.Address) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.of[a]; ok {
		return f
	}
	if p.of == nil || len(p.of) >= proofsKept {
		p.of = map[identity.Address]string{}
	}
	f := a.Fingerprint()
	p.of[a] = f
	return f
}

func (n *Node) watcherFace(w presence.Watcher) Subscription {
	if w.State == wire.SubPending || w.State == wire.SubActive { // before the yes, what it would show him
		w.View = n.viewNow(w)
	}
	status, event := w.Winfo()
	s := Subscription{Address: w.Who, Petname: n.petname(w.Who), Claimed: w.Name, ID: w.Sub, State: w.State.String(), Winfo: status.String(),
		Event: event.String(), Device: w.Device, Reason: w.Reason, Text: w.Text, View: w.View, Began: cmp.Or(w.Began, w.Since).Go(),
		Since: w.Since.Go(), At: w.Asked.Go(), Expires: w.Expires.Go(), Heard: w.LastAt.Go(),
		Hidden: w.Flags&wire.FlagPseudonym != 0}
	if !ended(w) {
		s.Contact, s.Seen = n.contactWith(w)
	}
	if w.State == wire.SubPending {
		s.Invited = n.cameInvited(w)
	}
	return s
}

func (n *Node) fetcherFace(w presence.Fetcher) Subscription {
	status, event := w.Winfo()
	return Subscription{Address: w.Who, Petname: n.petname(w.Who), ID: wire.SubID(w.ID), State: fetcherState(w), Winfo: status.String(),
		Event: event.String(), Device: w.Device, Reason: w.Reason, Text: "asked once", View: w.View, Once: true, Began: w.Began.Go(),
		Since: w.Since.Go(), At: w.Asked.Go(), Heard: w.Asked.Go(),
		Fetches: int(w.Count), Turned: int(w.Turned), Fetched: w.Got.Go()}
}

// fetcherState is where somebody stands who asked once, in the words for subscriptions.
func fetcherState(w presence.Fetcher) string {
	switch {
	case w.Waits():
		return wire.SubPending.String()
	case w.State == wire.FetchDenied, w.Event == presence.Rejected:
		return wire.SubDenied.String()
	}
	return wire.SubTerminated.String()
}

// The words for whether a watcher is there to be told. He has no lease as a presentity has one, and may hear
// through others what he does not hear from me, so that only a poll that is overdue says that he is gone.
const (
	contactNow  = "connected"      // to one of his devices at least
	contactNone = "out-of-contact" // not now
	contactLost = "lost"           // nor has he polled when he should have, which is daily (SPEC 4.8)
)

// pollOverdue is when a watcher who polls daily has missed a poll.
const pollOverdue = 26 * time.Hour

// contactWith tells whether a watcher is in contact, and when he last was.
func (n *Node) contactWith(w presence.Watcher) (string, time.Time) {
	n.mu.RLock()
	at, last := n.kept[w.Who], max(w.LastAt, n.parted[w.Who])
	n.mu.RUnlock()
	now := n.now().Wall
	for _, p := range at {
		if up, _ := n.net.Connected(p); up {
			return contactNow, now.Go()
		}
	}
	if w.State == wire.SubActive && now.Sub(last) > pollOverdue {
		return contactLost, last.Go()
	}
	return contactNone, last.Go()
}

// noteParted notes when the last connection to a watcher ended.
func (n *Node) noteParted(a identity.Address) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watchers[a] != "" {
		n.parted[a] = n.now().Wall
	}
}

// newsPause is how often at most the user's programs are told that the list of watchers has changed (RFC
// 3857, section 4.10), and newsAtOnce of how many watchers then: a flood of strangers is told of as one.
const (
	newsPause  = 5 * time.Second
	newsAtOnce = 20
)

// watcherNews paces the events about watchers. What happens within the pause is told at its end, as it
// then stands; rows that are still to be told of are marked as news.
type watcherNews struct {
	mu    sync.Mutex
	pass  chan struct{} // in which was told last: all that one pass changes is told at once
	told  int           // events in that pass
	until time.Duration // by Mono: nothing is told before
	owed  bool          // some row is marked
}

// tell emits an event about a watcher, or returns false if it is too soon for it.
func (w *watcherNews) tell(t *txn, e Event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pass != t.done && t.now.Mono < w.until || w.pass == t.done && w.told >= newsAtOnce {
		return false
	}
	if w.pass != t.done {
		w.pass, w.told, w.until = t.done, 0, t.now.Mono+newsPause
	}
	w.told++
	t.emit(e)
	return true
}

func (w *watcherNews) owe(owed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owed = owed
}

// tellWatcherNews emits an event about a watcher, or returns false if it is too soon: then the row is to be
// marked as news.
func (n *Node) tellWatcherNews(t *txn, e Event) bool {
	if n.news.tell(t, e) {
		return true
	}
	n.news.owe(true)
	t.after(n.serving.nudge)
	return false
}

// newsDue returns how long it is until what is owed may be told.
func (n *Node) newsDue() time.Duration {
	n.news.mu.Lock()
	defer n.news.mu.Unlock()
	if !n.news.owed {
		return look
	}
	return max(0, n.news.until-n.now().Mono)
}

// workNews tells what was held back.
func (n *Node) workNews() (time.Duration, error) {
	if pause := n.newsDue(); pause > 0 {
		return pause, nil
	}
	n.news.owe(false)
	err := n.update(func(t *txn) error {
		every, err := n.takeNews(t)
		left := 0
		for _, e := range every {
			if !n.news.tell(t, e) {
				left++
			}
		}
		if left > 0 {
			t.emit(Event{Kind: "request", State: "changed", Text: fmt.Sprintf("and %d more: see hum watchers", left)})
		}
		if len(every) >= newsPass {
			n.news.owe(true)
		}
		return err
	})
	if err != nil {
		n.news.owe(true)
		return retryAfter, err
	}
	return n.newsDue(), nil
}

// newsPass bounds how many rows one pass takes, so that it stays short.
const newsPass = 200

// takeNews returns what is to be told, and unmarks the rows.
func (n *Node) takeNews(t *txn) (every []Event, err error) {
	if err := rows(t, store.AllWatchers(), store.ScanOptions{}, func(k store.Key, w presence.Watcher) (bool, error) {
		if !w.News {
			return true, nil
		}
		w.News, every = false, append(every, n.watcherEvent(w))
		return len(every) < newsPass, put(t, k, w)
	}); err != nil {
		return nil, err
	}
	return every, rows(t, store.AllFetchers(), store.ScanOptions{}, func(k store.Key, w presence.Fetcher) (bool, error) {
		if !w.News || len(every) >= newsPass {
			return len(every) < newsPass, nil
		}
		w.News, every = false, append(every, n.fetcherEvent(w))
		return true, put(t, k, w)
	})
}
