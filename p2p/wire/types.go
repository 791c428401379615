package wire

import (
	"github.com/hum-presence/hum/identity"
)

// Short names for what every message is made of.
type (
	Address   = identity.Address
	DeviceID  = identity.DeviceID
	KeyID     = identity.KeyID
	PublicKey = identity.PublicKey
	Signature = identity.Signature
	Time      = identity.Time
	Stamp     = identity.Stamp
	Ext       = identity.Ext
	Unknown   = identity.Unknown
	Endpoint  = identity.Endpoint
)

// A Type says what the body of a Signed is (SPEC 3.1).
type Type uint32

// The types of SPEC 3.1. Those of later profiles are parsed as Signed and refused by C0 receivers.
const (
	TypeAddressRecord Type = 1
	TypeDeviceRecord  Type = 2
	TypeReach         Type = 3
	TypeSuccessor     Type = 4
	TypeSubRequest    Type = 20
	TypeSubState      Type = 21
	TypeUnsub         Type = 22
	TypeFetch         Type = 23
	TypeFetchReply    Type = 24
	TypeIM            Type = 30
	TypeAck           Type = 31
	TypeSync          Type = 32
	TypeMboxReceipt   Type = 40
	TypeMboxCommit    Type = 41
	TypeMboxReg       Type = 42
	TypeMboxCap       Type = 43
	TypeMboxList      Type = 44
)

// A Signed is anything that a device or an address vouches for. Body is kept, verified and forwarded
// as received and never encoded again (SPEC 3.1).
type Signed struct {
	Type Type
	Body []byte
	Key  PublicKey
	Sig  Signature
}

// A MID is the id of a Signed: H("mid", body) (SPEC 3.8). That of an instant message names it for ever.
type MID [32]byte

// SubID names one subscription; the watcher draws it at random (SPEC 4.8).
type SubID [16]byte

// Tag names a publishing device within an epoch (SPEC 4.4).
type Tag [8]byte

// A Bundle is what RECORDS answers: the records of an address (SPEC 2.4). If the address asked for has
// moved, they are those of its successor, and Successors lead there, oldest first (SPEC 2.6).
type Bundle struct {
	Address    Signed
	Devices    []Signed
	Successors []Signed
	Unknown    []Unknown
}

// A Wrap is the content key of a Parcel, sealed to one prekey (SPEC 3.7).
type Wrap struct {
	Kid    KeyID
	Sealed []byte
}

// A Parcel carries one Signed, sealed to the devices of its recipient (SPEC 3.7).
type Parcel struct {
	Suite    uint32
	Wraps    []Wrap
	CT       []byte
	ExpiresS uint64 // seconds since 1970, a custodian's hint; 0: none
}

// Inner is what a Parcel opens to.
type Inner struct {
	Signed   Signed
	Attached []Signed // the sender's own records only
}

// An AckBox is a sealed Ack (SPEC 5.3).
type AckBox struct {
	Tag [16]byte
	Box []byte
}

// Basic is RFC 3863's basic status.
type Basic uint32

const (
	Open   Basic = 1
	Closed Basic = 2
)

// IMStatus refines Basic (SPEC 4.1); 0 says nothing.
type IMStatus uint32

const (
	Available IMStatus = 1
	Busy      IMStatus = 2
	Away      IMStatus = 3
	Idle      IMStatus = 4
	DND       IMStatus = 5
	XA        IMStatus = 6
)

// A Note is human text, with its language (BCP 47) if known.
type Note struct {
	Text    string
	Lang    string
	Unknown []Unknown
}

// A Status is an extended status such as a person's activity; names are registered (SPEC 9.2).
type Status struct {
	Name    string
	Value   string
	Unknown []Unknown
}

// A Tuple is one service or device in a Doc, with its basic status (RFC 3863, section 4.1.2).
type Tuple struct {
	ID        string
	Basic     Basic
	IM        IMStatus
	Contact   string
	Priority  uint32 // 0 to 1000
	Notes     []Note
	Timestamp Time
	IdleSince Time
	Status    []Status
	Crit      []uint32
	Ext       []Ext
	Unknown   []Unknown
}

// A Doc is the whole presence of one device in one view; each replaces all earlier ones (SPEC 4.1).
type Doc struct {
	Entity  Address
	Device  DeviceID
	Ver     uint64 // 1, 2, … per device and epoch
	TTL     uint64 // seconds
	Tuples  []Tuple
	Notes   []Note
	Contact []string
	ArSeq   Stamp
	Reach   []byte // an encoded Signed, or nil
	Status  []Status
	PIDF    []byte
	Crit    []uint32
	Ext     []Ext
	Unknown []Unknown
}

// A Grant is the key of an epoch of a view, told to a watcher (SPEC 4.3).
type Grant struct {
	E         PublicKey
	K         [32]byte
	NotBefore Time
	NotAfter  Time
	TTL       uint64 // seconds
	Anchors   []Endpoint
	Slot      [32]byte // zero: none
	IM        *Endpoint
	Crit      []uint32
	Ext       []Ext
	Unknown   []Unknown
}

// A Rec is one presence record: an update (CT) or a beacon (Base), never both (SPEC 4.4). Body holds
// the octets that Sig covers, Raw the whole as received.
type Rec struct {
	Tag  Tag
	T    Stamp
	Base Stamp  // of a beacon: t of the update that it prolongs
	CT   []byte // of an update
	Sig  Signature
	Body []byte
	Raw  []byte

	signedBy PublicKey // by whom Verify has found it signed
}

// IsBeacon reports whether r only prolongs an update.
func (r Rec) IsBeacon() bool { return r.Base != 0 }

// SubState states (SPEC 4.8).
type SubStateCode uint32

