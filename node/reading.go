package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// presenceState is what the node has in memory of its presence and that of others.
type presenceState struct {
	closed atomic.Bool // my inbox, by my choice

	mu       sync.Mutex
	watching map[identity.Address]presence.Watching
	known    map[identity.Address]*presence.Presence
	shown    map[identity.Address]string // what the last event said
	clocks   presence.Clocks
	suspect  bool
}

func (s *presenceState) setWatching(w presence.Watching) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watching[w.Of] = w
}

func (s *presenceState) dropWatching(a identity.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watching, a)
}

func (s *presenceState) watchingOf(a identity.Address) (presence.Watching, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.watching[a]
	return w, ok
}

func (s *presenceState) allWatching() (out []presence.Watching) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watching {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b presence.Watching) int { return slices.Compare(a.Of[:], b.Of[:]) })
	return out
}

// grantOf finds the grant of mine that a topic belongs to.
func (s *presenceState) grantOf(e wire.PublicKey) (of identity.Address, g wire.Grant, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watching {
		for _, g := range w.Grants() {
			if g.E == e {
				return w.Of, g, true
			}
		}
	}
	return of, g, false
}

// loadPresence brings back what was known of those I watch: remembered, not believed (SPEC 4.5).
func (n *Node) loadPresence(t *txn) error {
	s := &n.presence
	s.watching, s.known = map[identity.Address]presence.Watching{}, map[identity.Address]*presence.Presence{}
	s.shown = map[identity.Address]string{}
	byTopic := map[wire.PublicKey]identity.Address{}
	err := rows(t, store.AllWatching(), store.ScanOptions{}, func(_ store.Key, w presence.Watching) (bool, error) {
		s.watching[w.Of] = w
		s.known[w.Of] = &presence.Presence{Of: w.Of}
		for _, g := range w.Grants() {
			byTopic[g.E] = w.Of
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	err = rows(t, store.AllHeard(), store.ScanOptions{}, func(_ store.Key, h presence.Heard) (bool, error) {
		if of, ok := byTopic[h.E]; ok {
			s.known[of].Tags = append(s.known[of].Tags, h)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	for k, b := range t.Scan(store.AllPresence(), store.ScanOptions{}) {
		d, err := decode[presence.Known](k, b)
		if err != nil {
			return err
		}
		if p := s.known[k.Address()]; p != nil {
			p.Docs = append(p.Docs, d)
		}
	}
	for _, p := range s.known {
		p.Restart(t.now)
	}
	err = rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if w.State == wire.SubActive {
			n.watchers[w.Who] = true
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	_, pub, err := n.loadView(t)
	s.closed.Store(pub.IMClosed()) // before any Parcel is read (SPEC 5.2)
	return err
}

// read takes a record that came by any path; reading is the same function for all (SPEC 4.5).
func (n *Node) read(from p2p.PeerID, via p2p.RecPath, e wire.PublicKey, r wire.Rec) {
	of, g, ok := n.presence.grantOf(e)
	if !ok {
		n.count("unknown-topic")
		return
	}
	path := presence.ByFetch
	switch via {
	case p2p.ViaTopic:
		path = presence.ByTopic
	case p2p.ViaStream:
		path = presence.ByStream
	}
	n.presence.mu.Lock()
	p := n.presence.known[of]
	if p == nil {
		p = &presence.Presence{Of: of}
		p.PathUp(n.now())
		n.presence.known[of] = p
	}
	got, err := p.Apply(n.now(), g, r, path, n.publisherOf(of))
	h := heardOf(p, e, r.Tag)
	var doc presence.Known
	if got.Changed {
		doc = p.Docs[slices.IndexFunc(p.Docs, func(k presence.Known) bool { return k.Device == got.Doc.Device })]
	}
	n.presence.mu.Unlock()
	switch {
	case errors.Is(err, presence.ErrAhead):
		n.count(wire.ReasonTime.String())
	case err != nil:
		n.count("bad-record")
	case !got.Old:
		n.keepReading(of, from, r, got, h, doc)
	}
}

func heardOf(p *presence.Presence, e wire.PublicKey, tag wire.Tag) presence.Heard {
	for _, h := range p.Tags {
		if h.E == e && h.Tag == tag {
			return h
		}
	}
	return presence.Heard{}
}

// publisherOf says which devices may publish for an address, by its pinned record.
func (n *Node) publisherOf(a identity.Address) func(identity.DeviceID) bool {
	pin, now := n.pins.get(a), n.now()
	return func(d identity.DeviceID) bool {
		if pin == nil || pin.Expired(now) {
			return false
		}
		dev, ok := pin.Record.Device(d)
		return ok && dev.Roles&identity.RolePublisher != 0 && (dev.NotAfter == 0 || now.Wall <= dev.NotAfter)
	}
}

// keepReading saves what a record did, tells of it, and starts what it asks for.
func (n *Node) keepReading(of identity.Address, from p2p.PeerID, r wire.Rec, got presence.Reading, h presence.Heard, doc presence.Known) {
	err := n.update(func(t *txn) error {
		n.hearContact(t, of, r.T)
		if err := put(t, store.Heard(h.E, h.Tag), h); err != nil {
			return err
		}
		if got.Changed {
			if err := put(t, store.Presence(of, doc.Device), doc); err != nil {
				return err
			}
			if err := n.takeReach(t, of, doc.Doc); err != nil {
				return err
			}
		}
		n.tellShown(t, of)
		return nil
	})
	if err != nil {
		n.log.Warn("presence was not saved", "err", err)
		return
	}
	if got.NeedUpdate {
		n.spawn(func(ctx context.Context) { n.fetchPresence(ctx, of, h.E, from) })
	}
	if got.SaidClosed {
		n.editWatching(of, func(t *txn, w *presence.Watching) { w.SawClosed(t.now, n.jitter()) })
	}
	if got.Changed {
		n.spawn(func(ctx context.Context) {
			n.fetchNewer(ctx, from, claim{from: of, arSeq: doc.Doc.ArSeq}, wire.PublicKey{})
			if !got.SaidClosed {
				n.mailConnected(of, false)
			}
		})
	}
	n.reading.nudge()
}

// takeReach pins the place that a document tells.
func (n *Node) takeReach(t *txn, of identity.Address, d wire.Doc) error {
	if d.Reach == nil {
		return nil
	}
	s, err := wire.ParseSigned(d.Reach)
	if err != nil {
		return nil // the document holds; its place does not
	}
	p, changed, err := n.accept(t, of, readRecords(of, []wire.Signed{s}))
	if err != nil && !isVerdict(err) {
		return err
	}
	if !changed {
		return nil
	}
	return n.savePin(t, of, p)
}

// fetchTimeout bounds a GET that repairs a missed update (SPEC 4.5: within 5 s).
const fetchTimeout = 5 * time.Second

// fetchPresence asks the places of a presentity for the newest records of a topic.
func (n *Node) fetchPresence(ctx context.Context, of identity.Address, e wire.PublicKey, first p2p.PeerID) {
	ctx, done := context.WithTimeout(ctx, fetchTimeout)
	defer done()
	at := []p2p.PeerID{}
	if first != "" {
		at = append(at, first)
	}
	for _, p := range n.places(of) {
		if p.peer != first {
			at = append(at, p.peer)
		}
	}
	for _, p := range at {
		recs, now, err := n.net.Get(ctx, p, e)
		if err != nil {
			continue
		}
		n.peerClock(p, now)
		for _, r := range recs {
			n.read(p, p2p.ViaFetch, e, r)
		}
		return
	}
}

// workReading looks into leases that are about to lapse, and tells of those that have.
func (n *Node) workReading(context.Context) (time.Duration, error) {
	pause := look
	var ask, every []identity.Address
	n.presence.mu.Lock()
	now := n.now()
	for a, p := range n.presence.known {
		every = append(every, a)
		if p.Ask(now) {
			ask = append(ask, a)
		}
		pause = min(pause, max(p.Wake(now), 10*time.Millisecond))
	}
	n.presence.mu.Unlock()
	for _, a := range ask {
		n.editWatching(a, func(t *txn, w *presence.Watching) { w.Lapsed(t.now) })
		w, _ := n.presence.watchingOf(a)
		for _, g := range w.Grants() {
			n.spawn(func(ctx context.Context) { n.fetchPresence(ctx, a, g.E, "") })
		}
	}
	return pause, n.tellChanges(every)
}

// tellChanges emits an event for everybody who is shown otherwise than the last event said.
func (n *Node) tellChanges(every []identity.Address) error {
	suspect, turned := n.clockSuspect()
	var changed []identity.Address
	for _, a := range every {
		if word := n.shownWord(a); word != n.presence.lastShown(a) {
			changed = append(changed, a)
		}
	}
	if len(changed) == 0 && !turned {
		return nil
	}
	return n.update(func(t *txn) error {
		if turned {
			t.emit(clockEvent(suspect))
		}
		for _, a := range changed {
			n.tellShown(t, a)
		}
		return nil
	})
}

func clockEvent(suspect bool) Event {
	if suspect {
		return Event{Kind: "node", State: "clock-suspect", Text: "this machine's clock may be wrong: presence is shown as unknown; see hum doctor"}
	}
	return Event{Kind: "node", State: "clock-ok", Text: "the clock agrees with the others' again"}
}

func (s *presenceState) lastShown(a identity.Address) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown[a]
}

// shownWord is all that an event says of somebody, to see whether it is news.
func (n *Node) shownWord(a identity.Address) string {
	p := n.presenceOf(a)
	return strings.Join([]string{p.Basic, p.IM, p.Note, p.Evidence}, "\x00")
}

// tellShown emits an event if somebody is shown otherwise than before.
func (n *Node) tellShown(t *txn, a identity.Address) {
	p := n.presenceOf(a)
	word := n.shownWord(a)
	if word == n.presence.lastShown(a) {
		return
	}
	n.presence.mu.Lock()
	n.presence.shown[a] = word
	n.presence.mu.Unlock()
	t.emit(Event{Kind: "presence", Address: a, Name: n.name(a), State: strings.TrimSpace(p.Basic + " " + p.IM), Text: p.Note, ID: p.Evidence})
}

// forgetReading drops what is known of somebody whom I do not watch any more.
func (n *Node) forgetReading(a identity.Address) {
	n.presence.mu.Lock()
	p := n.presence.known[a]
	delete(n.presence.known, a)
	delete(n.presence.shown, a)
	n.presence.mu.Unlock()
	if p == nil {
		return
	}
	err := n.update(func(t *txn) error {
		for _, d := range p.Docs {
			if err := t.Delete(store.Presence(a, d.Device)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		n.log.Warn("old presence was not deleted", "err", err)
	}
}

// Who is the presence of those named, or of everybody on the roster.
func (n *Node) Who(_ context.Context, who []string) (out []PresenceOf, err error) {
	var list []identity.Address
	for _, w := range who {
		a, err := n.address(w)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	if len(who) == 0 {
		n.mu.RLock()
		for a := range n.contacts {
			list = append(list, a)
		}
		n.mu.RUnlock()
	}
	for _, a := range list {
		out = append(out, n.presenceOf(a))
	}
	slices.SortFunc(out, func(a, b PresenceOf) int {
		return cmp.Or(cmp.Compare(a.Petname, b.Petname), slices.Compare(a.Address[:], b.Address[:]))
	})
	return out, nil
}

// presenceOf is somebody as he is shown now.
func (n *Node) presenceOf(a identity.Address) PresenceOf {
	now := n.now()
	out := PresenceOf{Address: a, Petname: n.petname(a), Basic: "unknown", Evidence: presence.Unknown.String()}
	suspect, _ := n.clockSuspect()
	n.presence.mu.Lock()
	defer n.presence.mu.Unlock()
	p := n.presence.known[a]
	if p == nil {
		out.Why = []string{"you do not watch " + cmp.Or(out.Petname, short(a)) + ": hum watch"}
		if w, ok := n.presence.watching[a]; ok && w.State != presence.None {
			out.Why = []string{"your subscription is " + w.State.String()}
		}
		return out
	}
	s := p.Shown(now, presence.Sight{Path: len(n.net.Addrs()) > 0 || n.net.Stats().Peers > 0, Suspect: suspect})
	out.Evidence, out.Why = s.Evidence.String(), s.Why
	if s.Basic != 0 {
		out.Basic = s.Basic.String()
	}
	if s.Basic == wire.Open && s.IM != 0 {
		out.IM = s.IM.String()
	}
	if len(s.Notes) > 0 && s.Evidence != presence.Unknown {
		out.Note = s.Notes[0].Text
	}
	if s.AsOf != 0 {
		out.AsOf, out.Age = s.AsOf.Go(), max(0, now.Wall.Sub(s.AsOf))
	}
	for _, d := range p.Docs {
		for _, t := range d.Doc.Tuples {
			out.Tuples = append(out.Tuples, tupleOf(d.Device, t))
		}
	}
	return out
}

func tupleOf(d identity.DeviceID, t wire.Tuple) TupleOf {
	out := TupleOf{Device: d, ID: t.ID, Basic: t.Basic.String(), Contact: t.Contact, Priority: t.Priority, At: t.Timestamp.Go()}
	if t.IM != 0 {
		out.IM = t.IM.String()
	}
	if len(t.Notes) > 0 {
		out.Note = t.Notes[0].Text
	}
	return out
}

// peerClock notes what a contact's clock shows (SPEC 1, "Time").
func (n *Node) peerClock(from p2p.PeerID, at identity.Time) {
	a, ok := n.addressAt(from)
	if !ok || !n.isContact(a) {
		return
	}
	n.presence.mu.Lock()
	n.presence.clocks.Told(n.now(), a, at)
	n.presence.mu.Unlock()
	n.reading.nudge()
}

// clockSuspect reports whether my clock can be believed, and whether that has just changed.
func (n *Node) clockSuspect() (suspect, turned bool) {
	n.presence.mu.Lock()
	defer n.presence.mu.Unlock()
	suspect = n.presence.clocks.Suspect(n.now())
	turned = suspect != n.presence.suspect
	n.presence.suspect = suspect
	return suspect, turned
}
