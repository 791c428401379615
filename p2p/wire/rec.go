package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/hum-presence/hum/identity"
)

// A Context says where the signature of a Rec counts, so that none can be moved elsewhere (SPEC 4.4).
type Context byte

const (
	ContextTopic Context = 1 // gossip, WATCH and GET; signed by E
	ContextSlot  Context = 2 // slot or bundle [C2]
	ContextDHT   Context = 3 // [C2]
)

// TopicName returns the name of the gossip topic of E: 52 characters (SPEC 4.2).
func TopicName(e PublicKey) string {
	return TopicPrefix + base64.RawURLEncoding.EncodeToString(e[:])
}

// ParseTopicName returns the key that a topic is named by, if it is valid by SPEC 3.4; a topic with
// any other name is not joined (SPEC 4.7).
func ParseTopicName(s string) (PublicKey, error) {
	text, ok := strings.CutPrefix(s, TopicPrefix)
	if !ok || len(s) != TopicLength {
		return PublicKey{}, fmt.Errorf("topic %q: %w", s, ErrMalformed)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(PublicKey{}) || !identity.ValidKey(PublicKey(b)) {
		return PublicKey{}, fmt.Errorf("topic %q: %w: no valid key", s, ErrMalformed)
	}
	return PublicKey(b), nil
}

// TagOf returns the tag of device d in the epoch of key k (SPEC 4.4).
func TagOf(k [32]byte, d DeviceID) Tag {
	x := identity.KDF(k[:], "tag", d[:])
	return Tag(x[:len(Tag{})])
}

// SealDoc returns the ct of an update: the encoded doc, at most [MaxDoc] bytes, padded and sealed for
// those who hold k, and bound to the epoch, the device and t (SPEC 4.4).
func SealDoc(rand io.Reader, k [32]byte, e PublicKey, tag Tag, t Stamp, doc []byte) []byte {
	return identity.Seal(rand, updateKey(k), identity.Pad(doc), updateAAD(e, tag, t))
}

// OpenDoc returns the encoded Doc in the ct of an update. Errors: [ErrUndecryptable] if ct is not
// sealed by k for this very epoch, tag and t; [ErrMalformed] if it opens and its padding is wrong.
func OpenDoc(k [32]byte, e PublicKey, tag Tag, t Stamp, ct []byte) ([]byte, error) {
	padded, err := identity.Open(updateKey(k), ct, updateAAD(e, tag, t))
	if err != nil {
		return nil, fmt.Errorf("update: %w: %v", ErrUndecryptable, err)
	}
	return unpad("update", padded)
}

func unpad(name string, padded []byte) ([]byte, error) {
	b, err := identity.Unpad(padded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %v", name, ErrMalformed, err)
	}
	return b, nil
}

func updateKey(k [32]byte) [32]byte { return identity.KDF(k[:], "upd", nil) }

func updateAAD(e PublicKey, tag Tag, t Stamp) []byte {
	b := append(identity.DS("upd"), e[:]...)
	b = append(b, tag[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(t))
}

// NewUpdate returns the signed Rec that carries ct, sealed by [SealDoc] with the same tag and t.
func NewUpdate(e identity.SigningKey, tag Tag, t Stamp, ct []byte) Rec {
	return newRec(e, Rec{Tag: tag, T: t, CT: bytes.Clone(ct)})
}

// NewBeacon returns the signed Rec that prolongs the update of stamp base, which must be below t.
func NewBeacon(e identity.SigningKey, tag Tag, t, base Stamp) Rec {
	return newRec(e, Rec{Tag: tag, T: t, Base: base})
}

func newRec(e identity.SigningKey, r Rec) Rec {
	r.Body = appendTo(nil, &r, recBody)
	r.Sig = e.Sign("rec", recMessage(ContextTopic, e.Public(), r.Body))
	r.Raw = appendTo(nil, &r, rec)
	return r
}

func recMessage(ctx Context, key PublicKey, body []byte) []byte {
	b := make([]byte, 0, 1+len(key)+len(body))
	b = append(b, byte(ctx))
	b = append(b, key[:]...)
	return append(b, body...)
}

// ParseRec reads a Rec of a topic and refuses what no correct node emits, whoever signed it (SPEC
// 4.5, REJECT): the size, the encoding, base and ct not exactly one of them, base ≥ t, a ct that has
// the length of no pad class. Errors: [ErrMalformed], [ErrTooLarge]. CT, Body and Raw share memory.
func ParseRec(b []byte) (Rec, error) {
	if len(b) > MaxRec {
		return Rec{}, fmt.Errorf("rec: %w: %d bytes", ErrTooLarge, len(b))
	}
	raw := bytes.Clone(b)
	r, err := parseAlias(raw, "rec", MaxRec, rec)
	if err != nil {
		return Rec{}, err
	}
	body, err := parseAlias(r.Body, "rec", MaxRec, recBody)
	if err != nil {
		return Rec{}, err
	}
	body.Body, body.Sig, body.Raw = r.Body, r.Sig, raw
	return body, nil
}

// Append appends the encoding of r, which is its Body and Sig, to b.
func (r Rec) Append(b []byte) []byte { return appendTo(b, &r, rec) }

// Verify reports whether r is signed by e for its topic (SPEC 4.4). A good signature is remembered in r and in what is copied
// from it, since the topic's door, the stream and the reading of one node each ask: r must not be changed afterwards.
func (r *Rec) Verify(e PublicKey) bool {
	if r.signedBy == e && e != (PublicKey{}) {
		return true
	}
	good := identity.Verify(e, "rec", recMessage(ContextTopic, e, r.Body), r.Sig)
	if good {
		r.signedBy = e
	}
	return good
}

func rec(c *codec, r *Rec) {
	c.octets(1, &r.Body, MaxRec, must)
	c.fixed(2, r.Sig[:], must)
}

func recBody(c *codec, r *Rec) {
	c.fixed(1, r.Tag[:], must)
	num(c, 2, &r.T, must)
	num(c, 3, &r.Base, may)
	c.octets(4, &r.CT, MaxRec, may)
	if !c.reading || c.err != nil {
		return
	}
	padded := len(r.CT) - identity.SealOverhead
	switch {
	case (r.Base == 0) == (r.CT == nil):
		c.fail(ErrMalformed, "not one of base and ct")
	case r.Base >= r.T && r.CT == nil:
		c.fail(ErrMalformed, "base is not before t")
	case r.CT != nil && (padded <= 0 || identity.PadLen(padded) != padded):
		c.fail(ErrMalformed, "ct has the length of no pad class")
	}
}

// GossipID returns the message id that gossip knows data on a topic by: 20 bytes (SPEC 4.7).
func GossipID(topic string, data []byte) string {
	h := sha256.New()
	io.WriteString(h, topic)
	h.Write(data)
	return string(h.Sum(nil)[:20])
}
