package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

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
	x.got, err = p.Apply(n.now(), g, r, pathOf(via), n.speakersOf(of))
	switch {
	case errors.Is(err, presence.ErrAhead):
		n.count(wire.ReasonTime.String())
		n.presence.wrong(of, ahead, 1)
	case x.got.Old:
		n.presence.mended(k, p)
		if x.got.Stale && pathOf(via) == presence.ByFetch {
			n.presence.wrong(of, stale, 1)
		}
	case err != nil:
		n.count("bad-record")
		n.presence.wrong(of, unreadable, 1)
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

// speakersOf says which devices may publish for an address, by its pinned record.
func (n *Node) speakersOf(a identity.Address) presence.Speakers {
	pin, now := n.pins.get(a), n.now()
	if pin == nil || pin.Expired(now) {
		return func(identity.DeviceID) (presence.Scope, bool) { return presence.Scope{}, false }
	}
	return speakersBy(now, pin)
}

func speakersBy(now identity.Now, pin *identity.Pin) presence.Speakers {
	return func(d identity.DeviceID) (presence.Scope, bool) {
		dev, _ := pin.Record.Device(d)
		s := scopeOf(dev)
		if hasSpeakers(pin.Record) {
			s.Signs = dev.Key
		}
		return s, publishes(now, pin, d)
	}
}

// hasSpeakers reports whether a record lists a delegate who publishes: then each device signs what it says.
func hasSpeakers(r identity.AddressRecord) bool {
	return slices.ContainsFunc(r.Devices, func(d identity.Device) bool {
		return d.Roles&identity.RoleDelegate != 0 && d.Roles&identity.RolePublisher != 0
	})
}

// signs is the key by which this device signs what it says, nil while nobody need.
func (n *Node) signs() *identity.SigningKey {
	if p := n.pins.get(n.self.Address); p == nil || !hasSpeakers(p.Record) {
		return nil
	}
	k := n.keys.Device()
	return &k
}

func scopeOf(d identity.Device) presence.Scope {
	return presence.Scope{Delegate: d.Roles&identity.RoleDelegate != 0, Names: d.Scope}
}

func publishes(now identity.Now, pin *identity.Pin, d identity.DeviceID) bool {
	dev, ok := pin.Record.Device(d)
	return ok && dev.Roles&identity.RolePublisher != 0 && (dev.NotAfter == 0 || now.Wall <= dev.NotAfter)
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
	n.emitShown(t, k, x.of, x.word, x.got)
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
	if err := n.keepNotice(t, w, x); err != nil {
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
// told of them, and reports whether one answered.
func (n *Node) fetchPresence(ctx context.Context, of identity.Address, e wire.PublicKey, first p2p.PeerID) bool {
	ctx, done := context.WithTimeout(ctx, fetchTimeout)
	defer done()
	at := n.places(of)
	for _, p := range n.anchorsOf(of) {
		at = join(at, p)
	}
	slices.SortStableFunc(at, func(a, b place) int { return cmp.Compare(n.away(a.peer, first), n.away(b.peer, first)) })
	for _, p := range at {
		recs, err := n.getRecs(ctx, p, e)
		if err != nil {
			continue
		}
		for _, r := range recs {
			n.read(p.peer, p2p.ViaFetch, e, r)
		}
		return true
	}
	return false
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

// workReading looks into leases that are about to lapse, and tells of those that have. It looks at those alone of
// whom something was heard or is due: among hundreds each beacon is one's own affair.
func (n *Node) workReading(context.Context) (time.Duration, error) {
	suspect := n.clockSuspect() // then no lease says anything, and nobody is asked in vain
	now := n.now()
	due, ask, pause := n.presence.dueNow(now, conditions{suspect, n.net.Alone()}, n.hintDue)
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
	for _, a := range due {
		if e := n.tellShown(a); e != nil {
			n.presence.look(a)
			err = errors.Join(err, e)
		}
	}
	return pause, err
}

// dueNow takes those who are to be looked at now, and of them those who are to be asked since their lease is
// about to lapse; pause is how long nobody else is due. Nobody is left alone for longer than a minute, in which
// a clock that was set is noticed.
func (s *presenceState) dueNow(now identity.Now, c conditions, hint func(identity.Address, identity.Now) time.Duration) (due, ask []identity.Address, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.general != c
	s.general, pause = c, look
	for a, k := range s.known {
		if all || k.due <= now.Mono {
			due = append(due, a)
			next := min(look, hint(a, now))
			if !c.suspect {
				if k.p.Ask(now) {
					ask = append(ask, a)
				}
				next = min(next, max(k.p.Wake(now), 10*time.Millisecond))
			}
			k.due = now.Mono + next
		}
		pause = min(pause, k.due-now.Mono)
	}
	return due, ask, pause
}
