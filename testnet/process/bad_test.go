package process

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hum-presence/hum/identity"
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

// TestSecrets looks for the recovery words and the keys in everything that a node writes but its key files: its
// files, what its commands print, and its log with all details.
func TestSecrets(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	h := New(t, bin, "home")
	h.Flags = []string{"--verbose"}
	words := toText(h.Must(t, "init", "--name", "Bob")[0]["recovery_words"])
	if err := h.Up(); err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, args := range [][]string{{"set", "away", "--note", "note"}, {"status"}, {"card"}, {"doctor"}, {"devices"}, {"events"}, {"down"}} {
		r := h.Run(args...)
		printed.WriteString(r.Out + r.Err)
	}
	h.Kill()
	secrets := secretsOf(t, h.Dir, words)
	for what, text := range map[string]string{"what commands print": printed.String(), "the log": h.out.String()} {
		if s := secrets.in(text); s != "" || text == "" {
			t.Errorf("%s of %d bytes holds %s", what, len(text), s)
		}
	}
	found := ""
	err := filepath.Walk(h.Dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		key := strings.HasPrefix(path, filepath.Join(h.Dir, "keys")+string(filepath.Separator))
		if mode := info.Mode().Perm(); key && mode != 0o600 {
			t.Errorf("%s has mode %o", path, mode)
		}
		b, err := os.ReadFile(path)
		switch s := secrets.in(string(b)); {
		case key:
			found += s
		case s != "":
			t.Errorf("%s holds %s", path, s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == "" || secrets.in("she wrote down: "+words) == "" {
		t.Error("what is a secret is not found where it stands")
	}
}

// secrets are the ways in which a secret may be written, and what it is.
type secrets map[string]string

// secretsOf reads the keys of a home whose recovery words are known.
func secretsOf(t *testing.T, home, words string) secrets {
	t.Helper()
	seed, err := identity.ParseSeed(words)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(words)
	s := secrets{seed.Text(): "the seed"}
	for i := range len(list) - 2 {
		s[strings.Join(list[i:i+3], " ")] = "recovery words"
	}
	s.add("the seed", seed[:])
	files, err := filepath.Glob(filepath.Join(home, "keys", "*", "identity"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the files of keys are %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&keys); err != nil { // its checksum follows
		t.Fatal(err)
	}
	for _, name := range []string{"address", "device", "transport", "store"} {
		text, _ := keys[name].(string)
		k, err := hex.DecodeString(text)
		if err != nil || len(k) != 32 {
			t.Fatalf("%s: %v, %d bytes", name, err, len(k))
		}
		s.add("the key "+name, k)
	}
	return s
}

// add notes the ways in which bytes are written.
func (s secrets) add(what string, b []byte) {
	for _, text := range []string{string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), base64.RawStdEncoding.EncodeToString(b),
		base64.RawURLEncoding.EncodeToString(b), strings.Trim(fmt.Sprint(b), "[]"), strings.Trim(fmt.Sprintf("%q", b), `"`)} {
		s[text] = what
	}
}

// in is a secret that stands in a text, "" if there is none.
func (s secrets) in(text string) string {
	for secret, what := range s {
		if strings.Contains(text, secret) {
			return what
		}
	}
	return ""
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
