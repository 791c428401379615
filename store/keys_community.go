package store

import (
	"encoding/binary"

	"github.com/hum-presence/hum/identity"
)

// Joined names a community that this home is a member of, by the peer of its node.
func Joined(peer []byte) Key { return key(tabJoined, peer) }

// Handle names a handle: that of somebody, as it was looked up, or on a community node one that it vouches for.
func Handle(name string) Key { return key(tabHandle, []byte(name)) }

// HandleLike names the handle that has a look (UTS 39), on a community node.
func HandleLike(skeleton string) Key { return key(tabAlike, []byte(skeleton)) }

// The rows of a community node (SPEC 7). A mailbox and a hosted key are named by their public key.

// Entrance names an invite into the community of this node.
func Entrance(id [16]byte) Key { return key(tabEntrance, id[:]) }

// Member names a member of the community of this node, by what stands for his token.
func Member(id [32]byte) Key { return key(tabMember, id[:]) }

// Box names a mailbox that this node keeps.
func Box(mbox [32]byte) Key { return key(tabBox, mbox[:]) }

// Cap names what the holder of a cap may leave in a mailbox.
func Cap(mbox, hash [32]byte) Key { return key(tabCap, mbox[:], hash[:]) }

// Item names what lies in a mailbox, in the order in which it came.
func Item(mbox [32]byte, until identity.Time) Key { return key(tabItem, mbox[:], u64(uint64(until))) }

// ItemAt names the row that says until when, and so where, an item of a mailbox lies.
func ItemAt(mbox, digest [32]byte) Key { return key(tabItemAt, mbox[:], digest[:]) }

// Hosted names a key whose records this node keeps for a member.
func Hosted(e [32]byte) Key { return key(tabHosted, e[:]) }

// HeldRec names the newest record of one kind and tag under a hosted key.
func HeldRec(e [32]byte, tag [8]byte, kind uint32) Key {
	return key(tabHeldRec, e[:], tag[:], binary.BigEndian.AppendUint32(nil, kind))
}

func AllHandles() Prefix   { return prefix(tabHandle) }
func AllJoined() Prefix    { return prefix(tabJoined) }
func AllEntrances() Prefix { return prefix(tabEntrance) }
func AllMembers() Prefix   { return prefix(tabMember) }
func AllBoxes() Prefix     { return prefix(tabBox) }
func AllHosted() Prefix    { return prefix(tabHosted) }

func CapsOf(mbox [32]byte) Prefix  { return prefix(tabCap, mbox[:]) }
func ItemsOf(mbox [32]byte) Prefix { return prefix(tabItem, mbox[:]) }
func HeldRecsOf(e [32]byte) Prefix { return prefix(tabHeldRec, e[:]) }
