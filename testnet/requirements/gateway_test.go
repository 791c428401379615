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
	"github.com/hum-presence/hum/testnet"
)

// What a gateway hands on is indeterminate until it reports what became of it: delivered, or failed, to whoever was
// away meanwhile too, and after a crash of its own; it says so once, and whoever sends the message again hears the same
// (seed ask S21).
func TestReq_S21_ReportedLater(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, door, bob := w.person("alice"), w.person("door"), w.person("bob")
		door.down()
		w.must(os.WriteFile(filepath.Join(door.home, "config.toml"), []byte("gateway = true\n"), 0o600))
		door.up()
		door.add(alice)
		for _, p := range []*person{door, bob} {
			alice.add(p)
		}
		handed := func(text string) node.Sent {
			s := alice.draft(node.Draft{To: "door", Content: []byte(text), Expires: 24 * time.Hour})
			alice.comesTo(s, "delivered(gateway)", soon)
			return s
		}
		report := func(s node.Sent, failed bool) string {
			_, err := door.Report(ctx(), s.ID.String(), failed)
			return code(err)
		}
		told := func(s node.Sent) (all []string) {
			for _, e := range alice.events() {
				if e.ID == s.ID.String() && e.Kind == "ack" {
					all = append(all, e.State+" "+e.Reason.String())
				}
			}
			return all
		}
		arrived, lost, away, crashed := handed("it arrives"), handed("it does not"), handed("she is away"), handed("the door crashes")
		door.opens("it arrives")
		if got := report(arrived, false) + report(lost, true); got != "" {
			t.Fatal(got)
		}
		alice.comesTo(arrived, "delivered", soon)
		alice.comesTo(lost, "failed(gateway)", soon)
		w.leads(alice.way(lost.ID), "queued", "acked: delivered (gateway) [ack ", "acked: failed (gateway) [ack ")
		w.leads(door.way(lost.ID), "received: on this disk, with the answer: failed (gateway)", "reported: failed [signed by this device, committed")
		if got := strings.Join(told(lost), ", "); got != "delivered gateway, failed gateway" {
			t.Errorf("the events tell of %s", got)
		}
		if got := told(arrived); len(got) != 2 {
			t.Errorf("the events tell of %q", got)
		}
		_, err := alice.Export(ctx(), node.ExportQuery{Kind: node.KindReceipt, ID: arrived.ID.String()})
		w.must(err)

		// Away, or after a crash.
		alice.down()
		if got := report(away, true); got != "" {
			t.Fatal(got)
		}
		time.Sleep(10 * time.Minute)
		alice.up()
		alice.comesTo(away, "failed(gateway)", 2*time.Hour)
		w.net.Cut(alice.ip, door.ip)
		if got := report(crashed, false); got != "" {
			t.Fatal(got)
		}
		door.kill(testnet.Crash)
		w.net.Join(alice.ip, door.ip)
		door.up()
		alice.comesTo(crashed, "delivered", 2*time.Hour)

		// Once, of what a gateway took, and of nothing else.
		if got := report(lost, false); got != "no-report" {
			t.Errorf("a second report: %q", got)
		}
		if got := alice.fate(lost); got != "failed(gateway)" {
			t.Errorf("what failed is %s", got)
		}
		s := alice.delivers(bob, "to a person")
		if _, err := bob.Report(ctx(), s.ID.String(), true); code(err) != "no-report" {
			t.Errorf("who is no gateway: %v", err)
		}
		w.finds("a message on which nobody reported", await(soon, "it is told", func() bool { return alice.fate(handed("open")) != "delivered(gateway)" }))
	})
}

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
	never := send(node.Draft{Content: []byte("nobody can print this")})

	// A command that fails the first time keeps the message.
	dir := t.TempDir()
	out, tried := filepath.Join(dir, "out"), filepath.Join(dir, "tried")
	script := `text=$(cat); case $text in *"nobody can"*) exit 1;; esac; [ -e ` + tried + ` ] || { : >` + tried + `; exit 1; }; echo "$HUM_ID $HUM_HOPS $text" >>` + out
	door.run(t, pager, "-most", "160", "-tries", "3", "sh", "-c", script)
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
		return err == nil && len(rows) == 4
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
	if err := await(patience, "told that it was given up", func() bool {
		out, err := alice.Outbox(t.Context(), never.ID.String())
		return err == nil && out[0].State == "failed" && out[0].Reason == wire.ReasonGateway
	}); err != nil {
		t.Error(err)
	}
}
