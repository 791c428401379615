package presence

import (
	"cmp"
	"slices"
	"time"
)

// A Basis is what is known of one device of a presentity, and from where: what Shown rests on, taken apart.
type Basis struct {
	Device  DeviceID
	Open    bool
	Ver     uint64        // of its document
	Said    Stamp         // when the document was signed
	Last    Stamp         // when the newest record about it was signed: the document's, or a beacon's
	Heard   bool          // a record came since the process started; else Path and Ago say nothing
	Path    Path          // by which the newest record came
	Ago     time.Duration // since it came
	Left    time.Duration // of the lease; 0: none runs
	Skipped uint64        // versions that never came, since newer ones superseded them
}

// Bases returns a basis for each device, the newest word first.
func (p *Presence) Bases(now Now) (out []Basis) {
	for _, s := range p.devices(now) {
		b := Basis{Device: s.Device, Open: s.open, Ver: s.Doc.Ver, Said: s.T, Last: s.last, Heard: s.heard, Left: max(0, s.left)}
		newest := time.Duration(-1)
		for _, h := range p.Tags {
			if h.Device != s.Device {
				continue
			}
			b.Skipped += h.Skipped
			for _, got := range []Receipt{h.GotUpdate, h.GotBeat} {
				if got.OK && got.Mono > newest {
					newest, b.Path, b.Ago = got.Mono, got.Path, now.Mono-got.Mono
				}
			}
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b Basis) int {
		return cmp.Or(cmp.Compare(b.Said, a.Said), slices.Compare(a.Device[:], b.Device[:]))
	})
	return out
}

// HeardSince reports whether a record of p came after since, a monotonic time. One of the same instant came
// before: it may be the last that a path brought which then broke.
func (p *Presence) HeardSince(since time.Duration) bool {
	return slices.ContainsFunc(p.Tags, func(h Heard) bool {
		return h.GotUpdate.OK && h.GotUpdate.Mono > since || h.GotBeat.OK && h.GotBeat.Mono > since
	})
}
