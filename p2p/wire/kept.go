package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/hum-presence/hum/identity"
)

// A Signer signs a Rec: the E of an epoch, the key of a slot, or an address's blinded key.
type Signer interface {
	Public() PublicKey
	Sign(label string, msg []byte) Signature
}

// maxKept is how large a Rec of ctx may be (SPEC 3.9).
func (ctx Context) maxKept() int {
	switch ctx {
	case ContextSlot:
		return MaxSlot
	case ContextDHT:
		return MaxDHT
	}
	return 0
}

// NewKept returns the signed Rec that is kept, one for a key, in a slot or as a bundle ([ContextSlot]) or in the
// DHT ([ContextDHT]): its tag is zero, and of two the larger t counts (SPEC 4.4).
func NewKept(ctx Context, k Signer, t Stamp, ct []byte) Rec {
	r := Rec{T: t, CT: bytes.Clone(ct)}
	r.Body = appendTo(nil, &r, keptBody(ctx))
	r.Sig = k.Sign("rec", recMessage(ctx, k.Public(), r.Body))
	r.Raw = appendTo(nil, &r, rec)
	return r
}

// ParseKept reads a Rec of a slot, a bundle or the DHT. Errors: [ErrMalformed], also for a tag or a base, and
// [ErrTooLarge]. CT, Body and Raw share memory.
func ParseKept(ctx Context, b []byte) (Rec, error) {
	if len(b) > ctx.maxKept() {
		return Rec{}, fmt.Errorf("kept rec: %w: %d bytes", ErrTooLarge, len(b))
	}
	raw := bytes.Clone(b)
	r, err := parseAlias(raw, "kept rec", ctx.maxKept(), func(c *codec, r *Rec) {
		c.octets(1, &r.Body, ctx.maxKept(), must)
		c.fixed(2, r.Sig[:], must)
	})
	if err != nil {
		return Rec{}, err
	}
	body, err := parseAlias(r.Body, "kept rec", ctx.maxKept(), keptBody(ctx))
	if err != nil {
		return Rec{}, err
	}
	body.Body, body.Sig, body.Raw = r.Body, r.Sig, raw
	return body, nil
}

func keptBody(ctx Context) func(*codec, *Rec) {
	return func(c *codec, r *Rec) {
		c.fixed(1, r.Tag[:], must)
		num(c, 2, &r.T, must)
		c.octets(4, &r.CT, ctx.maxKept(), must)
		if c.reading && r.Tag != (Tag{}) {
			c.refuse(1, ErrMalformed, "a tag where there is one author")
		}
	}
}

// VerifyKept reports whether r is signed by key for ctx, so that it cannot be moved from a slot to the DHT or to
// a topic (SPEC 4.4).
func (r Rec) VerifyKept(ctx Context, key PublicKey) bool {
	return identity.Verify(key, "rec", recMessage(ctx, key, r.Body), r.Sig)
}

// SlotKey returns the key of the slot of one subscription, drawn from the secret v of B's publisher devices
// (SPEC 7.2).
func SlotKey(v [32]byte, watcher Address, sub SubID) identity.SigningKey {
	return identity.NewSigningKey(identity.KDF(v[:], "slot", append(bytes.Clone(watcher[:]), sub[:]...)))
}

// A Rendezvous is what the DHT holds of an address: where its Bundle is kept (SPEC 7.5).
type Rendezvous struct {
	Homes   []Endpoint
	ArSeq   Stamp
	Record  [32]byte // SHA-256 of the Signed AddressRecord
	Policy  *identity.Policy
	Unknown []Unknown
}

// ParseRendezvous reads what [OpenKept] gives of a Rec of the DHT.
func ParseRendezvous(b []byte) (Rendezvous, error) { return parse(b, "rendezvous", MaxDHT, rendezvous) }

// Append appends the encoding of x to b.
func (x Rendezvous) Append(b []byte) []byte { return appendTo(b, &x, rendezvous) }

func rendezvous(c *codec, x *Rendezvous) {
	c.keepUnknown(&x.Unknown)
	many(c, 1, &x.Homes, MaxEndpoints, may, endpoint)
	num(c, 2, &x.ArSeq, must)
	c.fixed(3, x.Record[:], must)
	one(c, 4, &x.Policy, policy)
}

// The two things that are kept sealed under A'_p, for whoever knows the address and for nobody else (SPEC 7.5).
const (
	SealedRendezvous = "rdv"
	SealedBundle     = "bundle"
)

// SealKept seals an encoded Rendezvous or Bundle of a for period p, bound to the blinded key and to t.
func SealKept(rand io.Reader, kind string, a Address, p uint64, blinded PublicKey, t Stamp, plain []byte) []byte {
	return identity.Seal(rand, keptKey(kind, a, p), identity.Pad(plain), keptAAD(kind, blinded, t))
}

// OpenKept opens what [SealKept] sealed. Errors: [ErrUndecryptable] if it is not that of a, p, the key and t;
// [ErrMalformed] if its padding is wrong.
func OpenKept(kind string, a Address, p uint64, blinded PublicKey, r Rec) ([]byte, error) {
	padded, err := identity.Open(keptKey(kind, a, p), r.CT, keptAAD(kind, blinded, r.T))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %v", kind, ErrUndecryptable, err)
	}
	return unpad(kind, padded)
}

func keptKey(kind string, a Address, p uint64) [32]byte {
	return identity.KDF(a[:], kind, binary.BigEndian.AppendUint64(nil, p))
}

func keptAAD(kind string, blinded PublicKey, t Stamp) []byte {
	b := append(identity.DS(kind), blinded[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(t))
}

// RendezvousKey is the key in the DHT of what is kept under a blinded key (SPEC 7.5).
func RendezvousKey(blinded PublicKey) string { return "/hum/" + string(blinded[:]) }

// ParseRendezvousKey reads a key of the DHT; false if it is none of hum's, or names no valid key.
func ParseRendezvousKey(s string) (blinded PublicKey, ok bool) {
	const head = "/hum/"
	if len(s) != len(head)+len(blinded) || s[:len(head)] != head {
		return blinded, false
	}
	copy(blinded[:], s[len(head):])
	return blinded, identity.ValidKey(blinded)
}
