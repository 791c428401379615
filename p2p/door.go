package p2p

import (
	"fmt"
	"sync"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A verdict is what the door says of a Rec (SPEC 4.5, "Relaying").
type verdict uint8

const (
	accept verdict = iota
	ignore         // a correct node may have sent it; it is not passed on
	reject         // no correct node can emit it
)

// The door judges every Rec before it is relayed, and keeps the last of each kind for WATCH and GET.
// It cannot read them. Its counters are its own: what a watcher has read by stream must not make the
// topic's copy old here, or there would be a hole in the mesh.
type door struct {
	n *Net

	mu      sync.Mutex
	keys    map[PublicKey]*doorKey
	watched int // keys over all streams
}

// A doorKey is one E whose topic we are on.
type doorKey struct {
	tags     map[wire.Tag]*doorTag
	served   bool
	hosted   bool // served for a member: Recs of it are put
	until    Time // of a served key: it is unknown after until+S
	watchers map[*inStream]bool
}

// A doorTag is one publishing device of an E.
type doorTag struct {
	update, beacon wire.Rec // the last of each kind; T is 0 if there is none
	top            tops     // what the next of each kind must be above
	rate           bucket
}

// tops are the newest t of the updates and beacons of one tag.
type tops [2]Time

// newer reports whether r rises above the last of its kind. A stamp that lies in an impossible future is
// lowered to now, once and for good: read anew at each comparison it would go on locking, as now moves
// along (SPEC 14.10).
func (t *tops) newer(now identity.Now, r wire.Rec) bool {
	last := &t[kind(r)]
	*last = now.Stored(*last)
	return r.T > *last
}

func (t *tops) note(r wire.Rec) { t[kind(r)] = r.T }

func newDoor(n *Net) *door { return &door{n: n, keys: map[PublicKey]*doorKey{}} }

// open begins to judge Recs of e.
func (d *door) open(e PublicKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys[e] == nil {
		d.keys[e] = &doorKey{tags: map[wire.Tag]*doorTag{}, watchers: map[*inStream]bool{}}
	}
}

// shut forgets e.
func (d *door) shut(e PublicKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.keys[e]; k != nil {
		d.watched -= len(k.watchers)
		delete(d.keys, e)
	}
}

// take judges what came on the topic of e and, if it is accepted, keeps it and passes it to WATCH
// streams. Looking at the counters and setting them are one step, done after the signature.
func (d *door) take(e PublicKey, raw []byte) (wire.Rec, verdict) {
	r, err := wire.ParseRec(raw)
	if err != nil {
		d.n.fault("", e, "rec malformed")
		return r, reject
	}
	now := d.n.now()
	if cause := d.stale(now, e, r); cause != "" {
		d.n.fault("", e, cause)
		return r, ignore
	}
	if !r.Verify(e) {
		d.n.fault("", e, "rec signature")
		return r, reject
	}
	d.mu.Lock()
	cause := d.check(now, e, r)
	if cause == "" {
		cause = d.admit(now, e, r)
	}
	d.mu.Unlock()
	if cause != "" {
		d.n.fault("", e, cause)
		return r, ignore
	}
	return r, accept
}

func (d *door) stale(now identity.Now, e PublicKey, r wire.Rec) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.check(now, e, r)
}

// check names the reason to ignore r, or none; d.mu is held.
func (d *door) check(now identity.Now, e PublicKey, r wire.Rec) string {
	k := d.keys[e]
	switch {
	case k == nil:
		return "rec of unknown key"
	case now.Ahead(r.T):
		return "rec ahead"
	case r.T < now.Wall.Add(-wire.RecMaxAge):
		return "rec too old"
	}
	t := k.tags[r.Tag]
	switch {
	case t == nil && len(k.tags) >= wire.MaxTags:
		return "rec of too many tags"
	case t != nil && !t.top.newer(now, r):
		return "rec not newer"
	}
	return ""
}

// admit takes a place for a new tag and a token of its rate, and keeps r; d.mu is held.
func (d *door) admit(now identity.Now, e PublicKey, r wire.Rec) string {
	k := d.keys[e]
	t := k.tag(r.Tag)
	if !t.rate.take(now.Mono, wire.RecBurst, 1) {
		return "rec over the rate"
	}
	k.keep(e, t, r)
	return ""
}

// keep stores r and passes it on; d.mu is held.
func (k *doorKey) keep(e PublicKey, t *doorTag, r wire.Rec) {
	*t.last(r) = r
	t.top.note(r)
	k.push(e, r)
}

// push passes r to WATCH streams; d.mu is held.
func (k *doorKey) push(e PublicKey, r wire.Rec) {
	for st := range k.watchers {
		st.out.putRec(recKey{e, r.Tag, r.IsBeacon()}, r.Raw)
	}
}

// last returns the place of the last Rec of r's kind.
func (t *doorTag) last(r wire.Rec) *wire.Rec {
	if r.IsBeacon() {
		return &t.beacon
	}
	return &t.update
}

// holds returns per tag the last update, then the last beacon if it prolongs it (SPEC 4.6).
func (k *doorKey) holds() (recs []wire.Rec) {
	for _, t := range k.tags {
		if t.update.T != 0 {
			recs = append(recs, t.update)
		}
		if t.beacon.T != 0 && t.beacon.Base == t.update.T {
			recs = append(recs, t.beacon)
		}
	}
	return recs
}

// own keeps a Rec that this node publishes, or that was put here, and passes it to WATCH streams. mayPublish or
// mayPut was asked; false says that a newer one came meanwhile.
func (d *door) own(e PublicKey, r wire.Rec) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[e]
	if k == nil {
		return false
	}
	t := k.tag(r.Tag)
	if !t.top.newer(d.n.now(), r) {
		return false
	}
	k.keep(e, t, r)
	return true
}

// copy keeps a Rec that another server of e holds, if it is newer, and passes it to WATCH streams. What the topic
// brings is measured by the topic alone.
func (d *door) copy(e PublicKey, r wire.Rec) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[e]
	if k == nil || k.tags[r.Tag] == nil && len(k.tags) >= wire.MaxTags {
		return
	}
	t := k.tags[r.Tag]
	if t == nil {
		t = &doorTag{}
		k.tags[r.Tag] = t
	}
	if last := t.last(r); r.T > last.T {
		*last = r
		k.push(e, r)
	}
}

// mayPublish refuses a Rec of a key that is not served, and one whose t does not rise: others would
// ignore it.
func (d *door) mayPublish(e PublicKey, r wire.Rec) error {
	now := d.n.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[e]
	if k == nil || !k.serves(now) {
		return ErrNotServed
	}
	if t := k.tags[r.Tag]; t != nil && !t.top.newer(now, r) {
		return fmt.Errorf("%w: t does not rise", ErrBadRec)
	}
	return nil
}

// serves reports whether WATCH and GET know the key: until `until`+S.
func (k *doorKey) serves(now identity.Now) bool {
	return k.served && now.Wall <= k.until.Add(identity.Skew)
}
