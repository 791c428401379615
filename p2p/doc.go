// Package p2p carries bytes between nodes: the host and its transports, who is dialled and when, the
// streams of SPEC 3.6 and 4.6, the gossip topics of SPEC 4.7 with the check at their door, and the
// moving of each followed key between the two. It knows nothing of names, of what presence means or
// of storage: what arrives whole and plausible goes up through a [Handler].
//
// Open binds, Run works, Close releases. Every queue here has a bound: what does not fit is answered
// BUSY or QUOTA (SPEC 3.9), counted in [Stats], and never waited for.
package p2p
