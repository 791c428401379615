// Package node is the corridor: it opens, runs and closes the rooms and leads every change through them
// in one order. It asks the rules (policy, presence, message), saves (store), and only then sends or
// announces (p2p). Three laws hold everywhere in it: save, then send; commit, then acknowledge; forget
// nothing that was promised.
//
// A presence change comes in at [Node.Set] and leaves through publish.go; a watcher's side of it comes in
// at [Node.HandleRec] in reading.go and leaves as an [Event]. A message comes in at [Node.Send] and leaves
// through outbox.go; the recipient's side of it comes in at [Node.HandleParcel] in parcels.go, is
// committed in inbox.go, and only then acknowledged.
package node
