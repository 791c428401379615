// Package node is the corridor: it opens, runs and closes the rooms and leads every change through them
// in one order. It asks the rules (policy, presence, message), saves (store), and only then sends or
// announces (p2p). Three laws hold everywhere in it: save, then send; commit, then acknowledge; forget
// nothing that was promised. A pass through the store, with what is left to be done after it, is a txn
// (rows.go).
//
// A presence change comes in at [Node.Set] and leaves through publish.go; a watcher's side of it comes in
// at door.go, is read and saved in reading.go, and leaves as an [Event] in shown.go. A message comes in at
// [Node.Send] and leaves through outbox.go; the recipient's side of it is opened in parcels.go, committed
// in inbox.go, and only then acknowledged.
//
// Who watches whom has two sides: watching.go is mine, and substates.go takes what is answered to it;
// serving.go takes the requests of others, seats.go finds them a place, deciding.go is the user's answer,
// watchers.go tells them, and epochs.go turns the keys that they read by. pins.go and records.go hold the
// records of others and our own, letters.go seals one Signed to the devices of an address, and peers.go
// says whom the network keeps.
//
// With a community, joined.go makes this node a member, attending.go has its anchor answer while it is away,
// and stored.go leaves messages in the mailboxes of others and takes those that lie in its own;
// turning.go draws all of it anew when a device is removed.
package node
