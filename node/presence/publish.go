package presence

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Choice is what the user wants to be seen as.
type Choice struct {
	Basic    wire.Basic // zero counts as Closed
	IM       wire.IMStatus
	Note     string      // ≤1024 characters
	Lang     string      // of Note, BCP 47
	Notes    []wire.Note // further ones, as in other languages
	Contacts []string
	Status   []wire.Status // of the person: activities, mood, …
	Own      []wire.Status // of the service itself: what a sensor measures, x.<domain>/… (SPEC 3.3)
	Tuples   []wire.Tuple  // further services, beside the inbox
	PIDF     []byte        // foreign extensions, as they were imported
	Bare     bool          // no person: neither IM status, notes, contacts nor Status is told
	Offline  bool          // nothing of the above is told, and CLOSED is
}

// A Publisher is one device's own presence in one view: what it says, in which epochs it said what, and
// when it speaks next (SPEC 4.1, 4.4).
type Publisher struct {
	Me       Address
	Device   DeviceID
	TTL      uint64 // seconds
	TupleID  string
	Contact  string // im: URI of the tuple; empty without an inbox
	Choice   Choice
	Filter   Filter // what of Choice the view lets through
	Scope    Scope  // of a delegate: what it may set
	Changed  Time   // what the view shows changed, or what idleness makes of it
	Silent   Time   // since when the user has given no input; 0: he is there, or nobody can tell
	ArSeq    Stamp
	Reach    []byte // Signed, or nil
	Tracks   []Track
	Started  bool // an update has been published since the process started
	Off      bool // signed off
	Dirty    bool // there is something new to say
	Tokens   int
	TokensAt time.Duration // monotonic
	Beacon   time.Duration // monotonic: when the next beacon is due
}

// A Track is what a device has said in one epoch.
type Track struct {
	E            PublicKey
	Ver          uint64
	Update, Beat Stamp  // newest t of each kind
	Doc          []byte // of Update: the very bytes that were sealed, for those who fetch (SPEC 4.10)
}

// A Publication is one record to be published in one epoch: an update with Doc, or a beacon with Base.
type Publication struct {
	Epoch  Epoch
	Device DeviceID
	T      Stamp
	Base   Stamp
	Doc    wire.Doc // if Base is 0
}

// Rec seals and signs p. Rand is read for the nonce of an update; by, if it is given, signs for the device.
func (p Publication) Rec(rand io.Reader, by *identity.SigningKey) wire.Rec {
	tag := wire.TagOf(p.Epoch.K, p.Device)
	if p.Base != 0 {
		return wire.NewBeacon(p.Epoch.Key(), tag, p.T, p.Base)
	}
	doc := p.Doc
	if by != nil {
		doc = wire.SignDoc(*by, p.Epoch.E, tag, p.T, doc)
	}
	ct := wire.SealDoc(rand, p.Epoch.K, p.Epoch.E, tag, p.T, doc.Append(nil))
	return wire.NewUpdate(p.Epoch.Key(), tag, p.T, ct)
}

// NewPublisher returns the publisher of a device that was never heard. Contact is the im: URI, empty
// without an inbox; ttl is in seconds.
func NewPublisher(now Now, me Address, device DeviceID, contact string, ttl uint64) Publisher {
	return Publisher{
		Me: me, Device: device, Contact: contact, TTL: ttl, TupleID: "im", Changed: now.Wall,
		Choice: Choice{Basic: wire.Open, IM: wire.Available}, Tokens: wire.UpdateBurst,
	}
}

// Adopt goes on in the epochs of v where p stands, which spoke in them in another view: with its choice, its
// stamps and the time of its beacons, so that who reads them notices nothing. What was still to be said
// there is not said here.
func (p Publisher) Adopt(v View) Publisher {
	p.Tracks = slices.Clone(p.Tracks)
	p.prune(v)
	p.Started, p.Dirty = true, false
	return p
}

// AdoptOne is Adopt for one epoch more, in which other spoke.
func (p *Publisher) AdoptOne(e PublicKey, other Publisher) {
	if i := other.said(e); i >= 0 && p.last(e) == 0 {
		p.Tracks = append(slices.DeleteFunc(slices.Clone(p.Tracks), func(t Track) bool { return t.E == e }), other.Tracks[i])
	}
}

