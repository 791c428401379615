package identity

import (
	"crypto/ed25519"
	"io"
)

// A SigningKey is the private half of an Ed25519 key: A, D, R or the E of an epoch. Copies share
// the secret. The zero SigningKey is no key, and panics when used.
type SigningKey struct {
	// A function, because fmt looks into everything else: it calls no method of what stands in an
	// unexported field, so whoever prints a struct that holds a SigningKey would print the secret.
	secret func() ed25519.PrivateKey
}

// NewSigningKey returns the key of an RFC 8032 seed.
func NewSigningKey(seed [32]byte) SigningKey {
	key := ed25519.NewKeyFromSeed(seed[:])
	return SigningKey{func() ed25519.PrivateKey { return key }}
}

// GenerateSigningKey reads 32 bytes from rand and returns their key.
func GenerateSigningKey(rand io.Reader) (SigningKey, error) {
	seed, err := random32(rand)
	if err != nil {
		return SigningKey{}, err
	}
	return NewSigningKey(seed), nil
}

// IsZero reports whether k is no key.
func (k SigningKey) IsZero() bool { return k.secret == nil }

// Public returns the public half.
func (k SigningKey) Public() PublicKey { return PublicKey(k.secret()[32:]) }

// Seed returns the secret itself, for whoever must store it.
func (k SigningKey) Seed() [32]byte { return [32]byte(k.secret()[:32]) }

// Sign returns Sig(k, label, msg): the signature of DS(label)||msg (SPEC 1).
func (k SigningKey) Sign(label string, msg []byte) Signature {
	return Signature(ed25519.Sign(k.secret(), labelled(label, msg)))
}
