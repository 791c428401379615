package wire

import "slices"

// ParseIM reads the body of a Signed of type 30 (SPEC 5.1). Errors: [ErrMalformed], [ErrTooLarge].
// From is zero if the author is anonymous.
func ParseIM(b []byte) (IM, error) { return parse(b, "im", TypeIM.maxBody(), im) }

// Append appends the encoding of x to b.
func (x IM) Append(b []byte) []byte { return appendTo(b, &x, im) }

// ExtUnsigned is the name of the extension by which an author says that he does not sign: the key that the
// Signed bears is used once, and listed nowhere (SPEC 8).
const ExtUnsigned = "unsigned"

// Unsigned reports whether the author says that he does not sign.
func (x IM) Unsigned() bool {
	return slices.ContainsFunc(x.Ext, func(e Ext) bool { return e.Name == ExtUnsigned })
}

// ExtHops is the name of the extension that counts down how often gateways may still hand a message on: one
// octet. MaxHops is the count of a message that none has handed on (SPEC 8).
const (
	ExtHops       = "hops"
	MaxHops uint8 = 100
)

// Hops returns how often gateways may still hand the message on.
func (x IM) Hops() uint8 {
	for _, e := range x.Ext {
		if e.Name == ExtHops && len(e.Value) == 1 {
			return min(e.Value[0], MaxHops)
		}
	}
	return MaxHops
}

// ExtInvite is the name of the extension that shows the invite of the recipient's card, its 16 octets (SPEC 4.9).
const ExtInvite = "invite"

// Invite returns the invite that the message shows, or nil.
func (x IM) Invite() []byte {
	for _, e := range x.Ext {
		if e.Name == ExtInvite && len(e.Value) == 16 {
			return e.Value
		}
	}
	return nil
}

// ExtIntroduction is the name of the extension by which a common contact names somebody: the text of his card, of
// MaxIntroduction octets at most (SPEC 8).
const (
	ExtIntroduction = "introduction"
	MaxIntroduction = 2048
)

// Introduces returns the card of whom the message introduces, "" if nobody.
func (x IM) Introduces() string {
	for _, e := range x.Ext {
		if e.Name == ExtIntroduction && len(e.Value) <= MaxIntroduction {
			return string(e.Value)
		}
	}
	return ""
}

func im(c *codec, x *IM) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.From[:], may)
	c.fixed(2, x.To[:], must)
	c.fixed(3, x.Device[:], must)
	c.fixed(4, x.Nonce[:], must)
	num(c, 5, &x.Sent, must)
	num(c, 6, &x.Expires, must)
	c.text(7, &x.ContentType, 0, must)
	c.octets(8, &x.Content, MaxContent, may)
	c.fixed(9, x.InReplyTo[:], may)
	num(c, 10, &x.Report, may)
	one(c, 11, &x.Reply, endpoint)
	c.fixed(12, x.ResendOf[:], may)
	num(c, 13, &x.ArSeq, may)
	c.texts(14, &x.Contact, 0)
	c.critical(&x.Crit)
	many(c, 16, &x.Ext, MaxExts, may, ext)
	c.text(17, &x.Lang, 0, may)
}

// ParseAck reads the body of a Signed of type 31 (SPEC 5.3). Errors: [ErrMalformed], [ErrTooLarge].
func ParseAck(b []byte) (Ack, error) { return parse(b, "ack", MaxAckBody, ack) }

// Append appends the encoding of x to b.
func (x Ack) Append(b []byte) []byte { return appendTo(b, &x, ack) }

func ack(c *codec, x *Ack) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.From[:], must)
	c.fixed(2, x.To[:], may)
	c.fixed(3, x.Device[:], must)
	keys(c, 4, &x.MIDs, MaxMIDs, must)
	num(c, 5, &x.Disposition, must)
	num(c, 6, &x.Reason, may)
	num(c, 7, &x.At, may)
	num(c, 8, &x.ArSeq, may)
	num(c, 9, &x.RetryAfterS, may)
}
