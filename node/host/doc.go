// Package host runs a community node (SPEC 7): it holds the store and the network of one, asks node/community what
// may be kept for whom, saves it, and only then says so. It has no address of a person and no key that opens
// anything that it keeps: it signs receipts with the key of its peer id.
//
// It is the one room besides node where the rules, the store and the network meet, and stands apart from it because
// nothing is shared: no contact, no document, no message.
package host
