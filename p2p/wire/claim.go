package wire

// OpClaim is the request of /hum/presence/1 by which a member says that a name of a community's domain is his.
const OpClaim uint32 = 7

// A Claim asks a handle host to say that a handle is the address's whose record lists it (SPEC 2.7). A member names the
// node by his token.
type Claim struct {
	Handle     string
	Record     []byte   // Signed AddressRecord
	Token      []byte   // absent: a stranger's, which is denied
	Successors [][]byte // Signed, the oldest first: how the address came to be that of whoever had the name
}

// maxClaimRecord is a Signed record with its frame.
const maxClaimRecord = 9 << 10

// ParseClaim reads the payload of CLAIM.
func ParseClaim(b []byte) (Claim, error) { return parse(b, "claim", MaxFrame, claim) }

// Append appends the encoding of x to b.
func (x Claim) Append(b []byte) []byte { return appendTo(b, &x, claim) }

func claim(c *codec, x *Claim) {
	c.skipUnknown()
	c.text(1, &x.Handle, maxHandleLocal+1+maxHandleDomain, must)
	c.octets(2, &x.Record, maxClaimRecord, must)
	c.octets(3, &x.Token, MaxToken, may)
	c.blobs(4, &x.Successors, MaxSuccessors)
}

// A ClaimVerdict is what comes of a Claim.
type ClaimVerdict uint32

const (
	ClaimTaken    ClaimVerdict = 1 // the domain says from now on that the name is his
	ClaimAnothers ClaimVerdict = 2 // it is another's
	ClaimAlike    ClaimVerdict = 3 // it looks like another's
	ClaimDomain   ClaimVerdict = 4 // its domain is none of the node's
	ClaimUnlisted ClaimVerdict = 5 // the record is not valid, or does not list it
	ClaimName     ClaimVerdict = 6 // no name is written like this
	ClaimFull     ClaimVerdict = 7 // the member has enough names
)

// ParseClaimReply reads the payload of the OK to a CLAIM.
func ParseClaimReply(b []byte) (ClaimVerdict, error) {
	return parse(b, "claim reply", 16, claimReply)
}

// Append appends the encoding of v to b.
func (v ClaimVerdict) Append(b []byte) []byte { return appendTo(b, &v, claimReply) }

func claimReply(c *codec, v *ClaimVerdict) {
	c.skipUnknown()
	num(c, 1, v, must)
}
