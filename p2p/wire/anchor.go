package wire

// HostRequest asks an anchor to keep the Recs of a key until a time (SPEC 7.1). A member names it by his token.
type HostRequest struct {
	Key   PublicKey
	Until Time
	Token []byte // absent: a stranger's, which is denied
}

// ParseHostRequest reads the payload of HOST.
func ParseHostRequest(b []byte) (HostRequest, error) { return parse(b, "host", MaxFrame, hostRequest) }

// Append appends the encoding of x to b.
func (x HostRequest) Append(b []byte) []byte { return appendTo(b, &x, hostRequest) }

func hostRequest(c *codec, x *HostRequest) {
	c.skipUnknown()
	c.fixed(1, x.Key[:], must)
	num(c, 2, &x.Until, must)
	c.octets(3, &x.Token, MaxToken, may)
}

// PutRequest brings a Rec to an anchor or a home (SPEC 7.1). Rec is an encoded one, for [ParseRec] if Ctx is
// [ContextTopic], else for [ParseKept].
type PutRequest struct {
	Ctx Context
	Key PublicKey
	Rec []byte
}

// ParsePutRequest reads the payload of PUT. Topics and slots are put, and what a home is to put
// into the DHT.
func ParsePutRequest(b []byte) (PutRequest, error) { return parse(b, "put", MaxFrame, putRequest) }

// Append appends the encoding of x to b.
func (x PutRequest) Append(b []byte) []byte { return appendTo(b, &x, putRequest) }

func putRequest(c *codec, x *PutRequest) {
	c.skipUnknown()
	ctx := uint32(x.Ctx)
	num(c, 1, &ctx, must)
	if c.reading && (ctx == 0 || ctx > uint32(ContextDHT)) {
		c.refuse(1, ErrMalformed, "no context")
	}
	x.Ctx = Context(ctx)
	c.fixed(2, x.Key[:], must)
	c.octets(3, &x.Rec, MaxFrame, must)
}
