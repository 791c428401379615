package community

import (
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// The bounds of an anchor (SPEC 7.1).
const (
	MaxHosting    = 30 * 24 * time.Hour
	MaxHostedKeys = 4096 // of one member: his epochs, a slot for each watcher, his bundles
)

// A Hosted is a key whose Recs are kept for a member.
type Hosted struct {
	Key   wire.PublicKey
	Owner MemberID
	Until identity.Time
}

// Host keeps a key, or keeps it longer or shorter; old is nil if it is not kept, keys is how many of the member's
// are. A key that another hosted is his as long as it lasts, so that nobody can end what is not his own.
func Host(now identity.Now, old *Hosted, r wire.HostRequest, owner MemberID, keys int) (Hosted, error) {
	lives := old != nil && now.Wall <= old.Until
	switch {
	case r.Until <= now.Wall:
		return Hosted{}, ErrPast
	case !identity.ValidKey(r.Key):
		return Hosted{}, ErrBadRec
	case lives && old.Owner != owner:
		return Hosted{}, ErrStranger
	case (old == nil || old.Owner != owner) && keys >= MaxHostedKeys:
		return Hosted{}, ErrKeys
	}
	return Hosted{r.Key, owner, min(r.Until, now.Wall.Add(MaxHosting))}, nil
}

// Serves reports whether WATCH and GET know the key: until `until`+S, as a presentity does (SPEC 4.6).
func (h *Hosted) Serves(now identity.Now) bool { return now.Wall <= h.Until.Add(identity.Skew) }

// Gone reports whether what is kept of the key may be erased.
func (h *Hosted) Gone(now identity.Now) bool { return !h.Serves(now) }

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
