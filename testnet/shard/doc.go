// Package shard keeps several processes on one virtual clock, so that a simulated network can use more than one core.
//
// Each process, a shard, runs its part of the nodes in a bubble of its own. Time passes in windows that are a little
// shorter than the least latency between nodes of different shards: what is sent in one window arrives in a later one
// at the earliest. At the end of a window everybody waits until all have come so far, and what crosses from one shard
// to another is exchanged; each crossing parcel then arrives at its exact instant of virtual time. While a shard
// waits on its socket its clock stands, because the bubble is not idle.
//
// One [Coordinator] serves all shards over stream sockets, on one machine or several. The protocol is a line of
// JSON each way to greet, then frames: the length of the rest (4 bytes, big endian), a kind (1 byte), and the body.
//
//	shard → coordinator  {"format":1,"shard":1,"shards":2,"run":"…"}   run: a hash of all that must be equal
//	coordinator → shard  {"window_ns":9999999} or {"error":"…"}
//	shard → coordinator  step    the end of its window and the parcels that leave; last: it has come to its end
//	coordinator → shard  go on   the parcels that come to it, in the order of instant, shard and number
//	coordinator → shard  end     all have come to their end; none closes before it
//	coordinator → shard  abort   why the run cannot go on: a shard is gone, or says what cannot be
//	shard → coordinator  result  what it hands in, after end
//
// All shards go through the same windows and say which of them is their last, so the end is agreed on: nobody waits for one that
// has left.
package shard
