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
	known    map[identity.Address]*known
	clocks   presence.Clocks
	suspect  bool          // as last told
	asked    time.Duration // by Mono: when those were asked whose clocks differ
}

// known is one presentity as he has been read. Turn is held while a record of his is read, saved and
// told, so across the store: nobody sees what may still be lost. What a pass leaves to be done must not
// take it. The rest is guarded by presenceState.mu.
type known struct {
	turn  sync.Mutex
	p     presence.Presence
	shown string // what the last event said, see word
}

// nothingShown is the word of somebody of whom nothing was told yet.
var nothingShown = word(PresenceOf{Basic: "unknown", Evidence: presence.Unknown.String()})

func newKnown(now identity.Now, of identity.Address) *known {
	k := &known{p: presence.Presence{Of: of}, shown: nothingShown}
	k.p.PathUp(now)
	return k
}

// setWatching takes a subscription of mine as it now stands. Without a grant what was read goes, and only
// the stamps stay, which keep old records out.
func (s *presenceState) setWatching(now identity.Now, w presence.Watching) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watching[w.Of] = w
	if s.known[w.Of] == nil {
		s.known[w.Of] = newKnown(now, w.Of)
	}
	if len(w.Grants()) == 0 {
		s.known[w.Of].p.Docs = nil
		s.clocks.Forget(w.Of)
	}
}

func (s *presenceState) dropWatching(a identity.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watching, a)
	delete(s.known, a)
	s.clocks.Forget(a)
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

// granted is a grant of mine, and by whom.
type granted struct {
	of identity.Address
	g  wire.Grant
}

// grantsOf finds the grants of mine that a topic belongs to. There may be several, since whoever knows a
// topic can grant it in his own name; then the records of a tag are those of whom it was read before, and
// else of anybody whose they prove to be.
func (s *presenceState) grantsOf(e wire.PublicKey, tag wire.Tag) (all []granted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watching {
		for _, g := range w.Grants() {
			if g.E == e && s.known[w.Of] != nil {
				all = append(all, granted{w.Of, g})
			}
		}
	}
	if len(all) < 2 {
		return all
	}
	read := func(x granted) bool {
		return slices.ContainsFunc(s.known[x.of].p.Docs, func(d presence.Known) bool { return wire.TagOf(x.g.K, d.Device) == tag })
	}
	if slices.ContainsFunc(all, read) {
		return slices.DeleteFunc(all, func(x granted) bool { return !read(x) })
	}
	return all
}

// granters are those whose grants name a topic.
func (s *presenceState) granters(e wire.PublicKey) (all []identity.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watching {
		if slices.ContainsFunc(w.Grants(), func(g wire.Grant) bool { return g.E == e }) {
			all = append(all, w.Of)
		}
	}
	slices.SortFunc(all, func(a, b identity.Address) int { return slices.Compare(a[:], b[:]) })
	return all
}

