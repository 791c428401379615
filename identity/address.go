package identity

import (
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/btcutil/bech32"
)

const (
	addressHRP = "hum"
	// Domain is what stands behind the address in a URI; .alt is never resolved (RFC 9476).
	Domain = "hum.alt"
)

// ErrAddress says that a text is not an address.
var ErrAddress = errors.New("not a hum address")

// String returns the text form hum1…: 63 characters of bech32m (SPEC 2.2, BIP 350).
func (a Address) String() string { return encodeKey(addressHRP, a) }

// IM returns the URI of a's instant inbox, im:hum1…@hum.alt.
func (a Address) IM() string { return "im:" + a.String() + "@" + Domain }

// Pres returns the URI of a's presentity, pres:hum1…@hum.alt.
func (a Address) Pres() string { return "pres:" + a.String() + "@" + Domain }

// ParseAddress reads the text form, all in lower or all in upper case and nothing around it.
// Whether the key can sign is for [ValidKey] to say.
func ParseAddress(s string) (Address, error) {
	key, err := decodeKey(addressHRP, s)
	if err != nil {
		return Address{}, fmt.Errorf("%w: %v", ErrAddress, err)
	}
	return key, nil
}

// MarshalText returns the text form.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is [ParseAddress].
func (a *Address) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAddress(string(b))
	return err
}

// Fingerprint returns a's half of a safety number, six groups of five digits, for people to
// compare (SPEC 2.8). It takes about a millisecond on purpose: a look-alike costs as much per try.
func (a Address) Fingerprint() string {
	h := append(append([]byte{0, 0}, a[:]...), a[:]...)
	for range 5200 {
		sum := sha512.Sum512(append(h, a[:]...))
		h = append(h[:0], sum[:]...)
	}
	groups := make([]string, 6)
	for i := range groups {
		five := append([]byte{0, 0, 0}, h[5*i:5*i+5]...)
		groups[i] = fmt.Sprintf("%05d", binary.BigEndian.Uint64(five)%100000)
	}
	return strings.Join(groups, " ")
}

// SafetyNumber returns what two people compare to know that nobody stands between them: 60 digits, the same
// whoever of the two asks (SPEC 2.8). It covers the addresses alone, so another device changes nothing.
func SafetyNumber(a, b Address) string {
	halves := []string{a.Fingerprint(), b.Fingerprint()}
	slices.Sort(halves)
	return strings.ReplaceAll(strings.Join(halves, ""), " ", "")
}

// encodeKey returns the bech32m text of 32 bytes behind the version symbol 0.
func encodeKey(hrp string, key [32]byte) string {
	data, err := bech32.ConvertBits(key[:], 8, 5, true)
	if err != nil {
		panic("identity: " + err.Error())
	}
	text, err := bech32.EncodeM(hrp, append([]byte{0}, data...))
	if err != nil {
		panic("identity: " + err.Error())
	}
	return text
}

func decodeKey(hrp, text string) (key [32]byte, err error) {
	got, data, version, err := bech32.DecodeGeneric(text)
	switch {
	case err != nil:
		return key, err
	case got != hrp:
		return key, fmt.Errorf("prefix is not %s1", hrp)
	case version != bech32.VersionM:
		return key, errors.New("checksum is not bech32m")
	case len(data) == 0 || data[0] != 0:
		return key, errors.New("unknown version")
	}
	b, err := bech32.ConvertBits(data[1:], 5, 8, false)
	if err != nil || len(b) != len(key) {
		return key, errors.New("wrong length")
	}
	copy(key[:], b)
	// One text per key: this also refuses bits left over in the last symbol.
	if encodeKey(hrp, key) != strings.ToLower(text) {
		return key, errors.New("not in canonical form")
	}
	return key, nil
}
