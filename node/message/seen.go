package message

import (
	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Seen is what is remembered under (sender, mid): that it was answered, and with what (SPEC 5.4).
type Seen struct {
	Ack     []byte // the Signed Ack
	Until   wire.Time
	Refused bool // the answer was a final refusal
}

// seenUntil is when a message is refused by its expires anyway, with room for a resend of it:
// expires + 7 d + 2S (SPEC 5.4). An expires that no message may have is cut.
func seenUntil(im wire.IM) wire.Time {
	return min(im.Expires, im.Sent.Add(wire.IMMaxLife)).Add(wire.ResendWindow + 2*identity.Skew)
}

// Seen returns what to remember of a verdict that was answered with ack.
func (v Verdict) Seen(ack []byte) Seen {
	return Seen{Ack: ack, Until: v.Until, Refused: v.Kind == Reject}
}

// Bounds of seen (SPEC 5.4).
const (
	maxPastSeen = 100_000 // rows past by the system clock alone
	maxRefused  = 10_000  // final refusals
)

// A Purge walks over all of seen, newest Until first, and says what to keep. Its zero value starts one.
type Purge struct {
	Past, Refused int // rows met so far that are past by the system clock alone; final refusals
}

// Keep reports whether s stays. A row goes when it is past by both clocks, so that a clock that jumps
// ahead readmits nothing; beyond the bounds the oldest go (SPEC 1, 5.4).
func (p *Purge) Keep(now identity.Now, s Seen) bool {
	if now.Past(s.Until) {
		return false
	}
	if s.Refused {
		p.Refused++
	}
	if now.Wall > s.Until {
		p.Past++
	}
	return p.Past <= maxPastSeen && (!s.Refused || p.Refused <= maxRefused)
}
