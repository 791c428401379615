package testnet

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Events come out in the order of their instants, at one instant in that of their lanes, and in one lane as they were entered.
func TestEventsInOrder(t *testing.T) {
	src := rand.New(rand.NewPCG(1, 2))
	var h events
	var all, got []event
	for n := range uint64(2000) {
		e := event{at: src.Int64N(50), lane: src.Uint64N(4), n: n}
		h.push(e)
		all = append(all, e)
		if src.IntN(3) == 0 { // what is taken meanwhile is the first of what is there
			i := 0
			for j := range all {
				if all[j].before(&all[i]) {
					i = j
				}
			}
			if e := h.pop(); e.n != all[i].n {
				t.Fatalf("event %d came, want %d", e.n, all[i].n)
			}
			all = slices.Delete(all, i, i+1)
		}
	}
	for len(h) > 0 {
		got = append(got, h.pop())
	}
	slices.SortFunc(all, func(a, b event) int {
		if a.before(&b) {
			return -1
		}
		return 1
	})
	if !slices.EqualFunc(all, got, func(a, b event) bool { return a.n == b.n }) {
		t.Error("out of order")
	}
}
