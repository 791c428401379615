package replica

import (
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
)

// Short names for what every rule is about.
type (
	DeviceID = identity.DeviceID
	Stamp    = identity.Stamp
	Now      = identity.Now
)

// DeletionKept is how long a deletion is remembered (SPEC 4.11): a device that was away for longer may
// bring a row back.
const DeletionKept = 90 * 24 * time.Hour

// ErrAhead says that a word lies further in the future than two correct clocks can differ: it is refused
// with reason time and comes again.
var ErrAhead = errors.New("stamp is in the future")

// A Word is who said something of a row, and when. The zero Word is older than every other.
type Word struct {
	T       Stamp
	Author  DeviceID
	Deleted bool
}

// Newer reports whether w counts where v was said too: the larger (t, author).
func (w Word) Newer(v Word) bool {
	if w.T != v.T {
		return w.T > v.T
	}
	return slices.Compare(w.Author[:], v.Author[:]) > 0
}

// same reports whether both are one word. Whether it is a deletion follows from who said it when.
func (w Word) same(v Word) bool { return w.T == v.T && w.Author == v.Author }

// A Row is what a device keeps of one shared row beside its content: the newest word on it, and which
// other devices are known to have heard that word. Has is sorted.
type Row struct {
	Word
	Has []DeviceID
}

// Write has me say something new of a row. last is the newest stamp that me drew for any row; the one
// drawn is T of the result, to be saved before it leaves. It outranks all that me has heard of the row.
func (r Row) Write(now Now, me DeviceID, last Stamp, deleted bool) Row {
	t := max(now.Next(last), now.Next(now.Stored(r.T)))
	return Row{Word: Word{T: t, Author: me, Deleted: deleted}}
}

// A Verdict says what a word from another device is to the row that is held.
type Verdict uint8

const (
	Newer Verdict = iota // it counts: apply what it says, save
	Same                 // known; its sender has it too
	Older                // superseded: its sender lacks mine
)

func (v Verdict) String() string { return [...]string{"newer", "same", "older"}[v] }

// Take hears w from a device, which has it, and so has its author. A held stamp from an impossible future
// counts as now, and is kept as that (SPEC 1). ErrAhead changes nothing.
func (r Row) Take(now Now, w Word, from DeviceID) (Row, Verdict, error) {
	if now.Ahead(w.T) {
		return r, Same, ErrAhead
	}
	r.T = now.Stored(r.T)
	switch {
	case w.same(r.Word):
		r.Told(from)
		return r, Same, nil
	case w.Newer(r.Word):
		r = Row{Word: w}
		r.Told(from)
		r.Told(w.Author)
		return r, Newer, nil
	}
	r.Has = slices.DeleteFunc(slices.Clone(r.Has), func(d DeviceID) bool { return d == from })
	return r, Older, nil
}

// Told notes that a device has the newest word, and reports whether that was news.
func (r *Row) Told(d DeviceID) bool {
	i, ok := slices.BinarySearchFunc(r.Has, d, func(a, b DeviceID) int { return slices.Compare(a[:], b[:]) })
	if !ok {
		r.Has = slices.Insert(slices.Clone(r.Has), i, d)
	}
	return !ok
}

// Lacks returns those of the other devices that have not heard the newest word. Of a word that is not
// mine its author is never one of them.
func (r Row) Lacks(others []DeviceID) (out []DeviceID) {
	for _, d := range others {
		if d != r.Author && !slices.Contains(r.Has, d) {
			out = append(out, d)
		}
	}
	return out
}

// Forgettable reports whether a deletion is past its time by both clocks, so that the row may go.
func (r Row) Forgettable(now Now) bool {
	return r.Deleted && now.Past(r.T.Add(DeletionKept))
}
