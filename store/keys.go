package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/hum-presence/hum/identity"
)

// A Key names one row. It is made by the constructor of its table and is comparable; the zero Key
// names nothing.
type Key struct{ s string }

// A Prefix names the rows of a table, or those of one owner in it.
type Prefix struct{ s string }

// part is one piece of a key, in the order of the table in the package comment.
type part uint8

const (
	partName    part = iota // text up to the end of the key
	partView                // u16 length and text
	partAddress             // 32
	partDevice              // 16
	partSub                 // 16
	partTag                 // 16
	partTag8                // 8
	partTopic               // 32
	partMID                 // 32
	partTime                // u64
	partNum                 // u64
	partNum32               // u32
)

var widths = [...]int{
	partAddress: 32, partDevice: 16, partSub: 16, partTag: 16, partTag8: 8, partTopic: 32,
	partMID: 32, partTime: 8, partNum: 8, partNum32: 4,
}

// The tables, each by the first byte of its keys.
const (
	tabMeta      = 'm'
	tabStamp     = 's'
	tabPin       = 'p'
	tabContact   = 'c'
	tabRule      = 'r'
	tabWatching  = 'w'
	tabWatcher   = 'W'
	tabFetcher   = 'f'
	tabFetched   = 'F'
	tabEpoch     = 'E'
	tabHeard     = 'h'
	tabPresence  = 'P'
	tabOutbox    = 'o'
	tabCEK       = 'k'
	tabInbox     = 'i'
	tabInboxAt   = 'I'
	tabTalk      = 'T'
	tabSeen      = 'n'
	tabSeenUntil = 'N'
	tabEvent     = 'v'
	tabTrace     = 't'
	tabView      = 'V'
	tabShared    = 'y'
	tabOwed      = 'Y'
	tabHeld      = 'H'
	tabSaid      = 'S'
	tabInvite    = 'J'
	tabKept      = 'K'
	tabNotice    = 'Q'
	tabJoined    = 'j'
	tabHandle    = '@'
	tabAlike     = '~'

	// Of a community node, see keys_community.go.
	tabEntrance = 'q'
	tabMember   = 'M'
	tabBox      = 'B'
	tabCap      = 'C'
	tabItem     = 'l'
	tabItemAt   = 'L'
	tabHosted   = 'O'
	tabHeldRec  = 'R'
)

// A table says how its keys are made, and whether its rows mean something on another device.
type table struct {
	name   string
	parts  []part
	device bool // bound to this device or to this moment: not in a backup
}

var tables = map[byte]table{
	tabMeta:      {"meta", []part{partName}, false},
	tabStamp:     {"stamp", []part{partName}, true},
	tabPin:       {"pin", []part{partAddress}, false},
	tabContact:   {"contact", []part{partAddress}, false},
	tabRule:      {"rule", []part{partAddress}, false},
	tabWatching:  {"watching", []part{partAddress, partSub}, false},
	tabWatcher:   {"watcher", []part{partAddress, partSub}, false},
	tabFetcher:   {"fetcher", []part{partAddress}, false},
	tabFetched:   {"fetched", []part{partAddress}, true},
	tabEpoch:     {"epoch", []part{partView, partNum}, true},
	tabHeard:     {"heard", []part{partTopic, partTag8}, true},
	tabPresence:  {"presence", []part{partAddress, partDevice}, true},
	tabOutbox:    {"outbox", []part{partMID}, false},
	tabCEK:       {"cek", []part{partTag}, true},
	tabInbox:     {"inbox", []part{partTime, partMID}, false},
	tabInboxAt:   {"inbox-at", []part{partMID}, false},
	tabTalk:      {"talk", []part{partAddress, partTime, partMID}, false},
	tabSeen:      {"seen", []part{partAddress, partMID}, false},
	tabSeenUntil: {"seen-until", []part{partTime, partAddress, partMID}, false},
	tabEvent:     {"event", []part{partNum}, true},
	tabTrace:     {"trace", []part{partMID, partNum32}, true},
	tabView:      {"view", []part{partName}, false},
	tabShared:    {"shared", []part{partNum32, partName}, false},
	tabOwed:      {"owed", []part{partDevice, partNum32, partName}, true},
	tabHeld:      {"held", []part{partAddress, partMID}, true},
	tabSaid:      {"said", []part{partTopic}, true},
	tabInvite:    {"invite", []part{partSub}, true},
	tabKept:      {"kept", []part{partAddress, partTag}, false},
	tabNotice:    {"notice", []part{partAddress, partDevice}, true},
	tabJoined:    {"joined", []part{partName}, false},
	tabHandle:    {"handle", []part{partName}, false},
	tabAlike:     {"alike", []part{partName}, false},
	tabEntrance:  {"entrance", []part{partSub}, false},
	tabMember:    {"member", []part{partMID}, false},
	tabBox:       {"box", []part{partTopic}, false},
	tabCap:       {"cap", []part{partTopic, partMID}, false},
	tabItem:      {"item", []part{partTopic, partTime}, false},
	tabItemAt:    {"item-at", []part{partTopic, partMID}, false},
	tabHosted:    {"hosted", []part{partTopic}, false},
	tabHeldRec:   {"held-rec", []part{partTopic, partTag8, partNum32}, false},
}

