package measure

import (
	"cmp"
	"slices"
	"time"
)

// An Entry is one thing that a book is told. A run in several processes records what each of their books is told, and one
// book is told all of it at the end.
type Entry struct {
	T     time.Duration `json:"t"`
	N     int           `json:"n"` // whose word it is
	Seq   int           `json:"q"`
	Op    string        `json:"o"`
	M     int           `json:"m,omitempty"`
	K     int           `json:"k,omitempty"`
	Is    bool          `json:"i,omitempty"`
	Said  bool          `json:"s,omitempty"`
	Text  string        `json:"x,omitempty"`
	State string        `json:"y,omitempty"`
}

// recorded hands an entry to whoever records; the lock is held.
func (b *Book) recorded(e Entry) bool {
	b.recordings++
	e.Seq = b.recordings
	if b.Tape != nil {
		b.Tape(e)
	}
	if b.Record == nil {
		return false
	}
	b.Record(e)
	return true
}

// Sort puts entries of several books in one order: of time, then of nodes, then in which each was told. Which process a node
// runs in makes no difference to it.
func Sort(entries []Entry) {
	slices.SortStableFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.N, b.N), cmp.Compare(a.Seq, b.Seq))
	})
}

// Play tells the book an entry.
func (b *Book) Play(e Entry) {
	switch e.Op {
	case "ask":
		b.Ask(e.T, e.N, e.M)
	case "up":
		b.Up(e.T, e.N)
	case "down":
		b.Down(e.T, e.N, e.Is)
	case "say":
		b.Say(e.T, e.N, e.M)
	case "see":
		b.See(e.T, e.N, e.M, e.Is, e.K, e.Said)
	case "side":
		b.Side(e.T, e.N, e.M)
	case "sleep":
		b.Sleep(e.T, e.N, e.Is)
	case "hide":
		b.Hide(e.T, e.N, e.M)
	case "blind":
		b.Blind(e.T, e.N, time.Duration(e.K))
	case "named":
		b.Named(e.T, e.N, e.M, time.Duration(e.K), e.State)
	case "twice":
		b.Twice(e.T, e.N)
	case "fault":
		b.Fault(e.T, e.Text, e.Is)
	case "sent":
		b.Sent(e.T, e.N, e.M, e.Text)
	case "inbox":
		b.Inbox(e.T, e.N, e.Text)
	case "settled":
		b.Settled(e.T, e.N, e.Text, e.State)
	}
}
