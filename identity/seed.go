package identity

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/tyler-smith/go-bip39"
)

const seedHRP = "humsec"

// ErrSeed says that a text is not a seed. Nothing of the text is repeated in it.
var ErrSeed = errors.New("not a hum seed")

// A Seed is what every key of a person can be made from again (SPEC 2.1). It is shown once, kept
// on paper, and never stored. fmt does not print it, but for a copy in an unexported field: keep none.
type Seed [32]byte

// NewSeed reads a seed from rand.
func NewSeed(rand io.Reader) (Seed, error) {
	b, err := random32(rand)
	return b, err
}

// Words returns the seed as 24 English words (BIP 39, the seed being the entropy).
func (s Seed) Words() []string {
	m, err := bip39.NewMnemonic(s[:])
	if err != nil {
		panic("identity: " + err.Error()) // 32 bytes always have words
	}
	return strings.Fields(m)
}

// Text returns the seed as bech32m, humsec1…, laid out like an address: version symbol 0, then the
// 32 bytes (SPEC 2.1).
func (s Seed) Text() string { return encodeKey(seedHRP, s) }

// ParseSeed reads 24 words in any case and spacing, or humsec1….
func ParseSeed(text string) (Seed, error) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 1 {
		key, err := decodeKey(seedHRP, strings.TrimSpace(text))
		if err != nil {
			return Seed{}, fmt.Errorf("%w: neither 24 words nor a valid %s1 text", ErrSeed, seedHRP)
		}
		return key, nil
	}
	return parseWords(words)
}

func parseWords(words []string) (Seed, error) {
	if len(words) != 24 {
		return Seed{}, fmt.Errorf("%w: %d words instead of 24", ErrSeed, len(words))
	}
	for i, w := range words {
		if _, ok := bip39.GetWordIndex(w); !ok {
			return Seed{}, fmt.Errorf("%w: word %d is not in the list", ErrSeed, i+1)
		}
	}
	b, err := bip39.EntropyFromMnemonic(strings.Join(words, " "))
	if err != nil || len(b) != len(Seed{}) {
		return Seed{}, fmt.Errorf("%w: the words do not fit together, one is wrong or out of place", ErrSeed)
	}
	return Seed(b), nil
}

// AddressKey returns A_i, the key that is the i-th address of the seed (SPEC 2.1).
func (s Seed) AddressKey(i uint32) SigningKey { return s.key("address", i) }

// RecoveryKey returns R_i, which can move the contacts of a stolen address to a new one (SPEC 2.6).
func (s Seed) RecoveryKey(i uint32) SigningKey { return s.key("recovery", i) }

// Commitment returns H("recovery", R_i), what an address record says of R_i (SPEC 2.4).
func (s Seed) Commitment(i uint32) [32]byte {
	r := s.RecoveryKey(i).Public()
	return Hash("recovery", r[:])
}

func (s Seed) key(label string, i uint32) SigningKey {
	return NewSigningKey(KDF(s[:], label, binary.BigEndian.AppendUint32(nil, i)))
}

// String hides the seed.
func (s Seed) String() string { return hidden }

// GoString hides the seed.
func (s Seed) GoString() string { return hidden }

// Format hides the seed from every verb.
func (s Seed) Format(f fmt.State, _ rune) { formatHidden(f) }

// LogValue hides the seed.
func (s Seed) LogValue() slog.Value { return slog.StringValue(hidden) }
