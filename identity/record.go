package identity

// Services are what an address can be used for (SPEC 2.3).
type Services uint32

const (
	Inbox      Services = 1 // instant messages
	Presentity Services = 2 // presence
)

// Roles are what a device may do for its address (SPEC 2.4).
type Roles uint32

const (
	RoleAdmin     Roles = 1 // holds A: signs address records
	RoleInbox     Roles = 2 // signs messages and their acks
	RolePublisher Roles = 4 // publishes presence
	RoleDelegate  Roles = 8 // a device of another principal [C3]
)

// A Device is one line of an address record: D, and what it may do.
type Device struct {
	Key      PublicKey
	Roles    Roles
	NotAfter Time // 0: as long as the record
	Scope    []string
	Unknown  []Unknown
}

// ID returns the id of the device.
func (d Device) ID() DeviceID { return DeviceIDOf(d.Key) }

// A Policy is what an inbox announces about itself (SPEC 2.4).
type Policy struct {
	Flags   PolicyFlags
	PoWBits uint32
	MaxIM   uint32 // bytes; 0: the limit of SPEC 3.9
	Unknown []Unknown
}

// PolicyFlags are the switches of a Policy.
type PolicyFlags uint32

const (
	AnonIMOK   PolicyFlags = 1
	AnonSubOK  PolicyFlags = 2
	NoAcks     PolicyFlags = 4
	ClearOK    PolicyFlags = 8
	ClosedHold PolicyFlags = 16
)

// An Endpoint is a place where something is kept for an address [C2]; carried, not used, by C0.
type Endpoint struct {
	Peer    []byte   // binary peer id
	Addrs   [][]byte // binary multiaddrs, at most 4
	Mbox    [32]byte // zero: none
	Cap     [32]byte // zero: none
	Unknown []Unknown
}

// An Ext is an extension: a registered or x.<domain>/… name and its value (SPEC 3.3).
type Ext struct {
	Name           string
	Value          []byte
	MustUnderstand bool
	Unknown        []Unknown
}

// Unknown is a field that this version does not know, kept so that a body re-encodes to the bytes it
// was read from (SPEC 3.3). Raw holds the field whole: key, length if any, value.
type Unknown struct {
	Number uint32
	Raw    []byte
}

// An AddressRecord is what an address says of itself, signed by A (SPEC 2.4).
type AddressRecord struct {
	Address    Address
	Seq        Stamp
	Prev       [32]byte // digest of the record before, zero if unknown
	Expires    Time
	Services   Services
	Devices    []Device // 1 to 8
	Recovery   [32]byte // H("recovery", R)
	Mailboxes  []Endpoint
	Policy     *Policy
	Handles    []string
	Homes      []Endpoint
	PublicView []byte // [C3], carried as it came
	Crit       []uint32
	Ext        []Ext
	Unknown    []Unknown
}

// A PreKey is a public key that messages to a device are sealed to (SPEC 2.4).
type PreKey struct {
	Suite   uint32
	Public  []byte // 1216 bytes for suite 1
	Unknown []Unknown
}

// A DeviceRecord is what a device says of itself, signed by D (SPEC 2.4).
type DeviceRecord struct {
	Address  Address
	Device   DeviceID
	Seq      Stamp
	Expires  Time
	PreKeys  []PreKey // 1 or 2, newest first
	Features uint64
	Crit     []uint32
	Ext      []Ext
	Unknown  []Unknown
}

// A Reach says where a device can be dialled, signed by D; it has no expiry (SPEC 2.4).
type Reach struct {
	Address Address
	Device  DeviceID
	Seq     Stamp
	Peer    []byte   // binary peer id of T
	Addrs   [][]byte // binary multiaddrs, at most 8
	Unknown []Unknown
}

// A Successor says that an address has moved to another: signed by R, to which the records of the old
// address are committed, and accepted by the new one (SPEC 2.4, 2.6).
type Successor struct {
	Old, New Address
	Issued   Time
	Reason   MoveReason
	Recovery PublicKey // R of Old
	Accept   Signature // by New, see [Successor.Accepted]
	Unknown  []Unknown
}

// A MoveReason says why an address has a successor (SPEC 2.4). Others say nothing.
type MoveReason uint32

const (
	MovedLost        MoveReason = 1
	MovedCompromised MoveReason = 2
	MovedAway        MoveReason = 3
)

// String is the word for r; it is "unknown" for a reason of a later version.
func (r MoveReason) String() string {
	switch r {
	case MovedLost:
		return "lost"
	case MovedCompromised:
		return "compromised"
	case MovedAway:
		return "moved"
	}
	return "unknown"
}
