package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/controltest"
	"github.com/hum-presence/hum/p2p/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A fixture is a home in which a fake node is running, or none.
type fixture struct {
	t     *testing.T
	home  string
	fake  *controltest.Fake
	local *fakeLocal
	stdin string
	env   map[string]string
	tty   bool
	asked []string // answers to prompts, in order
	stop  func()
}

// running serves a fake node until the test ends or it is stopped by the command down.
func running(t *testing.T) *fixture {
	t.Helper()
	f := resting(t)
	f.fake.Stopped = make(chan struct{})
	s, err := control.Open(control.Config{Home: f.home, Backend: f.fake, Rand: rand.Reader, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
		_ = s.Close()
	})
	g.Go(func() {
		select {
		case <-f.fake.Stopped:
			cancel()
		case <-ctx.Done():
		}
	})
	f.stop = func() { cancel(); g.Wait() }
	t.Cleanup(f.stop)
	return f
}

// resting is a home in which no node runs.
func resting(t *testing.T) *fixture {
	return &fixture{t: t, home: t.TempDir(), fake: controltest.New(), local: &fakeLocal{}, env: map[string]string{}}
}

func clock() time.Time { return controltest.Start.Add(time.Hour) }

// run runs one command and returns what it wrote.
func (f *fixture) run(ctx context.Context, out *bytes.Buffer, args ...string) (stderr string, code int) {
	f.t.Helper()
	var errs bytes.Buffer
	a := &app{
		in: strings.NewReader(f.stdin), out: out, err: &errs, flush: func() error { return nil },
		env: func(k string) string { return f.env[k] }, now: clock, terminal: f.tty, local: f.local, handle: f.local.handle,
	}
	if f.asked != nil {
		a.secret = func(string) ([]byte, error) {
			answer := f.asked[0]
			f.asked = f.asked[1:]
			return []byte(answer), nil
		}
	}
	f.env["HUM_HOME"] = f.home
	code = a.run(ctx, args)
	return errs.String(), code
}

func (f *fixture) do(args ...string) (stdout, stderr string, code int) {
	f.t.Helper()
	var out bytes.Buffer
	stderr, code = f.run(f.t.Context(), &out, args...)
	return out.String(), stderr, code
}

// fakeLocal notes what was asked of it.
type fakeLocal struct {
	calls []string
	has   bool
	fail  error
}

func (l *fakeLocal) note(format string, args ...any) error {
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
	return l.fail
}

func (l *fakeLocal) handle(_ context.Context, program, uri string) error {
	return l.note("%s %q", program, uri)
}

func (l *fakeLocal) HasIdentity(string) bool { return l.has }

func (l *fakeLocal) Init(_ string, c initConfig) (created, error) {
	me := controltest.Me
	return created{Address: me.String(), IM: me.IM(), Pres: me.Pres(), Fingerprint: me.Fingerprint(), Device: "0100", Name: c.Name,
		Words: or(c.Words, "one two three four five six seven eight")}, l.note("init %+v", c)
}

func (l *fakeLocal) Up(_ context.Context, _ string, c upConfig, ready func(started)) error {
	mdns := "default"
	if c.MDNS != nil {
		mdns = fmt.Sprint(*c.MDNS)
	}
	light := c.Light != nil && *c.Light
	err := l.note("up listen=%v bootstrap=%v mdns=%s light=%v api=%s", c.Listen, c.Bootstrap, mdns, light, c.API)
	if err == nil {
		ready(started{Address: controltest.Me.String(), Name: "Alice", Listen: []string{"/ip4/192.0.2.1/tcp/4866/p2p/12D3"}})
	}
	return err
}

func (l *fakeLocal) Community(_ context.Context, _ string, c communityConfig, ready func(serving)) error {
	lasts := time.Duration(0)
	if c.Lasts != nil {
		lasts = *c.Lasts
	}
	err := l.note("community name=%s roles=%v listen=%v uses=%d lasts=%v", c.Name, c.Roles, c.Listen, c.Uses, lasts)
	if err == nil {
		ready(serving{Name: c.Name, Roles: []string{"relay", "mailbox"}, Listen: []string{"/ip4/192.0.2.1/tcp/4866/p2p/12D3"}, Invite: "humjoin:abc"})
	}
	return err
}

