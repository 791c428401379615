package node

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/store"
)

// Rows are kept as CBOR: compact, and a field that a later version adds is ignored by an older one.
var rowMode = func() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.Time = cbor.TimeRFC3339NanoUTC
	m, err := o.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()

// A txn is one pass through the store. What the rules decide is written in it; what is to be sent or
// told is left with it, and happens only once every row of it is on the disk: save, then send.
type txn struct {
	store.Tx
	now      identity.Now
	heard    identity.Time // the largest stamp accepted in this pass
	events   []Event
	later    []func()
	pins     map[identity.Address]pinned // that this pass has read
	once     map[string]digest           // what it has kept once, see keep
	again    []syncItem                  // rows of which this device knows better than what it heard
	applying bool                        // rows are written as another device of mine wrote them, see share
	before   <-chan struct{}             // closed when the pass before this one has done what it left; nil if there is none
	done     chan struct{}               // closed when this one has
}

// after runs f once the pass is durable, and once all that passes before it left is done. So what is in
// memory follows the rows in the order in which they were written, and so do events. f must not lead
// another pass itself, as that would wait for f; it may spawn one.
func (t *txn) after(f func()) { t.later = append(t.later, f) }

// hear notes a stamp that was accepted from a contact (SPEC 1, "Time").
func (t *txn) hear(s identity.Stamp) { t.heard = max(t.heard, s) }

// deleteAll deletes all rows under some prefixes.
func (t *txn) deleteAll(under ...store.Prefix) error {
	for _, p := range under {
		for k := range t.Scan(p, store.ScanOptions{KeysOnly: true}) {
			if err := t.Delete(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// emit appends an event to the log of this node.
func (t *txn) emit(e Event) { t.events = append(t.events, e) }

// update runs fn in one durable pass, then does what the pass left to be done.
func (n *Node) update(fn func(t *txn) error) error {
	var t *txn
	defer func() {
		if t != nil {
			close(t.done)
		}
	}()
	err := n.store.Update(func(tx store.Tx) error {
		t = &txn{Tx: tx, now: n.now(), before: n.pass, done: make(chan struct{})}
		n.pass = t.done
		if err := fn(t); err != nil {
			return err
		}
		return n.close(t)
	})
	if t != nil && t.before != nil {
		<-t.before // also a pass that failed keeps its place: those behind wait for those before
	}
	if err != nil {
		return err
	}
	n.heard.raise(t.heard)
	for _, f := range t.later {
		f()
	}
	n.feed.publish(t.events)
	if n.cfg.Seen != nil && len(t.events) > 0 {
		n.cfg.Seen(t.events)
	}
	return nil
}

// close writes what every pass ends with: its events, and the largest stamp heard.
func (n *Node) close(t *txn) error {
	if t.heard > t.now.Heard {
		if err := put(t, store.Meta("heard"), t.heard); err != nil {
			return err
		}
	}
	return n.number(t)
}

// view reads one snapshot.
func (n *Node) view(fn func(t *txn) error) error {
	return n.store.View(func(tx store.Tx) error { return fn(&txn{Tx: tx, now: n.now()}) })
}

// put writes v as the row at k.
func put[T any](t *txn, k store.Key, v T) error {
	b, err := encode(k, v)
	if err != nil {
		return err
	}
	return t.Put(k, b)
}

// encode makes the bytes of a row.
func encode[T any](k store.Key, v T) ([]byte, error) {
	b, err := rowMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("row %v: %w", k, err)
	}
	return b, nil
}

// get reads the row at k; store.ErrNotFound if there is none.
func get[T any](t *txn, k store.Key) (v T, err error) {
	b, err := t.Get(k)
	if err != nil {
		return v, err
	}
	return decode[T](k, b)
}

// decode reads the bytes of a row.
func decode[T any](k store.Key, b []byte) (v T, err error) {
	if err := cbor.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("row %v: %w", k, err)
	}
	return v, nil
}

// find is get for rows that may be missing.
func find[T any](t *txn, k store.Key) (v T, ok bool, err error) {
	v, err = get[T](t, k)
	if errors.Is(err, store.ErrNotFound) {
		return v, false, nil
	}
	return v, err == nil, err
}

// rows calls fn with each row under prefix, in the order of their keys, until fn returns false.
func rows[T any](t *txn, prefix store.Prefix, opts store.ScanOptions, fn func(k store.Key, v T) (bool, error)) error {
	for k, b := range t.Scan(prefix, opts) {
		v, err := decode[T](k, b)
		if err != nil {
			return err
		}
		if more, err := fn(k, v); err != nil || !more {
			return err
		}
	}
	return nil
}

// all returns every row under prefix.
func all[T any](t *txn, prefix store.Prefix) (out []T, err error) {
	err = rows(t, prefix, store.ScanOptions{}, func(_ store.Key, v T) (bool, error) {
		out = append(out, v)
		return true, nil
	})
	return out, err
}

// stamp draws the next stamp of a series, to leave this node only after the pass (SPEC 1, "Stamps").
func stamp(t *txn, series string) (identity.Stamp, error) {
	last, _, err := find[identity.Stamp](t, store.Stamp(series))
	if err != nil {
		return 0, err
	}
	next := t.now.Next(last)
	return next, put(t, store.Stamp(series), next)
}
