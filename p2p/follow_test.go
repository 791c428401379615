package p2p

import (
	"testing"
	"time"
)

// What a second place answers, even that it has nothing, ends its turn; where none answers it is asked again soon.
func TestWarmTurn(t *testing.T) {
	n, second := run(t, "n"), run(t, "second")
	n.knows(second, Watched)
	later := n.now().Mono + time.Hour
	turn := func(at ...PeerID) time.Duration {
		f := &follow{e: newEpoch(t.Name()).e, at: at, fetching: true, warmAt: later}
		n.follows.fetch(t.Context(), f)
		if f.fetching {
			t.Fatal("it is never asked again")
		}
		return f.warmAt
	}
	n.wait(t, "an answer", func() bool { return turn(second.Self()) == later })
	if at := turn(); at > n.now().Mono+2*watchMax {
		t.Errorf("where nobody answers it is asked again in %v", at-n.now().Mono)
	}
}