func (l *fakeLocal) CommunityBackup(_ string, _ func() ([]byte, error), file string, sealed []byte) (int64, error) {
	return 99, l.note("community backup %s %s", file, sealed)
}

func (l *fakeLocal) CommunityRestore(file, _ string, p []byte) (restoredCommunity, error) {
	return restoredCommunity{File: file, Name: "Example"}, l.note("community restore %s %s", file, p)
}

func (l *fakeLocal) Doctor(string, func() ([]byte, error)) []node.Check {
	return []node.Check{{Check: "keys", OK: true, Detail: "readable"}}
}

func (l *fakeLocal) ResetClock(string, func() ([]byte, error)) error { return l.note("reset clock") }

func (l *fakeLocal) Conformance(_ context.Context, services []string, tell func(node.Check)) error {
	tell(node.Check{Check: "class P+M", OK: true, Detail: strings.Join(services, " ")})
	tell(node.Check{Check: "5.1 message", Detail: "a message is delivered: it is failed", Advice: "report it"})
	return nil
}

func (l *fakeLocal) Backup(_ string, _ func() ([]byte, error), file string, sealed []byte) (int64, error) {
	return 99, l.note("backup %s %s", file, sealed)
}

func (l *fakeLocal) Restorable(string, string) error { return nil }

func (l *fakeLocal) Restore(file, _ string, p []byte) (restored, error) {
	return restored{File: file, Bytes: 99, Address: controltest.Me.String(), Device: "0200"}, l.note("restore %s %s", file, p)
}

func (l *fakeLocal) Succeed(_ string, _ func() ([]byte, error), words, reason string) (succeeded, error) {
	next := controltest.Carol
	return succeeded{Address: next.String(), IM: next.IM(), Pres: next.Pres(), Fingerprint: next.Fingerprint(), Device: "0300", Name: "Alice", Left: []string{"0200"},
		Previous: controltest.Me.String()}, l.note("succeed %s for %s", reason, words)
}

func (l *fakeLocal) Join(_ context.Context, _ string, c joinConfig, show func(waiting)) (joined, error) {
	show(waiting{Code: "humdev:CODE", Check: "11111 22222 33333", Device: "0200"})
	if !c.Agree(asker{Address: controltest.Me.String(), Fingerprint: controltest.Me.Fingerprint()}) {
		return joined{}, &node.Error{Code: "cancelled", Message: "no"}
	}
	return joined{Address: controltest.Me.String(), Device: "0200", Name: "Alice", Roles: []string{"inbox"}}, l.note("join %v", c.Listen)
}

func (l *fakeLocal) Passphrase(_ string, old func() ([]byte, error), p []byte) error {
	if _, err := old(); err != nil {
		return err
	}
	return l.note("passphrase %q %v", p, p == nil)
}

