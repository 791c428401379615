package message

import (
	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// An Answer is what one message is to be told.
type Answer struct {
	To          wire.Address // zero if it is unknown who had sent
	MIDs        []wire.MID
	Disposition wire.Disposition
	Reason      wire.Reason
	RetryAfterS uint64
}

// Answer returns what the sender is to be told. For Repeat the stored bytes go out instead.
func (v Verdict) Answer(to wire.Address) Answer {
	return Answer{to, v.MIDs, v.Disposition, v.Reason, v.RetryAfterS}
}

// says reports whether one Ack can say both.
func (a Answer) says(b wire.Ack) bool {
	return a.To == b.To && a.Disposition == b.Disposition && a.Reason == b.Reason &&
		a.RetryAfterS == b.RetryAfterS && len(b.MIDs)+len(a.MIDs) <= wire.MaxMIDs
}

// A Signer is who acknowledges: an address, one of its devices, and the seq of its record.
type Signer struct {
	Address wire.Address
	Device  wire.DeviceID
	ArSeq   wire.Stamp
}

// Acks returns the bodies that give the answers of one commit, as few as can be: an Ack has up to 64
// mids of one sender and one disposition (SPEC 5.3). Their order is that of the answers.
func (s Signer) Acks(now identity.Now, answers ...Answer) (acks []wire.Ack) {
	last := make(map[wire.Address]int) // the newest Ack for each sender
	for _, a := range answers {
		i, ok := last[a.To]
		if !ok || !a.says(acks[i]) {
			i, last[a.To] = len(acks), len(acks)
			acks = append(acks, s.ack(now, a))
		}
		acks[i].MIDs = append(acks[i].MIDs, a.MIDs...)
	}
	return acks
}

// ack returns the Ack of a without its mids.
func (s Signer) ack(now identity.Now, a Answer) wire.Ack {
	return wire.Ack{
		From: s.Address, To: a.To, Device: s.Device,
		Disposition: a.Disposition, Reason: a.Reason,
		At: now.Wall, ArSeq: s.ArSeq, RetryAfterS: a.RetryAfterS,
	}
}
