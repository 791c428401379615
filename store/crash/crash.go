// Package crash has the points at which crash tests end the process, and the mistakes that they plant. A
// build without the tag "faults" has nothing of it: each call is an empty function, and goes with its text.
//
// A build with the tag reads HUM_FAULT, a list of words joined by semicolons:
//
//	kill=NAME=N   the process kills itself when it passes the point NAME for the N-th time
//	a Mistake     is made
package crash

// A Mistake is a wrong order of things that crash tests plant, to see that they would find it.
type Mistake string

const (
	AckFirst    Mistake = "ack-first"    // whoever writes is answered before the commit
	IDsApart    Mistake = "ids-apart"    // a message and its id are two commits
	SeenOutside Mistake = "seen-outside" // seen is looked up when a message comes, not in its transaction
	Twice       Mistake = "twice"        // every Parcel that was taken comes once more, as on a path that repeats; a node must bear it
)
