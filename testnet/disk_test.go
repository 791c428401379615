package testnet

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/store"
)

func mustOpen(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPut(t *testing.T, s *store.Store, name, value string) {
	t.Helper()
	if err := s.Update(func(tx store.Tx) error { return tx.Put(store.Meta(name), []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}

func mustHave(t *testing.T, s *store.Store, name, want string) {
	t.Helper()
	var got []byte
	err := s.View(func(tx store.Tx) (err error) {
		got, err = tx.Get(store.Meta(name))
		return err
	})
	if err != nil && want != "" || string(got) != want {
		t.Errorf("%s is %q, %v; want %q", name, got, err, want)
	}
}

// The store is a real one on the disk, in virtual time; every bubble takes it up where the last left it.
func TestStoreLivesInBubbles(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		bubble(t, func(t *testing.T) {
			s := mustOpen(t, dir)
			mustPut(t, s, fmt.Sprint("round ", round), "here")
			time.Sleep(5 * time.Minute)
			mustHave(t, s, "round 0", "here")
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCopyHomeIsACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dir := t.TempDir()
		alive, dead := filepath.Join(dir, "alive"), filepath.Join(dir, "dead")
		s := mustOpen(t, alive)
		mustPut(t, s, "before", "the crash")
		if err := CopyHome(alive, dead); err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, "after", "the crash")
		s.Close()
		s = mustOpen(t, dead)
		defer s.Close()
		mustHave(t, s, "before", "the crash")
		mustHave(t, s, "after", "")
	})
}
