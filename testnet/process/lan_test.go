//go:build netns

package process

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// These tests need root and ip(8): each makes hosts of its own, network namespaces on one wire. .ci/run
// installs what they need; run them with -tags netns.

// lan is two hosts on one wire, with nobody else on it.
type lan struct {
	t     *testing.T
	hosts [2]string
}

func newLAN(t *testing.T) *lan {
	l := &lan{t: t}
	for i := range l.hosts {
		l.hosts[i] = fmt.Sprintf("hum%d-%d", os.Getpid(), i)
		l.ip("netns", "add", l.hosts[i])
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.hosts[i]).Run() })
	}
	l.ip("link", "add", "wire", "netns", l.hosts[0], "type", "veth", "peer", "name", "wire", "netns", l.hosts[1])
	for i := range l.hosts {
		l.ip("-n", l.hosts[i], "link", "set", "lo", "up")
		l.ip("-n", l.hosts[i], "link", "set", "wire", "up")
		l.addr(i, "add", i+1)
	}
	return l
}

func (l *lan) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// addr adds or takes away an address of a host.
func (l *lan) addr(host int, what string, last int) {
	l.ip("-n", l.hosts[host], "addr", what, fmt.Sprintf("10.66.0.%d/24", last), "dev", "wire")
	if what == "add" {
		l.ip("-n", l.hosts[host], "route", "add", "default", "dev", "wire")
	}
}

// home is a home whose node runs on a host of the wire.
func (l *lan) home(bin, name string, host int) *Home {
	h := New(l.t, bin, name)
	h.Listen = ""
	h.Wrap = []string{"ip", "netns", "exec", l.hosts[host]}
	h.Flags = []string{"--mdns"}
	if err := h.Up(); err != nil {
		l.t.Fatal(err)
	}
	return h
}

var addresses = regexp.MustCompile(`d=[^&]*/p2p/([^&]*)`)

// TestLAN has two people find each other on a LAN by peer id alone (SPEC 2.2), and again after one of
// them got another address (seed ask S44).
func TestLAN(t *testing.T) {
	l := newLAN(t)
	bin := Build(t)
	alice, bob := l.home(bin, "alice", 0), l.home(bin, "bob", 1)
	card := bob.Must(t, "card")[0]["card"].(string)
	base, _, _ := strings.Cut(card, "?")
	nameless := base + "?d=/p2p/" + addresses.FindStringSubmatch(card)[1]
	alice.Must(t, "add", nameless, "--as", "bob")
	alice.Must(t, "send", "bob", "found you", "--wait", Patience.String())

	bob.Must(t, "add", alice.Must(t, "card")[0]["card"].(string), "--as", "alice")
	bob.Must(t, "approve", "alice")
	alice.Must(t, "watch", "bob", "--wait", Patience.String())
	open := func() bool { return alice.Must(t, "who", "bob")[0]["basic"] == "open" }
	Eventually(t, Patience, "alice sees bob open", open)

	l.addr(1, "del", 2)
	l.addr(1, "add", 77)
	begin := time.Now()
	alice.Must(t, "send", "bob", "where are you now?", "--wait", "160s")
	Eventually(t, 160*time.Second-time.Since(begin), "alice sees bob open", open)
	t.Logf("found again after %v", time.Since(begin).Round(time.Second))
}
