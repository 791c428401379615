package wire

// A SyncKind says which table of the home an Item is a row of (SPEC 4.11).
type SyncKind uint32

const (
	SyncView     SyncKind = 1
	SyncEpoch    SyncKind = 2
	SyncWatcher  SyncKind = 3
	SyncRule     SyncKind = 4
	SyncContact  SyncKind = 5
	SyncMailbox  SyncKind = 6 // [C2]
	SyncResult   SyncKind = 7
	SyncRead     SyncKind = 8
	SyncSent     SyncKind = 9
	SyncName     SyncKind = 10
	SyncReceived SyncKind = 11
)

// String returns the kind in lower case.
func (k SyncKind) String() string {
	name := word(uint32(k), "view", "epoch", "watcher", "rule", "contact", "mailbox", "result", "read", "sent",
		"name", "received")
	return named(name, "sync kind", uint32(k))
}

// A Sync tells another device of the same address what has changed in the home (SPEC 4.11).
type Sync struct {
	Address Address
	Device  DeviceID // that sends it
	Items   []Item   // at least one
	Unknown []Unknown
}

// An Item is one row of the home as a device wrote it, or its deletion.
type Item struct {
	Kind    SyncKind
	Key     []byte
	Value   []byte // what the row says; nil if Deleted
	T       Stamp
	Deleted bool
	Author  DeviceID // that wrote it; zero: the device that sends it
	Unknown []Unknown
}

// ParseSync reads the body of a Signed of type 32 (SPEC 4.11). Errors: [ErrMalformed], [ErrTooLarge].
func ParseSync(b []byte) (Sync, error) { return parse(b, "sync", MaxSyncBody, sync) }

// Append appends the encoding of x to b.
func (x Sync) Append(b []byte) []byte { return appendTo(b, &x, sync) }

func sync(c *codec, x *Sync) {
	c.keepUnknown(&x.Unknown)
	c.fixed(1, x.Address[:], must)
	c.fixed(2, x.Device[:], must)
	many(c, 3, &x.Items, bound(0), must, item)
}

// ParseItem reads one Item.
func ParseItem(b []byte) (Item, error) { return parse(b, "item", MaxSyncBody, item) }

// Append appends the encoding of x to b.
func (x Item) Append(b []byte) []byte { return appendTo(b, &x, item) }

func item(c *codec, x *Item) {
	c.keepUnknown(&x.Unknown)
	num(c, 1, &x.Kind, must)
	c.octets(2, &x.Key, MaxSyncKey, must)
	c.octets(3, &x.Value, MaxSyncBody, may)
	num(c, 4, &x.T, must)
	c.flag(5, &x.Deleted)
	if x.Deleted && len(x.Value) > 0 {
		c.refuse(5, ErrMalformed, "deleted, with a value")
	}
	c.fixed(6, x.Author[:], may)
}