// Spoke reports whether p has published a document in a live epoch of v.
func (p Publisher) Spoke(v View) bool {
	return slices.ContainsFunc(v.Epochs, func(e Epoch) bool { return e.EndedAt == 0 && p.last(e.E) != 0 })
}

// Restart is called once when the process has started: the saved choice is said at once, in a new
// update, since nobody can know what became of the old ones.
func (p *Publisher) Restart() {
	p.Started, p.Off, p.Dirty, p.Silent = false, false, false, 0
	p.Tokens, p.TokensAt, p.Beacon = wire.UpdateBurst, 0, 0
}

// Choose sets what is seen, and reports whether the view shows that as a change. It errs if the document
// would be malformed or too large; then nothing has changed.
func (p *Publisher) Choose(now Now, c Choice) (changed bool, err error) {
	return p.Show(now, c, p.Filter)
}

// Show is Choose, and sets what of the choice the view lets through. Nobody sees a change that the filter
// hides: not by its time either.
func (p *Publisher) Show(now Now, c Choice, f Filter) (changed bool, err error) {
	if reflect.DeepEqual(c, p.Choice) && reflect.DeepEqual(f, p.Filter) {
		return false, nil
	}
	q := *p
	q.Choice, q.Filter = c, f
	d := q.doc(now.Wall, 1)
	d.Reach = nil // see reach
	if b := d.Append(nil); len(b) > wire.MaxDoc-p.room(c) {
		return false, fmt.Errorf("choice of %d bytes: %w", len(b), wire.ErrTooLarge)
	} else if _, err := wire.ParseDoc(b); err != nil {
		return false, fmt.Errorf("choice: %w", err)
	}
	changed = !reflect.DeepEqual(q.doc(now.Wall, 1), p.doc(now.Wall, 1))
	p.Choice, p.Filter = c, f
	if changed {
		p.Changed, p.Dirty = now.Wall, true
	}
	return changed, nil
}

// reachRoom is kept free in every document for a longer reach than the present one.
const reachRoom = 1024

// signRoom is what the signature of the device takes, where it is asked for: see Scope.
const signRoom = 96

// room is how much of a document its fields leave free for the reach. One that carries an imported document
// of 3 KiB has no room to keep: see reach.
func (p Publisher) room(c Choice) int {
	if len(c.PIDF) > 0 {
		return signRoom
	}
	return len(p.Reach) + reachRoom + signRoom
}

// reach adds my place to d, unless it would make the document too large: it is told in every answer to a
// watcher's request too.
func (p Publisher) reach(d wire.Doc) wire.Doc {
	d.Reach = p.Reach
	if len(d.Append(nil)) > wire.MaxDoc-signRoom {
		d.Reach = nil
	}
	return d
}

// Records sets the seq of my address record and my signed reach, nil to tell none; what is new is
// published.
func (p *Publisher) Records(arSeq Stamp, reach []byte) {
	if arSeq != p.ArSeq || !bytes.Equal(reach, p.Reach) {
		p.ArSeq, p.Reach, p.Dirty = arSeq, reach, true
	}
}

// IMClosed reports whether the inbox is closed by the user's own choice (SPEC 5.2). A sign-off is none.
func (p Publisher) IMClosed() bool { return p.Choice.Offline || p.Choice.Basic != wire.Open }

// open reports whether any service is shown as OPEN: then beacons keep it so (SPEC 4.4).
func (p Publisher) open() bool {
	if p.Scope.Delegate { // a word for somebody holds until it is taken back
		return false
	}
	if !p.IMClosed() || p.Choice.Offline || len(p.Choice.Tuples) == 0 {
		return !p.IMClosed()
	}
	return IsOpen(p.Filter.Apply(p.full(1)))
}

