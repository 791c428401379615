// Package formats is the border between hum's own documents and those of the IETF's presence family:
// a presence document as PIDF (RFC 3863) with the data model (RFC 4479), RPID (RFC 4480), timed status
// (RFC 4481) and contact information (RFC 4482), watcher information (RFC 3858), and the rules of who
// may see what (RFC 4745, RFC 5025).
//
// It promises three things. What is read is hostile until it is read: no document type, no entity, no
// more than [MaxDocument] bytes, and each refusal is an [*Error] that names the problem and the line.
// What is written validates against the schemas printed in those RFCs. And what somebody else wrote is
// never written anew: an imported document is kept, carried and handed out in its own octets; where
// several devices make one document of it, its elements are copied as they stand.
//
// What is understood becomes the fields of a [wire.Doc]. Elements of the RPID family become its status
// entries, under the element's own name; the value is
//
//	words *( ";" name "=" value )
//
// with "%", ";" and what steers as %XX: "meeting travel;until=2026-11-22T18:00:00.000Z;note=in%20Oslo".
// Parameters are from, until, note, lang (of the note), other (a word of one's own), description,
// last-input and idle-threshold. Names and namespaces are those of docs/registry.md, and no others.
package formats
