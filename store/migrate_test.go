package store

import (
	"errors"
	"testing"
)

// upper is a step that adds "!" to every event, ten rows at a time.
func upper(calls *int) step {
	return func(tx Tx, from Key) (Key, error) {
		*calls++
		n := 0
		for k, v := range tx.Scan(AllEvents(), ScanOptions{From: from}) {
			if n++; n > 10 {
				return k, nil
			}
			if err := tx.Put(k, append(v, '!')); err != nil {
				return Key{}, err
			}
		}
		return Key{}, nil
	}
}

// old is a home of schema 1 with 25 events.
func old(t *testing.T) *Store {
	s := inMemory(t)
	put(t, s, schemaKey, string(u64(1)))
	for i := range uint64(25) {
		put(t, s, Event(i), "x")
	}
	return s
}

func checkEvents(t *testing.T, s *Store, want string) {
	t.Helper()
	for i := range uint64(25) {
		if got := get(t, s, Event(i)); got != want {
			t.Errorf("event %d: %q, want %q", i, got, want)
		}
	}
}

func TestMigrate(t *testing.T) {
	s, calls := old(t), 0
	for range 2 { // the second time nothing is left to do
		if err := s.migrate([]step{upper(&calls), upper(&calls)}); err != nil {
			t.Fatal(err)
		}
		checkEvents(t, s, "x!!")
	}
	if have, err := s.schema(); have != 3 || err != nil || calls != 6 {
		t.Errorf("schema %d, %v, %d calls", have, err, calls)
	}
	if got := get(t, s, cursorKey); got != "-" {
		t.Errorf("cursor %q left", got)
	}
	var newer *SchemaError
	if err := s.migrate(nil); !errors.As(err, &newer) || newer.Have != 3 {
		t.Errorf("an older program: %v", err)
	}
}

// TestMigrateResumes cuts a migration short after each of its chunks.
func TestMigrateResumes(t *testing.T) {
	for cut := range 3 {
		s, calls := old(t), 0
		boom := errors.New("boom")
		do := upper(&calls)
		err := s.migrate([]step{func(tx Tx, from Key) (Key, error) {
			if calls == cut {
				return Key{}, boom
			}
			return do(tx, from)
		}})
		if !errors.Is(err, boom) {
			t.Fatalf("cut %d: %v", cut, err)
		}
		if err := s.migrate([]step{do}); err != nil {
			t.Fatal(err)
		}
		checkEvents(t, s, "x!")
		if calls != 3 {
			t.Errorf("cut %d: %d chunks", cut, calls)
		}
	}
}
