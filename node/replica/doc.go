// Package replica decides whose word counts for a row that the devices of one address share, and which
// of them have still to hear it (SPEC 4.11). What a row says is not its affair.
//
// Every device writes its own rows and tells the others. Of two words on one row the larger (t, author)
// counts, a deletion like any other; so merging is commutative, associative and idempotent, and all who
// have heard the same words say the same, in whatever order they came (SPEC 11.2, I27 and I28).
//
// Everything here is a plain value. The caller loads a [Row], calls one method, saves it together with
// what the row says, and only then sends:
//
//	a change here    Write → save → owed to every device that Lacks it
//	a Sync comes     Take → Newer: apply and save; Older: the sender is owed mine
//	an Ack comes     Told → owed no more
package replica
