package identity

import (
	"crypto/hpke"
	"fmt"
	"io"
)

// Suite 1 of SPEC 1: HPKE (RFC 9180) base mode with KEM 0x647A (MLKEM768-X25519), HKDF-SHA256 and
// AES-256-GCM.
const Suite1 uint32 = 1

// Sizes of suite 1, in bytes.
const (
	PreKeySize        = 1216 // a public prekey
	EncapsulationSize = 1120 // enc, in front of every ciphertext
)

// A PreKeySecret is the private half of a suite 1 prekey.
type PreKeySecret struct {
	secret func() (key hpke.PrivateKey, seed [32]byte) // a function, for the reason given at SigningKey
	public []byte
	id     KeyID
}

// NewPreKeySecret returns the prekey of a seed.
func NewPreKeySecret(seed [32]byte) (*PreKeySecret, error) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("prekey: %w", err)
	}
	public := key.PublicKey().Bytes()
	secret := func() (hpke.PrivateKey, [32]byte) { return key, seed }
	return &PreKeySecret{secret, public, KeyIDOf(public)}, nil
}

// GeneratePreKey reads 32 bytes from rand and returns their prekey.
func GeneratePreKey(rand io.Reader) (*PreKeySecret, error) {
	seed, err := random32(rand)
	if err != nil {
		return nil, err
	}
	return NewPreKeySecret(seed)
}

// ID returns the kid that a Wrap names the prekey by (SPEC 2.1).
func (p *PreKeySecret) ID() KeyID { return p.id }

// Public returns the PreKeySize public bytes. They are shared: do not change them.
func (p *PreKeySecret) Public() []byte { return p.public }

// Seed returns the secret itself, for whoever must store it.
func (p *PreKeySecret) Seed() [32]byte {
	_, seed := p.secret()
	return seed
}

// Open returns what [SealTo] sealed to this prekey with the same info, or ErrOpen.
func (p *PreKeySecret) Open(info, sealed []byte) ([]byte, error) {
	if len(sealed) < EncapsulationSize {
		return nil, ErrOpen
	}
	key, _ := p.secret()
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// SealTo returns enc||ciphertext of plain for the owner of the public prekey pub, with an empty aad
// and bound to info (SPEC 1, 3.7). It fails if pub is not a suite 1 key. The encapsulation draws on
// the global source of randomness: crypto/hpke takes no other.
func SealTo(pub, info, plain []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("prekey: %w", err)
	}
	return hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
}
