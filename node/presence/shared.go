package presence

import (
	"bytes"
	"cmp"
	"slices"
)

// Several devices of one address publish in the same epochs, each under its own tag (SPEC 4.11). One of them
// makes an epoch, the others adopt it. Who left is noted with the epoch that began for it, so that a device
// knows whether an epoch that another one made keeps out all whom it wants out.

// Again has the document said once more, in a new update: somebody who passes it on may have missed it.
func (p *Publisher) Again() {
	if p.Started && !p.Off {
		p.Dirty = true
	}
}

// Adopt takes an epoch as another device of mine made it, or ended it. Once ended it stays so. It reports
// whether that changed anything.
func (v *View) Adopt(e Epoch) (changed bool) {
	i := slices.IndexFunc(v.Epochs, func(x Epoch) bool { return x.E == e.E })
	switch {
	case i < 0:
		v.Epochs = append(slices.Clip(v.Epochs), e)
		slices.SortFunc(v.Epochs, func(a, b Epoch) int { return cmp.Or(cmp.Compare(a.N, b.N), bytes.Compare(a.E[:], b.E[:])) })
	case e.EndedAt != 0 && (v.Epochs[i].EndedAt == 0 || e.EndedAt < v.Epochs[i].EndedAt):
		v.Epochs = slices.Clone(v.Epochs)
		v.Epochs[i].EndedAt = e.EndedAt
	default:
		return false
	}
	v.Count = max(v.Count, e.N)
	if e.EndedAt == 0 {
		v.settle(e)
	}
	return true
}

// Lives reports whether an epoch of v has not ended early.
func (v View) Lives() bool {
	return slices.ContainsFunc(v.Epochs, func(e Epoch) bool { return e.EndedAt == 0 })
}

// settle ends what is owed once an epoch keeps out all who left.
func (v *View) settle(e Epoch) {
	if len(v.Leavers) == 0 {
		return
	}
	v.Leavers = slices.DeleteFunc(slices.Clone(v.Leavers), func(a Address) bool { return slices.Contains(e.Without, a) })
	if len(v.Leavers) == 0 {
		v.Owed = [causes]bool{}
	}
}

// Excludes reports whether the present epoch was made without w, after it was last decided about him, and he has
// not been told of it since, as one is who was let in again.
func (v View) Excludes(now Now, w Watcher) bool {
	current, _ := v.now(now)
	return current != nil && current.Made >= w.Since && slices.Contains(current.Without, w.Who) && !slices.Contains(w.Told, current.E)
}

// Forked reports whether two devices have changed epoch without knowing of each other: the two have
// different members, and the next one has those of both (SPEC 4.11). Nothing is said until then.
func (v View) Forked(now Now) bool {
	live := v.live(now)
	for i, a := range live {
		for _, b := range live[:i] {
			if a.N == b.N || a.Prev != b.E && b.Prev != a.E && a.Prev != (PublicKey{}) && b.Prev != (PublicKey{}) {
				return true
			}
		}
	}
	return false
}

// Urgent reports whether nothing can be said in the view before its epochs have changed.
func (v View) Urgent(now Now) bool {
	current, _ := v.now(now)
	return current == nil || v.Owed[CauseUser] || v.Forked(now)
}
