package presence

import (
	"testing"

	"github.com/hum-presence/hum/p2p/wire"
)

// Every way through the table of SPEC 4.8 as RFC 3857 has it, section 4.7.1.
func TestWinfo(t *testing.T) {
	pending, active := watcher(Confirm), watcher(Allow)
	from := func(w Watcher, do func(*Watcher)) Watcher { do(&w); return w }
	decide := func(h Handling) func(*Watcher) { return func(w *Watcher) { w.Decide(at(hour), h, DefaultView) } }
	expire := func(w *Watcher) { w.Expire(at(31 * day)) }
	unsub := func(w Watcher) Watcher {
		w, _ = Unsub(at(hour), &w, wire.Unsub{From: alice, To: bob, Sub: sub1, At: start.Add(hour)}, phone, true)
		return w
	}
	first := func(edit func(*Facts)) Watcher {
		f := let(Confirm)
		edit(&f)
		w, _, _ := answered(at(0), nil, asked(0), f)
		return w
	}
	tests := []struct {
		name  string
		w     Watcher
		state WatcherStatus
		event Event
	}{
		{"asks", pending, WatcherPending, Subscribed},
		{"asks, and is let in by a rule", active, WatcherActive, Subscribed},
		{"is let in", from(pending, decide(Allow)), WatcherActive, Approved},
		{"is refused", from(pending, decide(Block)), WatcherTerminated, Rejected},
		{"is refused by a rule", first(func(f *Facts) { f.Handling = Block }), WatcherTerminated, Rejected},
		{"is thrown out", from(active, decide(Block)), WatcherTerminated, Rejected},
		{"must wait again", from(active, decide(Confirm)), WatcherPending, Subscribed},
		{"is let in again", from(from(active, decide(Confirm)), decide(Allow)), WatcherActive, Approved},
		{"does not renew", from(active, expire), WatcherTerminated, Timeout},
		{"waits in vain", from(pending, expire), WatcherWaiting, Timeout},
		{"waits in vain, then is allowed", from(from(pending, expire), func(w *Watcher) { w.Settle(Approved) }), WatcherTerminated, Approved},
		{"waits in vain, then asks anew", from(from(pending, expire), func(w *Watcher) { w.Settle(GiveUp) }), WatcherTerminated, GiveUp},
		{"leaves", unsub(active), WatcherTerminated, Timeout},
		{"gives up", unsub(pending), WatcherTerminated, GiveUp},
		{"finds no presence", first(func(f *Facts) { f.Service = false }), WatcherTerminated, NoResource},
		{"finds no room", first(func(f *Facts) { f.Full = true }), WatcherTerminated, NoResource},
		{"finds no place", first(func(f *Facts) { f.PlaceFree = false }), WatcherTerminated, Probation},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if s, e := test.w.Winfo(); s != test.state || e != test.event {
				t.Errorf("got %v, %v; want %v, %v", s, e, test.state, test.event)
			}
		})
	}
	for _, w := range []Watcher{pending, active, unsub(active)} {
		if before := w; w.Settle(Approved) || w.Event != before.Event {
			t.Error("what does not wait was settled")
		}
	}
	if w := from(pending, decide(Block)); pending.Began != start || w.Began != start || w.Since != start.Add(hour) {
		t.Errorf("began %v, since %v", w.Began, w.Since)
	}
}
