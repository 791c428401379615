package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// pinned is what is kept of an address: its accepted records, and which of mine it has.
type pinned struct {
	Pin     identity.Pin
	Told    told
	Used    identity.Time // when a message of this stranger was last kept
	Claimed string        // the name that his messages give him
}

// pinBook holds every pin in memory, each replaced whole when a pass that changed it is durable.
type pinBook struct {
	mu   sync.RWMutex
	pins map[identity.Address]*heldPin
}

// A heldPin is a pin as one row has it. It is not to be changed.
type heldPin struct {
	pinned
	row [sha256.Size]byte // the digest of the row, by which a pass knows that it has no other
}

// get returns the pin of a, not to be changed, or nil.
func (b *pinBook) get(a identity.Address) *identity.Pin {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if p, ok := b.pins[a]; ok {
		return &p.Pin
	}
	return nil
}

func (b *pinBook) told(a identity.Address) told {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if p, ok := b.pins[a]; ok {
		return p.Told
	}
	return told{}
}

func (b *pinBook) claimed(a identity.Address) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if p := b.pins[a]; p != nil {
		return p.Claimed
	}
	return ""
}

// set has a held as its row says.
func (b *pinBook) set(a identity.Address, p pinned, row [sha256.Size]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pins[a] = &heldPin{p, row}
}

// of returns what the row of a says, if that is what is held: nearly every frame asks for a pin.
func (b *pinBook) of(a identity.Address, row []byte) (p pinned, ok bool) {
	b.mu.RLock()
	h := b.pins[a]
	b.mu.RUnlock()
	if h == nil || h.row != sha256.Sum256(row) {
		return p, false
	}
	return h.pinned, true
}

// pinRow returns the pin of a as this pass has it, and whether there is one. Its records are not to be
// changed.
func (n *Node) pinRow(t *txn, a identity.Address) (p pinned, ok bool, err error) {
	k := store.Pin(a)
	if p, ok := t.pins[a]; ok && !t.Wrote(k) {
		return p, true, nil
	}
	defer func() {
		if ok && t.pins == nil {
			t.pins = map[identity.Address]pinned{}
		}
		if ok {
			t.pins[a] = p
		}
	}()
	row, err := t.Get(k)
	if errors.Is(err, store.ErrNotFound) {
		return p, false, nil
	} else if err != nil {
		return p, false, err
	}
	if p, ok := n.pins.of(a, row); ok {
		return p, true, nil
	}
	p, err = decode[pinned](k, row)
	return p, err == nil, err
}

func (b *pinBook) drop(a identity.Address) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pins, a)
}

// records are somebody's own records, their signatures checked.
type records struct {
	address *addressRecord
	devices []deviceRecord
	reaches []reachRecord
	beyond  bool // an address record was left out, since it requires what this version does not understand
	kept    bool // they are from who keeps them for an owner who may be away
}

type addressRecord struct {
	rec    identity.AddressRecord
	raw    []byte
	digest [32]byte
}

type deviceRecord struct {
	rec    identity.DeviceRecord
	raw    []byte
	digest [32]byte
}

type reachRecord struct {
	rec identity.Reach
	raw []byte
}

// readRecords sorts out what was attached to a Parcel or came in a Bundle: records of a, rightly
// signed. Those of any other address are ignored (SPEC 3.7).
func readRecords(a identity.Address, signed []wire.Signed) (r records) {
	for _, s := range signed {
		if s.Verify() != nil {
			continue
		}
		switch s.Type {
		case wire.TypeAddressRecord:
			if rec, err := wire.ParseAddressRecord(s.Body); err == nil && rec.Address == a && s.Key == a.Key() {
				if r.beyond = wire.Required(rec.Crit, rec.Ext, s.Type.Knows) != nil; !r.beyond {
					r.address = &addressRecord{rec, exact(s), identity.Hash("addr", s.Body)}
				}
			}
		case wire.TypeDeviceRecord:
			if rec, err := wire.ParseDeviceRecord(s.Body); err == nil && rec.Address == a && identity.DeviceIDOf(s.Key) == rec.Device &&
				wire.Required(rec.Crit, rec.Ext, s.Type.Knows) == nil {
				r.devices = append(r.devices, deviceRecord{rec, exact(s), identity.Hash("dev", s.Body)})
			}
		case wire.TypeReach:
			if rec, err := wire.ParseReach(s.Body); err == nil && rec.Address == a && identity.DeviceIDOf(s.Key) == rec.Device {
				r.reaches = append(r.reaches, reachRecord{rec, exact(s)})
			}
		}
	}
	return r
}

