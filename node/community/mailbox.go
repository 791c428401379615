package community

import (
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// The bounds of a mailbox (SPEC 7.3).
const (
	MaxRetention   = 14 * 24 * time.Hour
	DefaultPoWBits = 20
	MaxWait        = 5 * time.Minute     // of a WAIT (SPEC 14.95)
	BoxIdle        = 60 * 24 * time.Hour // after its last REG an empty mailbox is forgotten
	MaxOnce        = 22 * 24 * time.Hour // the longest life of a one-time mailbox (SPEC 14.131)
	OnceFresh      = time.Hour           // older words open none: it has ended, and was forgotten, since they were said
)

// A Box is one mailbox, without what lies in it.
type Box struct {
	ID        wire.MailboxID
	Heir      wire.PublicKey // whose word counts in the place of M's, since M said so; zero: nobody's
	Owner     MemberID
	Readers   []wire.PublicKey
	Retention time.Duration
	PoWBits   int
	Seq       identity.Stamp
	Since     identity.Time // of the newest REG
	LastUntil identity.Time // of the newest item; the next is above it
	Items     int
	Bytes     int
	Strangers int // of the items
	Caps      int
	Until     identity.Time // of a one-time mailbox: when it ends; zero: it is no such
}

// A Cap is what the holder of one cap may leave in a Box.
type Cap struct {
	Hash     [32]byte
	Revoked  bool
	BytesDay int
	Items    int // waiting at once
	Seq      identity.Stamp
	Since    identity.Time // when the present day of Spent began
	Spent    int
	Waiting  int
}

// A Lying is one item in a Box, without its bytes.
type Lying struct {
	Digest [32]byte
	Until  identity.Time
	Size   int
	Cap    [32]byte // zero: a stranger's
	Read   []wire.PublicKey
}

// Register opens a mailbox of owner, or changes it; old is nil if there is none. Items of readers that are gone
// wait for those that are left. Boxes is how many of the kind the owner has. One that is over is to be dropped, if it is
// there. Once M has named an heir, as when a device that knows
// M was removed, the heir alone can.
func (l Limits) Register(now identity.Now, old *Box, r wire.MboxReg, signer wire.PublicKey, owner MemberID, boxes int) (Box, error) {
	b := Box{ID: r.Mbox, Owner: owner, Until: min(r.Until, now.Wall.Add(MaxOnce))}
	switch {
	case signer != holder(r.Mbox, old):
		return Box{}, ErrSigner
	case now.Ahead(r.Seq):
		return Box{}, ErrAhead
	case old != nil && old.Owner != owner:
		return Box{}, ErrStranger
	case old != nil && r.Seq <= now.Stored(old.Seq):
		return Box{}, ErrOld
	case old != nil && old.Once() != b.Once():
		return Box{}, ErrKind
	case old == nil && b.Over(now): // it has nothing to count
	case old == nil && b.Once() && r.Seq.Add(OnceFresh) < now.Wall:
		return Box{}, ErrOld
	case old == nil && b.Once() && boxes >= l.Once:
		return Box{}, ErrOnce
	case old == nil && !b.Once() && boxes >= l.Boxes:
		return Box{}, ErrBoxes
	case old != nil:
		until := b.Until
		b = *old
		b.Until = until
	}
	b.Readers, b.Seq, b.Since = r.Readers, r.Seq, now.Wall
	if r.Heir != (wire.PublicKey{}) {
		b.Heir = r.Heir
	}
	b.Retention = l.Retention
	if s := r.RetentionS; s != 0 && s < uint64(l.Retention/time.Second) {
		b.Retention = time.Duration(s) * time.Second
	}
	b.PoWBits = DefaultPoWBits
	if r.PoWBits != 0 {
		b.PoWBits = int(min(r.PoWBits, 256))
	}
	return b, nil
}

// holder is whose word counts about a mailbox.
func holder(id wire.MailboxID, b *Box) wire.PublicKey {
	if b != nil && b.Heir != (wire.PublicKey{}) {
		return b.Heir
	}
	return id
}

// Once reports whether b is for acks alone, and ends by itself.
func (b *Box) Once() bool { return b.Until != 0 }

// Over reports whether b has ended, with what lies in it. Like [Lying.Ended] it goes by the node's own clock.
func (b *Box) Over(now identity.Now) bool { return b.Once() && now.Wall >= b.Until }

// Reader reports whether k may list and commit.
func (b *Box) Reader(k wire.PublicKey) bool { return slices.Contains(b.Readers, k) }

// SetCap takes a reader's word on a cap of b; old is nil if it is the first.
func (l Limits) SetCap(now identity.Now, b *Box, old *Cap, c wire.MboxCap, signer wire.PublicKey) (Cap, error) {
	switch {
	case !b.Reader(signer):
		return Cap{}, ErrSigner
	case now.Ahead(c.Seq):
		return Cap{}, ErrAhead
	case old != nil && c.Seq <= now.Stored(old.Seq):
		return Cap{}, ErrOld
	case old == nil && b.Caps >= l.Caps:
		return Cap{}, ErrCaps
	}
	out := Cap{Hash: c.Cap}
	if old != nil {
		out = *old
	} else {
		b.Caps++
	}
	out.Seq, out.Revoked = c.Seq, c.Mode != wire.CapOpen
	out.BytesDay, out.Items = l.CapBytesDay, l.BoxItems
	if c.BytesDay != 0 {
		out.BytesDay = int(min(c.BytesDay, uint64(l.BoxBytes)))
	}
	if c.Items != 0 {
		out.Items = min(int(c.Items), l.BoxItems)
	}
	return out, nil
}

// Deposit judges what somebody leaves in b, and counts it there and at his cap, which is nil if he showed none or
// an unknown one; all is what the node holds for everybody. What lies there already is for the caller to find by its
// digest: it is receipted again, and counts once.
func (q Limits) Deposit(now identity.Now, b *Box, d wire.Deposit, c *Cap, all int) (Lying, error) {
	payload := d.Item.Payload()
	l := Lying{Digest: d.Item.Digest(), Size: len(payload)}
	var err error
	switch {
	case d.Cap == nil:
		err = q.strange(now, b, d, payload)
	case c == nil:
		err = ErrCap
	default:
		err = c.spend(now, len(payload))
	}
	switch {
	case err != nil:
		return Lying{}, err
	case b.Once() && d.Item.AckBox == nil:
		return Lying{}, ErrNoAck
	case b.Items >= q.BoxItems || b.Bytes+l.Size > q.BoxBytes:
		return Lying{}, ErrBoxFull
	case all+l.Size > q.Disk:
		return Lying{}, ErrDisk
	}
	if d.Cap == nil {
		b.Strangers++
	} else {
		l.Cap = c.Hash
		c.Spent += l.Size
		c.Waiting++
	}
	b.Items++
	b.Bytes += l.Size
	last := b.LastUntil
	if last > now.Wall.Add(MaxRetention+identity.Skew) { // drawn by a clock that ran ahead
		last = 0
	}
	b.LastUntil = max(last+1, now.Wall.Add(b.Retention))
	l.Until = b.LastUntil
	return l, nil
}

// strange says whether a stranger may leave payload.
func (q Limits) strange(now identity.Now, b *Box, d wire.Deposit, payload []byte) error {
	hour, done := uint64(now.Wall)/uint64(time.Hour.Milliseconds()), 0
	for h := hour - 1; h <= hour+1; h++ {
		done = max(done, wire.WorkDone(b.ID, payload, h, d.PoW))
	}
	switch {
	case len(payload) > q.StrangerSize:
		return ErrLarge
	case b.Strangers >= q.Strangers:
		return ErrStrangers
	case done < b.PoWBits:
		return ErrWork
	}
	return nil
}

// spend says whether the holder of c may leave n bytes more, and begins a new day when the last is over.
func (c *Cap) spend(now identity.Now, n int) error {
	if day := now.Wall.Sub(c.Since); day >= 24*time.Hour || day < 0 {
		c.Since, c.Spent = now.Wall, 0
	}
	switch {
	case c.Revoked:
		return ErrRevoked
	case c.Spent+n > c.BytesDay:
		return ErrDay
	case c.Waiting >= c.Items:
		return ErrCapFull
	}
	return nil
}

// Idle reports whether b may be forgotten: nobody has said for long that it is his.
func (b *Box) Idle(now identity.Now) bool { return b.Items == 0 && now.Wall.Sub(b.Since) > BoxIdle }

// MayList says whether what signer asks on a stream with this nonce, at the node with this peer id, is answered.
func (b *Box) MayList(l wire.MboxList, signer wire.PublicKey, nonce wire.Nonce, self []byte) error {
	switch {
	case !b.Reader(signer):
		return ErrSigner
	case !same(l.Nonce[:], nonce[:]):
		return ErrNonce
	case !same(l.Peer, self):
		return ErrPlace
	}
	return nil
}

// Commit notes that a reader has l on his own disk; gone says that all of b's readers have.
func (l *Lying) Commit(b *Box, reader wire.PublicKey) (gone bool, err error) {
	if !b.Reader(reader) {
		return false, ErrSigner
	}
	if !l.ReadBy(reader) {
		l.Read = append(l.Read, reader)
	}
	return l.ReadByAll(b), nil
}

// ReadBy reports whether a reader has committed l.
func (l *Lying) ReadBy(reader wire.PublicKey) bool { return slices.Contains(l.Read, reader) }

// ReadByAll reports whether all who read b have committed l: also those who were put in the place of others.
func (l *Lying) ReadByAll(b *Box) bool {
	return !slices.ContainsFunc(b.Readers, func(r wire.PublicKey) bool { return !l.ReadBy(r) })
}

// Ended reports whether l may go though it was not read. To delete is final, but a mailbox hears no contact, so
// that its own clock alone has to do.
func (l *Lying) Ended(now identity.Now) bool { return now.Wall > l.Until }

// Take counts l out of b and of its cap, which is nil if l is a stranger's or its cap is gone.
func (b *Box) Take(l Lying, c *Cap) {
	b.Items--
	b.Bytes -= l.Size
	if l.Cap == ([32]byte{}) {
		b.Strangers--
	} else if c != nil {
		c.Waiting--
	}
}
