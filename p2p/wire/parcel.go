package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/hum-presence/hum/identity"
)

// ParseParcel reads a Parcel; nothing of it is opened (SPEC 3.7). Errors: [ErrMalformed],
// [ErrTooLarge].
func ParseParcel(b []byte) (Parcel, error) { return parse(b, "parcel", MaxParcel, parcel) }

// Append appends the encoding of p to b.
func (p Parcel) Append(b []byte) []byte { return appendTo(b, &p, parcel) }

func parcel(c *codec, p *Parcel) {
	num(c, 1, &p.Suite, may) // SuiteClear is the 0 that is not written
	many(c, 2, &p.Wraps, MaxDevices, may, wrap)
	if c.reading && p.Suite == SuiteClear && len(p.Wraps) > 0 {
		c.refuse(2, ErrMalformed, "a key, and nothing that is sealed")
	}
	c.octets(3, &p.CT, MaxParcel, must)
	num(c, 4, &p.ExpiresS, may)
}

func wrap(c *codec, w *Wrap) {
	c.fixed(1, w.Kid[:], must)
	c.octets(2, &w.Sealed, MaxParcel, must)
}

// ParseInner reads what a Parcel opens to.
func ParseInner(b []byte) (Inner, error) { return parse(b, "inner", MaxParcel, inner) }

// Append appends the encoding of x to b.
func (x Inner) Append(b []byte) []byte { return appendTo(b, &x, inner) }

func inner(c *codec, x *Inner) {
	whole(c, 1, &x.Signed, signed)
	many(c, 2, &x.Attached, MaxAttached, may, signed)
}

// HasKid reports whether p is wrapped for the prekey kid.
func (p Parcel) HasKid(kid KeyID) bool {
	for _, w := range p.Wraps {
		if w.Kid == kid {
			return true
		}
	}
	return false
}

// ParcelExpiry returns the expires_s of what expires at t: seconds, rounded up to the hour, so that
// a custodian learns little of when it was written (SPEC 3.7).
func ParcelExpiry(t Time) uint64 {
	const hour = 3600
	const ms = hour * 1000
	hours := uint64(t) / ms
	if uint64(t)%ms != 0 {
		hours++
	}
	return hours * hour
}

// SuiteClear is suite 0: nothing is sealed, and anybody on the way can read it (SPEC 8).
const SuiteClear uint32 = 0

// ClearInner returns the ct of a Parcel of suite 0, and the key that its AckBox is sealed under: whoever sees
// the one has the other, so the answer is sealed as well as the Parcel was (SPEC 8). The error is [ErrTooLarge].
func ClearInner(inner Inner) (ct []byte, cek [32]byte, err error) {
	plain := inner.Append(nil)
	if size := identity.PadLen(4 + len(plain)); size > MaxParcel {
		return nil, cek, fmt.Errorf("parcel: %w: ct of %d bytes", ErrTooLarge, size)
	}
	ct = identity.Pad(plain)
	return ct, clearKey(ct), nil
}

func clearKey(ct []byte) [32]byte { return identity.Hash("clear", ct) }

// A Recipient is one device that a Parcel is sealed to.
type Recipient struct {
	Address Address
	Device  DeviceID
	Kid     KeyID
	Key     []byte // the public prekey of suite 1
}

// SealInner returns the ct of a Parcel: inner, padded and sealed by cek (SPEC 3.7). The error is
// [ErrTooLarge].
func SealInner(rand io.Reader, cek [32]byte, inner Inner) ([]byte, error) {
	plain := inner.Append(nil)
	if size := identity.PadLen(4+len(plain)) + identity.SealOverhead; size > MaxParcel {
		return nil, fmt.Errorf("parcel: %w: ct of %d bytes", ErrTooLarge, size)
	}
	return identity.Seal(rand, cek, identity.Pad(plain), identity.DS("parcel")), nil
}

