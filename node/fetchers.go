package node

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// fetchAsked takes a Fetch (SPEC 4.10). Whatever the answer, it leaves one second after the Fetch came, as
// that to a SubRequest does.
func (n *Node) fetchAsked(ctx context.Context, a arrival) {
	r, err := wire.ParseFetch(a.signed.Body)
	n.inquired(ctx, inquiry{a, r.From, r.ArSeq, err, func(t *txn, attached records) (ruling, error) {
		return n.takeFetch(t, a, r, attached)
	}})
}

func (n *Node) takeFetch(t *txn, a arrival, r wire.Fetch, attached records) (out ruling, err error) {
	p, changed, reason, err := n.vouch(t, a, claim{from: r.From, to: r.To, stamp: r.At, arSeq: r.ArSeq}, attached)
	if out.reason = reason; err != nil || reason != wire.ReasonNone {
		return out, err
	}
	row, known, err := find[presence.Fetcher](t, store.Fetcher(r.From))
	if err != nil {
		return out, err
	}
	old := &row
	if !known {
		old = nil
	}
	facts, seat, err := n.fetchFacts(t, a, r, old)
	if err != nil {
		return out, err
	}
	device := identity.DeviceIDOf(a.signed.Key)
	w, ans := presence.Fetch(t.now, old, r, device, facts)
	say := func(reply wire.Signed) func(context.Context) {
		return func(ctx context.Context) {
			n.sendBack(ctx, &letter{to: r.From, role: anyDevice, device: device, signed: reply}, &p.Pin, a.peer)
		}
	}
	out.reason = ans.Reason
	if ans.Kind == presence.Resend {
		if reply, ok := n.replies.again(r); ok {
			out.answer = say(reply)
		}
	}
	if ans.Kind != presence.Sign {
		return out, nil
	}
	out.reason = wire.ReasonNone
	n.hearContact(t, r.From, r.At)
	var docs [][]byte
	if ans.State == wire.FetchOK {
		if docs, err = n.docsOf(t, facts.View, old); err != nil {
			return out, err
		}
	}
	reply := n.signFetchReply(t, r, ans, docs)
	out.answer = say(reply)
	if !ans.Keep {
		return out, nil
	}
	t.after(func() { n.replies.keep(r, reply) })
	if changed {
		if err := n.savePin(t, r.From, p); err != nil {
			return out, err
		}
	}
	return out, n.keepFetcher(t, &w, ans.News, seat)
}

func (n *Node) signFetchReply(t *txn, r wire.Fetch, ans presence.FetchAnswer, docs [][]byte) wire.Signed {
	reply := wire.FetchReply{From: n.self.Address, To: r.From, Req: r.Req, State: ans.State, Reason: ans.Reason, Docs: docs, AsOf: t.now.Wall}
	return wire.Sign(n.keys.Device(), wire.TypeFetchReply, reply.Append(nil))
}

// replies are the newest answers to those who ask once, for a question that comes again since its answer died
// with a stream. They are in memory alone: who asks a process that has died since is told nothing.
type replies struct {
	mu  sync.Mutex
	all []givenReply // the oldest first
}

// A givenReply is the answer that somebody was given last.
type givenReply struct {
	to     identity.Address
	req    wire.ReqID
	signed wire.Signed
	left   int // so many times it is given again
}

// repliesKept bounds replies. Each has 33 KB at most, and some hundred bytes if nothing was shown.
const repliesKept = 256

func (b *replies) keep(r wire.Fetch, s wire.Signed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = slices.DeleteFunc(b.all, func(g givenReply) bool { return g.to == r.From })
	if len(b.all) >= repliesKept {
		b.all = slices.Delete(b.all, 0, 1)
	}
	b.all = append(b.all, givenReply{r.From, r.Req, s, wire.FetchRepeats})
}

func (b *replies) again(r wire.Fetch) (wire.Signed, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.all, func(g givenReply) bool { return g.to == r.From && g.req == r.Req && g.left > 0 })
	if i < 0 {
		return wire.Signed{}, false
	}
	b.all[i].left--
	return b.all[i].signed, true
}

