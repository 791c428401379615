package wire

// ParseDoc reads a presence document (SPEC 4.1). Errors: [ErrMalformed], [ErrTooLarge]. Whether it
// speaks of the right entity and device is for the reader to check (SPEC 4.5).
func ParseDoc(b []byte) (Doc, error) { return parse(b, "doc", MaxDoc, doc) }

// Append appends the encoding of d to b. A publisher keeps it within [MaxDoc].
func (d Doc) Append(b []byte) []byte { return appendTo(b, &d, doc) }

func doc(c *codec, d *Doc) {
	c.keepUnknown(&d.Unknown)
	c.fixed(1, d.Entity[:], must)
	c.fixed(2, d.Device[:], must)
	num(c, 3, &d.Ver, must)
	num(c, 4, &d.TTL, must)
	many(c, 5, &d.Tuples, MaxTuples, may, tuple)
	many(c, 6, &d.Notes, MaxDoc, may, note)
	c.texts(7, &d.Contact, 0)
	num(c, 8, &d.ArSeq, may)
	c.octets(9, &d.Reach, MaxDoc, may)
	many(c, 10, &d.Status, MaxDoc, may, status)
	c.octets(11, &d.PIDF, MaxPIDF, may)
	c.critical(&d.Crit)
	many(c, 16, &d.Ext, MaxExts, may, ext)
	if c.reading && d.Reach != nil {
		c.checkSigned(9, d.Reach)
	}
}

// checkSigned refuses field n, which was read as b, unless b is a strict Signed.
func (c *codec) checkSigned(n uint32, b []byte) {
	if _, err := parseAlias(b, "signed", MaxDoc, signed); err != nil {
		c.refuse(n, ErrMalformed, err.Error())
	}
}

// ParseTuple reads one tuple of a Doc (SPEC 4.1).
func ParseTuple(b []byte) (Tuple, error) { return parse(b, "tuple", MaxDoc, tuple) }

// Append appends the encoding of t to b.
func (t Tuple) Append(b []byte) []byte { return appendTo(b, &t, tuple) }

func tuple(c *codec, t *Tuple) {
	c.keepUnknown(&t.Unknown)
	c.text(1, &t.ID, 0, must)
	num(c, 2, &t.Basic, must)
	num(c, 3, &t.IM, may)
	c.text(4, &t.Contact, 0, may)
	num(c, 5, &t.Priority, may)
	if c.reading && t.Priority > MaxPriority {
		c.refuse(5, ErrMalformed, "above 1000")
	}
	many(c, 6, &t.Notes, MaxDoc, may, note)
	num(c, 7, &t.Timestamp, may)
	num(c, 8, &t.IdleSince, may)
	many(c, 9, &t.Status, MaxDoc, may, status)
	c.critical(&t.Crit)
	many(c, 16, &t.Ext, MaxExts, may, ext)
}

// ParseNote reads a Note (SPEC 4.1).
func ParseNote(b []byte) (Note, error) { return parse(b, "note", MaxDoc, note) }

// Append appends the encoding of n to b.
func (n Note) Append(b []byte) []byte { return appendTo(b, &n, note) }

func note(c *codec, n *Note) {
	c.keepUnknown(&n.Unknown)
	c.text(1, &n.Text, MaxNote, must)
	c.text(2, &n.Lang, 0, may)
}

// ParseStatus reads an extended status (SPEC 4.1).
func ParseStatus(b []byte) (Status, error) { return parse(b, "status", MaxDoc, status) }

// Append appends the encoding of s to b.
func (s Status) Append(b []byte) []byte { return appendTo(b, &s, status) }

func status(c *codec, s *Status) {
	c.keepUnknown(&s.Unknown)
	c.text(1, &s.Name, 0, must)
	c.text(2, &s.Value, 0, may)
}

// ParseGrant reads the key of an epoch (SPEC 4.3); fields 1 to 5 are all there or all absent.
func ParseGrant(b []byte) (Grant, error) { return parse(b, "grant", MaxControlBody, grant) }

// Append appends the encoding of g to b.
func (g Grant) Append(b []byte) []byte { return appendTo(b, &g, grant) }

// HasEpoch reports whether g grants an epoch; that of a contact for messages only does not.
func (g Grant) HasEpoch() bool { return g.E != PublicKey{} }

func grant(c *codec, g *Grant) {
	c.keepUnknown(&g.Unknown)
	c.fixed(1, g.E[:], may)
	c.fixed(2, g.K[:], may)
	num(c, 3, &g.NotBefore, may)
	num(c, 4, &g.NotAfter, may)
	num(c, 5, &g.TTL, may)
	const epoch = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5
	if got := c.seen[0] & epoch; c.reading && got != 0 && got != epoch {
		c.refuse(1, ErrMalformed, "grant of a part of an epoch")
	}
	many(c, 6, &g.Anchors, MaxEndpoints, may, endpoint)
	c.fixed(7, g.Slot[:], may)
	one(c, 8, &g.IM, endpoint)
	c.critical(&g.Crit)
	many(c, 16, &g.Ext, MaxExts, may, ext)
}
