package process

import (
	"os/exec"
	"strings"
	"testing"
)

// S23: a message has one id, which both ends say wherever they say anything of it: what its sender is told, both
// lists, events, ways, conversations and logs, and every document that is made of it.
func TestReq_S23_OneIdOnBothEnds(t *testing.T) {
	bin := Build(t)
	alice, bob := New(t, bin, "alice"), New(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		h.Flags = []string{"--verbose"}
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	Befriend(t, alice, bob)
	id := alice.Must(t, "send", "bob", "which one?", "--wait", Patience.String())[0]["id"].(string)
	if len(id) != 40 {
		t.Fatalf("the id is %q", id)
	}
	people := func(h *Home, args ...string) string {
		t.Helper()
		out, err := exec.Command(h.Bin, append([]string{"--home", h.Dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("hum %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	talk := func(h *Home, who string) string {
		t.Helper()
		cmd := exec.Command(h.Bin, "--home", h.Dir, "chat", who)
		cmd.Stdin = strings.NewReader("")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("hum chat: %v\n%s", err, out)
		}
		return string(out)
	}
	for what, out := range map[string]string{
		"alice's outbox": alice.Run("outbox").Out, "bob's inbox": bob.Run("inbox").Out,
		"alice's events": alice.Run("events").Out, "bob's events": bob.Run("events").Out,
		"alice's trace": people(alice, "trace", id[:8]), "bob's trace": people(bob, "trace", id[:8]),
		"alice's history": alice.Run("history", "bob").Out, "bob's history": bob.Run("history", "alice").Out,
		"alice's receipt": people(alice, "export", "receipt", id), "bob's receipt": people(bob, "export", "receipt", id),
		"alice's cpim": people(alice, "export", "cpim", id), "bob's cpim": people(bob, "export", "cpim", id),
		"alice's imdn": people(alice, "export", "imdn", id),
		"bob's letter": people(bob, "inbox", id[:8]),
	} {
		if !strings.Contains(out, id) {
			t.Errorf("%s does not say it:\n%s", what, out)
		}
	}
	for what, out := range map[string]string{ // what is for people names it so that every command takes it
		"alice's outbox": people(alice, "outbox"), "bob's inbox": people(bob, "inbox"),
		"alice's events": people(alice, "events"), "bob's events": people(bob, "events"),
		"alice's chat": talk(alice, "bob"), "bob's chat": talk(bob, "alice"),
	} {
		if !strings.Contains(out, id[:8]) {
			t.Errorf("%s does not say %s:\n%s", what, id[:8], out)
		}
	}
	for name, h := range map[string]*Home{"alice": alice, "bob": bob} {
		h.Must(t, "down")
		h.Kill() // now all that it said is there
		if !strings.Contains(h.out.String(), id) {
			t.Errorf("%s's log does not say it:\n%s", name, h.out)
		}
	}
}
