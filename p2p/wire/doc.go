// Package wire defines the bytes that nodes exchange. SPEC.md beside it, with SPEC-presence.md and
// SPEC-messages.md for the two services, is the whole of it.
//
// Whatever a device or an address vouches for is one [Signed] (SPEC 3.1), in strict protobuf:
//
//	1 type  varint    what the body is: address record, message, ack, request
//	2 body  bytes     kept and forwarded as received, never encoded again
//	3 key   32 bytes  the signer
//	4 sig   64 bytes  over the label of the type and the body
//
// A reader refuses unknown types, fields out of order, written-out defaults and bytes left over, so
// a Signed has one encoding only: what a Parse function accepts, Append gives back byte for byte. The
// vectors in testdata are part of this specification.
//
// Three envelopes hide what is inside from everybody on the way: a [Parcel] carries a Signed to the
// devices of its recipient, an [AckBox] carries the answer back, and a [Rec] carries a [Doc] to all
// watchers of an epoch. On a stream they travel in a [Frame].
//
// Parsing never keeps or changes its input. "SPEC n.m" in comments is a section of these three, and "SPEC 14.n" an
// entry of their section 14.
package wire
