package identity

import (
	"encoding/hex"
	"time"
)

// An Address is a principal's public key A (SPEC 2.1). Its text form, hum1…, is in address.go.
type Address [32]byte

// A DeviceID names one device: the first 16 bytes of H("device-id", D) (SPEC 2.1).
type DeviceID [16]byte

// A KeyID names a prekey: the first 8 bytes of H("kid", public key) (SPEC 2.1).
type KeyID [8]byte

// A PublicKey is an Ed25519 public key: A, D, R, or the E of an epoch.
type PublicKey [32]byte

// A Signature is an Ed25519 signature.
type Signature [64]byte

func (d DeviceID) String() string { return hex.EncodeToString(d[:]) }
func (k KeyID) String() string    { return hex.EncodeToString(k[:]) }

// IsZero reports whether a names nobody.
func (a Address) IsZero() bool { return a == Address{} }

// Key returns the key that an address is.
func (a Address) Key() PublicKey { return PublicKey(a) }

// A Time is an instant in milliseconds since 1970 UTC (SPEC 1); 0 is no time.
type Time uint64

// A Stamp is a Time that orders what one signer says: it only ever rises (SPEC 1).
type Stamp = Time

// TimeOf converts t, cutting what is below a millisecond; a time before 1970 is 0.
func TimeOf(t time.Time) Time { return Time(max(0, t.UnixMilli())) }

// Go returns t in UTC; the zero Time is the zero time.Time.
func (t Time) Go() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// Add returns t+d; it stops at 0 rather than wrap.
func (t Time) Add(d time.Duration) Time {
	ms := d.Milliseconds()
	if ms < 0 && uint64(-ms) > uint64(t) {
		return 0
	}
	return t + Time(ms)
}

// Sub returns the duration t−u, which may be negative.
func (t Time) Sub(u Time) time.Duration { return time.Duration(int64(t-u)) * time.Millisecond }

// Skew is S of SPEC 1: how far two correct clocks may stand apart.
const Skew = 120 * time.Second

// Now is one reading of the clocks that decisions are made by (SPEC 1, "Time").
type Now struct {
	Wall  Time          // the system clock
	Heard Time          // the largest stamp accepted from any contact, persisted
	Mono  time.Duration // a clock that nobody can set, since the process started
}

// Next returns the stamp that follows last: max(last+1, now), or now if last is so far ahead that no
// correct receiver can have kept it (SPEC 1, "Stamps").
func (n Now) Next(last Stamp) Stamp {
	if n.Ahead(last) {
		return n.Wall
	}
	return max(last+1, n.Wall)
}

// Ahead reports whether t is further in the future than two correct clocks can differ: t > now+S.
func (n Now) Ahead(t Time) bool { return t > n.Wall.Add(Skew) }

// Apart reports whether a clock that shows t disagrees with mine by more than two correct ones can.
func (n Now) Apart(t Time) bool { return n.Ahead(t) || t.Add(Skew) < n.Wall }

// Late reports whether t is past by either clock, so that a message expiring then is refused (SPEC 1).
func (n Now) Late(t Time) bool { return n.Wall > t || n.Heard > t }

// Past reports whether t is past by both clocks, so that what cannot be undone may be done (SPEC 1).
func (n Now) Past(t Time) bool { return n.Wall > t && n.Heard > t }

// Stored returns how a stored stamp is read: one that lies in an impossible future counts as now,
// so that a clock that once ran ahead locks nothing (SPEC 1, "Stamps").
func (n Now) Stored(s Stamp) Stamp {
	if s > max(n.Wall, n.Heard).Add(Skew) {
		return n.Wall
	}
	return s
}

// ClockBack reports whether the system clock went back: heard > now+S (SPEC 1).
func (n Now) ClockBack() bool { return n.Heard > n.Wall.Add(Skew) }
