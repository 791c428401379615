package wire

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hum-presence/hum/identity"
)

// Label returns the label that a signature over a body of type t starts with (SPEC 3.1), "" if the
// type is unknown.
func (t Type) Label() string {
	switch t {
	case TypeAddressRecord:
		return "addr"
	case TypeDeviceRecord:
		return "dev"
	case TypeReach:
		return "reach"
	case TypeSuccessor:
		return "succ"
	case TypeSubRequest:
		return "sub-req"
	case TypeSubState:
		return "sub-state"
	case TypeUnsub:
		return "unsub"
	case TypeFetch:
		return "fetch"
	case TypeFetchReply:
		return "fetch-reply"
	case TypeIM:
		return "im"
	case TypeAck:
		return "ack"
	case TypeSync:
		return "sync"
	case TypeMboxReceipt:
		return "mbox-receipt"
	case TypeMboxCommit:
		return "mbox-commit"
	case TypeMboxReg:
		return "mbox-reg"
	case TypeMboxCap:
		return "mbox-cap"
	case TypeMboxList:
		return "mbox-list"
	}
	return ""
}

// String returns the label of t, or its number.
func (t Type) String() string { return named(t.Label(), "type", uint32(t)) }

// InParcel reports whether a Parcel may carry a Signed of type t (SPEC 2.6, 3.7).
func (t Type) InParcel() bool {
	return t >= TypeSubRequest && t <= TypeFetchReply || t == TypeIM || t == TypeSync || t == TypeSuccessor
}

// maxBody returns how large a body of type t may be (SPEC 3.9). An IM has no limit of its own but
// those of its fields and of the Parcel around it.
func (t Type) maxBody() int {
	switch t {
	case TypeAddressRecord, TypeDeviceRecord, TypeReach, TypeSuccessor:
		return MaxRecordBody
	case TypeIM:
		return MaxParcel
	case TypeSync, TypeFetchReply:
		return MaxSyncBody
	}
	return MaxControlBody
}

// Sign returns body signed by k as a body of type t. It keeps body.
func Sign(k identity.SigningKey, t Type, body []byte) Signed {
	return Signed{Type: t, Body: body, Key: k.Public(), Sig: k.Sign(t.Label(), body)}
}

// ParseSigned reads a Signed; it neither verifies the signature nor looks into the body. Errors:
// [ErrMalformed], also for an unknown type, and [ErrTooLarge] by the limit of the type.
func ParseSigned(b []byte) (Signed, error) { return parse(b, "signed", MaxParcel, signed) }

// Append appends the encoding of s to b.
func (s Signed) Append(b []byte) []byte { return appendTo(b, &s, signed) }

func signed(c *codec, s *Signed) {
	num(c, 1, &s.Type, must)
	if c.reading && s.Type.Label() == "" {
		c.refuse(1, ErrMalformed, "unknown type of signed")
	}
	c.octets(2, &s.Body, s.Type.maxBody(), must)
	c.fixed(3, s.Key[:], must)
	c.fixed(4, s.Sig[:], must)
}

// Verify returns [ErrBadSignature] unless the signature holds by the rule of SPEC 3.4. Whether the
// key may speak for anybody is for identity.Pin to say.
func (s Signed) Verify() error {
	if !identity.Verify(s.Key, s.Type.Label(), s.Body, s.Sig) {
		return fmt.Errorf("%v: %w", s.Type, ErrBadSignature)
	}
	return nil
}

// ID returns the id of s: H("mid", body) (SPEC 3.8).
func (s Signed) ID() MID { return identity.Hash("mid", s.Body) }

// Digest returns H("addr", body), by which address records name their predecessor and forks are
// ordered (SPEC 2.4, 2.5).
func (s Signed) Digest() [32]byte { return identity.Hash("addr", s.Body) }

// midPrefix is how much of a MID its text form shows, in bytes: 40 characters (SPEC 3.8).
const midPrefix = 25

var recordText = base64.RawURLEncoding.Strict()

var midText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the text form of m: lower-case base32 of the first 25 bytes, 40 characters.
func (m MID) String() string { return midText.EncodeToString(m[:midPrefix]) }

// IsZero reports whether m names no message.
func (m MID) IsZero() bool { return m == MID{} }

// ParseMIDText reads the text form of a MID, in lower case, and returns the bytes that it shows.
func ParseMIDText(s string) (prefix [midPrefix]byte, err error) {
	if len(s) != midText.EncodedLen(midPrefix) || strings.ContainsAny(s, "\r\n") {
		return prefix, fmt.Errorf("message id: %w: %d characters", ErrMalformed, len(s))
	}
	n, err := midText.Decode(prefix[:], []byte(s))
	if err != nil || n != midPrefix { // a decoder without padding takes the octet 0xff for padding
		return [midPrefix]byte{}, fmt.Errorf("message id: %w: not in base32", ErrMalformed)
	}
	return prefix, nil
}

// String returns s in hex.
func (s SubID) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether s names no subscription.
func (s SubID) IsZero() bool { return s == SubID{} }

// ParseSubID reads the 32 hex digits of a SubID.
func ParseSubID(text string) (s SubID, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(s) {
		return s, fmt.Errorf("subscription id: %w", ErrMalformed)
	}
	return SubID(b), nil
}

// String returns t in hex.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }
