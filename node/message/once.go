package message

import (
	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// Once is the mailbox that an anonymous message has for its ack alone, at a community of its author (SPEC 14.131).
type Once struct {
	Peer []byte   // of the community's node
	Seed [32]byte // of its key, drawn for this message
	Open bool     `cbor:",omitzero"` // the node was asked for it, or may have been
}

// Key is that of the mailbox, who reads it too.
func (o *Once) Key() identity.SigningKey { return identity.NewSigningKey(o.Seed) }

// OnceUntil is when no ack counts any more that could come by the mailbox of e (SPEC 5.5).
func (e *Entry) OnceUntil() wire.Time { return e.Expires.Add(wire.ResendWindow) }

// OnceOver reports whether the mailbox of e may end: its recipient has said what became of it, it never left, or no word
// of it counts any more.
func (e *Entry) OnceOver(now identity.Now) bool {
	settled := e.State.Final() && !e.Indeterminate()
	return settled && (len(e.AckRaw) > 0 || !e.Handed) || now.Wall > e.OnceUntil()
}
