package node

import (
	"errors"
	"iter"
	"testing"
)

// A reader who does not read holds nobody up: the node goes on, whoever keeps pace hears everything, and he is cut off
// with an error that tells how to go on. With the last number that he saw he misses nothing.
func TestSlowReaderOfEvents(t *testing.T) {
	alice := settle(t, "alice")
	alice.open()
	begin := must(alice.LastEvent(t.Context()))(t)
	listen := func(since uint64) (pull func() (Event, error, bool)) {
		pull, stop := iter.Pull2(must(alice.Events(t.Context(), since))(t))
		t.Cleanup(stop)
		return pull
	}
	hears := func(who string, pull func() (Event, error, bool), want uint64) {
		t.Helper()
		if e, err, ok := pull(); !ok || err != nil || e.N != want || e.Kind != "node" {
			t.Fatalf("%s hears event %d of kind %q, %v, %v; want %d", who, e.N, e.Kind, err, ok, want)
		}
	}
	slow, quick := listen(begin), listen(begin)
	last, heard := begin, begin
	for last < begin+eventsQueue+500 {
		must(0, alice.update(func(tx *txn) error {
			for range 100 {
				tx.emit(Event{Kind: "node", State: "tick"})
				last++
			}
			return nil
		}))(t)
		for heard < last {
			heard++
			hears("who keeps pace", quick, heard)
		}
	}
	heard = begin
	for heard < begin+eventsQueue {
		heard++
		hears("who was slow", slow, heard)
	}
	var told *Error
	if _, err, ok := slow(); !ok || !errors.As(err, &told) || told.Code != "too-slow" || told.Advice == "" {
		t.Fatalf("who was slow is told %v, %v", err, ok)
	}
	if _, err, ok := slow(); ok {
		t.Errorf("after that comes %v", err)
	}
	for slow = listen(heard); heard < last; {
		heard++
		hears("who came back", slow, heard)
	}
}