// fetchFacts is what the rules need to know about a Fetch, and the seat that it would take while it waits.
func (n *Node) fetchFacts(t *txn, a arrival, r wire.Fetch, row *presence.Fetcher) (f presence.FetchFacts, s fetchSeat, err error) {
	f = presence.FetchFacts{Service: n.self.Services&identity.Presentity != 0, PlaceFree: true,
		Unsupported: wire.Required(r.Crit, r.Ext, wire.TypeFetch.Knows) != nil}
	if !f.Service {
		return f, s, nil
	}
	view, h, err := n.fetchRule(t, r.From)
	if err != nil {
		return f, s, err
	}
	f.View, f.Handling = view, handling(h)
	s, f.PlaceFree, err = n.findFetchSeat(t, a, r, row, f.Handling)
	return f, s, err
}

// fetchRule returns the view that an address is shown when it asks once, and what becomes of its Fetch: a
// permission of its own, by default that of subscribing (SPEC 4.10).
func (n *Node) fetchRule(t *txn, a identity.Address) (string, policy.Handling, error) {
	book, c, err := n.bookFor(t, a, 0, "")
	d := book.Fetch(a, c)
	name := viewFor(a, d)
	if err != nil || d.Handling != policy.PoliteBlock || d.By != policy.ByDefault {
		return name, d.Handling, err
	}
	if own, ok, err := find[presence.View](t, viewRow(name)); err != nil || ok && !own.Vacant {
		return name, d.Handling, err // he watches in it
	}
	return closedClass(c), d.Handling, nil
}

// docsOf are the documents of a view, one for each live device of mine: the very bytes that its watchers
// were shown last. Row is what is kept of who asks, nil if nothing is.
func (n *Node) docsOf(t *txn, name string, row *presence.Fetcher) ([][]byte, error) {
	view, pub, err := n.loadView(t, name)
	if err == nil && isClosedView(name) && view.Vacant {
		err = n.openClosed(t, &view, &pub, seenBefore(row, name))
	}
	if err != nil {
		return nil, err
	}
	docs := [][]byte{pub.Face(t.now, view)}
	others, err := n.otherDocs(t, name)
	for _, d := range others {
		docs = append(docs, d.Append(nil))
	}
	return docs, err
}

// seenBefore is the view that somebody was shown before that of name.
func seenBefore(row *presence.Fetcher, name string) string {
	if row == nil || row.View == name {
		return presence.DefaultView
	}
	return cmp.Or(row.View, presence.DefaultView)
}

// maxFetchers bounds the list of those who asked once: who is no contact gives way first, and of those who
// was never shown anything.
const maxFetchers = wire.MaxWatchers

// A fetchSeat is where a Fetch goes in the list, and who gives way for it.
type fetchSeat struct {
	from    source
	unseat  []presence.Fetcher // who waited, and does no longer
	replace []presence.Fetcher // who leaves the list
}

