package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two community nodes are started anew one after the other, as for a new version, one of them from a backup that was made
// while it served, and one of them is killed: what was
// receipted is kept, members stay members and join nothing again, messages that were written all the while come once.
// What the nodes wrote into their logs meanwhile, at their most talkative, names nobody, nor do their metrics.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	d := community(t, bin, "d")
	e := community(t, bin, "e", "--node", d.listen[0])
	alice, bob := New(t, bin, "alice"), New(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
		h.Must(t, "join", d.invite)
		h.Must(t, "join", e.invite)
	}
	Befriend(t, alice, bob)
	planted := []string{"planted-text", "127.0.0.1", alice.Must(t, "status")[0]["address"].(string), bob.Must(t, "status")[0]["address"].(string), d.invite, e.invite}
	for _, h := range []*Home{alice, bob} {
		for part := range strings.SplitSeq(h.Must(t, "card")[0]["card"].(string), "/p2p/") {
			if id, _, _ := strings.Cut(part, "&"); strings.HasPrefix(id, "12D3Koo") {
				planted = append(planted, id[:52])
			}
		}
	}
	var ids []string
	send := func(n int) {
		t.Helper()
		for range n {
			ids = append(ids, alice.Must(t, "send", "bob", fmt.Sprint("planted-text ", len(ids)))[0]["id"].(string))
		}
	}
	state := func(id string) string { return alice.Must(t, "outbox", id)[0]["state"].(string) }
	stored := func() {
		t.Helper()
		for _, id := range ids {
			Eventually(t, Patience, "it is stored", func() bool { s := state(id); return s == "stored" || s == "delivered" })
		}
	}
	count := func(o *operator, metric string) (n int) {
		t.Helper()
		code, body := o.ask("/metrics")
		if code != 200 {
			t.Fatalf("/metrics: %d", code)
		}
		for line := range strings.Lines(body) {
			if _, err := fmt.Sscanf(line, metric+" %d", &n); err == nil {
				return n
			}
		}
		t.Fatalf("no %s in\n%s", metric, body)
		return 0
	}

	bob.Must(t, "down")
	bob.Kill()
	send(3)
	stored()
	d.stop()
	send(2)
	d.up()
	pass, copied := filepath.Join(t.TempDir(), "pass"), filepath.Join(t.TempDir(), "e.backup")
	if err := os.WriteFile(pass, []byte("long words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	running := &Home{Dir: e.home, Bin: bin}
	running.Must(t, "community", "backup", copied, "--backup-passphrase-file", pass) // while it serves
	says(t, running.Run("who"), 2, "a community's", "hum community --help")
	says(t, running.Run("community", "backup", copied, "--backup-passphrase-file", pass), 1, "exists already", "another name")
	e.stop()
	send(2)
	says(t, running.Run("community", "status"), 5, "no community node is running", "hum community up")
	e.home = filepath.Join(t.TempDir(), "again") // its machine is gone
	(&Home{Dir: e.home, Bin: bin}).Must(t, "community", "restore", copied, "--backup-passphrase-file", pass)
	e.up()
	stored()
	d.kill()
	d.up()
	send(2)
	stored()
	for _, o := range []*operator{d, e} {
		for _, path := range []string{"/healthz", "/readyz"} {
			if code, body := o.ask(path); code != 200 {
				t.Errorf("%s: %d %s", path, code, body)
			}
		}
		if n := count(o, "hum_members"); n != 2 {
			t.Errorf("%d members", n)
		}
	}
	if n := count(d, "hum_mailbox_items"); n < 3 {
		t.Errorf("%d of what was receipted before it was killed waits there", n)
	}
	if err := bob.Up(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, Patience, "e is connected to d, which started anew", func() bool {
		s := (&Home{Dir: e.home, Bin: bin}).Must(t, "community", "status")[0]
		return s["nodes"] == float64(1) && s["nodes_connected"] == float64(1)
	})
	for _, id := range ids {
		Eventually(t, Patience, "it is delivered", func() bool { return state(id) == "delivered" })
	}
	seen := map[string]int{}
	for _, m := range bob.Must(t, "inbox") {
		seen[m["text"].(string)]++
	}
	for i := range ids {
		if text := fmt.Sprint("planted-text ", i); seen[text] != 1 {
			t.Errorf("bob has %q %d times", text, seen[text])
		}
	}
	Eventually(t, Patience, "what was fetched is gone from both", func() bool {
		return count(d, "hum_mailbox_items") == 0 && count(e, "hum_mailbox_items") == 0
	})
	for _, o := range []*operator{d, e} {
		_, metrics := o.ask("/metrics")
		log := o.log.String()
		if !strings.Contains(log, "stopped serving") || !strings.Contains(log, "level=DEBUG") {
			t.Errorf("the log lacks what it is to hold:\n%.2000s", log)
		}
		for _, p := range planted {
			if strings.Contains(log, p) || strings.Contains(metrics, p) {
				t.Errorf("%q is in the log or the metrics", p)
			}
		}
	}
}
