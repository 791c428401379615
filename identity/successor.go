package identity

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrNotSuccessor says that a Successor does not bind: it is not signed by the R that the pinned record is
// committed to, or the new address did not accept it (SPEC 2.6).
var ErrNotSuccessor = errors.New("not a rightful successor")

// ErrSecondSuccessor says that an address names a second, different successor: somebody else holds its
// recovery key too. Which of them counts is for the user to decide; both are kept: save the pin.
var ErrSecondSuccessor = errors.New("a second, different successor")

// A PinnedSuccessor is a Successor that was accepted.
type PinnedSuccessor struct {
	Record Successor
	Raw    []byte // the Signed as received, to be passed on
	At     Time   // when it was accepted
}

// NewSuccessor returns the body by which the i-th address of s is followed by the j-th, to be signed with
// s.RecoveryKey(i).
func NewSuccessor(s Seed, i, j uint32, issued Time, why MoveReason) Successor {
	next := s.AddressKey(j)
	x := Successor{Old: Address(s.AddressKey(i).Public()), New: Address(next.Public()),
		Issued: issued, Reason: why, Recovery: s.RecoveryKey(i).Public()}
	x.Accept = next.Sign(acceptLabel, x.acceptance())
	return x
}

const acceptLabel = "succ-accept"

// acceptance is what the new address signs: old || new || u64 issued.
func (s Successor) acceptance() []byte {
	b := append(append([]byte{}, s.Old[:]...), s.New[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(s.Issued))
}

// Accepted reports whether the new address agrees to be the successor.
func (s Successor) Accepted() bool {
	return Verify(s.New.Key(), acceptLabel, s.acceptance(), s.Accept)
}

// AcceptSuccessor ends the pinned address in favour of s.New, if the rules of SPEC 2.6 allow it. The caller
// has verified the signature by signer; raw is the Signed as received. What names the successor already held
// is no error and changes nothing. The first of two counts; a second is kept beside it, and further ones
// are not: the user has been asked already.
func (p *Pin) AcceptSuccessor(now Now, s Successor, signer PublicKey, raw []byte) error {
	switch {
	case len(p.Raw) == 0 || s.Old != p.Record.Address:
		return ErrBinding
	case signer != s.Recovery || Hash("recovery", s.Recovery[:]) != p.Record.Recovery, s.New == s.Old, !s.Accepted():
		return ErrNotSuccessor
	case now.Ahead(s.Issued):
		return ErrAhead
	case slices.ContainsFunc(p.Moved, func(m PinnedSuccessor) bool { return m.Record.New == s.New }):
		return nil
	case len(p.Moved) > 1:
		return ErrSecondSuccessor
	}
	p.Moved = append(slices.Clone(p.Moved), PinnedSuccessor{s, raw, now.Wall})
	if len(p.Moved) > 1 {
		return ErrSecondSuccessor
	}
	return nil
}

// Choose keeps one of two successors, by the user's word; it reports whether a is one of them.
func (p *Pin) Choose(a Address) bool {
	for _, m := range p.Moved {
		if m.Record.New == a {
			p.Moved = []PinnedSuccessor{m}
			return true
		}
	}
	return false
}
