package presence

import (
	"reflect"

	"github.com/hum-presence/hum/p2p/wire"
)

// Quiet notes since when the user of this machine has given it no input, 0 if he is there or nobody can
// tell, and reports whether that changes what is shown. The word of the user always stands: idleness only
// replaces "available", or the absence of a word, and by itself takes that back (RFC 4480, section 3.14).
// A view whose filter hides that sees no change, not by its time either.
func (p *Publisher) Quiet(now Now, since Time) (changed bool) {
	if (since != 0) == (p.Silent != 0) {
		return false
	}
	before := p.doc(now.Wall, 1)
	p.Silent = since
	if reflect.DeepEqual(before, p.doc(now.Wall, 1)) {
		return false
	}
	p.Changed, p.Dirty = now.Wall, true
	return true
}

// Idle reports whether idle is shown that the user did not say. A view that hides the user's input does not
// show it.
func (p Publisher) Idle() bool {
	c, f := p.Choice, p.Filter
	return (!f.Limited || f.Input != InputNone) && p.Silent != 0 && !c.Offline && !c.Bare && c.Basic == wire.Open && (c.IM == wire.Available || c.IM == 0)
}
