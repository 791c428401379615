package community

import (
	"errors"

	"github.com/mtibben/confusables"
	"golang.org/x/text/secure/precis"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// MaxNames is how many names a member has at a handle host at most; his address lists no more (SPEC 2.4).
const MaxNames = 4

// A Vouched is a name of a community's domain, and the address that the domain says it is.
type Vouched struct {
	Name       wire.Handle
	Address    identity.Address
	Owner      MemberID
	Since      identity.Time
	Seq        identity.Stamp
	Record     []byte   // Signed AddressRecord that lists it
	Successors [][]byte // Signed
}

// A ClaimError is why a name is not given to whoever claims it.
type ClaimError struct{ Verdict wire.ClaimVerdict }

func (e *ClaimError) Error() string { return ClaimWords(e.Verdict) }

// ClaimWords say what came of a claim.
func ClaimWords(v wire.ClaimVerdict) string {
	switch v {
	case wire.ClaimTaken:
		return "the name is yours"
	case wire.ClaimAnothers:
		return "the name is another's"
	case wire.ClaimAlike:
		return "the name looks like one that is another's"
	case wire.ClaimDomain:
		return "it names nobody of that domain"
	case wire.ClaimUnlisted:
		return "the record does not list the name, or is not valid"
	case wire.ClaimName:
		return "no name is written like that"
	case wire.ClaimFull:
		return "you have enough names there"
	}
	return "it did not say why"
}

// Skeleton is the same for names that look the same (UTS 39): no two of a domain have one.
func Skeleton(h wire.Handle) string { return confusables.Skeleton(h.Local) + "@" + h.Domain }

// Nameable reports whether a name may be given to somebody: one of letters, digits and marks of one reading, by the
// profile for user names of RFC 8265.
func Nameable(h wire.Handle) bool {
	s, err := precis.UsernameCaseMapped.String(h.Local)
	return err == nil && s == h.Local
}

// GiveName decides on a claim of a member to a handle of a domain that this node keeps names of. Old is who has it, and
// alike who has one that looks like it, or nil; heir is whom old's address has named its successor, by the Signeds that
// came with the claim; rec is the record, verified, and names how many the member has. Whoever has a name keeps it: only
// he, and his successor, say it anew.
func GiveName(now identity.Now, h wire.Handle, rec identity.AddressRecord, owner MemberID, old, alike *Vouched, heir identity.Address, names int) (Vouched, error) {
	no := func(v wire.ClaimVerdict) (Vouched, error) { return Vouched{}, &ClaimError{v} }
	v := Vouched{Name: h, Address: rec.Address, Owner: owner, Since: now.Wall, Seq: rec.Seq}
	switch {
	case !Nameable(h):
		return no(wire.ClaimName)
	case now.Ahead(rec.Seq) || rec.Expires <= now.Wall || Listed(h, rec) != nil:
		return no(wire.ClaimUnlisted)
	case old != nil && old.Address == rec.Address && rec.Seq < old.Seq:
		return Vouched{}, ErrOld
	case old != nil && old.Address == rec.Address:
		v.Since = old.Since
	case old != nil && heir != rec.Address:
		return no(wire.ClaimAnothers)
	case alike != nil && alike.Address != rec.Address && heir != rec.Address:
		return no(wire.ClaimAlike)
	case old == nil && names >= MaxNames:
		return no(wire.ClaimFull)
	}
	return v, nil
}

// Lapsed reports whether a name may go to another: its owner has not said it for a year, or does not list it any more.
func (v *Vouched) Lapsed(now identity.Now) bool {
	return now.Past(v.Seq.Add(365 * 24 * 3600e9))
}

// ErrNoName says that no such name is given.
var ErrNoName = errors.New("nobody has that name")
