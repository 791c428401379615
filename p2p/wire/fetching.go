package wire

// A Fetch asks once for the document of the view that its sender would be shown (SPEC 4.10).
type Fetch struct {
	From, To Address
	Req      ReqID
	At       Stamp
	ArSeq    Stamp
	Crit     []uint32
	Ext      []Ext
	Unknown  []Unknown
}

// ReqID names one Fetch; its sender draws it at random.
type ReqID [16]byte

// States of a FetchReply (SPEC 4.10).
type FetchCode uint32

const (
	FetchPending FetchCode = 1
	FetchOK      FetchCode = 2
	FetchDenied  FetchCode = 3
)

// String returns the state in lower case.
func (s FetchCode) String() string {
	return named(word(uint32(s), "pending", "ok", "denied"), "fetch state", uint32(s))
}

// A FetchReply answers a Fetch: the documents of the view, one per live device, or why there is none.
type FetchReply struct {
	From, To Address
	Req      ReqID
	State    FetchCode
	Reason   Reason
	Docs     [][]byte // encoded Docs, as they were published, ≤MaxDevices of ≤MaxDoc bytes
	AsOf     Time
	Crit     []uint32
	Ext      []Ext
	Unknown  []Unknown
}

// ParseFetch reads the body of a Signed of type 23 (SPEC 4.10). Errors: [ErrMalformed], [ErrTooLarge].
func ParseFetch(b []byte) (Fetch, error) { return parse(b, "fetch", MaxControlBody, fetch) }

// Append appends the encoding of x to b.
func (x Fetch) Append(b []byte) []byte { return appendTo(b, &x, fetch) }

func fetch(c *codec, x *Fetch) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.From[:], must)
	c.fixed(2, x.To[:], must)
	c.fixed(3, x.Req[:], must)
	num(c, 4, &x.At, must)
	num(c, 10, &x.ArSeq, may)
	c.critical(&x.Crit)
	many(c, 16, &x.Ext, MaxExts, may, ext)
}

// ParseFetchReply reads the body of a Signed of type 24 (SPEC 4.10). Whether its Docs are strict and
// speak of the right entity is for their reader to check, one by one. Errors: [ErrMalformed], [ErrTooLarge].
func ParseFetchReply(b []byte) (FetchReply, error) {
	return parse(b, "fetch reply", MaxSyncBody, fetchReply)
}

// Append appends the encoding of x to b.
func (x FetchReply) Append(b []byte) []byte { return appendTo(b, &x, fetchReply) }

func fetchReply(c *codec, x *FetchReply) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.From[:], must)
	c.fixed(2, x.To[:], must)
	c.fixed(3, x.Req[:], must)
	num(c, 4, &x.State, must)
	num(c, 5, &x.Reason, may)
	c.blobs(6, &x.Docs, MaxDevices)
	for _, d := range x.Docs {
		if c.reading && len(d) > MaxDoc {
			c.refuse(6, ErrTooLarge, "a doc of more than 4000 bytes")
		}
	}
	num(c, 7, &x.AsOf, may)
	c.critical(&x.Crit)
	many(c, 16, &x.Ext, MaxExts, may, ext)
}
