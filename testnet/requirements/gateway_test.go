package requirements

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// A pager door: the example program hands what comes to a command, whose senders hear no more than that. A message
// stays until the command has ended well, one that came round too often is not taken, and who wrote more than a pager
// shows is told (seed ask S21).
func TestReq_S21_MessageToAPager(t *testing.T) {
	pager := filepath.Join(t.TempDir(), "pager-go")
	if out, err := exec.Command("go", "build", "-o", pager, filepath.Join("..", "..", "docs", "examples", "pager-go")).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	door, alice := serveThing(t, "door", "gateway = true"), onLoopback(t, "alice")
	card, err := door.Card()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Add(t.Context(), card, "door"); err != nil {
		t.Fatal(err)
	}
	send := func(d node.Draft) node.Sent {
		t.Helper()
		d.To = "door"
		s, err := alice.Send(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		wait, done := context.WithTimeout(t.Context(), patience)
		defer done()
		if s, err = alice.WaitSent(wait, s.ID.String()); err != nil {
			t.Fatalf("%v: %+v", err, s)
		}
		return s
	}
	s := send(node.Draft{Content: []byte("the house is on fire")})
	if s.State != "delivered" || s.Reason != wire.ReasonGateway {
		t.Errorf("its sender is told %s (%v)", s.State, s.Reason)
	}
	none, few := uint8(0), uint8(3)
	if s := send(node.Draft{Content: []byte("round and round"), Hops: &none}); s.State != "failed" || s.Reason != wire.ReasonTooManyHops {
		t.Errorf("what came round too often is %s (%v)", s.State, s.Reason)
	}
	send(node.Draft{Content: []byte("handed on before"), Hops: &few})
	long := send(node.Draft{Content: []byte(strings.Repeat("ü", 200))})

	// A command that fails the first time keeps the message.
	dir := t.TempDir()
	out, tried := filepath.Join(dir, "out"), filepath.Join(dir, "tried")
	script := `[ -e ` + tried + ` ] || { : >` + tried + `; exit 1; }; { printf '%s %s ' "$HUM_ID" "$HUM_HOPS"; cat; echo; } >>` + out
	door.run(t, pager, "-most", "160", "sh", "-c", script)
	want := []string{s.ID.String() + " 99 the house is on fire", " 2 handed on before", " 99 " + strings.Repeat("ü", 160) + "\n"}
	err = await(patience, "handed on", func() bool {
		b, _ := os.ReadFile(out)
		return strings.Contains(string(b), want[0]) && strings.Contains(string(b), want[1]) && strings.Contains(string(b), want[2])
	})
	b, _ := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	if n := strings.Count(string(b), "on fire"); n != 1 {
		t.Errorf("handed on %d times:\n%s", n, b)
	}
	if err := await(patience, "opened", func() bool {
		rows, err := door.Inbox(t.Context(), node.InboxQuery{})
		for _, r := range rows {
			if r.Displayed.IsZero() {
				return false
			}
		}
		return err == nil && len(rows) == 3
	}); err != nil {
		t.Error(err)
	}
	time.Sleep(1500 * time.Millisecond) // one more look
	if after, _ := os.ReadFile(out); string(after) != string(b) {
		t.Errorf("handed on again:\n%s", after)
	}
	if err := await(patience, "told that it was cut", func() bool {
		rows, err := alice.Inbox(t.Context(), node.InboxQuery{})
		return err == nil && len(rows) == 1 && rows[0].InReplyTo == long.ID && strings.Contains(string(rows[0].Content), "first 160 letters")
	}); err != nil {
		t.Error(err)
	}
}