// Publish returns what is to be published now: an update in every epoch if there is news and the
// bucket allows it, else an update in each new epoch, and a beacon in the others if one is due. It
// draws the stamps, so save before sending. Nothing is returned after SignOff.
func (p *Publisher) Publish(now Now, v View, jitter float64) (out []Publication) {
	epochs := p.sound(now, v)
	p.prune(v)
	if p.Off || len(epochs) == 0 {
		return nil
	}
	p.refill(now)
	all := p.news() && p.Tokens > 0
	if all {
		p.Tokens--
		p.Started, p.Dirty = true, false
	}
	beat := !all && p.open() && p.beaconDue(now)
	for _, e := range epochs {
		if t := p.track(e.E); all || t.Update == 0 {
			out = append(out, p.update(now, e, t, p.doc))
		} else if beat {
			out = append(out, p.beacon(now, e, t))
		}
	}
	if all || beat {
		p.Beacon = now.Mono + around(p.period(), 0.1, jitter)
	}
	return out
}

// SignOff returns the last updates before a shutdown. The choice stays as it is (SPEC 4.4, 5.2).
func (p *Publisher) SignOff(now Now, v View) (out []Publication) {
	if p.Off || !p.Started {
		return nil
	}
	p.Off = true
	for _, e := range p.sound(now, v) {
		out = append(out, p.update(now, e, p.track(e.E), p.offlineDoc))
	}
	return out
}

// sound returns the epochs in which I can be heard. In one where my clock ran ahead nothing rises over the
// stamps that some hold there, so it is silent until the epochs change: see View.Due.
func (p *Publisher) sound(now Now, v View) []Epoch {
	return slices.DeleteFunc(v.Publishing(now), func(e Epoch) bool { return now.Ahead(p.last(e.E)) })
}

// news reports whether something is to be said in every epoch.
func (p Publisher) news() bool { return p.Dirty || !p.Started }

func (p Publisher) period() time.Duration {
	return wire.BeaconPeriod(time.Duration(p.TTL) * time.Second)
}

// beaconDue also mends a time left over from an earlier run of the process.
func (p Publisher) beaconDue(now Now) bool {
	return now.Mono >= p.Beacon || p.Beacon-now.Mono > 2*p.period()
}

// refill fills the bucket of 5 updates by one every 2 s.
func (p *Publisher) refill(now Now) {
	if p.TokensAt > now.Mono {
		p.TokensAt = now.Mono
	}
	n := int64((now.Mono - p.TokensAt) / wire.UpdateEvery)
	p.TokensAt += time.Duration(n) * wire.UpdateEvery
	p.Tokens = int(min(wire.UpdateBurst, int64(p.Tokens)+n))
}

func (p *Publisher) update(now Now, e Epoch, t *Track, doc func(Time, uint64) wire.Doc) Publication {
	t.Update = now.Next(max(t.Update, t.Beat))
	t.Ver++
	d := doc(t.Update, t.Ver)
	t.Doc = d.Append(nil)
	return Publication{Epoch: e, Device: p.Device, T: t.Update, Doc: d}
}

func (p *Publisher) beacon(now Now, e Epoch, t *Track) Publication {
	t.Beat = now.Next(max(t.Update, t.Beat))
	return Publication{Epoch: e, Device: p.Device, T: t.Beat, Base: t.Update}
}

// doc returns the document of version ver, signed at t.
func (p Publisher) doc(t Time, ver uint64) wire.Doc {
	if p.Choice.Offline {
		return p.offlineDoc(t, ver)
	}
	return p.reach(p.Scope.Apply(p.Filter.Apply(p.full(ver))))
}

// full returns what is chosen, before the filter of the view.
func (p Publisher) full(ver uint64) wire.Doc {
	c := p.Choice
	d := p.frame(ver, wire.Tuple{
		ID: p.TupleID, Basic: c.Basic, IM: c.IM, Contact: p.Contact, Timestamp: p.Changed, Status: c.Own,
	})
	own := &d.Tuples[0]
	if own.Basic != wire.Open {
		own.Basic = wire.Closed
	}
	if p.Idle() {
		own.IM, own.IdleSince = wire.Idle, p.Silent
	}
	d.Tuples, d.PIDF = append(d.Tuples, c.Tuples...), c.PIDF
	if c.Bare {
		d.Tuples[0].IM = 0
		return d
	}
	if c.Note != "" {
		d.Notes = []wire.Note{{Text: c.Note, Lang: c.Lang}}
	}
	d.Notes, d.Contact, d.Status = append(d.Notes, c.Notes...), c.Contacts, c.Status
	return d
}

