package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// What a fetched presence rests on.
const (
	fromHim   = "direct" // his own answer, just now
	fromWatch = "watch"  // my subscription, which is being heard
	fromCopy  = "cached" // what is remembered here

	fromPublic = "public" // what everybody may read of him, by his record
)

// fetchPatience bounds a Fetch: whoever has no copy of his presence says so within it (SPEC 4.10).
const fetchPatience = 5 * time.Second

// Fetch asks somebody once for his presence, whether or not I watch him, and waits for the answer, for 5 s
// at most; then what is remembered of him is shown, with its age. With cached nobody is asked. Errors, as
// *Error: policy and other refusals; pending, if he has to be asked first; no-copy.
func (n *Node) Fetch(ctx context.Context, who string, cached bool) (PresenceOf, error) {
	card, err := n.who(who)
	if err != nil {
		return PresenceOf{}, asPresentity(err)
	}
	a := card.Address
	if err := n.checkWatch(a, "", 0); err != nil {
		return PresenceOf{Address: a}, err
	}
	w, _ := n.presence.watchingOf(a)
	reads := len(w.Grants()) > 0
	ctx, done := context.WithTimeout(ctx, fetchPatience)
	defer done()
	switch {
	case cached:
		return n.remembered(a, nil)
	case reads && n.getNow(ctx, w):
		p := n.presenceOf(a)
		p.Source = fromHim
		return p, nil
	case reads:
		return n.remembered(a, nil)
	}
	orPublic := n.besidePublic(ctx, a)
	return orPublic(n.askOnce(ctx, card))
}

// getNow asks the places of a presentity whom I watch for the newest records of every epoch that I hold, and
// reports whether one answered.
func (n *Node) getNow(ctx context.Context, w presence.Watching) (answered bool) {
	for _, g := range w.Grants() {
		answered = n.fetchPresence(ctx, w.Of, g.E, "") || answered
	}
	return answered
}

// remembered is what is known here of somebody who was not asked, or did not answer, for the reason why if
// that was no mere silence.
func (n *Node) remembered(a identity.Address, why error) (PresenceOf, error) {
	if p := n.presenceOf(a); p.Evidence == presence.Said.String() {
		p.Source = fromWatch
		return p, nil
	} else if len(p.Tuples) > 0 {
		p.Source = fromCopy
		return p, nil
	}
	f, ok, err := n.fetchedOf(a)
	if err != nil {
		return PresenceOf{}, err
	}
	if ok && len(f.Docs) > 0 {
		return n.fetchedFace(f, false), nil
	}
	if why != nil {
		return PresenceOf{Address: a}, why
	}
	return PresenceOf{Address: a}, &Error{Kind: KindUnreachable, Code: wire.ReasonNoCopy.String(),
		Message: n.name(a) + " does not answer, and there is no copy of what he said", Advice: "try again later: hum fetch " + n.whoWord(a)}
}

// whoWord is what to type for somebody.
func (n *Node) whoWord(a identity.Address) string {
	if p := n.petname(a); p != "" {
		return p
	}
	return a.String()
}

func (n *Node) fetchedOf(a identity.Address) (f presence.Fetched, ok bool, err error) {
	err = n.view(func(t *txn) error {
		f, ok, err = find[presence.Fetched](t, store.Fetched(a))
		return err
	})
	return f, ok, err
}

// fetchedFace is what somebody is shown as by what he answered once; fresh says that it was just now.
func (n *Node) fetchedFace(f presence.Fetched, fresh bool) PresenceOf {
	now := n.now()
	s := f.Shown(now, fresh)
	out := PresenceOf{Address: f.Of, Petname: n.petname(f.Of), Warning: n.warning(f.Of), Basic: "unknown", Source: fromCopy}
	if fresh {
		out.Source = fromHim
	}
	out.dress(s, now)
	var docs []wire.Doc
	for _, d := range f.Docs {
		docs = append(docs, d.Doc)
		out.heard(d)
	}
	out.Digest = digestOf(docs...)
	return out
}

// asking is what I have asked of others once, and how it stands while they are waited for.
type asking struct {
	mu    sync.Mutex
	asks  map[wire.ReqID]*question
	hints map[identity.Address][]place // of cards of people off the roster
}

// A question is one Fetch that is waited for.
type question struct {
	of     identity.Address
	id     wire.MID    // of the Fetch
	answer chan answer // holds one
}

// An answer is what came of a Fetch: his reply, or an ack that refuses even to judge it.
type answer struct {
	reply  *presence.Fetched
	reason wire.Reason
}

// begin notes a question, and where its card says that he is.
func (s *asking) begin(req wire.ReqID, q *question, at []place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asks == nil {
		s.asks, s.hints = map[wire.ReqID]*question{}, map[identity.Address][]place{}
	}
	s.asks[req] = q
	for _, p := range at {
		s.hints[q.of] = join(s.hints[q.of], p)
	}
}

