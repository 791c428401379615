package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/hum-presence/hum/identity"
)

// Ops of /hum/mbox/1 (SPEC 7.3).
const (
	OpReg     uint32 = 1
	OpCap     uint32 = 2
	OpDeposit uint32 = 3
	OpList    uint32 = 4
	OpWait    uint32 = 5
	OpCommit  uint32 = 6
	OpForward uint32 = 7
	OpOnce    uint32 = 8 // a REG with until: a one-time mailbox (SPEC 14.131)
)

// A MailboxID is M, the key of one address at one operator (SPEC 7.3).
type MailboxID = PublicKey

// A Cap is a bearer token: whoever holds it may deposit in one mailbox (SPEC 7.3).
type Cap [32]byte

// Hash is how a mailbox knows c without holding it.
func (c Cap) Hash() [32]byte { return sha256.Sum256(c[:]) }

// MboxReg opens or changes a mailbox, signed by M or by whom it was handed to (SPEC 7.3, 14.129).
type MboxReg struct {
	Mbox       MailboxID
	Readers    []PublicKey
	RetentionS uint64 // 0: as long as the mailbox may
	Token      []byte
	Seq        Stamp
	PoWBits    uint32    // what strangers have to show; 0: 20
	Heir       PublicKey // whose word counts from now on in the place of M's; zero: as before
	Until      Time      // of a one-time mailbox: when it ends with what lies in it, at once if that is past; 0: it is no such
	Unknown    []Unknown
}

// ParseMboxReg reads the body of a Signed of type 42.
func ParseMboxReg(b []byte) (MboxReg, error) { return parse(b, "mbox reg", MaxControlBody, mboxReg) }

// Append appends the encoding of x to b.
func (x MboxReg) Append(b []byte) []byte { return appendTo(b, &x, mboxReg) }

func mboxReg(c *codec, x *MboxReg) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.Mbox[:], must)
	keys(c, 2, &x.Readers, MaxReaders, must)
	num(c, 3, &x.RetentionS, may)
	c.octets(4, &x.Token, MaxToken, may)
	num(c, 5, &x.Seq, must)
	num(c, 6, &x.PoWBits, may)
	c.fixed(7, x.Heir[:], may)
	num(c, 8, &x.Until, may)
}

// A CapMode says whether a cap is good (SPEC 7.3).
type CapMode uint32

const (
	CapOpen    CapMode = 1
	CapRevoked CapMode = 2
)

// MboxCap says what the holder of a cap may deposit, signed by a reader (SPEC 7.3).
type MboxCap struct {
	Mbox     MailboxID
	Cap      [32]byte // SHA-256 of the cap
	Mode     CapMode
	BytesDay uint64 // 0: 2 MB
	Items    uint32 // waiting at once; 0: as many as the mailbox has room for
	Seq      Stamp
	Unknown  []Unknown
}

// ParseMboxCap reads the body of a Signed of type 43.
func ParseMboxCap(b []byte) (MboxCap, error) { return parse(b, "mbox cap", MaxControlBody, mboxCap) }

// Append appends the encoding of x to b.
func (x MboxCap) Append(b []byte) []byte { return appendTo(b, &x, mboxCap) }

func mboxCap(c *codec, x *MboxCap) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.Mbox[:], must)
	c.fixed(2, x.Cap[:], must)
	num(c, 3, &x.Mode, must)
	num(c, 4, &x.BytesDay, may)
	num(c, 5, &x.Items, may)
	num(c, 6, &x.Seq, must)
}

// An Item is what lies in a mailbox: a Parcel or an AckBox, encoded, and never both (SPEC 7.3).
type MboxItem struct {
	Parcel []byte
	AckBox []byte
}

// ParseMboxItem reads one item of a list.
func ParseMboxItem(b []byte) (MboxItem, error) { return parse(b, "mbox item", MaxMboxItem, mboxItem) }

// Append appends the encoding of x to b: what is kept, listed, and named by its SHA-256.
func (x MboxItem) Append(b []byte) []byte { return appendTo(b, &x, mboxItem) }

// Digest names x in receipts and commits.
func (x MboxItem) Digest() [32]byte { return sha256.Sum256(x.Append(nil)) }

