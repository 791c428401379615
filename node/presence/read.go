package presence

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Path is how a record came; the record is the same on all of them (SPEC 4.5).
type Path uint8

const (
	ByTopic  Path = iota
	ByStream      // after the OK of a WATCH
	ByFetch       // the snapshot of a WATCH, or a GET: it may be old
)

func (p Path) String() string { return [...]string{"mesh", "stream", "fetch"}[p] }

// Errors of records that are not read. None of them changes anything; ErrAhead is another.
var (
	ErrOutside   = errors.New("outside the time of its epoch")
	ErrPublisher = errors.New("not by a publisher of the presentity") // entity, device or tag
	ErrTags      = errors.New("too many tags in one epoch")
)

// Presence is what I know of one presentity: the documents of his devices, and how long each may be
// believed. It is the same whatever paths the records came by, and in whatever order (SPEC 4.5).
type Presence struct {
	Of    Address
	Tags  []Heard
	Docs  []Known
	Began time.Duration // monotonic: since when something should have been heard
}

// Known is the newest document of one device, from whichever epoch.
type Known struct {
	Device DeviceID
	Doc    wire.Doc
	T      Stamp
	E      PublicKey // that Doc came in
	Asked  Stamp     // what was the newest record when a lapse was looked into
	By     Scope     // of a delegate: what it may set
	Left   bool      // E is mine no more: any document of an epoch that is replaces this one
}

// Heard is what came of one tag of one epoch: the stamps that keep old records out, across restarts,
// and when the newest of each kind arrived.
type Heard struct {
	E            PublicKey
	Tag          wire.Tag
	NotAfter     Time     // of the epoch
	Device       DeviceID // zero until an update came
	Ver          uint64
	TTL          uint64 // seconds
	Update, Beat Stamp  // newest t of each kind
	Base         Stamp  // of the newest beacon
	GotUpdate    Receipt
	GotBeat      Receipt
	Skipped      uint64 // versions of this epoch that came by no path: superseded
}

// A Receipt says when a record came; it means nothing after the process has ended.
type Receipt struct {
	OK   bool // it came since the process started
	Mono time.Duration
	Path Path
	Age  time.Duration // by the system clock, if it was fetched
}

// A Reading says what a record did.
type Reading struct {
	Old        bool      // known already, by t: nothing changed
	Stale      bool      // Old, and older than the newest of its kind
	Confirmed  bool      // known from before the restart, and still being told
	Prolonged  bool      // a beacon of the newest update
	Changed    bool      // Doc is now the document of its device
	SaidClosed bool      // and says CLOSED: call Watching.SawClosed
	NeedUpdate bool      // a beacon tells of an update that was missed: GET within 5 s
	Doc        *wire.Doc // of an update that was not Old
	Skipped    uint64    // versions that came by no path: superseded
}

// Restart is called once when the process has started: what was known is remembered, not believed.
func (p *Presence) Restart(now Now) {
	for i := range p.Tags {
		p.Tags[i].GotUpdate, p.Tags[i].GotBeat = Receipt{}, Receipt{}
	}
	p.PathUp(now)
}

// Forget drops the documents, as I may not read him any more. The stamps stay, which keep old records out;
// if I may again, the newest records are news once more.
func (p *Presence) Forget() {
	p.Docs = nil
	for i := range p.Tags {
		p.Tags[i].GotUpdate, p.Tags[i].GotBeat = Receipt{}, Receipt{}
	}
}

// PathUp notes that there is a path to the presentity again: what is known from before a restart is
// shown as cached until it has had a ttl to be confirmed.
func (p *Presence) PathUp(now Now) { p.Began = now.Mono }

// Regrant notes which epochs I hold now. A document of another one is shown until there is a newer or one of
// these, which counts even if it is older: who is moved to another view is not to go on seeing what was
// said last in the one that he left.
func (p *Presence) Regrant(grants []wire.Grant) {
	for i := range p.Docs {
		k := &p.Docs[i]
		k.Left = !slices.ContainsFunc(grants, func(g wire.Grant) bool { return g.E == k.E })
	}
}

