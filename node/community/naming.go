package community

import (
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// The times of SPEC 7.5.
const (
	PeriodsAhead   = 4
	MaxNamingAge   = 30 * 24 * time.Hour
	NamingPutAgain = 22 * time.Hour
	namingEarly    = time.Hour // clocks differ: the next period's is there before it begins
	handleLife     = 24 * time.Hour
)

// Periods are those for which an owner signs at now: the present one and those ahead.
func Periods(now identity.Now) (out []uint64) {
	p := identity.PeriodOf(now.Wall)
	for i := range uint64(PeriodsAhead) {
		out = append(out, p+i)
	}
	return out
}

// EndOf is when period p ends: until then its key is hosted (SPEC 7.5).
func EndOf(p uint64) identity.Time {
	return identity.Time((p + 1) * uint64(identity.BlindPeriod.Milliseconds()))
}

// Released reports whether a home puts the rendezvous record of a key that is hosted until its end into the DHT:
// in its period, and not before.
func Released(now identity.Now, h *Hosted) bool {
	return h.Serves(now) && slices.ContainsFunc(h.Holders, func(x Holder) bool { // whoever else has it kept
		return now.Wall >= x.Until.Add(-identity.BlindPeriod-namingEarly)
	})
}

// Naming says whether a rendezvous record may be believed and passed on by the DHT (SPEC 7.5).
func Naming(now identity.Now, key wire.PublicKey, r wire.Rec) error {
	switch {
	case now.Ahead(r.T):
		return ErrAhead
	case r.T < now.Wall.Add(-MaxNamingAge):
		return ErrOld
	case !r.VerifyKept(wire.ContextDHT, key):
		return ErrBadRec
	}
	return nil
}

// Newest returns the index of the record that counts among several valid ones: that of the larger t, and among
// equals that of the smaller bytes, so that all who look agree.
func Newest(recs []wire.Rec) (best int) {
	for i, r := range recs {
		b := recs[best]
		if r.T > b.T || r.T == b.T && slices.Compare(r.Raw, b.Raw) < 0 {
			best = i
		}
	}
	return best
}

// What a domain and an address may say of a handle that does not let it stand for anybody (SPEC 2.7).
var (
	ErrUnlisted = errors.New("the address does not list the handle")
	ErrConflict = errors.New("the domain names another address than before")
)

// A Handle is a name that was looked up.
type Handle struct {
	Name    wire.Handle
	Address identity.Address
	Since   identity.Time // pinned
	Asked   identity.Time // last
}

// Listed checks the address's half: its own record must list the handle, in whatever case it writes it.
func Listed(h wire.Handle, r identity.AddressRecord) error {
	for _, text := range r.Handles {
		if x, err := wire.ParseHandle(text); err == nil && x == h {
			return nil
		}
	}
	return ErrUnlisted
}

// Pin takes what the domain says and the address confirms. The first word counts; another address later is a
// conflict for the user, unless the pinned one has named it its successor: never a silent change.
func Pin(now identity.Now, old *Handle, h wire.Handle, a identity.Address, r identity.AddressRecord, successor identity.Address) (Handle, error) {
	if err := Listed(h, r); err != nil {
		return Handle{}, err
	}
	out := Handle{Name: h, Address: a, Since: now.Wall, Asked: now.Wall}
	switch {
	case old == nil, old.Address != a && old.Address != (identity.Address{}) && a == successor:
	case old.Address != a:
		return *old, ErrConflict
	default:
		out.Since = old.Since
	}
	return out, nil
}

// Ask reports whether the domain is to be asked again: once a day, or at once if it was never answered. What is
// pinned counts meanwhile, also if the domain is gone.
func (h *Handle) Ask(now identity.Now) bool {
	since := now.Wall.Sub(h.Asked)
	return since >= handleLife || since < -identity.Skew
}

// A Judge is the rules of what the DHT holds, at the time that it is handed.
type Judge func() identity.Now

// Valid is [Naming] now.
func (j Judge) Valid(key wire.PublicKey, r wire.Rec) error { return Naming(j(), key, r) }

// Newest is [Newest].
func (Judge) Newest(recs []wire.Rec) int { return Newest(recs) }