// Meta names a setting of the home as a whole. The name "schema" belongs to this package.
func Meta(name string) Key { return key(tabMeta, []byte(name)) }

// Stamp names the last stamp used for one purpose (SPEC 1, "Stamps").
func Stamp(name string) Key { return key(tabStamp, []byte(name)) }

// Pin names the accepted records of a (SPEC 2.5).
func Pin(a identity.Address) Key { return key(tabPin, a[:]) }

// Contact names what the user says of a: petname, groups.
func Contact(a identity.Address) Key { return key(tabContact, a[:]) }

// Rule names what a may do: watch, write.
func Rule(a identity.Address) Key { return key(tabRule, a[:]) }

// Watching names my subscription sub to the presence of b.
func Watching(b identity.Address, sub [16]byte) Key { return key(tabWatching, b[:], sub[:]) }

// Watcher names the subscription sub of a to my presence.
func Watcher(a identity.Address, sub [16]byte) Key { return key(tabWatcher, a[:], sub[:]) }

// Fetcher names what is kept of a, who asked once for my presence.
func Fetcher(a identity.Address) Key { return key(tabFetcher, a[:]) }

// Fetched names what b answered when I asked once for his presence.
func Fetched(b identity.Address) Key { return key(tabFetched, b[:]) }

// Epoch names epoch n of a view of mine. A view's name is at most 65,535 bytes for its key to be
// told apart, and Put refuses far shorter ones.
func Epoch(view string, n uint64) Key { return key(tabEpoch, viewPart(view), u64(n)) }

// Heard names the newest that was heard on topic e from the device with tag.
func Heard(e [32]byte, tag [8]byte) Key { return key(tabHeard, e[:], tag[:]) }

// Presence names the newest document of one device of b.
func Presence(b identity.Address, device identity.DeviceID) Key {
	return key(tabPresence, b[:], device[:])
}

// Outbox names a message of mine by its id.
func Outbox(mid [32]byte) Key { return key(tabOutbox, mid[:]) }

// CEK names the message whose acks carry tag (SPEC 5.3).
func CEK(tag [16]byte) Key { return key(tabCEK, tag[:]) }

// Inbox names a received message, in the order of display: by sent, ties by mid (SPEC 5.1).
func Inbox(sent identity.Time, mid [32]byte) Key { return key(tabInbox, u64(uint64(sent)), mid[:]) }

// InboxAt names the row that says which inbox row holds mid: its value is the bytes of that Key.
func InboxAt(mid [32]byte) Key { return key(tabInboxAt, mid[:]) }

// Talk names a message mid that was sent to a or by a, in the order of display. Its row says where the message
// is: what somebody and I wrote each other is found without looking at what others did.
func Talk(a identity.Address, sent identity.Time, mid [32]byte) Key {
	return key(tabTalk, a[:], u64(uint64(sent)), mid[:])
}

// Seen names what was answered to the message mid of from (SPEC 5.4).
func Seen(from identity.Address, mid [32]byte) Key { return key(tabSeen, from[:], mid[:]) }

// SeenUntil orders the seen rows by the time at which they may be purged.
func SeenUntil(until identity.Time, from identity.Address, mid [32]byte) Key {
	return key(tabSeenUntil, u64(uint64(until)), from[:], mid[:])
}

// Event names event n of the stream that the user's programs read.
func Event(n uint64) Key { return key(tabEvent, u64(n)) }

// Trace names step n in the life of the message mid.
func Trace(mid [32]byte, n uint32) Key {
	return key(tabTrace, mid[:], binary.BigEndian.AppendUint32(nil, n))
}

// ViewNamed names what the user says of a view of his: what it shows.
func ViewNamed(view string) Key { return key(tabView, []byte(view)) }

