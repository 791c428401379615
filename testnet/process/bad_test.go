package process

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// one returns a home whose node is up.
func one(t *testing.T, bin, name string) *Home {
	t.Helper()
	h := New(t, bin, name)
	if err := h.Up(); err != nil {
		t.Fatal(err)
	}
	return h
}

// says checks that a command fails with a code, and with a sentence that holds these words.
func says(t *testing.T, r Result, code int, words ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit %d, want %d: %s%s", r.Code, code, r.Out, r.Err)
	}
	for _, w := range words {
		if !strings.Contains(r.Err, w) {
			t.Errorf("%q is not said: %s", w, r.Err)
		}
	}
	if strings.Contains(r.Err, "goroutine ") {
		t.Errorf("a stack trace: %s", r.Err)
	}
}

// TestBadInput gives the program what users and broken machines give it: each gets a clear sentence with
// the next thing to do, the right exit code, and loses nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	h := one(t, bin, "home")
	tests := []struct {
		name  string
		args  []string
		code  int
		words []string
	}{
		{"an unknown petname", []string{"send", "nobody", "hi"}, 2, []string{"nobody", "hum add"}},
		{"a card cut short", []string{"add", "hum:hum1qqqq"}, 2, []string{"card"}},
		{"a message without text", []string{"send"}, 2, []string{"--help"}},
		{"an unknown command", []string{"sned", "bob"}, 2, []string{"send"}},
		{"an unknown word", []string{"set", "awya"}, 2, []string{"away"}},
		{"an unknown id", []string{"trace", "zzzzzzzz"}, 2, []string{"id"}},
		{"a silly duration", []string{"send", "hum1qqqq", "x", "--expires", "soon"}, 2, nil},
		{"a second node in the home", []string{"up"}, 1, []string{"running"}},
		{"one's own card", []string{"add", h.Must(t, "card")[0]["card"].(string)}, 2, []string{"your own"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { says(t, h.Run(tt.args...), tt.code, tt.words...) })
	}
	h.Kill()
	t.Run("no node is running", func(t *testing.T) { says(t, h.Run("status"), 5, "hum up") })
	t.Run("after a crash it runs again", func(t *testing.T) {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestUnreachablePeer writes to somebody whose node refuses, and to one whose machine is silent.
func TestUnreachablePeer(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	alice, bob := one(t, bin, "alice"), one(t, bin, "bob")
	card := bob.Must(t, "card")[0]["card"].(string)
	alice.Must(t, "add", card, "--as", "bob")
	bob.Kill()
	r := alice.Run("send", "bob", "are you there?", "--wait", "2s")
	if r.Code != 4 {
		t.Errorf("refusing: exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	if err := bob.Up(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(bob.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r = alice.Run("send", "bob", "and now?", "--wait", "2s")
	if r.Code != 4 {
		t.Errorf("silent: exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	if err := syscall.Kill(bob.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	Eventually(t, Patience, "both messages arrive once he is back", func() bool { return len(bob.Must(t, "inbox")) == 2 })
}

// TestDamagedStore flips bytes of a store: the node says so, or runs with all that it had.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	h := one(t, bin, "home")
	h.Must(t, "down")
	h.Kill()
	files, err := filepath.Glob(filepath.Join(h.Dir, "store", "MANIFEST"))
	if err != nil || len(files) != 1 {
		t.Fatalf("no MANIFEST: %v %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, h.Run("up", "--listen", h.Listen), 1, "damaged", "restore")
}

// TestNewerHome has a home that a later version wrote: it is left alone.
func TestNewerHome(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	h := one(t, bin, "home")
	h.Must(t, "down")
	h.Kill()
	schema := filepath.Join(h.Dir, "store", "SCHEMA")
	if err := os.WriteFile(schema, []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, h.Run("up", "--listen", h.Listen), 1, "newer")
}

// TestSecrets looks for the recovery words and keys in everything that a node writes but its key files.
func TestSecrets(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	h := New(t, bin, "home")
	words := h.Must(t, "init", "--name", "Bob")[0]["recovery_words"]
	if err := h.Up(); err != nil {
		t.Fatal(err)
	}
	first := strings.Fields(toText(words))[:3]
	secret := strings.Join(first, " ")
	h.Must(t, "set", "away", "--note", "note")
	h.Must(t, "down")
	h.Kill()
	if strings.Contains(h.out.String(), secret) {
		t.Error("the recovery words are in the log")
	}
	err := filepath.Walk(h.Dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		if mode := info.Mode().Perm(); strings.Contains(path, "keys") && mode != 0o600 {
			t.Errorf("%s has mode %o", path, mode)
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), secret) {
			t.Errorf("%s holds the recovery words", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func toText(v any) string {
	if list, ok := v.([]any); ok {
		var out []string
		for _, w := range list {
			out = append(out, w.(string))
		}
		return strings.Join(out, " ")
	}
	s, _ := v.(string)
	return s
}