// Payload is the one of the two that is there.
func (x MboxItem) Payload() []byte {
	if x.Parcel != nil {
		return x.Parcel
	}
	return x.AckBox
}

func mboxItem(c *codec, x *MboxItem) {
	c.octets(2, &x.Parcel, MaxParcel, may)
	c.octets(3, &x.AckBox, MaxParcel, may)
	if c.reading && c.err == nil {
		checkItem(c, *x)
	}
}

// checkItem refuses what is not one strict Parcel or one strict AckBox.
func checkItem(c *codec, x MboxItem) {
	var err error
	switch {
	case (x.Parcel == nil) == (x.AckBox == nil):
		c.refuse(2, ErrMalformed, "not one of parcel and ackbox")
	case x.Parcel != nil:
		_, err = ParseParcel(x.Parcel)
	default:
		_, err = ParseAckBox(x.AckBox)
	}
	if err != nil {
		c.refuse(2, ErrMalformed, err.Error())
	}
}

// Deposit leaves an item in a mailbox (SPEC 7.3). A stranger has no cap and shows work.
type Deposit struct {
	Mbox MailboxID
	Item MboxItem
	Cap  []byte // 32 bytes, or nil
	PoW  uint64
}

// ParseDeposit reads the payload of DEP.
func ParseDeposit(b []byte) (Deposit, error) { return parse(b, "deposit", MaxFrame, deposit) }

// Append appends the encoding of x to b.
func (x Deposit) Append(b []byte) []byte { return appendTo(b, &x, deposit) }

func deposit(c *codec, x *Deposit) {
	c.skipUnknown()
	c.fixed(1, x.Mbox[:], must)
	c.octets(2, &x.Item.Parcel, MaxParcel, may)
	c.octets(3, &x.Item.AckBox, MaxParcel, may)
	if c.reading && c.err == nil {
		checkItem(c, x.Item)
	}
	c.exactly(4, &x.Cap, 32)
	num(c, 5, &x.PoW, may)
}

// MboxReceipt says that an item is on the disk of a mailbox, signed by the key of its peer id (SPEC 7.3). It is
// evidence against a mailbox that loses mail, and no delivery.
type MboxReceipt struct {
	Mbox    MailboxID
	Digest  [32]byte
	Until   Time
	Unknown []Unknown
}

// ParseMboxReceipt reads the body of a Signed of type 40.
func ParseMboxReceipt(b []byte) (MboxReceipt, error) {
	return parse(b, "mbox receipt", MaxControlBody, mboxReceipt)
}

// Append appends the encoding of x to b.
func (x MboxReceipt) Append(b []byte) []byte { return appendTo(b, &x, mboxReceipt) }

func mboxReceipt(c *codec, x *MboxReceipt) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.Mbox[:], must)
	c.fixed(2, x.Digest[:], must)
	num(c, 3, &x.Until, must)
}

// A Nonce is drawn by a mailbox for one stream, so that a list cannot be asked for by replay.
type Nonce [16]byte

// NonceReply is the payload of the DENIED that answers LIST or WAIT without payload.
type NonceReply struct{ Nonce Nonce }

// ParseNonceReply reads it.
func ParseNonceReply(b []byte) (NonceReply, error) { return parse(b, "nonce", MaxFrame, nonceReply) }

// Append appends the encoding of x to b.
func (x NonceReply) Append(b []byte) []byte { return appendTo(b, &x, nonceReply) }

func nonceReply(c *codec, x *NonceReply) {
	c.skipUnknown()
	c.fixed(1, x.Nonce[:], must)
}

// MboxList asks for what waits in a mailbox, signed by a reader (SPEC 7.3).
type MboxList struct {
	Mbox    MailboxID
	Nonce   Nonce
	Peer    []byte // of the mailbox's node
	After   Time   // the until of the last item that is known; 0: all
	Unknown []Unknown
}

// ParseMboxList reads the body of a Signed of type 44.
func ParseMboxList(b []byte) (MboxList, error) {
	return parse(b, "mbox list", MaxControlBody, mboxList)
}

// Append appends the encoding of x to b.
func (x MboxList) Append(b []byte) []byte { return appendTo(b, &x, mboxList) }