// WrapFor seals cek to every recipient, bound to ct and to him (SPEC 3.7). Errors: [ErrUnsupported]
// for a suite other than 1, or that of a bad public key.
func WrapFor(suite uint32, cek [32]byte, ct []byte, to []Recipient) ([]Wrap, error) {
	if err := supported(suite); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(ct)
	wraps := make([]Wrap, 0, len(to))
	for _, r := range to {
		sealed, err := identity.SealTo(r.Key, wrapInfo(suite, r.Address, r.Device, r.Kid, digest), cek[:])
		if err != nil {
			return nil, fmt.Errorf("wrap for device %v: %w", r.Device, err)
		}
		wraps = append(wraps, Wrap{r.Kid, sealed})
	}
	return wraps, nil
}

func supported(suite uint32) error {
	if suite != identity.Suite1 {
		return &UnsupportedError{fmt.Sprintf("suite %d", suite)}
	}
	return nil
}

func wrapInfo(suite uint32, a Address, d DeviceID, kid KeyID, ct [32]byte) []byte {
	b := binary.BigEndian.AppendUint32(identity.DS("wrap"), suite)
	b = append(b, a[:]...)
	b = append(b, d[:]...)
	b = append(b, kid[:]...)
	return append(b, ct[:]...)
}

// SealParcel seals inner to every recipient by suite 1. cek is fresh: 32 random bytes. Errors: those
// of [SealInner] and [WrapFor].
func SealParcel(rand io.Reader, cek [32]byte, inner Inner, to []Recipient, expiresS uint64) (Parcel, error) {
	ct, err := SealInner(rand, cek, inner)
	if err != nil {
		return Parcel{}, err
	}
	wraps, err := WrapFor(identity.Suite1, cek, ct, to)
	if err != nil {
		return Parcel{}, err
	}
	return Parcel{Suite: identity.Suite1, Wraps: wraps, CT: ct, ExpiresS: expiresS}, nil
}

// Opened is what a Parcel held for one of my devices.
type Opened struct {
	Inner    Inner
	InnerRaw []byte   // as it was sealed
	CEK      [32]byte // seals the answer
	Kid      KeyID    // of the prekey that opened it
}

// OpenParcel opens p as device dev of me, with the first of its Wraps whose key find has. Errors:
// [ErrUnsupported] for another suite; [ErrNoKey] if find has none; [ErrUndecryptable] if the key is
// mine and the Wrap or ct does not open; [ErrMalformed] or [ErrTooLarge] if what was inside is no
// Inner, and then CEK and Kid are returned nevertheless. Signatures are not verified.
func OpenParcel(p Parcel, me Address, dev DeviceID, find func(KeyID) (*identity.PreKeySecret, bool)) (Opened, error) {
	if p.Suite == SuiteClear {
		return readInner(Opened{CEK: clearKey(p.CT)}, p.CT)
	}
	if err := supported(p.Suite); err != nil {
		return Opened{}, err
	}
	for _, w := range p.Wraps {
		if key, ok := find(w.Kid); ok {
			return openWith(key, w, p, me, dev)
		}
	}
	return Opened{}, fmt.Errorf("parcel: %w", ErrNoKey)
}

func openWith(key *identity.PreKeySecret, w Wrap, p Parcel, me Address, dev DeviceID) (Opened, error) {
	cek, err := key.Open(wrapInfo(p.Suite, me, dev, w.Kid, sha256.Sum256(p.CT)), w.Sealed)
	if err != nil || len(cek) != 32 {
		return Opened{}, fmt.Errorf("wrap: %w", ErrUndecryptable)
	}
	return openInner(Opened{Kid: w.Kid, CEK: [32]byte(cek)}, p.CT)
}

// openInner opens the ct of a Parcel by the key that o holds.
func openInner(o Opened, ct []byte) (Opened, error) {
	padded, err := identity.Open(o.CEK, ct, identity.DS("parcel"))
	if err != nil {
		return Opened{}, fmt.Errorf("parcel: %w", ErrUndecryptable)
	}
	return readInner(o, padded)
}

func readInner(o Opened, padded []byte) (_ Opened, err error) {
	if o.InnerRaw, err = unpad("parcel", padded); err != nil {
		return o, err
	}
	o.Inner, err = ParseInner(o.InnerRaw)
	return o, err
}
