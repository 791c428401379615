//go:build netns

package process

import (
	"testing"
	"time"
)

// Two fresh hosts on one wire, and the README's steps alone: from the first command to a message that is delivered it
// takes two minutes at most (seed ask S44). Nothing is set up before, and nobody else is there.
func TestReq_S44_LANOfFreshHosts(t *testing.T) {
	l := newLAN(t)
	bin := Build(t)
	begin := time.Now()
	var people []*Home
	for i, name := range []string{"alice", "bob"} {
		h := New(t, bin, name)
		h.Listen, h.Wrap = "", []string{"ip", "netns", "exec", l.hosts[i]}
		h.Must(t, "init", "--name", name)
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
		people = append(people, h)
	}
	alice, bob := people[0], people[1]
	alice.Must(t, "add", bob.Must(t, "card")[0]["card"].(string), "--as", "bob")
	alice.Must(t, "watch", "bob", "--text", "hello, it is Alice")
	Eventually(t, 2*time.Minute, "bob is asked", func() bool { return len(bob.Must(t, "requests")) == 1 })
	bob.Must(t, "add", alice.Must(t, "card")[0]["card"].(string), "--as", "alice")
	bob.Must(t, "approve", "alice")
	alice.Must(t, "send", "bob", "coffee at four?", "--wait", "2m")
	if took := time.Since(begin); took > 2*time.Minute {
		t.Errorf("the first message took %v", took)
	} else {
		t.Logf("delivered after %v", took.Round(100*time.Millisecond))
	}
	Eventually(t, 2*time.Minute, "alice sees bob open", func() bool { return alice.Must(t, "who", "bob")[0]["basic"] == "open" })
}
