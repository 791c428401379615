// Package policy knows who may watch me and who may write to me (SPEC 4.9, 5.2), and how much room
// those get whom I do not know yet (SPEC 3.9).
//
// A [Rule] is what the user said about one address; it is a plain value that is loaded, changed and
// saved. A [Book] holds the rules of all addresses, and what holds where there is none, and answers the
// three questions, [Book.Watch], [Book.Fetch] and [Book.Message]. Rules name addresses, so another device of the same person changes nothing. The zero
// value of every answer is the one that gives nothing away.
package policy