const (
	SubPending    SubStateCode = 1
	SubActive     SubStateCode = 2
	SubDenied     SubStateCode = 3
	SubTerminated SubStateCode = 4
	SubExpired    SubStateCode = 5
)

// What a SubRequest wants.
const (
	WantPresence uint32 = 1
	WantIM       uint32 = 2
)

// FlagPseudonym in a SubRequest says that its address is a pseudonym: nobody is to know by it who asks.
const FlagPseudonym uint32 = 1

// A SubRequest asks to subscribe, polls, and renews (SPEC 4.8).
type SubRequest struct {
	From, To  Address
	Sub       SubID
	At        Stamp
	Want      uint32
	Text      string
	LifetimeS uint64
	Reply     *Endpoint
	Invite    []byte // 16 bytes, or nil
	ArSeq     Stamp
	Flags     uint32
	Name      string
	Crit      []uint32
	Ext       []Ext
	Unknown   []Unknown
}

// A SubState is the presentity's word on one subscription (SPEC 4.8).
type SubState struct {
	From, To    Address
	Sub         SubID
	Seq         Stamp
	State       SubStateCode
	Reason      Reason
	Expires     Time
	RetryAfterS uint64
	Grant       *Grant
	Next        *Grant
	ArSeq       Stamp
	Crit        []uint32
	Ext         []Ext
	Unknown     []Unknown
}

// An Unsub ends a subscription for good (SPEC 4.8).
type Unsub struct {
	From, To Address
	Sub      SubID
	At       Stamp
	Crit     []uint32
	Ext      []Ext
	Unknown  []Unknown
}

// An IM is an instant message (SPEC 5.1).
type IM struct {
	From, To    Address
	Device      DeviceID
	Nonce       [16]byte
	Sent        Time
	Expires     Time
	ContentType string
	Content     []byte
	InReplyTo   MID // zero: none
	Report      uint32
	Reply       *Endpoint
	ResendOf    MID // zero: none
	ArSeq       Stamp
	Contact     []string
	Crit        []uint32
	Ext         []Ext
	Lang        string
	Unknown     []Unknown
}

// A Disposition is what became of a message (RFC 5438).
type Disposition uint32

const (
	Delivered Disposition = 1
	Displayed Disposition = 2
	Forbidden Disposition = 3
	Failed    Disposition = 4
)

// An Ack is the signed disposition that settles messages (SPEC 5.3).
type Ack struct {
	From, To    Address // To is zero if the sender was anonymous
	Device      DeviceID
	MIDs        []MID // 1 to 64, of one sender, one commit, one disposition
	Disposition Disposition
	Reason      Reason
	At          Time
	ArSeq       Stamp
	RetryAfterS uint64
	Unknown     []Unknown
}

// A Frame is one unit on a stream: a request (ID, no Status), its reply (both), or one-way (neither)
// (SPEC 3.6).
type Frame struct {
	ID      uint32
	Op      uint32
	Payload []byte
	Status  FrameStatus
}

// A FrameStatus answers a request (SPEC 3.6).
type FrameStatus uint32

const (
	OK         FrameStatus = 1 // of a PARCEL: TAKEN
	BUSY       FrameStatus = 2
	MALFORMED  FrameStatus = 3
	DENIED     FrameStatus = 4
	QUOTA      FrameStatus = 5
	NOT_FOUND  FrameStatus = 6
	STALE      FrameStatus = 7
	NO_KEY     FrameStatus = 8
	UNKNOWN_OP FrameStatus = 9
)

// Ops of /hum/parcel/1.
const (
	OpParcel  uint32 = 1
	OpAckBox  uint32 = 2
	OpRecords uint32 = 3
	OpSession uint32 = 4
	OpPair    uint32 = 5
)

// Ops of /hum/presence/1.
const (
	OpWatch   uint32 = 1
	OpUnwatch uint32 = 2
	OpGet     uint32 = 3
	OpRec     uint32 = 4
	OpPut     uint32 = 5
	OpHost    uint32 = 6
)

// A Reason says why, on the wire and on the screen (SPEC 9.1). It is an error.
type Reason uint32

const (
	ReasonNone                Reason = 0
	ReasonRefused             Reason = 1
	ReasonNoSuchInbox         Reason = 2
	ReasonNoIMService         Reason = 3
	ReasonNoPresenceService   Reason = 4
	ReasonNoResource          Reason = 5
	ReasonClosed              Reason = 6
	ReasonRefusedAnonymous    Reason = 7
	ReasonRateLimited         Reason = 8
	ReasonTooLarge            Reason = 9
	ReasonUnsupportedType     Reason = 10
	ReasonUnsupportedRequired Reason = 11
	ReasonSignatureRequired   Reason = 12
	ReasonBadSignature        Reason = 13
	ReasonRecipientMismatch   Reason = 14
	ReasonExpired             Reason = 15
	ReasonReplay              Reason = 16
	ReasonNoCommonSuite       Reason = 17
	ReasonUndecryptable       Reason = 18
	ReasonStaleRecord         Reason = 19
	ReasonTime                Reason = 20
	ReasonTooManyHops         Reason = 21
	ReasonGateway             Reason = 22
	ReasonInternal            Reason = 23
	ReasonUnsubscribed        Reason = 24
	ReasonAuthRequired        Reason = 25
	ReasonPolicy              Reason = 26
	ReasonMalformed           Reason = 27

	// Local only, never on the wire.
	ReasonUnreachable    Reason = 64
	ReasonUnconfirmed    Reason = 65
	ReasonCancelled      Reason = 66
	ReasonNoKeys         Reason = 67
	ReasonBindingInvalid Reason = 68
	ReasonNoCopy         Reason = 69
)
