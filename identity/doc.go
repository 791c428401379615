// Package identity knows who somebody is and how something is kept for him alone: keys, addresses,
// certificates and their chain, sealing, recovery words, and the two clocks that all of it is judged by.
//
// A person is an [Address], the public key A of SPEC 2.1. His machines are devices, each with a signing
// key D; an [AddressRecord] signed by A lists them, and a [Pin] is the newest record that we accepted.
// Nothing here touches a network or a database, and nothing reads the clock or the global source of
// randomness: both are handed in, so that a simulated world can own them.
package identity
