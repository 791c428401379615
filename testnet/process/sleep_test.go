//go:build netns

package process

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inside runs a command on a host of the wire.
func (l *lan) inside(host int, args ...string) string {
	out, _ := exec.Command("ip", append([]string{"netns", "exec", l.hosts[host]}, args...)...).CombinedOutput()
	return string(out)
}

// TestReq_S42_LANWithoutMail has two people meet and talk while every port of mail is closed to both
// hosts, and no name service is there that could tell of a mail exchanger.
func TestReq_S42_LANWithoutMail(t *testing.T) {
	l := newLAN(t)
	for host := range l.hosts {
		for _, port := range []string{"25", "465", "587"} {
			l.ip("-n", l.hosts[host], "rule", "add", "ipproto", "tcp", "dport", port, "prohibit")
		}
		dial := func(port string) string {
			return l.inside(host, "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/10.66.0.%d/%s", 2-host, port))
		}
		if said := dial("25") + dial("587"); strings.Count(said, "connect: Permission denied") != 2 {
			t.Fatalf("the ports of mail are not closed: %s", said)
		}
		if said := dial("26"); !strings.Contains(said, "Connection refused") {
			t.Fatalf("other ports are closed too: %s", said)
		}
	}
	bin := Build(t)
	alice, bob := l.home(bin, "alice", 0), l.home(bin, "bob", 1)
	Befriend(t, alice, bob)
	alice.Must(t, "send", "bob", "no mail needed", "--wait", Patience.String())
	bob.Must(t, "set", "away", "--note", "back at four")
	Eventually(t, Patience, "alice sees it", func() bool { return alice.Must(t, "who", "bob")[0]["note"] == "back at four" })
	for host := range l.hosts {
		for _, line := range strings.Split(l.inside(host, "ss", "-tanp"), "\n") {
			if f := strings.Fields(line); len(f) > 4 && (mail(f[3]) || mail(f[4])) {
				t.Errorf("a port of mail is used: %s", line)
			}
		}
	}
}

func mail(addr string) bool {
	return strings.HasSuffix(addr, ":25") || strings.HasSuffix(addr, ":465") || strings.HasSuffix(addr, ":587")
}

// TestReq_S44_LANSuspended puts Bob's machine to sleep for longer than his lease, as closing a lid does,
// and wakes it. While it sleeps Alice is shown that he fell silent; then both see the truth again, and get
// what was meant for them, without a command.
func TestReq_S44_LANSuspended(t *testing.T) {
	l := newLAN(t)
	bin := Build(t)
	alice, bob := l.home(bin, "alice", 0), l.home(bin, "bob", 1)
	Befriend(t, alice, bob)
	sees := func(h *Home, who, basic, evidence string) func() bool {
		return func() bool {
			p := h.Must(t, "who", who)[0]
			return p["basic"] == basic && p["evidence"] == evidence
		}
	}
	Eventually(t, Patience, "they see each other", func() bool { return sees(alice, "bob", "open", "said")() && sees(bob, "alice", "open", "said")() })
	const lease = 150 * time.Second
	bob.signal(t, syscall.SIGSTOP)
	slept := time.Now()
	Eventually(t, lease+10*time.Second, "alice is shown that he fell silent", sees(alice, "bob", "closed", "lapsed"))
	id := alice.Must(t, "send", "bob", "good morning")[0]["id"]
	alice.Must(t, "set", "away", "--note", "at lunch")
	time.Sleep(time.Until(slept.Add(lease + 30*time.Second)))
	woke := time.Now()
	bob.signal(t, syscall.SIGCONT)
	within := func(what string, ok func() bool) {
		t.Helper()
		Eventually(t, time.Until(woke.Add(lease+10*time.Second)), what, ok)
		t.Logf("%s after %v", what, time.Since(woke).Round(100*time.Millisecond))
	}
	within("bob sees alice as she is now", func() bool {
		return bob.Must(t, "who", "alice")[0]["note"] == "at lunch" && sees(bob, "alice", "open", "said")()
	})
	within("alice sees bob open", sees(alice, "bob", "open", "said"))
	within("the message is delivered", func() bool { return alice.Must(t, "outbox", id.(string))[0]["state"] == "delivered" })
	if in := bob.Run("inbox"); strings.Count(in.Out, "good morning") != 1 {
		t.Errorf("bob's inbox: %s", in.Out)
	}
}