func (s *asking) end(req wire.ReqID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.asks[req]
	delete(s.asks, req)
	for _, other := range s.asks {
		if other.of == q.of {
			return
		}
	}
	delete(s.hints, q.of)
}

// of reports whether somebody is being asked.
func (s *asking) of(a identity.Address) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.asks {
		if q.of == a {
			return true
		}
	}
	return false
}

func (s *asking) hinted(a identity.Address) []place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hints[a])
}

// settle hands an answer to whoever waits for it; match finds the question.
func (s *asking) settle(match func(wire.ReqID, *question) bool, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for req, q := range s.asks {
		if match(req, q) {
			select {
			case q.answer <- a:
			default: // it has one
			}
		}
	}
}

// askOnce sends a Fetch and waits for its answer.
func (n *Node) askOnce(ctx context.Context, card identity.Card) (PresenceOf, error) {
	a := card.Address
	before, ok, err := n.fetchedOf(a)
	if err != nil {
		return PresenceOf{}, err
	}
	if pause := before.Pause(n.now()); ok && pause > 0 { // he would not answer
		return n.remembered(a, &Error{Kind: KindFailed, Code: wire.ReasonRateLimited.String(),
			Message: fmt.Sprintf("%s was asked less than a minute ago", n.name(a)), Advice: fmt.Sprintf("ask again in %v: hum fetch %s", pause.Round(time.Second), n.whoWord(a))})
	}
	f, s, err := n.newFetch(a)
	if err != nil {
		return PresenceOf{}, saveError(n.cfg.Home, err)
	}
	q := &question{of: a, id: s.ID(), answer: make(chan answer, 1)}
	var at []place
	for _, d := range card.Dial {
		if p, ok := placeOf(d); ok {
			at = append(at, p)
		}
	}
	n.asking.begin(f.Req, q, at)
	defer n.locate(a)
	defer n.asking.end(f.Req)
	return n.await(ctx, q, s)
}

// newFetch draws a Fetch and saves it, so that its answer is known.
func (n *Node) newFetch(a identity.Address) (f presence.Fetched, s wire.Signed, err error) {
	var req wire.ReqID
	if _, err := io.ReadFull(n.cfg.Rand, req[:]); err != nil {
		return f, s, err
	}
	err = n.update(func(t *txn) error {
		if f, _, err = find[presence.Fetched](t, store.Fetched(a)); err != nil {
			return err
		}
		f.Me, f.Of = n.self.Address, a
		r := f.Asks(t.now, req, n.own.Load().AddressSeq)
		s = wire.Sign(n.keys.Device(), wire.TypeFetch, r.Append(nil))
		return put(t, store.Fetched(a), f)
	})
	return f, s, err
}

// fetchAgain is how long an answer is waited for before the same question is sent once more.
const fetchAgain = 2 * time.Second

// await sends a Fetch, again with my records if he lacks them and now and then while nothing comes, until
// there is an answer or ctx ends.
func (n *Node) await(ctx context.Context, q *question, s wire.Signed) (PresenceOf, error) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	ask := func() result {
		return n.sendControl(ctx, &letter{to: q.of, role: identity.RolePublisher, signed: s})
	}
	askAgain := func(run context.Context) {
		defer context.AfterFunc(run, done)()
		ask()
	}
	r := ask()
	n.noteBinding(q.of, r.err)
	var e *Error
	switch errors.As(r.err, &e); {
	case r.taken, r.sent:
	case n.unserved(q.of):
		return PresenceOf{Address: q.of}, errUnserved(n.name(q.of))
	case e != nil && e.Code == wire.ReasonBindingInvalid.String():
		return PresenceOf{Address: q.of}, e
	default:
		return n.remembered(q.of, nil)
	}
	again := time.NewTicker(fetchAgain)
	defer again.Stop()
	for healed := false; ; {
		select {
		case got := <-q.answer:
			if got.reason != wire.ReasonStaleRecord || healed {
				return n.answeredFace(q.of, got)
			}
			healed = true
			n.spawn(askAgain)
		case <-again.C:
			n.spawn(askAgain)
		case <-ctx.Done():
			return n.remembered(q.of, nil)
		}
	}
}

// answeredFace is what a Fetch came to.
func (n *Node) answeredFace(a identity.Address, got answer) (PresenceOf, error) {
	p := PresenceOf{Address: a, Petname: n.petname(a)}
	switch {
	case got.reply == nil:
		return p, &Error{Kind: KindFailed, Code: got.reason.String(), Message: fmt.Sprintf("%s's node could not judge the question: %v", n.name(a), got.reason)}
	case got.reply.State == wire.FetchPending:
		return p, &Error{Kind: KindUnreachable, Code: "pending", Message: n.name(a) + " has not said yet whether you may see him", Advice: "ask again later: hum fetch " + n.whoWord(a)}
	case got.reply.State == wire.FetchOK:
		return n.fetchedFace(*got.reply, true), nil
	case got.reply.Reason == wire.ReasonNoPresenceService:
		return p, errUnserved(n.name(a))
	case got.reply.Reason == wire.ReasonRateLimited || got.reply.Reason == wire.ReasonNoResource:
		return p, &Error{Kind: KindFailed, Code: got.reply.Reason.String(), Message: n.name(a) + " has no room for more who ask", Advice: "ask again later: hum fetch " + n.whoWord(a)}
	}
	return p, &Error{Kind: KindRefused, Code: got.reply.Reason.String(), Message: n.name(a) + " does not show you his presence"}
}