// Notice names how the newest document of one device of b came, as far as that proves it.
func Notice(b identity.Address, device identity.DeviceID) Key {
	return key(tabNotice, b[:], device[:])
}

// Invite names an invite that this device made, by what stands for its token.
func Invite(id [16]byte) Key { return key(tabInvite, id[:]) }

// Kept names what many rows about a say alike, by its digest: they hold that instead.
func Kept(a identity.Address, digest [16]byte) Key { return key(tabKept, a[:], digest[:]) }

// Shared names what is kept of a row that the devices of the address share, beside the row itself: kind
// and name are those of a Sync (SPEC 4.11).
func Shared(kind uint32, name []byte) Key {
	return key(tabShared, binary.BigEndian.AppendUint32(nil, kind), name)
}

// Owed names a shared row of which device has not heard the newest word.
func Owed(device identity.DeviceID, kind uint32, name []byte) Key {
	return key(tabOwed, device[:], binary.BigEndian.AppendUint32(nil, kind), name)
}

// Held names the message mid of from, which waits until from sees me OPEN (SPEC 5.2).
func Held(from identity.Address, mid [32]byte) Key { return key(tabHeld, from[:], mid[:]) }

// Said names what was said last in the epoch e of mine, which ended early.
func Said(e [32]byte) Key { return key(tabSaid, e[:]) }

// The whole of a table, in the order of its keys.

func AllMeta() Prefix      { return prefix(tabMeta) }
func AllPins() Prefix      { return prefix(tabPin) }
func AllContacts() Prefix  { return prefix(tabContact) }
func AllRules() Prefix     { return prefix(tabRule) }
func AllWatching() Prefix  { return prefix(tabWatching) }
func AllWatchers() Prefix  { return prefix(tabWatcher) }
func AllFetchers() Prefix  { return prefix(tabFetcher) }
func AllFetched() Prefix   { return prefix(tabFetched) }
func AllEpochs() Prefix    { return prefix(tabEpoch) }
func AllHeard() Prefix     { return prefix(tabHeard) }
func AllPresence() Prefix  { return prefix(tabPresence) }
func AllOutbox() Prefix    { return prefix(tabOutbox) }
func AllInbox() Prefix     { return prefix(tabInbox) }
func AllInboxAt() Prefix   { return prefix(tabInboxAt) }
func AllTalk() Prefix      { return prefix(tabTalk) }
func AllSeen() Prefix      { return prefix(tabSeen) }
func AllSeenUntil() Prefix { return prefix(tabSeenUntil) }
func AllEvents() Prefix    { return prefix(tabEvent) }
func AllViews() Prefix     { return prefix(tabView) }
func AllNotices() Prefix   { return prefix(tabNotice) }
func AllInvites() Prefix   { return prefix(tabInvite) }
func AllShared() Prefix    { return prefix(tabShared) }
func AllOwed() Prefix      { return prefix(tabOwed) }
func AllHeld() Prefix      { return prefix(tabHeld) }
func AllSaid() Prefix      { return prefix(tabSaid) }
func AllKept() Prefix      { return prefix(tabKept) }

// The rows of one owner.

func WatchingOf(b identity.Address) Prefix { return prefix(tabWatching, b[:]) }
func WatchersOf(a identity.Address) Prefix { return prefix(tabWatcher, a[:]) }
func FetcherOf(a identity.Address) Prefix  { return prefix(tabFetcher, a[:]) }
func HeardOf(e [32]byte) Prefix            { return prefix(tabHeard, e[:]) }
func PresenceOf(b identity.Address) Prefix { return prefix(tabPresence, b[:]) }
func NoticesOf(b identity.Address) Prefix  { return prefix(tabNotice, b[:]) }
func TalkOf(a identity.Address) Prefix     { return prefix(tabTalk, a[:]) }
func HeldOf(a identity.Address) Prefix     { return prefix(tabHeld, a[:]) }
func KeptOf(a identity.Address) Prefix     { return prefix(tabKept, a[:]) }
func SeenOf(from identity.Address) Prefix  { return prefix(tabSeen, from[:]) }
func TraceOf(mid [32]byte) Prefix          { return prefix(tabTrace, mid[:]) }
func OwedTo(d identity.DeviceID) Prefix    { return prefix(tabOwed, d[:]) }

var errBadKey = errors.New("not a key of any table")