// Apply reads a record that passed wire.ParseRec; g is the Grant of mine whose E it came under, and
// speakers says whether the pinned record lists a device as a publisher, and of what: the rest is dropped. Save before showing. Errors:
// [ErrOutside], [ErrAhead], [ErrPublisher], [ErrTags], and those of wire.
func (p *Presence) Apply(now Now, g wire.Grant, r wire.Rec, path Path, speakers Speakers) (Reading, error) {
	if now.Ahead(r.T) {
		return Reading{}, ErrAhead
	}
	if r.T < g.NotBefore.Add(-identity.Skew) || r.T > g.NotAfter.Add(identity.Skew) {
		return Reading{}, ErrOutside
	}
	p.mend(now)
	h, err := p.heard(g, r.Tag)
	if err != nil {
		return Reading{}, err
	}
	if h.old(r) {
		return Reading{Old: true, Stale: r.T < h.last(r)}, nil
	}
	if !r.Verify(g.E) {
		return Reading{}, wire.ErrBadSignature
	}
	if r.IsBeacon() {
		return p.beacon(now, h, r, path), nil
	}
	d, by, err := p.open(g, r, speakers)
	if err != nil {
		return Reading{}, err
	}
	return p.update(now, h, r, d, by, path), nil
}

// mend forgets the records that are over, and reads stamps from an impossible future as now (SPEC 1).
func (p *Presence) mend(now Now) {
	p.Tags = slices.DeleteFunc(p.Tags, func(h Heard) bool { return now.Past(h.NotAfter.Add(identity.Skew)) })
	for i := range p.Tags {
		h := &p.Tags[i]
		h.Update, h.Beat, h.Base = now.Stored(h.Update), now.Stored(h.Beat), now.Stored(h.Base)
	}
	for i := range p.Docs {
		p.Docs[i].T = now.Stored(p.Docs[i].T)
	}
}

// heard returns a copy of what came of tag; it is put back only when a record has been accepted.
func (p *Presence) heard(g wire.Grant, tag wire.Tag) (Heard, error) {
	n := 0
	for _, h := range p.Tags {
		if h.E != g.E {
			continue
		}
		if h.Tag == tag {
			return h, nil
		}
		n++
	}
	if n >= wire.MaxTags {
		return Heard{}, ErrTags
	}
	return Heard{E: g.E, Tag: tag, NotAfter: g.NotAfter, TTL: ttlOf(g.TTL, wire.DefaultTTLSeconds)}, nil
}

func (p *Presence) put(h Heard) {
	i := slices.IndexFunc(p.Tags, func(x Heard) bool { return x.E == h.E && x.Tag == h.Tag })
	if i < 0 {
		p.Tags = append(p.Tags, h)
		return
	}
	p.Tags[i] = h
}

// ttlOf returns s if it is a possible ttl, else instead; both in seconds.
func ttlOf(s, instead uint64) uint64 {
	if s < wire.MinTTL || s > wire.MaxTTL {
		return instead
	}
	return s
}

// old reports whether r is no news. The newest record of each kind is news once more after a restart.
func (h Heard) old(r wire.Rec) bool {
	last, got := h.Update, h.GotUpdate
	if r.IsBeacon() {
		last, got = h.Beat, h.GotBeat
	}
	return r.T < last || r.T == last && got.OK
}

// last returns the newest t of r's kind.
func (h Heard) last(r wire.Rec) Stamp {
	if r.IsBeacon() {
		return h.Beat
	}
	return h.Update
}

// Behind reports whether a beacon has told of an update that has not come by any path.
func (p *Presence) Behind() bool {
	return slices.ContainsFunc(p.Tags, func(h Heard) bool { return h.Base > h.Update })
}

// open returns the Doc of an update, if it is by a publisher of the presentity under his own tag.
func (p *Presence) open(g wire.Grant, r wire.Rec, speakers Speakers) (wire.Doc, Scope, error) {
	b, err := wire.OpenDoc(g.K, g.E, r.Tag, r.T, r.CT)
	if err != nil {
		return wire.Doc{}, Scope{}, err
	}
	d, err := wire.ParseDoc(b)
	if err != nil {
		return wire.Doc{}, Scope{}, err
	}
	by, may := speakers(d.Device)
	if d.Entity != p.Of || !may || r.Tag != wire.TagOf(g.K, d.Device) {
		return wire.Doc{}, Scope{}, ErrPublisher
	}
	said, ok := by.Said(g.E, r, d)
	if !ok {
		return wire.Doc{}, Scope{}, fmt.Errorf("%w: the device has not signed it", ErrPublisher)
	}
	if err := required(d); err != nil {
		return wire.Doc{}, Scope{}, fmt.Errorf("doc: %w", err)
	}
	return said, by, nil
}

