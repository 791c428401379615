package p2p

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A costly handler takes so long for a Parcel, as public-key work does, and adds it up by who sent it. In
// virtual time that is exact: nothing else takes any.
type costly struct {
	fake
	began time.Time
	cost  time.Duration
	busy  map[PeerID]time.Duration
	late  map[PeerID]time.Duration // the longest that a Parcel waited, by what stands for its expiry
}

func (c *costly) HandleParcel(_ context.Context, from PeerID, p wire.Parcel, _ *wire.Session) {
	waited := time.Since(c.began) - time.Duration(p.ExpiresS)
	time.Sleep(c.cost)
	c.note(func() {
		c.busy[from] += c.cost
		c.late[from] = max(c.late[from], waited)
	})
}

// share runs a flood of strangers for some time, each as fast as he may and faster, and returns which part
// of a core their Parcels took, and how long one of a contact had to wait at most.
func share(t *testing.T, strangers int, cost, d time.Duration, contact func(PeerID) bool) (part float64, late time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		clock := func() identity.Now {
			return identity.Now{Wall: identity.TimeOf(time.Now()), Mono: time.Since(began)}
		}
		run, end := context.WithCancel(t.Context())
		h := &costly{began: began, cost: cost, busy: map[PeerID]time.Duration{}, late: map[PeerID]time.Duration{}}
		h.links, h.changed = map[PeerID]link{}, make(chan struct{}, 1)
		n := &Net{cfg: Config{Clock: clock}, stats: &counters{}, state: running, handler: h, run: run}
		n.inbound = newInbound(n)
		hand := func(p PeerID, known bool) {
			if known || n.inbound.allowParcel(p) {
				n.inbound.parcel(p, known, wire.Parcel{ExpiresS: uint64(time.Since(began))}, nil, 1500)
			}
		}
		for time.Since(began) < d {
			for i := range strangers {
				p := PeerID(fmt.Sprint("stranger ", i))
				hand(p, contact(p))
			}
			hand("contact", true)
			time.Sleep(20 * time.Millisecond)
		}
		h.note(func() {
			for p, busy := range h.busy {
				if p != "contact" {
					part += busy.Seconds() / d.Seconds()
				}
			}
			late = h.late["contact"]
		})
		end()
		n.wg.Wait()
	})
	return part, late
}

// TestStrangersShare: whatever strangers hand in, public-key work for them takes half of one core at most,
// and contacts do not wait for it (SPEC 3.9).
func TestStrangersShare(t *testing.T) {
	nobody := func(PeerID) bool { return false }
	for _, tt := range []struct {
		name      string
		strangers int
		cost      time.Duration
		least     float64
	}{
		{"twenty, 300 µs", 20, 300 * time.Microsecond, 0.05},
		{"twenty, 5 ms", 20, 5 * time.Millisecond, 0.45},
		{"two hundred, 1 ms", 200, time.Millisecond, 0.45},
		{"one, 200 ms", 1, 200 * time.Millisecond, 0.45},
	} {
		part, late := share(t, tt.strangers, tt.cost, time.Minute, nobody)
		t.Logf("%s: %.3f of a core; a contact waits %v at most", tt.name, part, late)
		if part > 0.501 || part < tt.least || late != 0 {
			t.Errorf("%s: %.3f of a core, a contact waits %v", tt.name, part, late)
		}
	}
	if part, _ := share(t, 20, 5*time.Millisecond, time.Minute, func(PeerID) bool { return true }); part < 0.6 {
		t.Errorf("the planted fault, strangers taken for contacts, takes %.3f of a core", part)
	}
}
