package node

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/hum-presence/hum/store"
)

const (
	eventsKept  = 10_000 // rows of the log
	eventsQueue = 1_000  // events a slow reader may fall behind
)

// number gives the events of a pass their numbers and writes them.
func (n *Node) number(t *txn) error {
	if len(t.events) == 0 {
		return nil
	}
	last, _, err := find[uint64](t, store.Meta("events"))
	if err != nil {
		return err
	}
	for i := range t.events {
		last++
		e := &t.events[i]
		e.N, e.At = last, t.now.Wall.Go()
		if err := put(t, store.Event(last), *e); err != nil {
			return err
		}
		if last > eventsKept {
			if err := t.Delete(store.Event(last - eventsKept)); err != nil {
				return err
			}
		}
	}
	return put(t, store.Meta("events"), last)
}

// A feed hands events to whoever listens. Nobody can hold it up: a listener whose queue is full is
// cut off and may come back with the number of the last event he saw.
type feed struct {
	mu      sync.Mutex
	readers map[chan Event]bool
}

func (f *feed) publish(events []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		for c := range f.readers {
			select {
			case c <- e:
			default:
				delete(f.readers, c)
				close(c)
			}
		}
	}
}

// stir has those who wait look again after something that is no event: an unnumbered one, which Events
// leaves out.
func (f *feed) stir() { f.publish([]Event{{}}) }

func (f *feed) listen() (c chan Event, stop func()) {
	c = make(chan Event, eventsQueue)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers == nil {
		f.readers = map[chan Event]bool{}
	}
	f.readers[c] = true
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.readers, c)
	}
}

var errTooSlow = &Error{Kind: KindFailed, Code: "too-slow",
	Message: "events came faster than they were read", Advice: "go on with --since and the last number seen"}

// Events yields every kept event after number since, then each new one until ctx ends. Numbers rise by
// one; a reader that falls too far behind gets an *Error with code too-slow and may resume.
func (n *Node) Events(ctx context.Context, since uint64) (iter.Seq2[Event, error], error) {
	live, stop := n.feed.listen()
	var old []Event
	err := n.view(func(t *txn) error {
		return rows(t, store.AllEvents(), store.ScanOptions{From: store.Event(since + 1)},
			func(_ store.Key, e Event) (bool, error) { old = append(old, e); return true, nil })
	})
	if err != nil {
		stop()
		return nil, err
	}
	return func(yield func(Event, error) bool) {
		defer stop()
		last := since
		for _, e := range old {
			if last = e.N; !yield(e, nil) {
				return
			}
		}
		for {
			e, err := next(ctx, live)
			if err == nil && e.N <= last {
				continue
			}
			if last = e.N; !yield(e, err) || err != nil {
				return
			}
		}
	}, nil
}

// LastEvent is the number of the newest event; 0 if there was none.
func (n *Node) LastEvent(context.Context) (last uint64, err error) {
	err = n.view(func(t *txn) error {
		last, _, err = find[uint64](t, store.Meta("events"))
		return err
	})
	return last, err
}

// next waits for an event.
func next(ctx context.Context, live <-chan Event) (Event, error) {
	select {
	case e, ok := <-live:
		if !ok {
			return Event{}, errTooSlow
		}
		return e, nil
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// wait reads events until done says so or ctx ends.
func (n *Node) wait(ctx context.Context, done func() (bool, error)) error {
	live, stop := n.feed.listen()
	defer stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if _, err := next(ctx, live); errors.Is(err, errTooSlow) {
			stop()
			live, stop = n.feed.listen()
		} else if err != nil {
			return err
		}
	}
}