// Every command, as programs and as people see it. Run with -update after a wanted change and read the
// difference: what programs see is a contract.
func TestGolden(t *testing.T) {
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := (wire.MID{2}).String()
	code := wire.PairCode{Device: wire.PublicKey{1}, Peer: []byte("peer"), PreKey: [32]byte{2}, Secret: [32]byte{3}}.String()
	lines := []string{
		"status", "card", "card --qr", "card --invite", "card --invite --allow --for 1d --qr", "card --allow", "invites", "invites --withdraw 0a0b", "join humjoin:abc", "join humjoin:abc humjoin:def", "leave Example", "doctor", "doctor --conformance", "add hum:hum1x?d=y --as bob", "contacts", "forget bob", "resolve bob", "handle add me@example.org", "handle list", "handle remove me@example.org", "handle forget bob@example.org",
		"block bob", "block bob --only im", "unblock bob", "blocks",
		"watch bob", "watch bob --text hi --for 30d", "watch bob --wait 10ms", "unwatch bob", "watching",
		"requests", "approve bob", "deny bob --reason policy", "drop bob", "watchers", "watchers --each",
		"block eve --polite", "block eve --polite --only im", "approve bob --view work", "offline --view work", "set open --view work",
		"view", "view work", "view work --show note --add bob", "view work --delete", "view work --public", "view --as bob", "view --as bob --show note", "view --show note",
		"policy show", "policy show bob", "policy set unknown --watch block", "policy set unknown --messages refuse", "policy set --who bob --messages discard", "policy set --closed hold", "policy set unknown --closed hold", "policy set --clear take", "policy set unknown --clear take", "policy set strangers --watch block", "policy set unknown", "policy sett",
		"fetch bob", "fetch bob --cached", "fetch bob --public", "fetch bob --public --cached", "fetch",
		"set open away --note lunch --contact tel:+1", "offline", "who", "who bob --why",
		"set open --bare --status x.example.org/temperature=21.5", "set --status= --bare=false", "set --status hot",
		"send bob hello", "send bob hello --anonymous", "introduce bob carol", "introduce bob carol hi --wait 10ms", "introduce bob", "send bob - --ack displayed --expires 1d", "send bob hello --wait 10ms", "reply " + id + " yes --ack none",
		"outbox", "outbox " + id, "cancel " + id, "cancel", "resend " + id + " --expires 1d", "resend " + id + " --wait 10ms", "report " + id + " delivered", "report " + id + " failed", "report " + id + " lost", "inbox", "inbox --from bob --limit 5", "inbox " + id, "open " + id, "trace " + id,
		"inbox --search tea --before " + id, "inbox --strangers", "inbox x --search y", "history bob", "history bob --limit 5 --thread " + id, "history bob --limit -1", "delete " + id, "delete",
		"events", "events --since 1", "backup /backups/hum --passphrase-file PASS", "passphrase set --passphrase-file PASS", "passphrase clear",
		"sned", "set opne", "set open closed", "set", "watch", "watch bob carol", "watch bob --wiat 3s", "watch bob --wait soon", "send bob", "send bob hi --ack maybe",
		"block bob --only ims", "passphrase sett", "inbox --limit -1", "inbox x --follow", "status now",
		"safety bob", "safety bob --confirm", "safety carol", "safety carol --keep --accept hum1x", "succeed", "succeed --reason tired",
		"export pidf", "export pidf bob --view x", "export winfo", "export pres-rules", "import pres-rules -", "export cpim", "export cpim " + id, "export imdn " + id, "import cpim -", "inbox " + id + " --part 2", "inbox --part 2", "send bob hi --contact tel:+1 --lang en --alt hi", "export receipt " + id, "export receipt", "verify", "verify /nowhere/x.json", "verify -", "verify testdata/receipt.json", "export notice bob", "export notice", "verify testdata/notice.json", "verify testdata/answer.json", "import pidf -", "import pidf - --view work", "import pidf --remove", "import pidf /nowhere/x.xml", "import pidf", "launch bob voice", "launch bob",
		"doctor --reset-clock", "devices", "device add", "device add CODE", "device add CODE --admin --services im --yes", "device add humdev:x", "device revoke 02", "down",
	}
	for _, form := range []string{"json", "text"} {
		var all strings.Builder
		for _, line := range lines {
			f := running(t)
			f.stdin = "from stdin\n"
			f.fake.Raise(node.Event{Kind: "node", State: "started"})
			f.fake.Raise(node.Event{Kind: "message", Address: controltest.Bob, Name: "bob", ID: id, State: "received", Text: "yes"})
			args := strings.Fields(strings.NewReplacer("PASS", pass, "CODE", code).Replace(line))
			if form == "json" {
				args = append(args, "--json")
			}
			stdout, stderr, code := f.do(args...)
			fmt.Fprintf(&all, "$ hum %s\n%s", line, stdout)
			if stderr != "" {
				fmt.Fprintf(&all, "! %s", stderr)
			}
			fmt.Fprintf(&all, "→ %d\n\n", code)
			f.stop()
		}
		compare(t, filepath.Join("testdata", form+".golden"), all.String())
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s is missing: run with -update", file)
	}
	want, have := strings.Split(string(b), "\n\n"), strings.Split(got, "\n\n")
	for i := range max(len(want), len(have)) {
		switch {
		case i >= len(want):
			t.Errorf("%s: new:\n%s", file, have[i])
		case i >= len(have):
			t.Errorf("%s: gone:\n%s", file, want[i])
		case want[i] != have[i]:
			t.Errorf("%s: got\n%s\nwant\n%s", file, have[i], want[i])
		}
	}
}