func errUnserved(name string) error {
	return &Error{Kind: KindRefused, Code: wire.ReasonNoPresenceService.String(), Message: name + " takes messages only: there is no presence to watch"}
}

// unserved reports whether what is known of somebody says that he offers no presence.
func (n *Node) unserved(a identity.Address) bool {
	pin := n.pins.get(a)
	return pin != nil && !pin.Expired(n.now()) && pin.Record.Services&identity.Presentity == 0
}

// fetchAnswered takes a FetchReply (SPEC 4.10): it counts only if it answers my newest question to him. It is
// not acked.
func (n *Node) fetchAnswered(ctx context.Context, a arrival) {
	r, err := wire.ParseFetchReply(a.signed.Body)
	if err != nil {
		n.refuse(ctx, a, identity.Address{}, unparsed(err))
		return
	}
	if a.signed.Verify() != nil {
		n.refuse(ctx, a, r.From, wire.ReasonBadSignature)
		return
	}
	attached := readRecords(r.From, a.attached)
	again := func(ctx context.Context) { n.fetchAnswered(ctx, a) }
	if n.fetchNewer(a.peer, claim{from: r.From, has: attached.seq()}, a.signed.Key, again) {
		return
	}
	var reason wire.Reason
	err = n.update(func(t *txn) error {
		reason, err = n.takeFetchReply(t, a, r, attached)
		return err
	})
	if err != nil {
		n.log.Warn("the answer to a fetch was not saved, so it is not shown", "err", err)
	} else if reason != wire.ReasonNone {
		n.refuse(ctx, a, r.From, reason)
	}
}

func (n *Node) takeFetchReply(t *txn, a arrival, r wire.FetchReply, attached records) (wire.Reason, error) {
	p, changed, reason, err := n.vouch(t, a, claim{from: r.From, to: r.To, stamp: r.AsOf}, attached)
	if err != nil || reason != wire.ReasonNone {
		return reason, err
	}
	if wire.Required(r.Crit, r.Ext, wire.TypeFetchReply.Knows) != nil {
		return wire.ReasonUnsupportedRequired, nil
	}
	f, ok, err := find[presence.Fetched](t, store.Fetched(r.From))
	if err != nil {
		return 0, err
	}
	bad, err := f.Answer(t.now, r, speakersBy(t.now, &p.Pin))
	switch {
	case errors.Is(err, presence.ErrState):
		return wire.ReasonUnsupportedRequired, nil
	case err != nil, !ok:
		n.count("unknown-fetch")
		return 0, nil
	case bad > 0:
		n.count("bad-record")
	}
	if len(f.Docs) > 0 {
		f.Raw, f.Record = a.signed.Append(nil), p.Pin.Raw
	}
	n.hearContact(t, r.From, r.AsOf)
	if changed {
		if err := n.savePin(t, r.From, p); err != nil {
			return 0, err
		}
	}
	if gave, ok := n.letters.lastTo(r.From, wire.TypeFetch); ok {
		if err := n.heardBack(t, r.From, p, gave, wire.ReasonNone); err != nil {
			return 0, err
		}
	}
	t.after(func() {
		n.asking.settle(func(req wire.ReqID, _ *question) bool { return req == r.Req }, answer{reply: &f})
	})
	return 0, put(t, store.Fetched(r.From), f)
}

// fetchRefused is told that a Fetch of mine could not even be judged (SPEC 9.1).
func (n *Node) fetchRefused(t *txn, l sentLetter, ack wire.Ack) {
	t.after(func() {
		n.asking.settle(func(_ wire.ReqID, q *question) bool { return q.id == l.id }, answer{reason: ack.Reason})
	})
}

// fetchedKept is how long what somebody answered once is remembered, unless he is on the roster.
const fetchedKept = 30 * 24 * time.Hour

// purgeFetched forgets what people answered once who are not on the roster.
func (n *Node) purgeFetched() error {
	var old []store.Key
	err := n.view(func(t *txn) error {
		return rows(t, store.AllFetched(), store.ScanOptions{}, func(k store.Key, f presence.Fetched) (bool, error) {
			if t.now.Past(max(f.At, f.Answered).Add(fetchedKept)) && !n.onRoster(f.Of) {
				old = append(old, k)
			}
			return true, nil
		})
	})
	return n.inBatches(err, old, func(t *txn, k store.Key) error { return t.Delete(k) })
}
