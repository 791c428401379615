// Package attacks runs the attacks of SPEC 13 against whole nodes, as far as profile C0 goes.
//
// The nodes are real, on real stores, in virtual time on a [testnet.Network]. The adversary is a libp2p
// host of its own that speaks wire by itself: it knows what a stranger or a former contact can know
// (cards, peer ids, captured bytes, topic keys where an attack says so), and never another's private key.
// Each test names its attack, then what must be seen. What a test looks for it must be able to find, so
// each also runs against a fault that is planted for it.
//
// HUM_LONG=1 runs the numbers that SPEC 13 names; without it each attack runs in a size for every day. Between
// the two HUM_LONG=wide runs the crowd of five hundred and more moments at which a watcher is removed.
package attacks
