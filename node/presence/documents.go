package presence

import (
	"cmp"
	"slices"

	"github.com/hum-presence/hum/p2p/wire"
)

// Documents returns what the presentity says now, a document of each device, the newest first: of those that
// said OPEN if their leases run, and of those that said CLOSED, which needs no lease. Nothing is returned
// unless Shown rests on his word: nobody else can say CLOSED for him.
func (p *Presence) Documents(now Now, sight Sight) (out []wire.Doc) {
	if p.Shown(now, sight).Evidence != Said {
		return nil
	}
	all := slices.DeleteFunc(p.devices(now), func(s standing) bool { return s.open && s.left <= 0 })
	slices.SortFunc(all, func(a, b standing) int {
		return cmp.Or(cmp.Compare(b.T, a.T), slices.Compare(a.Device[:], b.Device[:]))
	})
	for _, s := range all {
		out = append(out, s.Doc)
	}
	return out
}