// exact encodes s in no more memory than it takes, since it is kept.
func exact(s wire.Signed) []byte { return bytes.Clone(s.Append(nil)) }

// lacking is the reason to refuse whom these records do not make known.
func (r records) lacking() wire.Reason {
	if r.beyond {
		return wire.ReasonUnsupportedRequired
	}
	return wire.ReasonStaleRecord
}

// seq is that of the address record, 0 if there is none.
func (r records) seq() identity.Stamp {
	if r.address == nil {
		return 0
	}
	return r.address.rec.Seq
}

// empty reports whether there is nothing to accept.
func (r records) empty() bool { return r.address == nil && len(r.devices) == 0 && len(r.reaches) == 0 }

// accept brings the pin of a up to date in memory (SPEC 2.5) and says whether that changed it; keepPin
// writes it. What is stale, forked or not listed is left out; err is the verdict on the address record,
// or says that there is no pin at all.
func (n *Node) accept(t *txn, a identity.Address, r records) (p pinned, changed bool, err error) {
	look := n.pinRow
	if !r.empty() { // which changes what is decoded
		look = func(t *txn, a identity.Address) (pinned, bool, error) { return find[pinned](t, store.Pin(a)) }
	}
	p, ok, err := look(t, a)
	if err != nil {
		return p, false, err
	}
	_, p.Pin.Held = n.moves.frozen(a)
	if a == n.self.Address && r.address != nil && wasOutran(t, r.address.digest) {
		r.address = nil
	}
	if r.address != nil {
		old := p.Pin.Digest
		err = p.Pin.AcceptRecord(t.now, r.address.rec, r.address.raw, r.address.digest)
		changed = p.Pin.Digest != old
		if err == nil {
			n.hearContact(t, a, r.address.rec.Seq)
		}
		n.warnRecord(t, a, err)
	}
	if !ok && !changed {
		return p, false, cmp.Or(err, errNoPin)
	}
	return p, acceptDevices(t.now, &p.Pin, r) || changed, err
}

// acceptDevices takes what the devices of a pinned address say, and reports whether any of it is new. The
// id of the signer's key was compared with the record's when it was read.
func acceptDevices(now identity.Now, p *identity.Pin, r records) (changed bool) {
	for _, d := range r.devices {
		old := p.Device(d.rec.Device)
		if old != nil && old.Digest == d.digest {
			continue
		}
		accept := p.AcceptDevice
		if r.kept {
			accept = p.AcceptKeptDevice
		}
		changed = accept(now, d.rec, d.raw, d.digest) == nil || changed
	}
	for _, d := range r.reaches {
		old := p.Device(d.rec.Device)
		if old != nil && bytes.Equal(old.ReachRaw, d.raw) {
			continue
		}
		changed = p.AcceptReach(now, d.rec, d.raw) == nil || changed
	}
	return changed
}

var errNoPin = errors.New("nothing is known of that address")

// warnRecord tells the user of a record that contradicts what was pinned, once a day for each address: its
// owner can sign as many as he likes.
func (n *Node) warnRecord(t *txn, a identity.Address, err error) {
	switch {
	case !errors.Is(err, identity.ErrFork) && !errors.Is(err, identity.ErrRecoveryChanged), !n.warned.take(a, t.now):
	case errors.Is(err, identity.ErrFork):
		t.emit(Event{Kind: "node", Address: a, Name: n.name(a), State: "fork", Text: "two different records with one number: somebody else may hold this key"})
	default:
		t.emit(Event{Kind: "node", Address: a, Name: n.name(a), State: "recovery-changed", Text: "a record with another recovery commitment was refused"})
	}
}

