package process

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// signal stops the process without a word, as a machine that is put to sleep, or has it go on.
func (h *Home) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-h.Pid(), s); err != nil {
		t.Fatal(err)
	}
}

// TestReq_4_2_1_StoppedProcess sends to a process that is stopped: its kernel takes the connection and the
// bytes, and nobody answers. The sender has one outcome by the message's own expiry. What the process does
// when it goes on agrees with that, or is a late word that the message was delivered after all.
func TestReq_4_2_1_StoppedProcess(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	alice, bob := New(t, bin, "alice"), New(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	Befriend(t, alice, bob)
	alice.Must(t, "send", "bob", "before", "--wait", Patience.String())
	bob.signal(t, syscall.SIGSTOP)
	sent := time.Now()
	id := alice.Must(t, "send", "bob", "into the stillness", "--expires", "20s")[0]["id"].(string)
	fate := func() string {
		m := alice.Must(t, "outbox", id)[0]
		reason, _ := m["reason"].(string)
		return strings.TrimSpace(m["state"].(string) + " " + reason)
	}
	time.Sleep(15 * time.Second)
	if f := fate(); f == "delivered" || strings.HasPrefix(f, "failed") && time.Since(sent) < 20*time.Second {
		t.Errorf("before its time it is %s", f)
	}
	Eventually(t, Patience, "the sender has an outcome", func() bool { return fate() == "failed unreachable" })
	bob.signal(t, syscall.SIGCONT)
	Eventually(t, Patience, "messages come again", func() bool {
		return alice.Run("send", "bob", "after", "--wait", "5s").Code == 0
	})
	time.Sleep(2 * time.Second)
	Eventually(t, Patience, "both ends agree, and it is there once at most", func() bool {
		there := 0
		for _, m := range bob.Must(t, "inbox") {
			if m["text"] == "into the stillness" {
				there++
			}
		}
		f := fate()
		return there == 0 && f == "failed unreachable" || there == 1 && f == "delivered"
	})
}

// TestReq_S10_QuickStart walks through what the README's tour does, as a person reads it, and looks for
// peer ids and multiaddrs. Cards are made to be scanned, and the place to listen at is the user's own word.
func TestReq_S10_QuickStart(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	alice, bob := New(t, bin, "alice"), New(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	var transcript []string
	read := func(h *Home, args ...string) {
		out, _ := exec.Command(h.Bin, append([]string{"--home", h.Dir}, args...)...).CombinedOutput()
		transcript = append(transcript, string(out))
	}
	card := func(h *Home) string { return h.Must(t, "card")[0]["card"].(string) }
	read(bob, "status")
	read(alice, "add", card(bob), "--as", "bob")
	read(alice, "watch", "bob", "--text", "hello, it is Alice")
	Eventually(t, Patience, "bob is asked", func() bool { return len(bob.Must(t, "requests")) == 1 })
	read(bob, "requests")
	read(bob, "add", card(alice), "--as", "alice")
	read(bob, "approve", "alice")
	Eventually(t, Patience, "alice sees him", func() bool { return alice.Must(t, "who", "bob")[0]["basic"] == "open" })
	read(bob, "set", "away", "--note", "back at four")
	read(alice, "send", "bob", "coffee at four?", "--wait", Patience.String())
	id := alice.Must(t, "outbox")[0]["id"].(string)
	bob.Kill()
	read(alice, "send", "bob", "still there?", "--wait", "3s")
	for _, args := range [][]string{{"status"}, {"who", "--why"}, {"watching"}, {"outbox"}, {"trace", id}, {"trace", alice.Must(t, "outbox")[1]["id"].(string)}, {"contacts"}, {"resolve", "bob"}, {"events", "--since", "0"}, {"send", "nobody", "x"}} {
		read(alice, args...)
	}
	if n := len(strings.Join(transcript, "")); n < 1500 {
		t.Fatalf("too little to read: %q", transcript)
	}
	for _, out := range transcript {
		if ugly := locator(out); ugly != "" {
			t.Errorf("%q is shown in:\n%s", ugly, out)
		}
	}
	if locator("the card: "+card(alice)) == "" {
		t.Error("a card among what is read is not found")
	}
}

// locator is the first peer id or multiaddr in a text, "" if there is none.
func locator(text string) string {
	for _, ugly := range []string{"/p2p/", "/ip4/", "/ip6/", "/dns", "12D3Koo", "16Uiu2"} {
		if i := strings.Index(text, ugly); i >= 0 {
			return text[i:min(len(text), i+40)]
		}
	}
	return ""
}
