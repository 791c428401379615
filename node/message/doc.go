// Package message decides what becomes of instant messages (SPEC 5): when the outbox tries again and
// what settles it, and what the inbox keeps, refuses or has seen before.
//
// Everything here is a plain value. The caller loads an [Entry] or the facts of an [Arrival], calls one
// method with the time it is, saves what changed, and only then sends, announces or acknowledges:
//
//	outbox   New → Seal → (Due → Attempted → Reply or nothing)* → Ack | Tick | Cancel
//	inbox    Receive → one synced transaction (row, seen, ack bytes) → the ack leaves
//
// Two promises rest on that order. A sender that persists before it sends forgets no message; a
// recipient that commits before it acknowledges never says delivered of what a crash can take away.
package message
