package presence

import (
	"slices"
	"time"
)

// Clocks compares my clock with what peers said theirs shows (SPEC 1, "Time"). It is not stored.
type Clocks struct {
	Peers []PeerClock
}

// A PeerClock is what one peer's clock showed when I heard it.
type PeerClock struct {
	Who  Address
	Wall Time
	Mono time.Duration // mine, at that moment
}

const (
	clockMemory = time.Hour // how long a peer's word counts
	clockPeers  = 64        // the newest that are kept
	clockQuorum = 3         // so many peers against mine put it in doubt
)

// Told notes the now that a contact or custodian answered a WATCH or GET with (SPEC 4.6).
func (c *Clocks) Told(now Now, who Address, wall Time) {
	c.Peers = slices.DeleteFunc(c.Peers, func(p PeerClock) bool { return p.Who == who || p.old(now) })
	if len(c.Peers) >= clockPeers {
		c.Peers = slices.Delete(c.Peers, 0, 1)
	}
	c.Peers = append(c.Peers, PeerClock{who, wall, now.Mono})
}

func (p PeerClock) old(now Now) bool { return now.Mono-p.Mono > clockMemory }

// off reports whether p's clock, had it gone on like my monotonic one, is more than S from mine now.
// So a step of my clock is seen at once, without hearing anybody again.
func (p PeerClock) off(now Now) bool {
	return now.Apart(p.Wall.Add(now.Mono - p.Mono))
}

// Forget drops the word of somebody who cannot be asked again, since his grants are gone: if it was his clock
// that was wrong, he could not say when it is right.
func (c *Clocks) Forget(who Address) {
	c.Peers = slices.DeleteFunc(c.Peers, func(p PeerClock) bool { return p.Who == who })
}

// Off returns those of the last hour whose clocks disagree with mine. Asked again, they say whether theirs or
// mine was set right.
func (c Clocks) Off(now Now) (out []Address) {
	for _, p := range c.Peers {
		if !p.old(now) && p.off(now) {
			out = append(out, p.Who)
		}
	}
	return out
}

// Suspect reports that my clock may be wrong, so that no presence can be believed: it went back
// (heard > now+S), or three peers of the last hour disagree with it, or the only one does.
func (c Clocks) Suspect(now Now) bool {
	heard, off := 0, 0
	for _, p := range c.Peers {
		if p.old(now) {
			continue
		}
		heard++
		if p.off(now) {
			off++
		}
	}
	return now.ClockBack() || off >= clockQuorum || heard == 1 && off == 1
}