// findFetchSeat looks for a place: those who wait are bounded as SubRequests are, in a list of their own;
// nothing is changed until the Fetch is kept.
func (n *Node) findFetchSeat(t *txn, a arrival, r wire.Fetch, row *presence.Fetcher, h presence.Handling) (s fetchSeat, free bool, err error) {
	if row != nil && (h != presence.Confirm || row.Waits()) {
		return s, true, nil // he has one
	}
	list, err := all[presence.Fetcher](t, store.AllFetchers())
	if err != nil {
		return s, false, err
	}
	list = slices.DeleteFunc(list, func(w presence.Fetcher) bool { return w.Who == r.From })
	s.from, free = source{Peer: []byte(a.peer), Prefix: policy.Prefix(n.net.RemoteIP(a.peer))}, true
	if h == presence.Confirm {
		waiting := slices.DeleteFunc(slices.Clone(list), func(w presence.Fetcher) bool { return !w.Waits() })
		held := make([]policy.Pending, len(waiting))
		for i, w := range waiting {
			held[i] = policy.Pending{Who: w.Who, Device: w.Device, Peer: string(w.Peer), Prefix: w.Prefix, Reserved: n.isContact(w.Who), At: w.Asked}
		}
		place := policy.Seat(held, policy.Pending{Who: r.From, Peer: string(s.from.Peer), Prefix: s.from.Prefix, Reserved: n.isContact(r.From), At: t.now.Wall})
		free = place.OK
		for _, i := range place.Replace {
			s.unseat = append(s.unseat, waiting[i])
		}
	}
	if row == nil && len(list) >= maxFetchers {
		s.replace = append(s.replace, slices.MinFunc(list, func(a, b presence.Fetcher) int {
			return cmp.Or(compareBool(n.isContact(a.Who), n.isContact(b.Who)), a.Yields(b))
		}))
	}
	return s, free, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// keepFetcher writes the row of somebody who asked once.
func (n *Node) keepFetcher(t *txn, w *presence.Fetcher, news bool, s fetchSeat) error {
	for _, gone := range s.unseat {
		gone.LoseSeat(t.now)
		gone.News = !n.tellWatcherNews(t, n.fetcherEvent(gone))
		if err := n.saveFetcher(t, gone); err != nil {
			return err
		}
	}
	for _, gone := range s.replace {
		if err := t.Delete(store.Fetcher(gone.Who)); err != nil {
			return err
		}
	}
	if w.Waits() && len(s.from.Peer) > 0 {
		w.Peer, w.Prefix = s.from.Peer, s.from.Prefix
	}
	if news {
		w.News = !n.tellWatcherNews(t, n.fetcherEvent(*w))
	}
	return n.saveFetcher(t, *w)
}

func (n *Node) saveFetcher(t *txn, w presence.Fetcher) error { return put(t, store.Fetcher(w.Who), w) }

// fetcherEvent tells what became of somebody's Fetch.
func (n *Node) fetcherEvent(w presence.Fetcher) Event {
	e := Event{Kind: "request", Address: w.Who, Name: n.name(w.Who), ID: wire.SubID(w.ID).String(), Reason: w.Reason, Text: "asked once"}
	switch e.State = fetcherState(w); {
	case w.Event != 0:
		e.State = w.Event.String()
	case w.State == wire.FetchOK:
		e.State = "fetched"
	}
	return e
}

// settleAsked has those who wait no longer, since the user has decided about their address: what asked once,
// and requests whose time was over before he did. They learn of it when they ask again.
func (n *Node) settleAsked(t *txn, a identity.Address, h presence.Handling, why wire.Reason) error {
	e := presence.Approved
	switch {
	case h == presence.Block && why == 0:
		e = presence.Deactivated
	case h == presence.Block:
		e = presence.Rejected
	}
	if err := n.settleWaiting(t, a, wire.SubID{}, e); err != nil {
		return err
	}
	if _, fetch, err := n.fetchRule(t, a); err != nil || why != 0 && (fetch == policy.Confirm || (fetch == policy.Block) != (h == presence.Block)) {
		return err // asking once is a permission of its own
	}
	w, ok, err := find[presence.Fetcher](t, store.Fetcher(a))
	if err != nil || !ok || !w.Decide(t.now, e) {
		return err
	}
	return n.keepFetcher(t, &w, true, fetchSeat{})
}

// settleWaiting ends what waits of an address, but not the subscription sub.
func (n *Node) settleWaiting(t *txn, a identity.Address, sub wire.SubID, e presence.Event) error {
	of, err := all[presence.Watcher](t, store.WatchersOf(a))
	for _, w := range of {
		if err == nil && w.Sub != sub && w.Settle(e) {
			err = n.saveWatcher(t, w)
		}
	}
	return err
}

// purgeFetchers forgets requests that are 30 days old and had no answer but a no (SPEC 4.12).
func (n *Node) purgeFetchers() error {
	var old []store.Key
	err := n.view(func(t *txn) error {
		return rows(t, store.AllFetchers(), store.ScanOptions{}, func(k store.Key, w presence.Fetcher) (bool, error) {
			if w.Over(t.now) {
				old = append(old, k)
			}
			return true, nil
		})
	})
	return n.inBatches(err, old, func(t *txn, k store.Key) error { return t.Delete(k) })
}

// askedOnce reports whether somebody is in the list of those who asked once.
func (n *Node) askedOnce(t *txn, a identity.Address) bool { return t.Has(store.Fetcher(a)) }

// markFetchers marks everybody of whom it is kept that he asked once, and whose answer is kept here.
func (n *Node) markFetchers(t *txn, needed map[identity.Address]bool) error {
	for _, table := range []store.Prefix{store.AllFetchers(), store.AllFetched()} {
		for k := range t.Scan(table, store.ScanOptions{KeysOnly: true}) {
			needed[k.Address()] = true
		}
	}
	return nil
}
