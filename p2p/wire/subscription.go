package wire

// ParseSubRequest reads the body of a Signed of type 20 (SPEC 4.8). Errors: [ErrMalformed],
// [ErrTooLarge].
func ParseSubRequest(b []byte) (SubRequest, error) {
	return parse(b, "sub request", MaxControlBody, subRequest)
}

// Append appends the encoding of x to b.
func (x SubRequest) Append(b []byte) []byte { return appendTo(b, &x, subRequest) }

func subRequest(c *codec, x *SubRequest) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.From[:], must)
	c.fixed(2, x.To[:], must)
	c.fixed(3, x.Sub[:], must)
	num(c, 4, &x.At, must)
	num(c, 5, &x.Want, must)
	c.text(6, &x.Text, MaxRequestText, may)
	num(c, 7, &x.LifetimeS, may)
	one(c, 8, &x.Reply, endpoint)
	c.exactly(9, &x.Invite, 16)
	num(c, 10, &x.ArSeq, may)
	num(c, 11, &x.Flags, may)
	c.text(12, &x.Name, MaxName, may)
	c.critical(&x.Crit)
	many(c, 16, &x.Ext, MaxExts, may, ext)
}

// ParseSubState reads the body of a Signed of type 21 (SPEC 4.8).
func ParseSubState(b []byte) (SubState, error) {
	return parse(b, "sub state", MaxControlBody, subState)
}

// Append appends the encoding of x to b.
func (x SubState) Append(b []byte) []byte { return appendTo(b, &x, subState) }

func subState(c *codec, x *SubState) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.From[:], must)
	c.fixed(2, x.To[:], must)
	c.fixed(3, x.Sub[:], must)
	num(c, 4, &x.Seq, must)
	num(c, 5, &x.State, must)
	num(c, 6, &x.Reason, may)
	num(c, 7, &x.Expires, may)
	num(c, 8, &x.RetryAfterS, may)
	one(c, 9, &x.Grant, grant)
	one(c, 10, &x.Next, grant)
	num(c, 11, &x.ArSeq, may)
	c.critical(&x.Crit)
	many(c, 16, &x.Ext, MaxExts, may, ext)
}

// ParseUnsub reads the body of a Signed of type 22 (SPEC 4.8).
func ParseUnsub(b []byte) (Unsub, error) { return parse(b, "unsub", MaxControlBody, unsub) }

// Append appends the encoding of x to b.
func (x Unsub) Append(b []byte) []byte { return appendTo(b, &x, unsub) }

func unsub(c *codec, x *Unsub) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.From[:], must)
	c.fixed(2, x.To[:], must)
	c.fixed(3, x.Sub[:], must)
	num(c, 4, &x.At, must)
	c.critical(&x.Crit)
	many(c, 16, &x.Ext, MaxExts, may, ext)
}
