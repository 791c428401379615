package wire

import (
	"errors"
	"fmt"
)

var (
	// ErrMalformed is wrapped by every refusal of bytes that are not a strict encoding (SPEC 3.2).
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge is wrapped when a limit of SPEC 3.9 is exceeded.
	ErrTooLarge = errors.New("too large")
	// ErrBadSignature says that a signature does not hold by the rule of SPEC 3.4.
	ErrBadSignature = errors.New("bad signature")
	// ErrUnsupported is what every [UnsupportedError] is.
	ErrUnsupported = errors.New("unsupported")
	// ErrNoKey says that a Parcel is wrapped for none of my prekeys (SPEC 3.6, status 8).
	ErrNoKey = errors.New("no such prekey")
	// ErrUndecryptable says that the key is mine and yet the seal does not open.
	ErrUndecryptable = errors.New("undecryptable")
)

// An UnsupportedError names what its sender requires us to understand and we do not (SPEC 3.3).
type UnsupportedError struct {
	Name string // the name of an ext, or "field n", or "suite n"
}

func (e *UnsupportedError) Error() string { return "unsupported: " + e.Name }

// Is makes every UnsupportedError an [ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// Required returns an [*UnsupportedError] for the first field that crit names and known does not
// know, or the first ext that must be understood: this version knows none. It is the receiver's test
// for unsupported-required (SPEC 3.3, 9.1), apart from parsing so that the answer can be signed.
func Required(crit []uint32, ext []Ext, known func(uint32) bool) error {
	for _, n := range crit {
		if !known(n) {
			return &UnsupportedError{fmt.Sprintf("field %d", n)}
		}
	}
	for _, e := range ext {
		if e.MustUnderstand {
			return &UnsupportedError{e.Name}
		}
	}
	return nil
}

// fields is a set of field numbers below 32.
type fields uint32

func numbers(ns ...uint32) (f fields) {
	for _, n := range ns {
		f |= 1 << n
	}
	return f
}

func (f fields) has(n uint32) bool { return n < 32 && f&(1<<n) != 0 }

// Knows reports whether this version acts on field n of a body of type t, and not merely carries it
// for a later profile (SPEC 3.3). t.Knows is what [Required] wants.
func (t Type) Knows(n uint32) bool {
	switch t {
	case TypeAddressRecord:
		return numbers(1, 2, 3, 5, 6, 7, 9, 11, 15, 16).has(n)
	case TypeDeviceRecord:
		return numbers(1, 2, 3, 5, 6, 7, 15, 16).has(n)
	case TypeReach:
		return numbers(1, 2, 3, 4, 5).has(n)
	case TypeSubRequest:
		return numbers(1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15, 16).has(n)
	case TypeSubState:
		return numbers(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16).has(n)
	case TypeUnsub:
		return numbers(1, 2, 3, 4, 15, 16).has(n)
	case TypeFetch:
		return numbers(1, 2, 3, 4, 10, 15, 16).has(n)
	case TypeFetchReply:
		return numbers(1, 2, 3, 4, 5, 6, 7, 15, 16).has(n)
	case TypeIM:
		return numbers(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17).has(n)
	case TypeAck:
		return numbers(1, 2, 3, 4, 5, 6, 7, 8, 9).has(n)
	}
	return false
}

// DocKnows is Knows for a [Doc].
func DocKnows(n uint32) bool {
	return numbers(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16).has(n)
}

// TupleKnows is Knows for a [Tuple].
func TupleKnows(n uint32) bool {
	return numbers(1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16).has(n)
}

// GrantKnows is Knows for a [Grant].
func GrantKnows(n uint32) bool { return numbers(1, 2, 3, 4, 5, 15, 16).has(n) }
