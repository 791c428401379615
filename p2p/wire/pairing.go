package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
)

// pairScheme stands before a pairing code, and pairCheck bytes of its digest behind its body, so that a
// slip in copying is noticed.
const (
	pairScheme = "humdev:"
	pairCheck  = 4
	maxPair    = 2048 // bytes of a code's body
)

// A PairCode is what a home that is no device of anybody yet shows, and an admin device reads (SPEC 14,
// "Pairing"): who it will be, where it waits, and the secret that only those who saw it know.
type PairCode struct {
	Device PublicKey // D
	Peer   []byte    // binary peer id of T
	Addrs  [][]byte  // binary multiaddrs
	PreKey [32]byte  // H("prekey", public prekey)
	Secret [32]byte
}

// ParsePairCode reads a code in the form that [PairCode.String] writes; space around it is dropped. Errors:
// [ErrMalformed], [ErrTooLarge].
func ParsePairCode(text string) (x PairCode, err error) {
	text = strings.TrimSpace(text)
	if len(text) < len(pairScheme) || !strings.EqualFold(text[:len(pairScheme)], pairScheme) {
		return x, fmt.Errorf("pairing code: %w: it begins with %s", ErrMalformed, pairScheme)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text[len(pairScheme):])
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) < pairCheck {
		return x, fmt.Errorf("pairing code: %w: not base64url", ErrMalformed)
	}
	body, check := b[:len(b)-pairCheck], b[len(b)-pairCheck:]
	if sum := identity.Hash("pair-code", body); !bytes.Equal(sum[:pairCheck], check) {
		return x, fmt.Errorf("pairing code: %w: a letter is missing or wrong", ErrMalformed)
	}
	return parse(body, "pairing code", maxPair, pairCode)
}

// String returns the code as text: humdev: and the base64url of its body and of a check.
func (x PairCode) String() string {
	body := appendTo(nil, &x, pairCode)
	sum := identity.Hash("pair-code", body)
	return pairScheme + base64.RawURLEncoding.EncodeToString(append(body, sum[:pairCheck]...))
}

// Check returns 15 digits that both screens show: who adds a device compares them, so that nobody can put
// another code in the place of the one that is meant.
func (x PairCode) Check() string {
	sum := identity.Hash("pair-check", appendTo(nil, &x, pairCode))
	groups := make([]string, 3)
	for i := range groups {
		groups[i] = fmt.Sprintf("%05d", binary.BigEndian.Uint64(sum[8*i:])%100000)
	}
	return strings.Join(groups, " ")
}

// Proof is what a node at the other end of a PAIR shows to have seen the code: bound to the address that
// it speaks for, and to both ends, so that it can be used nowhere else.
func (x PairCode) Proof(a Address, asker []byte) [32]byte {
	return identity.KDF(x.Secret[:], "pair", slices.Concat(a[:], []byte{byte(len(x.Peer))}, x.Peer, asker))
}

// Matches reports whether public is the prekey that the code names.
func (x PairCode) Matches(public []byte) bool { return x.PreKey == PairPreKey(public) }

// PairPreKey returns how a code names a prekey.
func PairPreKey(public []byte) [32]byte { return identity.Hash("prekey", public) }

func pairCode(c *codec, x *PairCode) {
	c.fixed(1, x.Device[:], must)
	c.octets(2, &x.Peer, 64, must)
	c.blobs(3, &x.Addrs, MaxAddrs)
	c.fixed(4, x.PreKey[:], must)
	c.fixed(5, x.Secret[:], must)
}

// A PairRequest is the payload of PAIR. The first one asks what the new device says of itself; the second,
// with Records, tells it whose it is now.
type PairRequest struct {
	Address Address
	Proof   [32]byte
	Records []Signed // the address record that lists it, and the records of the other devices
	Seed    []byte   // the seed of A, sealed to its prekey: it becomes an admin device; nil: it does not
	Name    string   // suggested on cards
}

// ParsePairRequest reads the payload of PAIR.
func ParsePairRequest(b []byte) (PairRequest, error) { return parse(b, "pair", MaxFrame, pairRequest) }

// Append appends the encoding of x to b.
func (x PairRequest) Append(b []byte) []byte { return appendTo(b, &x, pairRequest) }

func pairRequest(c *codec, x *PairRequest) {
	c.skipUnknown()
	c.fixed(1, x.Address[:], must)
	c.fixed(2, x.Proof[:], must)
	many(c, 3, &x.Records, MaxAttached, may, signed)
	c.octets(4, &x.Seed, MaxControlBody, may)
	c.text(5, &x.Name, MaxName, may)
}

// A PairReply answers a PAIR with OK: the records of the new device, as one of the address that asked.
type PairReply struct {
	Records []Signed
}

// ParsePairReply reads the payload of the OK to a PAIR.
func ParsePairReply(b []byte) (PairReply, error) { return parse(b, "pair reply", MaxFrame, pairReply) }

// Append appends the encoding of x to b.
func (x PairReply) Append(b []byte) []byte { return appendTo(b, &x, pairReply) }

func pairReply(c *codec, x *PairReply) {
	c.skipUnknown()
	many(c, 1, &x.Records, MaxAttached, may, signed)
}

// PairSeedInfo binds the sealed seed of A to the one device that may open it.
func PairSeedInfo(a Address, device DeviceID) []byte {
	return append(append(identity.DS("pair-seed"), a[:]...), device[:]...)
}
