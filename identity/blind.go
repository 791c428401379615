package identity

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"time"

	"filippo.io/edwards25519"
)

// BlindPeriod is how long a blinded key stands: the p of SPEC 7.5 counts these since 1970.
const BlindPeriod = 7 * 24 * time.Hour

// PeriodOf returns the p of SPEC 7.5 that t lies in.
func PeriodOf(t Time) uint64 { return uint64(t) / uint64(BlindPeriod.Milliseconds()) }

// ErrNoKey says that 32 bytes are no key by SPEC 3.4.
var ErrNoKey = errors.New("not a valid public key")

// Blinded returns A'_p, the key under which a is found in period p by those who know a, and by nobody else
// (SPEC 7.5). ErrNoKey if a is no key.
func (a Address) Blinded(p uint64) (PublicKey, error) {
	if !ValidKey(a.Key()) {
		return PublicKey{}, ErrNoKey
	}
	point, err := new(edwards25519.Point).SetBytes(a[:])
	if err != nil {
		return PublicKey{}, ErrNoKey
	}
	return PublicKey(point.ScalarMult(blinding(a, p), point).Bytes()), nil
}

// blinding is h of SPEC 7.5.
func blinding(a Address, p uint64) *edwards25519.Scalar {
	return reduced(labelled("blind", binary.BigEndian.AppendUint64(a[:len(a):len(a)], p)))
}

// reduced returns SHA-512(x) mod L.
func reduced(x []byte) *edwards25519.Scalar {
	sum := sha512.Sum512(x)
	s, err := edwards25519.NewScalar().SetUniformBytes(sum[:])
	if err != nil {
		panic("identity: 64 bytes are no 64 bytes")
	}
	return s
}

// A BlindedKey is the private half of A'_p (SPEC 7.5): what it signs is verified like anything else, and does
// not tell whose it is. Copies share the secret.
type BlindedKey struct {
	public PublicKey
	sign   func(msg []byte) Signature // a function hides the secret, as in SigningKey
}

// Blind returns the key of period p behind the address key k.
func (k SigningKey) Blind(p uint64) BlindedKey {
	seed := k.Seed()
	secret := sha512.Sum512(seed[:])
	a, err := edwards25519.NewScalar().SetBytesWithClamping(secret[:32])
	if err != nil {
		panic("identity: 32 bytes are no 32 bytes")
	}
	a.Multiply(a, blinding(Address(k.Public()), p))
	pre := sha512.Sum512(labelled("blind-prefix", binary.BigEndian.AppendUint64(secret[32:64:64], p)))
	public := PublicKey(new(edwards25519.Point).ScalarBaseMult(a).Bytes())
	return BlindedKey{public, func(msg []byte) Signature { return signBlind(a, pre[:32], public, msg) }}
}

// signBlind is RFC 8032, 5.1.6, with a scalar and a prefix that no seed stands behind.
func signBlind(a *edwards25519.Scalar, prefix []byte, public PublicKey, msg []byte) (sig Signature) {
	r := reduced(append(prefix[:len(prefix):len(prefix)], msg...))
	copy(sig[:32], new(edwards25519.Point).ScalarBaseMult(r).Bytes())
	challenge := append(append(append(make([]byte, 0, 64+len(msg)), sig[:32]...), public[:]...), msg...)
	s := edwards25519.NewScalar().MultiplyAdd(reduced(challenge), a, r)
	copy(sig[32:], s.Bytes())
	return sig
}

// Public returns A'_p.
func (k BlindedKey) Public() PublicKey { return k.public }

// Sign returns Sig(k, label, msg) (SPEC 1).
func (k BlindedKey) Sign(label string, msg []byte) Signature { return k.sign(labelled(label, msg)) }

// PeerKey returns the Ed25519 key that a binary libp2p peer id holds (an identity multihash of the key's
// protobuf, 38 bytes), and false for any other.
func PeerKey(peer []byte) (key PublicKey, ok bool) {
	const head = "\x00\x24\x08\x01\x12\x20"
	if len(peer) != len(head)+ed25519.PublicKeySize || string(peer[:len(head)]) != head {
		return key, false
	}
	key = PublicKey(peer[len(head):])
	return key, ValidKey(key)
}
