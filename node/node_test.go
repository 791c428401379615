package node

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// run opens a node in a fresh home on loopback and runs it for the test.
func run(t *testing.T, name string) *Node {
	t.Helper()
	home := filepath.Join(t.TempDir(), name)
	if _, err := Init(home, InitConfig{Name: name, Clock: SystemClock(), Rand: rand.Reader}); err != nil {
		t.Fatal(err)
	}
	n, err := Open(Config{Home: home, Rand: rand.Reader, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Names: noNames{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Errorf("%s: run: %v", name, err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	})
	return n
}

// patience is how long a test waits for what must come: longer than a dial that comes too late on a machine that
// has other work, the pause after it and the next, or than it takes until a clock that was off is asked again.
const patience = 4 * time.Minute

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func card(t *testing.T, n *Node) string {
	t.Helper()
	c, err := n.Card()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTwoPeople is the thinnest whole path: a message with its ack, and presence by subscription.
func TestTwoPeople(t *testing.T) {
	alice, bob := run(t, "alice"), run(t, "bob")
	ctx := t.Context()
	if _, err := alice.Add(ctx, card(t, bob), "bob"); err != nil {
		t.Fatal(err)
	}
	sent, err := alice.Send(ctx, Draft{To: "bob", Content: []byte("back at four?")})
	if err != nil {
		t.Fatal(err)
	}
	wait, end := context.WithTimeout(ctx, patience)
	defer end()
	if sent, err = alice.WaitSent(wait, sent.ID.String()); err != nil || sent.State != "delivered" {
		t.Fatalf("sent: %+v, %v", sent, err)
	}
	inbox, err := bob.Inbox(ctx, InboxQuery{})
	if err != nil || len(inbox) != 1 || string(inbox[0].Content) != "back at four?" {
		t.Fatalf("inbox: %+v, %v", inbox, err)
	}
	if _, err := alice.Watch(ctx, "bob", "alice here", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob sees the request", func() bool { r, _ := bob.Requests(ctx); return len(r) == 1 })
	if _, err := bob.Approve(ctx, alice.Self().Address.String()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "alice sees bob open", func() bool { w, _ := alice.Who(ctx, nil); return w[0].Basic == "open" })
	away, note := wire.Away, "back at four"
	if _, err := bob.Set(ctx, Change{IM: &away, Note: &note}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "alice sees the note", func() bool {
		w, _ := alice.Who(ctx, nil)
		return w[0].IM == "away" && w[0].Note == note
	})
}
