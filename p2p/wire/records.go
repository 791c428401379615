package wire

import "github.com/hum-presence/hum/identity"

// ParseAddressRecord reads the body of a Signed of type 1 (SPEC 2.4). Errors: [ErrMalformed],
// [ErrTooLarge]. What the record claims is judged by identity.Pin.
func ParseAddressRecord(b []byte) (identity.AddressRecord, error) {
	return parse(b, "address record", MaxRecordBody, addressRecord)
}

// AppendAddressRecord appends the encoding of r to b.
func AppendAddressRecord(b []byte, r identity.AddressRecord) []byte {
	return appendTo(b, &r, addressRecord)
}

func addressRecord(c *codec, r *identity.AddressRecord) {
	c.keepUnknown(&r.Unknown)
	c.fixed(1, r.Address[:], must)
	num(c, 2, &r.Seq, must)
	c.fixed(3, r.Prev[:], may)
	num(c, 5, &r.Expires, must)
	num(c, 6, &r.Services, may)
	many(c, 7, &r.Devices, MaxDevices, must, device)
	c.fixed(9, r.Recovery[:], must)
	many(c, 10, &r.Mailboxes, MaxEndpoints, may, endpoint)
	one(c, 11, &r.Policy, policy)
	c.texts(12, &r.Handles, MaxHandles)
	many(c, 13, &r.Homes, MaxEndpoints, may, endpoint)
	c.octets(14, &r.PublicView, MaxRecordBody, may)
	c.critical(&r.Crit)
	many(c, 16, &r.Ext, MaxExts, may, ext)
}

// ParseDeviceRecord reads the body of a Signed of type 2 (SPEC 2.4).
func ParseDeviceRecord(b []byte) (identity.DeviceRecord, error) {
	return parse(b, "device record", MaxRecordBody, deviceRecord)
}

// AppendDeviceRecord appends the encoding of r to b.
func AppendDeviceRecord(b []byte, r identity.DeviceRecord) []byte {
	return appendTo(b, &r, deviceRecord)
}

func deviceRecord(c *codec, r *identity.DeviceRecord) {
	c.keepUnknown(&r.Unknown)
	c.fixed(1, r.Address[:], must)
	c.fixed(2, r.Device[:], must)
	num(c, 3, &r.Seq, must)
	num(c, 5, &r.Expires, must)
	many(c, 6, &r.PreKeys, MaxPreKeys, must, preKey)
	num(c, 7, &r.Features, may)
	c.critical(&r.Crit)
	many(c, 16, &r.Ext, MaxExts, may, ext)
}

// ParseReach reads the body of a Signed of type 3 (SPEC 2.4). Peer and Addrs are not decoded here.
func ParseReach(b []byte) (identity.Reach, error) {
	return parse(b, "reach", MaxRecordBody, reach)
}

// AppendReach appends the encoding of r to b.
func AppendReach(b []byte, r identity.Reach) []byte { return appendTo(b, &r, reach) }

func reach(c *codec, r *identity.Reach) {
	c.keepUnknown(&r.Unknown)
	c.fixed(1, r.Address[:], must)
	c.fixed(2, r.Device[:], must)
	num(c, 3, &r.Seq, must)
	c.octets(4, &r.Peer, MaxRecordBody, must)
	c.blobs(5, &r.Addrs, MaxAddrs)
}

// ParseSuccessor reads the body of a Signed of type 4 (SPEC 2.4). Whether it binds is judged by
// identity.Pin.
func ParseSuccessor(b []byte) (identity.Successor, error) {
	return parse(b, "successor", MaxRecordBody, successor)
}

// AppendSuccessor appends the encoding of s to b.
func AppendSuccessor(b []byte, s identity.Successor) []byte { return appendTo(b, &s, successor) }

func successor(c *codec, s *identity.Successor) {
	c.keepUnknown(&s.Unknown)
	c.fixed(1, s.Old[:], must)
	c.fixed(2, s.New[:], must)
	num(c, 3, &s.Issued, must)
	num(c, 4, &s.Reason, must)
	c.fixed(5, s.Recovery[:], must)
	c.fixed(6, s.Accept[:], must)
}

// ParseDevice reads one line of an address record (SPEC 2.4).
func ParseDevice(b []byte) (identity.Device, error) {
	return parse(b, "device", MaxRecordBody, device)
}

// AppendDevice appends the encoding of d to b.
func AppendDevice(b []byte, d identity.Device) []byte { return appendTo(b, &d, device) }

