//go:build netns

package process

import (
	"os"
	"strings"
	"testing"
)

// Two members of a community have public addresses; before one of them stands a firewall that lets nothing in that was not
// asked for. The community's node dials both back: the doctor of the one says at which address he was dialled, that of the
// other that she was not and by which relay she is reached all the same (AutoNAT, both verdicts).
// That takes three minutes, most of which AutoNAT waits, so it is for the long mode.
func TestNAT_NotDialled(t *testing.T) {
	if os.Getenv("HUM_LONG") != "nat" {
		t.Skip("HUM_LONG=nat waits for what AutoNAT finds")
	}
	bin := shared(t)
	n := newInternet(t, "f")
	n.public("club", "5.9.0.1")
	n.public("alice", "5.9.4.1")
	n.public("bob", "5.9.3.1")
	n.rules("alice", `table inet filter {
	chain in {
		type filter hook input priority filter
		policy drop
		iifname "lo" accept
		ct state established,related accept
		meta l4proto tcp reject with tcp reset
		reject
	}
}
`)
	club, alice, bob := n.community(bin, "club", "club"), n.person(bin, "alice", "alice"), n.person(bin, "bob", "bob")
	members(t, club, alice, bob)
	Eventually(t, Patience, "bob is dialled from outside", func() bool {
		return strings.Contains(bob.doctor(t, "nat"), "dialled from outside at /ip4/5.9.3.1")
	})
	said := ""
	Eventually(t, Patience, "alice is told that she is not", func() bool {
		said = alice.doctor(t, "nat")
		return strings.Contains(said, "not dialled from outside")
	})
	if !strings.Contains(said, "through the relay of club") {
		t.Errorf("her doctor says %q", said)
	}
	bob.Must(t, "add", card(t, alice), "--as", "alice")
	if got := way(t, bob, "alice"); got == "" {
		t.Error("bob does not reach her")
	}
}
