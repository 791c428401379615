package community

import (
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// The bounds of an anchor (SPEC 7.1).
const (
	MaxHosting = 30 * 24 * time.Hour
	MaxHolders = 64 // members who have one key kept: the devices of its owner, and whoever else likes to pay for it
)

// A Hosted is a key whose Recs are kept for members. Each of them has it kept for as long as he says, so that nobody
// can end what another wants, nor keep him from his own key by being there before him.
type Hosted struct {
	Key     wire.PublicKey
	Holders []Holder // the first pays for what lies there
	Bytes   int      // of the Recs
}

// A Holder is a member who has a key kept.
type Holder struct {
	Member MemberID
	Until  identity.Time
}

// Until is how long the key is kept: as long as one of its holders wants.
func (h *Hosted) Until() (t identity.Time) {
	for _, x := range h.Holders {
		t = max(t, x.Until)
	}
	return t
}

// Payer is who pays for what lies there.
func (h *Hosted) Payer() MemberID { return h.Holders[0].Member }

// holder finds a member among those who have h kept, -1 if he does not.
func (h *Hosted) holder(m MemberID) int {
	return slices.IndexFunc(h.Holders, func(x Holder) bool { return x.Member == m })
}

// Host keeps a key for a member, or keeps it longer or shorter for him; old is nil if it is not kept, keys is how
// many are kept for him. First says that it was not kept for him before.
func (l Limits) Host(now identity.Now, old *Hosted, r wire.HostRequest, member MemberID, keys int) (h Hosted, first bool, err error) {
	h.Key = r.Key
	if old != nil {
		h = *old
		h.Holders = slices.Clone(old.Holders)
	}
	i := h.holder(member)
	switch {
	case r.Until <= now.Wall:
		return h, false, ErrPast
	case !identity.ValidKey(r.Key):
		return h, false, ErrBadRec
	case i < 0 && keys >= l.Keys:
		return h, false, ErrKeys
	case i < 0 && len(h.Holders) >= MaxHolders:
		return h, false, ErrHolders
	}
	until := min(r.Until, now.Wall.Add(MaxHosting))
	if i < 0 {
		h.Holders = append(h.Holders, Holder{member, until})
	} else {
		h.Holders[i].Until = until
	}
	return h, i < 0, nil
}

// Serves reports whether WATCH and GET know the key: until its end and S, as a presentity does (SPEC 4.6).
func (h *Hosted) Serves(now identity.Now) bool { return now.Wall <= h.Until().Add(identity.Skew) }

// Leave drops the holders whose time is over; they are returned.
func (h *Hosted) Leave(now identity.Now) (gone []Holder) {
	h.Holders = slices.DeleteFunc(slices.Clone(h.Holders), func(x Holder) bool {
		over := now.Wall > x.Until.Add(identity.Skew)
		if over {
			gone = append(gone, x)
		}
		return over
	})
	return gone
}

// Room says whether there is room for a Rec of size bytes in the place of one of was bytes, for a member who has kept
// `kept` bytes until now, at a node that holds all in all.
func (l Limits) Room(kept, all, was, size int) error {
	switch more := size - was; {
	case more <= 0:
		return nil
	case kept+more > l.KeyBytes:
		return ErrMemberFull
	case all+more > l.Disk:
		return ErrDisk
	}
	return nil
}

// Kept judges a Rec of a slot, a bundle or the DHT that somebody puts under a hosted key; last is the t of the one
// that is held, 0 if none is. Whoever holds the key may put, as he alone can sign (SPEC 4.5, 7.1).
func Kept(now identity.Now, h *Hosted, ctx wire.Context, r wire.Rec, last identity.Stamp) error {
	switch {
	case h == nil || !h.Serves(now):
		return ErrNotHosted
	case now.Ahead(r.T):
		return ErrAhead
	case r.T <= now.Stored(last):
		return ErrOld
	case !r.VerifyKept(ctx, h.Key):
		return ErrBadRec
	}
	return nil
}