func device(c *codec, d *identity.Device) {
	c.keepUnknown(&d.Unknown)
	c.fixed(1, d.Key[:], must)
	num(c, 2, &d.Roles, must)
	num(c, 3, &d.NotAfter, may)
	c.texts(4, &d.Scope, 0)
}

// ParsePolicy reads what an inbox announces about itself (SPEC 2.4).
func ParsePolicy(b []byte) (identity.Policy, error) {
	return parse(b, "policy", MaxRecordBody, policy)
}

// AppendPolicy appends the encoding of p to b.
func AppendPolicy(b []byte, p identity.Policy) []byte { return appendTo(b, &p, policy) }

func policy(c *codec, p *identity.Policy) {
	c.keepUnknown(&p.Unknown)
	num(c, 1, &p.Flags, may)
	num(c, 2, &p.PoWBits, may)
	num(c, 3, &p.MaxIM, may)
}

// ParsePreKey reads one prekey of a device record (SPEC 2.4).
func ParsePreKey(b []byte) (identity.PreKey, error) {
	return parse(b, "prekey", MaxRecordBody, preKey)
}

// AppendPreKey appends the encoding of k to b.
func AppendPreKey(b []byte, k identity.PreKey) []byte { return appendTo(b, &k, preKey) }

func preKey(c *codec, k *identity.PreKey) {
	c.keepUnknown(&k.Unknown)
	num(c, 1, &k.Suite, must)
	c.octets(2, &k.Public, MaxRecordBody, must)
	if c.reading && k.Suite == identity.Suite1 && len(k.Public) != identity.PreKeySize {
		c.refuse(2, ErrMalformed, "wrong length of a suite 1 prekey")
	}
}

// ParseEndpoint reads a place where something is kept for an address (SPEC 2.4).
func ParseEndpoint(b []byte) (Endpoint, error) {
	return parse(b, "endpoint", MaxRecordBody, endpoint)
}

// AppendEndpoint appends the encoding of e to b.
func AppendEndpoint(b []byte, e Endpoint) []byte { return appendTo(b, &e, endpoint) }

func endpoint(c *codec, e *Endpoint) {
	c.keepUnknown(&e.Unknown)
	c.octets(1, &e.Peer, MaxRecordBody, may)
	c.blobs(2, &e.Addrs, MaxEndpoints)
	c.fixed(3, e.Mbox[:], may)
	c.fixed(4, e.Cap[:], may)
}

func ext(c *codec, e *Ext) {
	c.keepUnknown(&e.Unknown)
	c.text(1, &e.Name, 0, must)
	c.octets(2, &e.Value, MaxExtValue, may)
	c.flag(3, &e.MustUnderstand)
}

// A PublicView is what everybody may read of an address (SPEC 8): the keys of an epoch, told in its record. The lease is
// that of the documents.
type PublicView struct {
	E        PublicKey
	K        [32]byte
	NotAfter Time       // of the epoch
	Anchors  []Endpoint // that keep what is said in it
	Unknown  []identity.Unknown
}

// ParsePublicView reads the public view of an address record. A record holds though this is malformed: then the address
// has no public view. Errors: [ErrMalformed], [ErrTooLarge].
func ParsePublicView(b []byte) (PublicView, error) {
	return parse(b, "public view", MaxRecordBody, publicView)
}

// Append appends the encoding of x to b.
func (x PublicView) Append(b []byte) []byte { return appendTo(b, &x, publicView) }

// Grant is what a reader of x holds: the same as a watcher does, but for the place of the next word to him.
func (x PublicView) Grant() Grant {
	return Grant{E: x.E, K: x.K, NotBefore: x.NotAfter.Add(-GrantLife), NotAfter: x.NotAfter, TTL: DefaultTTLSeconds}
}

func publicView(c *codec, x *PublicView) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.E[:], must)
	c.fixed(2, x.K[:], must)
	num(c, 3, &x.NotAfter, must)
	many(c, 4, &x.Anchors, MaxEndpoints, may, endpoint)
}

// ParseBundle reads the records of an address, as RECORDS answers (SPEC 2.4). Signatures are not
// verified, nor is it checked that the records belong together.
func ParseBundle(b []byte) (Bundle, error) { return parse(b, "bundle", MaxFrame, bundle) }

// Append appends the encoding of x to b.
func (x Bundle) Append(b []byte) []byte { return appendTo(b, &x, bundle) }

func bundle(c *codec, x *Bundle) {
	c.keepUnknown(&x.Unknown)
	whole(c, 1, &x.Address, signed)
	many(c, 2, &x.Devices, MaxDevices, may, signed)
	many(c, 3, &x.Successors, MaxSuccessors, may, signed)
}
