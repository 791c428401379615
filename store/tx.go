package store

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// MaxUpdate is how many bytes one Update may write, each row counting [rowCost] bytes on top of its
// key and value.
const MaxUpdate = 1 << 20

const (
	maxKey  = 1024 // bytes of a key
	rowCost = 32   // what badger counts and logs for a row, rounded up
)

// A Tx is what a function given to View or Update reads, and in Update writes. It is good until that
// function returns, in its goroutine only.
//
// Has, Scan and Count report no error of their own: a failed read ends them, and View or Update then
// fails with that error, whatever the function returned. So does a refused Put or Delete.
type Tx struct {
	at     state
	group  *writes // what earlier functions of the group wrote; nil in View
	own    *writes // what this one wrote; nil in View
	failed *error  // the first failure
	limit  limit
}

// A state is one state of what is kept, which does not change while it is read.
type state interface {
	get(k string) ([]byte, error) // not to be changed; ErrNotFound
	has(k string) (bool, error)
	scan(Prefix, ScanOptions) iter.Seq2[Key, lazily]
	discard()
}

// lazily is a value that is read only if somebody wants it. It is good until the next.
type lazily func() ([]byte, error)

// limit is what one transaction of badger takes, with room to spare.
type limit struct{ size, rows int }

// writes are rows to be written: nil values are deletions.
type writes struct {
	rows map[string][]byte
	size int // as badger counts it, rounded up
}

func newWrites() *writes { return &writes{rows: map[string][]byte{}} }

// Get returns the value of k, a copy, or ErrNotFound.
func (tx Tx) Get(k Key) ([]byte, error) {
	for _, w := range []*writes{tx.own, tx.group} {
		if v, ok := w.get(k.s); ok {
			if v == nil {
				return nil, ErrNotFound
			}
			return slices.Clone(v), nil
		}
	}
	v, err := tx.at.get(k.s)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotFound
	} else if err != nil {
		return nil, fmt.Errorf("get %v: %w", k, readError(err))
	}
	return own(v), nil
}

// own returns a copy, never nil.
func own(v []byte) []byte { return append(make([]byte, 0, len(v)), v...) }

// Has reports whether there is a row k.
func (tx Tx) Has(k Key) bool {
	for _, w := range []*writes{tx.own, tx.group} {
		if v, ok := w.get(k.s); ok {
			return v != nil
		}
	}
	has, err := tx.at.has(k.s)
	if err != nil {
		tx.fail(fmt.Errorf("look for %v: %w", k, readError(err)))
	}
	return has
}

// Wrote reports whether this Update has put or deleted the row k itself.
func (tx Tx) Wrote(k Key) bool {
	_, ok := tx.own.get(k.s)
	return ok
}

// Put writes v, which is copied, under k. It fails in View, for the zero Key, and with ErrTooBig.
func (tx Tx) Put(k Key, v []byte) error {
	return tx.write(k, own(v))
}

// Delete removes the row k, if there is one. It fails as Put does.
func (tx Tx) Delete(k Key) error { return tx.write(k, nil) }

func (tx Tx) write(k Key, v []byte) error {
	switch {
	case tx.own == nil:
		return tx.fail(fmt.Errorf("write %v in a view: %w", k, ErrReadOnly))
	case k.IsZero():
		return tx.fail(errBadKey)
	case len(k.s) > maxKey:
		return tx.fail(fmt.Errorf("a key of %d bytes: %w", len(k.s), ErrTooBig))
	}
	tx.own.put(k.s, v)
	if tx.own.size > tx.limit.size || len(tx.own.rows) > tx.limit.rows {
		return tx.fail(fmt.Errorf("%d rows, %d bytes: %w", len(tx.own.rows), tx.own.size, ErrTooBig))
	}
	return nil
}

// fail remembers the first failure and returns err.
func (tx Tx) fail(err error) error {
	if *tx.failed == nil {
		*tx.failed = err
	}
	return err
}

// ScanOptions say which rows of a prefix a Scan yields. The zero value is all of them, ascending.
type ScanOptions struct {
	From     Key  // start at this key or, if there is no such row, at the next one; zero: at the end
	Reverse  bool // descending
	KeysOnly bool // values are nil
}

// Scan yields the rows of p in the order of their keys. It sees what was written before it began, so
// that the row in hand may be deleted or rewritten. Values are copies.
func (tx Tx) Scan(p Prefix, o ScanOptions) iter.Seq2[Key, []byte] {
	return func(yield func(Key, []byte) bool) {
		over := tx.overlay(p, o)
		for k, item := range tx.at.scan(p, o) {
			for len(over) > 0 && o.before(over[0].k, k) {
				if !over[0].yield(o, yield) {
					return
				}
				over = over[1:]
			}
			if len(over) > 0 && over[0].k == k { // rewritten or deleted: the overlay's word counts
				continue
			}
			v, ok := tx.load(k, item, o)
			if !ok || !yield(k, v) {
				return
			}
		}
		for _, r := range over {
			if *tx.failed != nil || !r.yield(o, yield) {
				return
			}
		}
	}
}

