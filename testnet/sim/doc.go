// Package sim runs a plan: real nodes over a simulated network, in virtual time, in one process.
//
// [Run] is called in a bubble of virtual time, see package virtual. It starts every node as the command line does,
// with its store in memory and its network simulated, does what the plan says when the plan says it, and hands what
// nodes show their users to a [measure.Book]. What is not simulated is said in the manifest, not_modelled.
//
// An adversary is a node with a [Behaviour]: Go code that runs beside the real node, or in its place, and may speak
// the protocol as it likes. [Register] adds one.
package sim
