package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hum-presence/hum/identity"
)

// sample holds a row of every table.
func sample(t testing.TB) *Store {
	s := inMemory(t)
	for _, k := range oneOfEach() {
		put(t, s, k, "value of "+k.String())
	}
	return s
}

func oneOfEach() []Key {
	a, mid, sub := identity.Address{1, 2}, [32]byte{3}, [16]byte{4}
	return []Key{
		Meta("a"), Stamp("s"), Pin(a), Contact(a), Rule(a), Watching(a, sub), Watcher(a, sub),
		Fetcher(a), Fetched(a), Epoch("friends", 5), Heard([32]byte{6}, [8]byte{7}), Presence(a, identity.DeviceID{8}), Outbox(mid),
		CEK([16]byte{9}), Inbox(10, mid), InboxAt(mid), Talk(a, 10, mid), Seen(a, mid), SeenUntil(11, a, mid),
		Event(13), Trace(mid, 14), ViewNamed("work"), Shared(4, mid[:]), Owed(identity.DeviceID{5}, 4, mid[:]), Held(a, mid), Said([32]byte{6}), Invite(sub), Kept(a, sub), Notice(a, identity.DeviceID{8}),
		Handle("alice@example.org"), HandleLike("alice@example.org"), Joined([]byte("peer")), Entrance(sub), Member(mid), Box(mid), Cap(mid, mid), Item(mid, 15), ItemAt(mid, mid), Hosted(mid), HeldRec(mid, [8]byte{7}, 1),
	}
}

func backupOf(t testing.TB, s *Store) []byte {
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBackupRestore(t *testing.T) {
	s := sample(t)
	for i := range uint64(3000) { // more than one Update holds
		s.Update(func(tx Tx) error { return tx.Put(Inbox(identity.Time(i), [32]byte{99}), make([]byte, 1000)) })
	}
	b := backupOf(t, s)
	for _, o := range []Options{{}, {Key: testKey}} {
		dir := filepath.Join(t.TempDir(), "home")
		if err := Restore(bytes.NewReader(b), dir, o); err != nil {
			t.Fatal(err)
		}
		if err := Restore(bytes.NewReader(b), dir, o); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("into a home: %v", err)
		}
		r := open(t, dir, o)
		for _, k := range oneOfEach() {
			want := "value of " + k.String()
			if !portable(k) {
				want = "-"
			}
			if got := get(t, r, k); got != want {
				t.Errorf("%v: got %q, want %q", k, got, want)
			}
		}
		if !bytes.Equal(backupOf(t, r), b) {
			t.Error("a backup of the restored home differs")
		}
	}
	for _, k := range []Key{Stamp("s"), CEK([16]byte{9}), Heard([32]byte{6}, [8]byte{7}), Epoch("friends", 5)} {
		if bytes.Contains(b, k.Bytes()) {
			t.Errorf("the backup holds %v", k)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	whole := backupOf(t, sample(t))
	tests := []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"another file", []byte("PK\x03\x04 this is no backup of ours at all")},
		{"cut", whole[:len(whole)-1]},
		{"cut at a row", whole[:24]},
		{"a byte changed", flip(bytes.Clone(whole), len(whole)/2)},
		{"digest changed", flip(bytes.Clone(whole), len(whole)-1)},
		{"more behind it", append(bytes.Clone(whole), 0)},
		{"a row of this device", forge(Stamp("s"))},
		{"the schema as a row", forge(schemaKey)},
		{"rows out of order", forge(Meta("b"), Meta("a"))},
		{"no key of ours", forge(Key{"?"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "home")
			if err := Restore(bytes.NewReader(tt.b), dir, Options{}); !errors.Is(err, ErrBackup) {
				t.Errorf("got %v", err)
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	b := bytes.Clone(whole)
	b[len(backupMagic)+7] = 9
	var newer *SchemaError
	if err := Restore(bytes.NewReader(b), filepath.Join(t.TempDir(), "h"), Options{}); !errors.As(err, &newer) {
		t.Errorf("newer schema: %v", err)
	}
	if err := Restore(bytes.NewReader(forge(Meta("a"), Meta("b"))), filepath.Join(t.TempDir(), "h"), Options{}); err != nil {
		t.Errorf("a forged backup with nothing wrong in it: %v", err) // else the rows above prove nothing
	}
}

// forge writes a backup of these rows, whatever they are.
func forge(keys ...Key) []byte {
	b := append([]byte(backupMagic), u64(Schema)...)
	for _, k := range keys {
		b = append(append(append(b, u32(len(k.s))...), u32(0)...), k.s...)
	}
	b = append(b, 0, 0, 0, 0)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func FuzzReadBackup(f *testing.F) {
	f.Add(backupOf(f, sample(f)))
	f.Add(forge(Meta("a"), Meta("b")))
	f.Add(forge(Stamp("a")))
	f.Add([]byte(backupMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		w := newBackupWriter(&out)
		err := readBackup(bytes.NewReader(b), func(k Key, v []byte) error { w.row(k, v); return nil })
		if err != nil {
			return
		}
		if err := w.end(); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Errorf("a second form of one backup: %x", b)
		}
	})
}
