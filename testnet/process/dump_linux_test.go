package process

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/store"
)

// memoryOf is all that a process holds in memory that it may write.
func memoryOf(t *testing.T, pid int) (all []byte) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = maps.Close() }()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	for s := bufio.NewScanner(maps); s.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(s.Text(), "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		part, err := io.ReadAll(io.NewSectionReader(mem, from, to-from))
		if err == nil || len(part) > 0 {
			all = append(all, part...)
		}
	}
	if len(all) < 1<<20 {
		t.Fatalf("the memory of process %d has %d bytes", pid, len(all))
	}
	return all
}

// diskOf is every file of a home, and every row of its store as its own node reads it.
func diskOf(t *testing.T, home string) (all []byte) {
	t.Helper()
	if err := filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(append(all, path...), b...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	keys, err := identity.OpenKeyring(home, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := keys.StoreKey()
	s, err := store.Open(filepath.Join(home, "store"), store.Options{Key: key[:]})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	if err := s.View(func(tx store.Tx) error {
		for k, v := range tx.Scan(store.Prefix{}, store.ScanOptions{}) {
			rows++
			all = append(append(all, k.Bytes()...), v...)
		}
		return nil
	}); err != nil || rows < 10 {
		t.Fatalf("%d rows of %s, %v", rows, home, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// A community node knows nobody (SPEC 7): after traffic of its members, with some of them away, neither its memory nor
// its disk, read with its own key, holds a text, a note, a name or an address. The same search finds them with a
// member. HUM_DUMP_MEMBERS=20 has more of them.
func TestReq_5_4_6_NothingInACommunitysMemory(t *testing.T) {
	members := 3
	if n, err := strconv.Atoi(os.Getenv("HUM_DUMP_MEMBERS")); err == nil {
		members = n
	}
	bin := Build(t)
	d := community(t, bin, "d")
	var people []*Home
	markers := map[string][]byte{}
	mark := func(what, text string) string {
		markers[what] = []byte(text)
		return text
	}
	invite := (&Home{Dir: d.home, Bin: bin}).Must(t, "community", "invite", "--uses", strconv.Itoa(members), "--for", "1h")[0]["invite"].(string)
	for i := range members {
		p := New(t, bin, fmt.Sprintf("person%d", i))
		a := p.Must(t, "init", "--name", mark(fmt.Sprint("name ", i), fmt.Sprintf("Marker-Name-%d-Zq", i)))[0]["address"].(string)
		address, err := identity.ParseAddress(mark(fmt.Sprint("address ", i), a))
		if err != nil {
			t.Fatal(err)
		}
		markers[fmt.Sprint("key ", i)] = address[:]
		if err := p.Up(); err != nil {
			t.Fatal(err)
		}
		p.Must(t, "join", invite)
		people = append(people, p)
	}
	name := func(p *Home) string { return filepath.Base(p.Dir) }
	for i, p := range people {
		Befriend(t, p, people[(i+1)%members])
	}
	for i, p := range people {
		next := people[(i+1)%members]
		p.Must(t, "set", "away", "--note", mark(fmt.Sprint("note ", i), fmt.Sprintf("Marker-Note-%d-Zq", i)))
		p.Must(t, "send", name(next), mark(fmt.Sprint("text ", i), fmt.Sprintf("Marker-Text-%d-Zq", i)), "--wait", Patience.String())
		next.Kill()
		id := p.Must(t, "send", name(next), mark(fmt.Sprint("text to one away ", i), fmt.Sprintf("Marker-Away-%d-Zq", i)))[0]["id"].(string)
		Eventually(t, Patience, "it is stored", func() bool {
			l := p.Must(t, "outbox", id)
			return len(l) == 1 && (l[0]["state"] == "stored" || l[0]["state"] == "delivered")
		})
		if err := next.Up(); err != nil {
			t.Fatal(err)
		}
		Eventually(t, Patience, "he has it", func() bool { return len(next.Must(t, "inbox", "--search", fmt.Sprintf("Marker-Away-%d", i))) == 1 })
	}
	status := (&Home{Dir: d.home, Bin: bin}).Must(t, "community", "status")[0]
	for _, field := range []string{"members", "topics", "stored", "quotas", "mailboxes"} {
		if _, ok := status[field]; !ok {
			t.Errorf("community status says nothing of %s: %v", field, status)
		}
	}
	theirs, mine := memoryOf(t, d.cmd.Process.Pid), memoryOf(t, people[0].Pid())
	d.stop()
	people[0].Must(t, "down")
	people[0].Kill()
	theirs, mine = append(theirs, diskOf(t, d.home)...), append(mine, diskOf(t, people[0].Dir)...)
	theirs = append(theirs, d.log.String()...)
	found := 0
	for what, m := range markers {
		if bytes.Contains(theirs, m) {
			t.Errorf("the community node holds the %s", what)
		}
		if bytes.Contains(mine, m) {
			found++
		}
	}
	for _, what := range []string{"name 0", "note 0", "text 0", "key 0", "key 1", "text to one away 0"} {
		if !bytes.Contains(mine, markers[what]) {
			t.Errorf("the search does not find the %s with a member", what)
		}
	}
	t.Logf("%d members: %d bytes of the community node hold none of %d markers, %d of a member hold %d", members, len(theirs), len(markers), len(mine), found)
}
