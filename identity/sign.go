package identity

import (
	"crypto/ed25519"
	"io"
)

// A SigningKey is the private half of an Ed25519 key: A, D, R or the E of an epoch. Copies share
// the secret. The zero SigningKey is no key, and panics when used.
type SigningKey struct {
	// A pointer, because fmt follows none below the top: a struct that keeps a SigningKey in an
	// unexported field, where methods are not called, then prints an address and no secret.
	secret *ed25519Secret
}

type ed25519Secret struct{ key ed25519.PrivateKey }

// NewSigningKey returns the key of an RFC 8032 seed.
func NewSigningKey(seed [32]byte) SigningKey {
	return SigningKey{&ed25519Secret{ed25519.NewKeyFromSeed(seed[:])}}
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
func (k SigningKey) Public() PublicKey { return PublicKey(k.secret.key[32:]) }

// Seed returns the secret itself, for whoever must store it.
func (k SigningKey) Seed() [32]byte { return [32]byte(k.secret.key[:32]) }

// Sign returns Sig(k, label, msg): the signature of DS(label)||msg (SPEC 1).
func (k SigningKey) Sign(label string, msg []byte) Signature {
	return Signature(ed25519.Sign(k.secret.key, labelled(label, msg)))
}