func mboxList(c *codec, x *MboxList) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.Mbox[:], must)
	c.fixed(2, x.Nonce[:], must)
	c.octets(3, &x.Peer, MaxControlBody, must)
	num(c, 4, &x.After, may)
}

// MboxListing is what waits: encoded items, oldest first, and until when each is kept. It holds what fits into a
// frame; the rest comes when the reader asks after the last until. A reader
// refuses one that has not as many times as items.
type MboxListing struct {
	Items [][]byte
	Until []Time
}

// ParseMboxListing reads the payload of the OK to LIST or WAIT.
func ParseMboxListing(b []byte) (MboxListing, error) {
	return parse(b, "mbox listing", MaxFrame, mboxListing)
}

// Append appends the encoding of x to b.
func (x MboxListing) Append(b []byte) []byte { return appendTo(b, &x, mboxListing) }

func mboxListing(c *codec, x *MboxListing) {
	c.skipUnknown()
	c.blobs(1, &x.Items, MaxMboxItems)
	packed(c, 2, &x.Until, "not a list of times", func(t uint64) bool { return t != 0 && len(x.Until) < MaxMboxItems })
}

// MboxCommit says which items a reader holds on his own disk, signed by him (SPEC 7.3).
type MboxCommit struct {
	Mbox    MailboxID
	Digests [][32]byte
	Unknown []Unknown
}

// ParseMboxCommit reads the body of a Signed of type 41.
func ParseMboxCommit(b []byte) (MboxCommit, error) {
	return parse(b, "mbox commit", MaxControlBody, mboxCommit)
}

// Append appends the encoding of x to b.
func (x MboxCommit) Append(b []byte) []byte { return appendTo(b, &x, mboxCommit) }

func mboxCommit(c *codec, x *MboxCommit) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.Mbox[:], must)
	keys(c, 2, &x.Digests, MaxMIDs, must)
}

// ForwardRequest has a member's own mailbox deposit at another (SPEC 7.3). Deposit is an encoded [Deposit].
type ForwardRequest struct {
	To      Endpoint
	Deposit []byte
	Token   []byte // shows that he is a member (SPEC 14.106)
}

// ParseForwardRequest reads the payload of FORWARD.
func ParseForwardRequest(b []byte) (ForwardRequest, error) {
	return parse(b, "forward", MaxFrame, forwardRequest)
}

// Append appends the encoding of x to b.
func (x ForwardRequest) Append(b []byte) []byte { return appendTo(b, &x, forwardRequest) }

func forwardRequest(c *codec, x *ForwardRequest) {
	c.skipUnknown()
	whole(c, 1, &x.To, endpoint)
	c.octets(2, &x.Deposit, MaxFrame, must)
	c.octets(3, &x.Token, MaxToken, may)
}

// WorkDone returns how many leading zero bits the work pow has for a payload deposited in mbox in an hour,
// counted since 1970 (SPEC 7.3).
func WorkDone(mbox MailboxID, payload []byte, hour, pow uint64) int {
	return workDone(workOn(mbox, payload, hour), pow)
}

// workOn is what is hashed, but for the pow at its end.
func workOn(mbox MailboxID, payload []byte, hour uint64) []byte {
	digest := sha256.Sum256(payload)
	b := append(identity.DS("pow"), mbox[:]...)
	b = append(b, digest[:]...)
	b = binary.BigEndian.AppendUint64(b, hour)
	return binary.BigEndian.AppendUint64(b, 0)
}

func workDone(on []byte, pow uint64) int {
	binary.BigEndian.PutUint64(on[len(on)-8:], pow)
	sum := sha256.Sum256(on)
	for i, x := range sum {
		if x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(sum)
}

// Work finds a pow of at least n leading zero bits; it takes about 2^n hashes, and gives up after tries.
func Work(mbox MailboxID, payload []byte, hour uint64, n int, tries uint64) (pow uint64, ok bool) {
	on := workOn(mbox, payload, hour)
	for pow = 1; pow <= tries; pow++ {
		if workDone(on, pow) >= n {
			return pow, true
		}
	}
	return 0, false
}
