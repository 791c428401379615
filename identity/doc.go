// Package identity knows who somebody is and how something is kept for him alone: keys, addresses,
// certificates and their chain, sealing, recovery words, and the two clocks that all of it is judged by.
//
// A person is an [Address], the public key A of SPEC 2.1. His machines are devices, each with a signing
// key D; an [AddressRecord] signed by A lists them, and a [Pin] is the newest record that we accepted.
// A home's own secrets are in its [Keyring], the only part that touches the disk; a person's are on
// paper, as a [Seed].
//
// Nothing here touches a network or a database, and nothing reads the clock; keys are made from the
// randomness that is handed in, so that a simulated world can own both. Only what decides nothing
// draws on the system: encapsulations (crypto/hpke takes no other source) and the sealing of files.
package identity