// savePin writes a pin, and puts it in the book once that is durable.
func (n *Node) savePin(t *txn, a identity.Address, p pinned) error {
	k := store.Pin(a)
	row, err := encode(k, p)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(row)
	t.after(func() {
		before := n.pins.get(a)
		n.pins.set(a, p, sum)
		n.presence.look(a)
		n.locate(a)
		n.hearNew(a, before, &p.Pin)
	})
	if a == n.self.Address {
		changed, err := n.changedPublic(t, p.Pin.Record)
		if err := errors.Join(err, n.savedOwn(t, &p.Pin)); err != nil {
			return err
		}
		if changed {
			t.after(n.chores.nudge) // another device has signed it, without what was done here a moment ago
		}
	}
	if err := n.dropDevices(t, a, &p.Pin); err != nil {
		return err
	}
	return t.Put(k, row)
}

// hearContact notes a stamp if it came from a contact.
func (n *Node) hearContact(t *txn, a identity.Address, s identity.Stamp) {
	if n.isContact(a) {
		t.hear(s)
	}
}

// askRecords is findRecords for what goes on by itself: the DHT is asked at most once a minute.
func (n *Node) askRecords(ctx context.Context, a identity.Address, places []place) (*identity.Pin, error) {
	f, err := n.findRecords(ctx, a, places, false)
	return f.pin, err
}

// findRecords fetches the records of a from the first place that serves them, else as discover does, and pins them. A
// node that answers with somebody else's is refused with binding-invalid (SPEC 6, step 1).
func (n *Node) findRecords(ctx context.Context, a identity.Address, places []place, eager bool) (finding, error) {
	s := search{of: a}
	f, err := n.searchRecords(ctx, a, places, eager, &s)
	s.at = n.now().Mono
	n.ways.note(s)
	f.ways = s.ways
	return f, errUnfound(s, err)
}

func (n *Node) searchRecords(ctx context.Context, a identity.Address, places []place, eager bool, s *search) (finding, error) {
	var last error = errNoPlace(n.name(a))
	defer n.locate(a) // keeps what is to be kept on
	for _, p := range places {
		if len(p.addrs) > 0 {
			n.keep(a, p)
		}
		b, err := n.net.Records(ctx, p.peer, a)
		if err != nil {
			last = errNoAnswer(n.name(a), err)
			continue
		}
		pin, err := n.pinBundle(a, b, p)
		if err == nil {
			s.tried(wayDevices, "one of them has them", nil)
			return finding{pin: pin, by: "his own node"}, nil
		}
		last = err
	}
	s.tried(wayDevices, "", devicesFailed(len(places), last))
	f, err := n.discover(ctx, a, eager, s)
	if err == nil {
		return f, nil
	}
	if len(places) == 0 {
		last = err
	}
	return f, last
}

// pinBundle accepts the answer to RECORDS that came from a place, or what a home keeps, which is no place of his.
func (n *Node) pinBundle(a identity.Address, b wire.Bundle, at place) (*identity.Pin, error) {
	if moved, err := n.follow(a, b, at); err != nil || moved {
		return nil, cmp.Or(err, error(errMoved))
	}
	r := readRecords(a, append([]wire.Signed{b.Address}, b.Devices...))
	r.kept = at.peer == ""
	if r.address == nil {
		n.count("binding-invalid")
		return nil, &Error{Kind: KindFailed, Code: wire.ReasonBindingInvalid.String(),
			Message: "the node that answered for " + n.name(a) + " is not " + n.name(a) + "'s", Advice: "ask for a new card"}
	}
	var verdict error
	err := n.update(func(t *txn) error {
		p, changed, err := n.accept(t, a, r)
		if err != nil && !isVerdict(err) {
			return err
		}
		if verdict = err; !changed {
			return nil
		}
		return n.savePin(t, a, p) // of two records with one number the smaller is kept, and the user told
	})
	if err == nil && !errors.Is(verdict, identity.ErrStaleRecord) { // what is pinned is as new, or newer
		err = verdict
	}
	if err != nil {
		return nil, err
	}
	return n.pins.get(a), nil
}

func errNoPlace(name string) error {
	return &Error{Kind: KindUnreachable, Code: wire.ReasonUnreachable.String(), Message: "no place is known where " + name + " could be reached", Advice: "ask for a new card, and: hum add CARD"}
}

func errNoAnswer(name string, err error) error {
	return &Error{Kind: KindUnreachable, Code: wire.ReasonUnreachable.String(), Message: name + " does not answer: " + plain(err), Advice: "it is tried again by itself; see hum status"}
}