// Face returns what the view shows now, for one who asks and for the user's own eyes: the newest document
// that was published in it, also while a change waits for its turn, or the one that would be if nobody
// watches.
func (p Publisher) Face(now Now, v View) []byte {
	for _, e := range p.sound(now, v) {
		if i := p.said(e.E); i >= 0 {
			return p.Tracks[i].Doc
		}
	}
	return p.doc(p.Changed, 1).Append(nil)
}

// said returns the index of the track of an epoch in which something was said, -1 if there is none.
func (p Publisher) said(e PublicKey) int {
	return slices.IndexFunc(p.Tracks, func(t Track) bool { return t.E == e && len(t.Doc) > 0 })
}

// Follow has the versions of this view go on where another one's stand, in the epochs in which nothing was
// said yet: so that who is moved from one to the other by a polite block cannot tell by them.
func (p *Publisher) Follow(now Now, v View, other Publisher, in View) {
	for _, e := range other.sound(now, in) {
		i := other.said(e.E)
		if i < 0 {
			continue
		}
		for _, mine := range p.sound(now, v) {
			if t := p.track(mine.E); t.Ver == 0 {
				t.Ver = other.Tracks[i].Ver
			}
		}
		return
	}
}

// offlineDoc returns the document that is all an absent user says, whatever he chose before; it has
// these fields and no others (SPEC 4.4).
func (p Publisher) offlineDoc(t Time, ver uint64) wire.Doc {
	return p.Scope.Apply(p.frame(ver, wire.Tuple{ID: p.TupleID, Basic: wire.Closed, Contact: p.Contact, Timestamp: t}))
}

func (p Publisher) frame(ver uint64, t wire.Tuple) wire.Doc {
	return wire.Doc{Entity: p.Me, Device: p.Device, Ver: ver, TTL: p.TTL, ArSeq: p.ArSeq, Tuples: []wire.Tuple{t}}
}

// track returns what was said in the epoch of e; the pointer is good until the next call.
func (p *Publisher) track(e PublicKey) *Track {
	i := slices.IndexFunc(p.Tracks, func(t Track) bool { return t.E == e })
	if i < 0 {
		i = len(p.Tracks)
		p.Tracks = append(p.Tracks, Track{E: e})
	}
	return &p.Tracks[i]
}

// prune forgets the epochs that are not published in any more.
func (p *Publisher) prune(v View) {
	p.Tracks = slices.DeleteFunc(p.Tracks, func(t Track) bool {
		i := slices.IndexFunc(v.Epochs, func(e Epoch) bool { return e.E == t.E })
		return i < 0 || v.Epochs[i].EndedAt != 0
	})
}

// Said returns the stamp of the newest update, 0 if there is none.
func (p Publisher) Said() (last Stamp) {
	for _, t := range p.Tracks {
		last = max(last, t.Update)
	}
	return last
}

// last returns the newest stamp in the epoch of e, 0 if there is none.
func (p Publisher) last(e PublicKey) Stamp {
	for _, t := range p.Tracks {
		if t.E == e {
			return max(t.Update, t.Beat)
		}
	}
	return 0
}

// Wake returns how long Publish returns nothing, as long as the epochs are those of v. The document is there when
// an epoch begins, in every view alike, and not when something else is said next (SPEC 4.2).
func (p Publisher) Wake(now Now, v View) time.Duration {
	if p.Off {
		return MaxSleep
	}
	d := MaxSleep
	for _, e := range v.Epochs {
		if !e.begun(now) {
			d = min(d, until(now, e.NotBefore))
		}
	}
	epochs := p.sound(now, v)
	if len(epochs) == 0 {
		return d
	}
	for _, e := range epochs {
		if p.last(e.E) == 0 {
			return 0
		}
	}
	if p.news() {
		p.refill(now)
		if p.Tokens > 0 {
			return 0
		}
		d = min(d, p.TokensAt+wire.UpdateEvery-now.Mono)
	}
	if !p.open() {
		return d
	}
	if p.beaconDue(now) {
		return 0
	}
	return min(d, p.Beacon-now.Mono)
}
