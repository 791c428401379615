// Package store keeps what a home must not forget: opaque values under typed keys, in one badger database
// that nobody else imports, or, for simulations, in a [Memory]. What the values mean is the node's affair.
//
// # Promises
//
// When [Store.Update] returns nil, what it wrote survives a crash of the process and of the machine. Updates
// that come together share one transaction and one sync. [Store.View] reads one state of the whole, and only
// what is on the disk: what a user was shown is never lost.
//
// A home that is damaged, locked, encrypted under another key, of a newer schema, or on a disk that is full
// or read-only is refused with an error that says so. What a kill or a power failure leaves behind is
// repaired: the end of the log that was not synced yet is dropped. Since that end looks the same
// however it was lost, damage within the log drops what follows it, without an error.
//
// Badger writes through memory maps, and a disk that is full at that moment kills the process. So writing is
// refused with [ErrNoSpace] while less than 48 MiB are free, and opening while less than 16 MiB are.
//
// # Schema 2
//
// A key is the byte of its table and then its parts; numbers are big-endian, so keys sort as what they
// name does. A time is in milliseconds (SPEC 1).
//
//	m  meta        name                            settings of the home; "schema" and "schema-cursor" are ours
//	s  stamp *     name                            last stamp used
//	p  pin         address 32                      accepted records
//	c  contact     address 32
//	r  rule        address 32
//	w  watching    address 32, sub 16              whom I watch
//	W  watcher     address 32, sub 16              who watches me
//	f  fetcher     address 32                      who asked me once
//	F  fetched *   address 32                      whom I asked once
//	E  epoch *     u16 length and view, number u64 keys of my views
//	h  heard *     topic 32, tag 8                 newest record
//	P  presence *  address 32, device 16           newest document
//	o  outbox      mid 32
//	k  cek *       tag 16                          which message an ack is for
//	i  inbox       sent u64, mid 32
//	I  inbox-at    mid 32                          the key of its inbox row
//	T  talk        address 32, sent u64, mid 32    who wrote what to whom, by person
//	n  seen        address 32, mid 32              what was answered
//	N  seen-until  until u64, address 32, mid 32   when its seen row may go
//	v  event *     number u64
//	t  trace *     mid 32, step u32
//	V  view        name                            what my views show
//	y  shared      kind u32, name                  whose word a row that own devices share is
//	Y  owed *      device 16, kind u32, name       which of them has still to hear it
//	H  held *      address 32, mid 32              messages that wait until I am open
//	S  said *      topic 32                        last word in epochs of mine that ended early
//	J  invite *    id 16                           cards for one person
//	Q  notice *    address 32, device 16           how its newest document came, to prove it
//	K  kept        address 32, digest 16           what many rows about somebody say alike, once
//
// In schema 1 there was no table K: each row held the whole. Both are read.
//
//	j  joined      name                            communities that I am a member of
//	@  handle      name                            names that domains vouch for: those that were looked up here; of a
//	                                               community node those that it keeps, by their label
//	~  alike       name                            of a community node: the label of the handle that has a look
//	q  entrance    id 16                           of a community node: its invites
//	M  member      id 32                           its members
//	B  box         mailbox 32                      mailboxes
//	C  cap         mailbox 32, hash 32             what a contact may leave there
//	l  item        mailbox 32, until u64           what lies there
//	L  item-at     mailbox 32, digest 32           the until of its item row
//	O  hosted      key 32                          keys whose records are kept
//	R  held-rec    key 32, tag 8, kind u32         the newest of each
//
// Tables marked * mean something on this device only, and are left out of a backup. A restored home is a
// new device (SPEC 5.6), with new stamps, epochs and keys. Seen rows are kept: what is answered from them
// must be signed anew if the stored ack names the device of before.
//
// Beside badger's files lies SCHEMA, the number of the schema as text, read before anything is touched.
package store
