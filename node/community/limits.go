package community

import (
	"cmp"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// MaxMembers is how many members a community node has at most, unless its operator says otherwise.
const MaxMembers = 10_000

// Limits bound what a community node does for whom. A zero field takes that of [DefaultLimits], which are those of
// SPEC 7 where it names any.
type Limits struct {
	Members int // at most

	// Of one member.
	Keys     int // that are kept for him: his epochs, a slot for each watcher, his bundles
	KeyBytes int // of what is kept under them
	Boxes    int // mailboxes
	Once     int // one-time mailboxes, for the acks of anonymous messages

	// Of one mailbox.
	BoxBytes     int
	BoxItems     int
	Caps         int           // of his contacts, and those that were revoked
	CapBytesDay  int           // that the holder of one cap leaves in 24 h
	Strangers    int           // items of those without a cap
	StrangerSize int           // bytes of one of them
	Retention    time.Duration // of what nobody fetches

	Disk int // bytes of all that is kept for others
}

// DefaultLimits are those of a node whose operator says nothing.
var DefaultLimits = Limits{
	Members: MaxMembers,
	Keys:    4096, KeyBytes: 32 << 20, Boxes: 8, Once: 32,
	BoxBytes: wire.MaxMboxBytes, BoxItems: wire.MaxMboxItems, Caps: 4000, CapBytesDay: 2 << 20,
	Strangers: 64, StrangerSize: 8 << 10, Retention: MaxRetention,
	Disk: 20 << 30,
}

// Filled has the default for each field that is zero.
func (l Limits) Filled() Limits {
	d := DefaultLimits
	for _, f := range []struct{ to, from *int }{
		{&l.Members, &d.Members}, {&l.Keys, &d.Keys}, {&l.KeyBytes, &d.KeyBytes}, {&l.Boxes, &d.Boxes}, {&l.Once, &d.Once},
		{&l.BoxBytes, &d.BoxBytes}, {&l.BoxItems, &d.BoxItems}, {&l.Caps, &d.Caps}, {&l.CapBytesDay, &d.CapBytesDay},
		{&l.Strangers, &d.Strangers}, {&l.StrangerSize, &d.StrangerSize}, {&l.Disk, &d.Disk},
	} {
		*f.to = cmp.Or(*f.to, *f.from)
	}
	l.Retention = min(cmp.Or(l.Retention, d.Retention), MaxRetention)
	return l
}