// ParseKey reads the bytes of a Key, as an InboxAt row holds them.
func ParseKey(b []byte) (Key, error) {
	k := Key{string(b)}
	if len(b) == 0 || len(b) > maxKey {
		return Key{}, errBadKey
	}
	t, ok := tables[b[0]]
	if !ok {
		return Key{}, errBadKey
	}
	rest := k.s[1:]
	for _, p := range t.parts {
		n, ok := p.len(rest)
		if !ok {
			return Key{}, fmt.Errorf("%s row: %w", t.name, errBadKey)
		}
		rest = rest[n:]
	}
	if rest != "" {
		return Key{}, fmt.Errorf("%s row: %w", t.name, errBadKey)
	}
	return k, nil
}

// Bytes returns k as ParseKey reads it.
func (k Key) Bytes() []byte { return []byte(k.s) }

// IsZero reports whether k names nothing.
func (k Key) IsZero() bool { return k.s == "" }

// In reports whether k is one of the rows of p.
func (k Key) In(p Prefix) bool { return strings.HasPrefix(k.s, p.s) }

// String returns the table and the rest in hexadecimal, for logs of our own mistakes.
func (k Key) String() string {
	if k.s == "" {
		return "no key"
	}
	return fmt.Sprintf("%s/%x", tables[k.s[0]].name, k.s[1:])
}

// The parts of a key. Each returns the zero value if the table of the key has no such part.

// Name returns the name of a Meta, Stamp, View, Shared or Owed row, or the view of an Epoch row.
func (k Key) Name() string {
	if s, ok := k.part(partView); ok {
		return s[2:]
	}
	s, _ := k.part(partName)
	return s
}

// Address returns whose row it is: the contact, presentity, watcher or sender.
func (k Key) Address() (a identity.Address) { k.copy(a[:], partAddress); return a }

// Device returns the device of a Presence or Owed row.
func (k Key) Device() (d identity.DeviceID) { k.copy(d[:], partDevice); return d }

// Sub returns the subscription of a Watching or Watcher row, or the id of an Invite row.
func (k Key) Sub() (sub [16]byte) { k.copy(sub[:], partSub); return sub }

// MID returns the id of the message.
func (k Key) MID() (mid [32]byte) { k.copy(mid[:], partMID); return mid }

// Topic returns the topic E of a Heard row.
func (k Key) Topic() (e [32]byte) { k.copy(e[:], partTopic); return e }

// HeardTag returns the device's tag of a Heard row.
func (k Key) HeardTag() (tag [8]byte) { k.copy(tag[:], partTag8); return tag }

// AckTag returns the tag of a CEK row.
func (k Key) AckTag() (tag [16]byte) { k.copy(tag[:], partTag); return tag }

// Time returns when the message of an Inbox or Talk row was sent, or until when a seen row is kept.
func (k Key) Time() identity.Time {
	var b [8]byte
	k.copy(b[:], partTime)
	return identity.Time(binary.BigEndian.Uint64(b[:]))
}

// Num returns the number of an Epoch, Event or Trace row, and the kind of a Shared or Owed one.
func (k Key) Num() uint64 {
	var b [8]byte
	if s, ok := k.part(partNum32); ok {
		copy(b[4:], s)
	}
	k.copy(b[:], partNum)
	return binary.BigEndian.Uint64(b[:])
}

func (k Key) copy(to []byte, p part) {
	if s, ok := k.part(p); ok {
		copy(to, s)
	}
}

func (k Key) part(want part) (string, bool) {
	if k.s == "" {
		return "", false
	}
	rest := k.s[1:]
	for _, p := range tables[k.s[0]].parts {
		n, ok := p.len(rest)
		if !ok {
			return "", false
		}
		if p == want {
			return rest[:n], true
		}
		rest = rest[n:]
	}
	return "", false
}

// len returns how many bytes of rest are p, and whether there are as many.
func (p part) len(rest string) (int, bool) {
	n := 0
	switch p {
	case partName:
		return len(rest), true
	case partView:
		if len(rest) < 2 {
			return 0, false
		}
		n = 2 + (int(rest[0])<<8 | int(rest[1]))
	default:
		n = widths[p]
	}
	return n, n <= len(rest)
}

func key(tab byte, parts ...[]byte) Key {
	b := make([]byte, 1, 80)
	b[0] = tab
	for _, p := range parts {
		b = append(b, p...)
	}
	return Key{string(b)}
}

func prefix(tab byte, parts ...[]byte) Prefix { return Prefix{key(tab, parts...).s} }

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func viewPart(view string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(view))), view...)
}