// Count returns the number of rows of p.
func (tx Tx) Count(p Prefix) int {
	n := 0
	for range tx.Scan(p, ScanOptions{KeysOnly: true}) {
		n++
	}
	return n
}

func (tx Tx) load(k Key, read lazily, o ScanOptions) ([]byte, bool) {
	if o.KeysOnly {
		return nil, true
	}
	v, err := read()
	if err != nil {
		tx.fail(fmt.Errorf("value of %v: %w", k, readError(err)))
		return nil, false
	}
	return own(v), true
}

// badgerState is one state of the database.
type badgerState struct{ txn *badger.Txn }

func (s badgerState) discard() { s.txn.Discard() }

func (s badgerState) get(k string) ([]byte, error) {
	item, err := s.txn.Get([]byte(k))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	} else if err != nil {
		return nil, err
	}
	return value(item)
}

func (s badgerState) has(k string) (bool, error) {
	_, err := s.txn.Get([]byte(k))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// value is good as long as the transaction.
func value(item *badger.Item) (v []byte, err error) {
	err = item.Value(func(b []byte) error {
		v = b
		return nil
	})
	return v, err
}

// scan yields the rows of p in the database.
func (s badgerState) scan(p Prefix, o ScanOptions) iter.Seq2[Key, lazily] {
	return func(yield func(Key, lazily) bool) {
		bo := badger.DefaultIteratorOptions
		bo.Prefix, bo.Reverse = []byte(p.s), o.Reverse
		bo.PrefetchValues = false // values of ours lie beside their keys
		it := s.txn.NewIterator(bo)
		defer it.Close()
		for it.Seek(o.start(p)); it.Valid(); it.Next() {
			item := it.Item()
			if !yield(Key{string(item.Key())}, func() ([]byte, error) { return value(item) }) {
				return
			}
		}
	}
}

// start returns where an iterator is put: at From, or at the edge of p where the scan begins.
// A From on the far side of p leaves nothing to yield, and that is what is found there.
func (o ScanOptions) start(p Prefix) []byte {
	switch {
	case o.From.s != "" && (o.From.In(p) || (o.From.s > p.s) != o.Reverse):
		return []byte(o.From.s)
	case o.Reverse:
		return append([]byte(p.s), endOfPrefix...)
	}
	return []byte(p.s)
}

// endOfPrefix is above whatever follows a prefix: no key is as long.
var endOfPrefix = strings.Repeat("\xff", maxKey+1)

func (o ScanOptions) before(a, b Key) bool {
	if o.Reverse {
		a, b = b, a
	}
	return a.s < b.s
}

func (o ScanOptions) includes(k Key) bool {
	return o.From.s == "" || k == o.From || o.before(o.From, k)
}

type row struct {
	k Key
	v []byte
}

// yield yields r unless it is a deletion.
func (r row) yield(o ScanOptions, yield func(Key, []byte) bool) bool {
	switch {
	case r.v == nil:
		return true
	case o.KeysOnly:
		return yield(r.k, nil)
	}
	return yield(r.k, slices.Clone(r.v))
}

// overlay returns what is written but not in the database yet, in the order of the scan.
func (tx Tx) overlay(p Prefix, o ScanOptions) []row {
	var rows []row
	add := func(w, above *writes) {
		if w == nil {
			return
		}
		for s, v := range w.rows {
			if _, hidden := above.get(s); !hidden && strings.HasPrefix(s, p.s) && o.includes(Key{s}) {
				rows = append(rows, row{Key{s}, v})
			}
		}
	}
	add(tx.own, nil)
	add(tx.group, tx.own)
	slices.SortFunc(rows, func(a, b row) int {
		if o.Reverse {
			a, b = b, a
		}
		return strings.Compare(a.k.s, b.k.s)
	})
	return rows
}

func (w *writes) get(k string) (v []byte, ok bool) {
	if w == nil {
		return nil, false
	}
	v, ok = w.rows[k]
	return v, ok
}

func (w *writes) put(k string, v []byte) {
	if old, ok := w.rows[k]; ok {
		w.size -= len(k) + len(old) + rowCost
	}
	w.rows[k] = v
	w.size += len(k) + len(v) + rowCost
}

// fits reports whether o can join w in one transaction.
func (w *writes) fits(o *writes, l limit) bool {
	return w.size+o.size <= l.size && len(w.rows)+len(o.rows) <= l.rows
}

func (w *writes) join(o *writes) {
	for k, v := range o.rows {
		w.put(k, v)
	}
}
