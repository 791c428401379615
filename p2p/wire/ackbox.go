package wire

import (
	"fmt"
	"io"

	"github.com/hum-presence/hum/identity"
)

// maxBox is the largest box: a Signed around an Ack of [MaxAckBody], padded and sealed.
const maxBox = 2*MaxAckBody + identity.SealOverhead

// ParseAckBox reads an AckBox; the box is not opened (SPEC 5.3). Errors: [ErrMalformed],
// [ErrTooLarge].
func ParseAckBox(b []byte) (AckBox, error) { return parse(b, "ackbox", 2*maxBox, ackBox) }

// Append appends the encoding of a to b.
func (a AckBox) Append(b []byte) []byte { return appendTo(b, &a, ackBox) }

func ackBox(c *codec, a *AckBox) {
	c.fixed(1, a.Tag[:], must)
	c.octets(2, &a.Box, maxBox, must)
}

// AckTag returns the tag that answers to a Parcel of key cek are found by (SPEC 5.3).
func AckTag(cek [32]byte) [16]byte {
	x := identity.KDF(cek[:], "ack-tag", nil)
	return [16]byte(x[:16])
}

// SealAck seals a signed Ack to the sender of the Parcel of key cek; every call draws a new nonce.
func SealAck(rand io.Reader, cek [32]byte, signed Signed) AckBox {
	tag := AckTag(cek)
	padded := identity.Pad(signed.Append(nil))
	return AckBox{Tag: tag, Box: identity.Seal(rand, ackKey(cek), padded, ackAAD(tag))}
}

// OpenAck opens the answer to a Parcel of key cek. Errors: [ErrUndecryptable] if it is the answer to
// another or was changed; [ErrMalformed] if it holds anything but a Signed Ack. The signature is not
// verified, and the body not yet parsed.
func OpenAck(cek [32]byte, a AckBox) (Signed, error) {
	padded, err := identity.Open(ackKey(cek), a.Box, ackAAD(a.Tag))
	if err != nil || a.Tag != AckTag(cek) {
		return Signed{}, fmt.Errorf("ackbox: %w", ErrUndecryptable)
	}
	b, err := unpad("ackbox", padded)
	if err != nil {
		return Signed{}, err
	}
	s, err := ParseSigned(b)
	if err == nil && s.Type != TypeAck {
		return Signed{}, fmt.Errorf("ackbox: %w: holds %v", ErrMalformed, s.Type)
	}
	return s, err
}

func ackKey(cek [32]byte) [32]byte { return identity.KDF(cek[:], "ack", nil) }

func ackAAD(tag [16]byte) []byte { return append(identity.DS("ackbox"), tag[:]...) }