// required errs if d, or one of its tuples, must not be read without what this version does not know.
func required(d wire.Doc) error {
	err := wire.Required(d.Crit, d.Ext, wire.DocKnows)
	for _, t := range d.Tuples {
		if err == nil {
			err = wire.Required(t.Crit, t.Ext, wire.TupleKnows)
		}
	}
	return err
}

func receipt(now Now, t Stamp, path Path) Receipt {
	r := Receipt{OK: true, Mono: now.Mono, Path: path}
	if path == ByFetch && t < now.Wall {
		r.Age = now.Wall.Sub(t)
	}
	return r
}

// lacks reports whether the document that h heard was dropped since.
func (p *Presence) lacks(h Heard) bool {
	return !slices.ContainsFunc(p.Docs, func(k Known) bool { return k.Device == h.Device })
}

func (p *Presence) beacon(now Now, h Heard, r wire.Rec, path Path) Reading {
	out := Reading{Confirmed: r.T == h.Beat, Prolonged: r.Base == h.Update, NeedUpdate: r.Base > h.Update || r.Base == h.Update && p.lacks(h)}
	h.Beat, h.Base, h.GotBeat = r.T, r.Base, receipt(now, r.T, path)
	p.put(h)
	return out
}

func (p *Presence) update(now Now, h Heard, r wire.Rec, d wire.Doc, by Scope, path Path) Reading {
	out := Reading{Confirmed: r.T == h.Update, NeedUpdate: h.Base > r.T, Doc: &d}
	if h.Ver != 0 && d.Ver > h.Ver+1 && r.T > p.newest(d.Device) { // not the same gap, seen in a second epoch
		out.Skipped = d.Ver - h.Ver - 1
		h.Skipped += out.Skipped
	}
	h.Update, h.Ver, h.Device, h.GotUpdate = r.T, d.Ver, d.Device, receipt(now, r.T, path)
	h.TTL = ttlOf(d.TTL, h.TTL)
	p.put(h)
	out.Changed = p.know(now, Known{Device: d.Device, Doc: d, T: r.T, E: h.E, By: by})
	out.SaidClosed = out.Changed && !by.Delegate && !IsOpen(d)
	return out
}

// newest is when the newest document of a device was signed, 0 if none is known.
func (p *Presence) newest(device DeviceID) Stamp {
	for _, k := range p.Docs {
		if k.Device == device {
			return k.T
		}
	}
	return 0
}

// know keeps k if it is newer than what is known of its device. Two epochs may carry one change under
// one t; their keys then decide, so that every order of arrival ends alike. What was told by clocks that
// ran ahead is replaced by anything: the epoch changed when they were set right.
func (p *Presence) know(now Now, k Known) bool {
	i := slices.IndexFunc(p.Docs, func(x Known) bool { return x.Device == k.Device })
	if i < 0 {
		p.Docs = append(p.Docs, k)
		return true
	}
	if old := p.Docs[i]; !old.Left && !now.Ahead(old.T) && (k.T < old.T || k.T == old.T && bytes.Compare(k.E[:], old.E[:]) <= 0) {
		return false
	}
	p.Docs[i] = k
	return true
}

// IsOpen reports whether a document shows any service as OPEN.
func IsOpen(d wire.Doc) bool {
	return slices.ContainsFunc(d.Tuples, func(t wire.Tuple) bool { return t.Basic == wire.Open })
}

// Keep drops the documents of devices that are publishers no more, and reports whether there were any:
// call it when a newer AddressRecord is pinned.
func (p *Presence) Keep(publisher func(DeviceID) bool) (changed bool) {
	n := len(p.Docs)
	p.Docs = slices.DeleteFunc(p.Docs, func(k Known) bool { return !publisher(k.Device) })
	return len(p.Docs) != n
}
