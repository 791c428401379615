// Package presence is the rules of SPEC 4: who watches whom, the epochs that documents are sealed in,
// what I publish and when, and what I may believe and show of others.
//
// Everything is a plain value. A method takes the time and an input, changes the value and says what
// is to be done; it reads no clock, starts nothing and stores nothing. The caller works in one order:
// load, call, save, and only then send or show. Its states are
//
//	[Watching]   my subscription to somebody (SPEC 4.8, first table)
//	[Watcher]    somebody's subscription to me (SPEC 4.8, at the presentity)
//	[View]       the chain of epochs of a view (SPEC 4.2)
//	[Publisher]  my documents, updates and beacons (SPEC 4.1, 4.4)
//	[Presence]   what I know of one presentity, from all paths (SPEC 4.5)
//	[Clocks]     whether my clock can be right (SPEC 1, "Time")
//
// Exported fields are for the store and for display; change them only by the methods. Restart must be
// called once on a stored Publisher and Presence after the process has started, since the monotonic
// clock then starts anew. Jitter is a number in [0,1), drawn by the caller. Wake says how long nothing
// happens by itself, one hour at most; after a step of the system clock, ask again at once.
package presence