// loadPresence brings back what was known of those I watch: remembered, not believed (SPEC 4.5).
func (n *Node) loadPresence(t *txn) error {
	s := &n.presence
	s.watching, s.known = map[identity.Address]presence.Watching{}, map[identity.Address]*known{}
	watching, err := all[presence.Watching](t, store.AllWatching())
	if err != nil {
		return err
	}
	for _, w := range watching {
		s.setWatching(t.now, w)
		if err := n.recall(t, w, func(h []presence.Heard) { s.known[w.Of].p.Tags = h }); err != nil {
			return err
		}
	}
	for k, b := range t.Scan(store.AllPresence(), store.ScanOptions{}) {
		d, err := decode[presence.Known](k, b)
		if err != nil {
			return err
		}
		if w := s.watching[k.Address()]; len(w.Grants()) > 0 {
			x := s.known[w.Of]
			x.p.Docs = append(x.p.Docs, d)
		}
	}
	for _, k := range s.known {
		k.p.Restart(t.now)
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

// recall finds what was heard in the epochs that w grants: a grant may come again, and records of it that
// were read before must not be read again.
func (n *Node) recall(t *txn, w presence.Watching, keep func([]presence.Heard)) error {
	var heard []presence.Heard
	for _, g := range w.Grants() {
		of, err := all[presence.Heard](t, store.HeardOf(g.E))
		if err != nil {
			return err
		}
		heard = append(heard, of...)
	}
	keep(heard)
	return nil
}

// recalled adds what was heard in earlier grants of the same epochs.
func (s *presenceState) recalled(now identity.Now, of identity.Address, heard []presence.Heard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[of]
	for _, h := range heard {
		if k != nil && !slices.ContainsFunc(k.p.Tags, func(x presence.Heard) bool { return x.E == h.E && x.Tag == h.Tag }) {
			h.GotUpdate, h.GotBeat = presence.Receipt{}, presence.Receipt{}
			k.p.Tags = append(k.p.Tags, h)
		}
	}
}

// A record is one Rec on its way into what is known of its presentity.
type record struct {
	of   identity.Address
	from p2p.PeerID
	e    wire.PublicKey
	rec  wire.Rec
	got  presence.Reading
	h    presence.Heard
	doc  presence.Known // if got.Changed
	word string         // what is shown by it
}

// read takes a record that came by any path; reading is the same function for all (SPEC 4.5). It is
// saved before anybody sees it.
func (n *Node) read(from p2p.PeerID, via p2p.RecPath, e wire.PublicKey, r wire.Rec) {
	grants := n.presence.grantsOf(e, r.Tag)
	if len(grants) == 0 {
		n.count("unknown-topic")
	}
	for _, x := range grants {
		n.readOf(from, via, r, x)
	}
}

// readOf reads a record as one of him who granted its topic.
func (n *Node) readOf(from p2p.PeerID, via p2p.RecPath, r wire.Rec, in granted) {
	of, g, e := in.of, in.g, in.g.E
	k := n.presence.knownOf(of)
	if k == nil {
		return
	}
	k.turn.Lock()
	defer k.turn.Unlock()
	x := record{of: of, from: from, e: e, rec: r}
	p := n.presence.copyOf(k)
	var err error
	x.got, err = p.Apply(n.now(), g, r, pathOf(via), n.publisherOf(of))
	switch {
	case errors.Is(err, presence.ErrAhead):
		n.count(wire.ReasonTime.String())
	case x.got.Old:
		n.presence.mended(k, p)
	case err != nil:
		n.count("bad-record")
	default:
		x.h = heardOf(&p, e, r.Tag)
		if x.got.Changed {
			x.doc = p.Docs[slices.IndexFunc(p.Docs, func(d presence.Known) bool { return d.Device == x.got.Doc.Device })]
		}
		x.word = word(n.face(of, &p, n.sight(of)))
		n.keepReading(k, x)
	}
}

func pathOf(via p2p.RecPath) presence.Path {
	switch via {
	case p2p.ViaTopic:
		return presence.ByTopic
	case p2p.ViaStream:
		return presence.ByStream
	}
	return presence.ByFetch
}

func (s *presenceState) knownOf(a identity.Address) *known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[a]
}

// copyOf returns what is known in k, to be changed at will.
func (s *presenceState) copyOf(k *known) presence.Presence {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := k.p
	p.Tags, p.Docs = slices.Clone(p.Tags), slices.Clone(p.Docs)
	return p
}

// mended takes over stamps that were read as now, since they lay in an impossible future: else they would
// be read as a later now at each record, and none would ever be newer (SPEC 1, "Stamps").
func (s *presenceState) mended(k *known, p presence.Presence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range k.p.Tags {
		m := heardOf(&p, h.E, h.Tag)
		if m.E == h.E {
			k.p.Tags[i].Update, k.p.Tags[i].Beat, k.p.Tags[i].Base = m.Update, m.Beat, m.Base
		}
	}
	for i, d := range k.p.Docs {
		if j := slices.IndexFunc(p.Docs, func(x presence.Known) bool { return x.Device == d.Device }); j >= 0 {
			k.p.Docs[i].T = p.Docs[j].T
		}
	}
}

// took adds what a record did, once that is durable.
func (s *presenceState) took(now identity.Now, k *known, x record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.p.Tags = slices.DeleteFunc(k.p.Tags, func(h presence.Heard) bool {
		return h.E == x.h.E && h.Tag == x.h.Tag || overHeard(now, h)
	})
	k.p.Tags = append(k.p.Tags, x.h)
	if x.got.Changed {
		k.p.Docs = slices.DeleteFunc(k.p.Docs, func(d presence.Known) bool { return d.Device == x.doc.Device })
		k.p.Docs = append(k.p.Docs, x.doc)
	}
	k.shown = x.word
}

// overHeard reports whether no record can come any more of the epoch in which h was heard.
func overHeard(now identity.Now, h presence.Heard) bool {
	return now.Past(h.NotAfter.Add(identity.Skew))
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
	if pin == nil || pin.Expired(now) {
		return func(identity.DeviceID) bool { return false }
	}
	return func(d identity.DeviceID) bool { return publishes(now, pin, d) }
}

func publishes(now identity.Now, pin *identity.Pin, d identity.DeviceID) bool {
	dev, ok := pin.Record.Device(d)
	return ok && dev.Roles&identity.RolePublisher != 0 && (dev.NotAfter == 0 || now.Wall <= dev.NotAfter)
}

// dropDevices drops the documents of devices that a newer record does not list as publishers any more.
func (n *Node) dropDevices(t *txn, a identity.Address, pin *identity.Pin) error {
	docs, err := all[presence.Known](t, store.PresenceOf(a))
	for _, d := range docs {
		if publishes(t.now, pin, d.Device) {
			continue
		}
		err = errors.Join(err, t.Delete(store.Presence(a, d.Device)))
		t.after(func() {
			n.presence.dropDevice(a, d.Device)
			n.reading.nudge()
		})
	}
	return err
}

func (s *presenceState) dropDevice(a identity.Address, gone identity.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.known[a]; k != nil {
		k.p.Docs = slices.DeleteFunc(k.p.Docs, func(d presence.Known) bool { return d.Device == gone })
	}
}

var errNotGranted = errors.New("the grant has gone")

// keepReading saves what a record did, tells of it, and starts what it asks for. k.turn is held.
func (n *Node) keepReading(k *known, x record) {
	err := n.update(func(t *txn) error { return n.saveReading(t, k, x) })
	if err != nil {
		if !errors.Is(err, errNotGranted) {
			n.log.Warn("presence was not saved", "err", err)
		}
		return
	}
	if x.got.NeedUpdate {
		n.spawn(func(ctx context.Context) { n.fetchPresence(ctx, x.of, x.e, x.from) })
	}
	if x.got.Changed {
		told := func(context.Context) {
			if !x.got.SaidClosed {
				n.mailConnected(x.of, false)
			}
		}
		if !n.fetchNewer(x.from, claim{from: x.of, arSeq: x.doc.Doc.ArSeq}, wire.PublicKey{}, told) {
			n.spawn(told)
		}
	}
	n.reading.nudge()
}

func (n *Node) saveReading(t *txn, k *known, x record) error {
	w, ok, err := n.watchingOf(t, x.of)
	if err != nil {
		return err
	}
	if !ok || !slices.ContainsFunc(w.Grants(), func(g wire.Grant) bool { return g.E == x.e }) {
		return errNotGranted // it went while this record was on its way
	}
	n.hearContact(t, x.of, x.rec.T)
	if err := put(t, store.Heard(x.h.E, x.h.Tag), x.h); err != nil {
		return err
	}
	t.after(func() { n.presence.took(t.now, k, x) })
	n.emitShown(t, k, x.of, x.word)
	if !x.got.Changed {
		return nil
	}
	if x.got.SaidClosed {
		w.SawClosed(t.now, n.jitter())
		t.after(n.watching.nudge)
		if err := n.saveWatching(t, w, false); err != nil {
			return err
		}
	}
	if err := put(t, store.Presence(x.of, x.doc.Device), x.doc); err != nil {
		return err
	}
	return n.takeReach(t, x.of, x.doc.Doc)
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

// fetchPresence asks the places of a presentity for the newest records of a topic, first the one that
// told of them.
func (n *Node) fetchPresence(ctx context.Context, of identity.Address, e wire.PublicKey, first p2p.PeerID) {
	ctx, done := context.WithTimeout(ctx, fetchTimeout)
	defer done()
	at := n.places(of)
	slices.SortStableFunc(at, func(a, b place) int { return cmp.Compare(n.away(a.peer, first), n.away(b.peer, first)) })
	for _, p := range at {
		recs, _, err := n.net.Get(ctx, p.peer, e)
		if err != nil {
			continue
		}
		for _, r := range recs {
			n.read(p.peer, p2p.ViaFetch, e, r)
		}
		return
	}
}

// away orders peers by how soon an answer may come: from the first, from those connected, from others.
func (n *Node) away(p, first p2p.PeerID) int {
	if p == first {
		return 0
	}
	if up, _ := n.net.Connected(p); up {
		return 1
	}
	return 2
}

// workReading looks into leases that are about to lapse, and tells of those that have.
func (n *Node) workReading(context.Context) (time.Duration, error) {
	pause := look
	var ask, every []identity.Address
	suspect := n.clockSuspect() // then no lease says anything, and nobody is asked in vain
	n.presence.mu.Lock()
	now := n.now()
	for a, k := range n.presence.known {
		every = append(every, a)
		if suspect {
			continue
		}
		if k.p.Ask(now) {
			ask = append(ask, a)
		}
		pause = min(pause, max(k.p.Wake(now), 10*time.Millisecond))
	}
	n.presence.mu.Unlock()
	for _, a := range ask {
		n.editWatching(a, func(t *txn, w *presence.Watching) { w.Lapsed(t.now) })
		w, _ := n.presence.watchingOf(a)
		for _, g := range w.Grants() {
			n.spawn(func(ctx context.Context) { n.fetchPresence(ctx, a, g.E, "") })
		}
	}
	if suspect {
		pause = min(pause, n.askClocks(now))
	}
	err := n.tellClock()
	for _, a := range every {
		err = errors.Join(err, n.tellShown(a))
	}
	return pause, err
}

// tellClock says when my clock is in doubt, and when it is not any more.
func (n *Node) tellClock() error {
	suspect := n.clockSuspect()
	n.presence.mu.Lock()
	told := n.presence.suspect
	n.presence.mu.Unlock()
	if suspect == told {
		return nil
	}
	return n.update(func(t *txn) error {
		t.emit(clockEvent(suspect))
		t.after(func() {
			n.presence.mu.Lock()
			defer n.presence.mu.Unlock()
			n.presence.suspect = suspect
		})
		return nil
	})
}

func clockEvent(suspect bool) Event {
	if suspect {
		return Event{Kind: "node", State: "clock-suspect", Text: "this machine's clock may be wrong: presence is shown as unknown; see hum doctor"}
	}
	return Event{Kind: "node", State: "clock-ok", Text: "the clock agrees with the others' again"}
}

// word is all that an event says of somebody, to see whether it is news.
func word(p PresenceOf) string {
	return strings.Join([]string{p.Basic, p.IM, p.Note, p.Evidence}, "\x00")
}

// tellShown tells if somebody is shown otherwise than the last event said, by time or by my clock alone.
func (n *Node) tellShown(a identity.Address) error {
	k := n.presence.knownOf(a)
	if k == nil || word(n.presenceOf(a)) == n.presence.shownAs(k) {
		return nil
	}
	k.turn.Lock()
	defer k.turn.Unlock()
	now := word(n.presenceOf(a))
	return n.update(func(t *txn) error {
		n.emitShown(t, k, a, now)
		return nil
	})
}

func (s *presenceState) shownAs(k *known) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return k.shown
}

// emitShown emits an event if what is shown is news; k.turn is held.
func (n *Node) emitShown(t *txn, k *known, a identity.Address, now string) {
	if now == n.presence.shownAs(k) {
		return
	}
	t.after(func() {
		n.presence.mu.Lock()
		defer n.presence.mu.Unlock()
		k.shown = now
	})
	p := strings.Split(now, "\x00")
	state := strings.TrimSpace(p[0] + " " + p[1])
	if p[3] == presence.Lapsed.String() {
		state += " (" + p[3] + ")"
	}
	t.emit(Event{Kind: "presence", Address: a, Name: n.name(a), State: state, Text: p[2]})
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
	if k := n.presence.knownOf(a); k != nil {
		p := n.presence.copyOf(k)
		return n.face(a, &p, n.sight(a))
	}
	return n.face(a, nil, presence.Sight{})
}

// sight says how well I can see a at all.
func (n *Node) sight(a identity.Address) presence.Sight {
	return presence.Sight{Path: n.hasPath(a), Suspect: n.clockSuspect()}
}

// face is what p shows of a.
func (n *Node) face(a identity.Address, p *presence.Presence, sight presence.Sight) PresenceOf {
	now := n.now()
	out := PresenceOf{Address: a, Petname: n.petname(a), Basic: "unknown", Evidence: presence.Unknown.String()}
	w, ok := n.presence.watchingOf(a)
	switch {
	case !ok || w.State == presence.None:
		out.Why = []string{"you do not watch " + cmp.Or(out.Petname, short(a)) + ": hum watch"}
		return out
	case p == nil || w.State != presence.Active:
		out.Why = []string{"your subscription is " + w.State.String()}
		return out
	}
	s := p.Shown(now, sight)
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
	whose := n.addressesAt(from)
	i := slices.IndexFunc(whose, func(a identity.Address) bool {
		w, _ := n.presence.watchingOf(a)
		return n.isContact(a) && len(w.Grants()) > 0 // else he could not be asked again: see Clocks.Forget
	})
	if i < 0 {
		return
	}
	n.presence.mu.Lock()
	n.presence.clocks.Told(n.now(), whose[i], at)
	n.presence.mu.Unlock()
	n.reading.nudge()
}

// clockSuspect reports whether my clock may be wrong (SPEC 1, "Time").
func (n *Node) clockSuspect() bool {
	n.presence.mu.Lock()
	defer n.presence.mu.Unlock()
	return n.presence.clocks.Suspect(n.now())
}
