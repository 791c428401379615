package wire

import "time"

// The payloads of ops (SPEC 3.6, 4.6). Fields below 128 that are not known here are skipped, and so
// not given back by Append; status 3 answers a payload that does not parse.

// RecordsRequest asks for the records of an address; the reply is a [Bundle].
type RecordsRequest struct{ Address Address }

// ParseRecordsRequest reads the payload of RECORDS.
func ParseRecordsRequest(b []byte) (RecordsRequest, error) {
	return parse(b, "records", MaxFrame, recordsRequest)
}

// Append appends the encoding of x to b.
func (x RecordsRequest) Append(b []byte) []byte { return appendTo(b, &x, recordsRequest) }

func recordsRequest(c *codec, x *RecordsRequest) {
	c.skipUnknown()
	c.fixed(1, x.Address[:], must)
}

// WatchRequest names the epoch keys to watch, or to watch no more: at most [MaxWatch].
type WatchRequest struct {
	Keys     []PublicKey
	Upstream *Endpoint // of a member: the anchor to ask for it (SPEC 7.1)
	Token    []byte    // shows that he is one (SPEC 14.106)
}

// ParseWatchRequest reads the payload of WATCH and of UNWATCH.
func ParseWatchRequest(b []byte) (WatchRequest, error) {
	return parse(b, "watch", MaxFrame, watchRequest)
}

// Append appends the encoding of x to b.
func (x WatchRequest) Append(b []byte) []byte { return appendTo(b, &x, watchRequest) }

func watchRequest(c *codec, x *WatchRequest) {
	c.skipUnknown()
	keys(c, 1, &x.Keys, MaxWatch, may)
	one(c, 2, &x.Upstream, endpoint)
	c.octets(3, &x.Token, MaxToken, may)
}

// WatchReply says which of the keys are unknown, and the acceptor's time.
type WatchReply struct {
	Unknown []PublicKey
	Now     Time
}

// ParseWatchReply reads the payload of the OK to a WATCH.
func ParseWatchReply(b []byte) (WatchReply, error) {
	return parse(b, "watch reply", MaxFrame, watchReply)
}

// Append appends the encoding of x to b.
func (x WatchReply) Append(b []byte) []byte { return appendTo(b, &x, watchReply) }

func watchReply(c *codec, x *WatchReply) {
	c.skipUnknown()
	keys(c, 1, &x.Unknown, MaxWatch, may)
	num(c, 2, &x.Now, may)
}

// GetRequest asks once for what is held of an epoch key.
type GetRequest struct {
	Key      PublicKey
	Upstream *Endpoint // of a member: the anchor to ask for it (SPEC 7.1)
	Token    []byte    // shows that he is one (SPEC 14.106)
}

// ParseGetRequest reads the payload of GET.
func ParseGetRequest(b []byte) (GetRequest, error) { return parse(b, "get", MaxFrame, getRequest) }

// Append appends the encoding of x to b.
func (x GetRequest) Append(b []byte) []byte { return appendTo(b, &x, getRequest) }

func getRequest(c *codec, x *GetRequest) {
	c.skipUnknown()
	c.fixed(1, x.Key[:], must)
	one(c, 2, &x.Upstream, endpoint)
	c.octets(3, &x.Token, MaxToken, may)
}

// GetReply carries the newest update of each tag, and the newest beacon if it prolongs it. The Recs
// are encoded ones, each for [ParseRec].
type GetReply struct {
	Recs [][]byte
	Now  Time
}

// ParseGetReply reads the payload of the OK to a GET.
func ParseGetReply(b []byte) (GetReply, error) { return parse(b, "get reply", MaxFrame, getReply) }

// Append appends the encoding of x to b.
func (x GetReply) Append(b []byte) []byte { return appendTo(b, &x, getReply) }

func getReply(c *codec, x *GetReply) {
	c.skipUnknown()
	c.blobs(1, &x.Recs, 2*MaxTags)
	num(c, 2, &x.Now, may)
}

// RecPush brings one Rec, encoded, to a stream that watches its key.
type RecPush struct {
	Key PublicKey
	Rec []byte
}

// ParseRecPush reads the payload of REC.
func ParseRecPush(b []byte) (RecPush, error) { return parse(b, "rec push", MaxFrame, recPush) }

// Append appends the encoding of x to b.
func (x RecPush) Append(b []byte) []byte { return appendTo(b, &x, recPush) }

func recPush(c *codec, x *RecPush) {
	c.skipUnknown()
	c.fixed(1, x.Key[:], must)
	c.octets(2, &x.Rec, MaxFrame, must)
}

// BusyReply is the payload of a reply of status BUSY. It may be absent.
type BusyReply struct{ Seconds uint32 } // 0: not said

// ParseBusyReply reads the payload of a BUSY reply.
func ParseBusyReply(b []byte) (BusyReply, error) { return parse(b, "busy", MaxFrame, busy) }

// Append appends the encoding of x to b.
func (x BusyReply) Append(b []byte) []byte { return appendTo(b, &x, busy) }

// Wait returns for how long the peer wants to be left alone: 1 s if it did not say.
func (x BusyReply) Wait() time.Duration {
	return time.Duration(max(x.Seconds, BusyDefaultSeconds)) * time.Second
}

func busy(c *codec, x *BusyReply) {
	c.skipUnknown()
	num(c, 1, &x.Seconds, may)
}
