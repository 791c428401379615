package process

import (
	"strings"
	"testing"
	"time"
)

// TestReq_S1_SeparateBuilds: a program built for presence alone and one built for messages alone each do their
// service with a whole one, have no command of the other, and refuse a home that needs it.
func TestReq_S1_SeparateBuilds(t *testing.T) {
	t.Parallel()
	whole := one(t, Build(t), "alice")
	card := whole.Must(t, "card")[0]["card"].(string)
	address := whole.Must(t, "status")[0]["address"].(string)
	meet := func(bin, name string) *Home {
		h := one(t, bin, name)
		h.Must(t, "add", card, "--as", "alice")
		whole.Must(t, "add", h.Must(t, "card")[0]["card"].(string), "--as", name)
		return h
	}
	t.Run("presence", func(t *testing.T) {
		bin := Build(t, "onlypresence")
		bob := meet(bin, "bob")
		says(t, bob.Run("send", "alice", "hello"), 2, "there is no command")
		whole.Must(t, "watch", "bob")
		bob.Must(t, "approve", "alice")
		Eventually(t, 30*time.Second, "alice sees bob open", func() bool {
			who := whole.Must(t, "who", "bob")
			return len(who) == 1 && who[0]["basic"] == "open"
		})
		Eventually(t, 30*time.Second, "a message to bob fails", func() bool {
			r := whole.Run("send", "bob", "hello", "--wait", "20s")
			return strings.Contains(r.Out+r.Err, "no-im-service")
		})
		refused(t, bin, whole)
	})
	t.Run("messages", func(t *testing.T) {
		bin := Build(t, "onlymessages")
		box := meet(bin, "box")
		says(t, box.Run("watch", "alice"), 2, "there is no command")
		whole.Must(t, "send", "box", "to the box", "--wait", "20s")
		if got := box.Must(t, "inbox"); len(got) != 1 || got[0]["from"] != address {
			t.Errorf("in the box: %v", got)
		}
		Eventually(t, 30*time.Second, "a subscription to the box fails", func() bool {
			r := whole.Run("watch", "box", "--wait", "20s")
			return strings.Contains(r.Out+r.Err, "no-presence-service")
		})
		refused(t, bin, whole)
	})
}

// refused shows that a build for one service does not run an address that is for both.
func refused(t *testing.T, bin string, whole *Home) {
	t.Helper()
	both := New(t, whole.Bin, "both")
	both.Must(t, "init")
	both.Bin = bin
	if err := both.Up(); err == nil || !strings.Contains(err.Error(), "was built for") {
		t.Errorf("it runs an address for both: %v", err)
	}
}

// S48: the program that is built for one service alone passes each row of its class: it needs nothing of the other's
// document (which of them need which words is held in tools/house).
func TestReq_S48_EachBuildPassesItsOwnRows(t *testing.T) {
	t.Parallel()
	for class, tag := range map[string]string{"P": "onlypresence", "M": "onlymessages"} {
		h := New(t, Build(t, tag), class)
		lines := h.Must(t, "doctor", "--conformance")
		if lines[0]["check"] != "class "+class || len(lines) < 7 {
			t.Errorf("built with %s: %v", tag, lines)
		}
		for _, l := range lines {
			if l["ok"] != true {
				t.Errorf("built with %s: %v", tag, l)
			}
		}
	}
}
