package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/controltest"
	"github.com/hum-presence/hum/p2p/wire"
)

// The commands of the contract: those there are, and none before it works.
func TestCommandsAreThoseOfTheContract(t *testing.T) {
	want := `add approve backup block blocks cancel card chat community completion contacts delete deny device devices doctor down drop events export fetch forget handle help history
		import inbox init introduce invites join launch leave offline open outbox passphrase policy private reply report requests resend resolve restore safety send set status
		succeed trace unblock unwatch up verify version view watch watchers watching who`
	a := &app{}
	var got []string
	for _, c := range a.root().Commands() {
		got = append(got, c.Name())
	}
	if !reflect.DeepEqual(got, strings.Fields(want)) {
		t.Errorf("got %s", got)
	}
}

func TestEveryHelpHasAnExample(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if first, _ := utf8.DecodeRuneInString(c.Short); unicode.IsUpper(first) && !strings.HasPrefix(c.Short, "RFC") || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s is no line like the others: %s", c.CommandPath(), c.Short)
		}
		path := strings.Fields(c.CommandPath())[1:]
		stdout, _, code := resting(t).do(append(path, "--help")...)
		if code != 0 || !strings.Contains(stdout, "Examples:\n  hum ") && !strings.Contains(stdout, "Examples:\n  date") {
			t.Errorf("%s --help: exit %d\n%s", c.CommandPath(), code, stdout)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit((&app{}).root())
}

// What a text tells somebody to type is there: the commands that have commands of their own have that one too.
func TestCommandsInTextsExist(t *testing.T) {
	named := regexp.MustCompile(`\bhum (device|handle|policy|passphrase|community) ([a-z]+)`)
	faults := func(text string) (out []string) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if c, rest, err := (&app{}).root().Find(m[1:]); err != nil || len(rest) > 0 || !c.HasParent() {
				out = append(out, m[0])
			}
		}
		return out
	}
	files, err := filepath.Glob("*.go")
	for _, more := range []string{"../../node/*.go", "../../*.md", "../../docs/*.md"} {
		list, e := filepath.Glob(more)
		files, err = append(files, list...), errors.Join(err, e)
	}
	if err != nil || len(files) < 50 {
		t.Fatal(len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, f := range faults(string(b)) {
			t.Errorf("%s names %q, which is no command", name, f)
		}
	}
	if len(faults("see hum device list")) != 1 || len(faults("see hum device add")) != 0 {
		t.Error("a planted fault is not found")
	}
}

func TestOnlySomeNeedNoNode(t *testing.T) {
	free := map[string]string{"init": "", "up": "", "doctor": "", "version": "", "help": "", "completion": "", "passphrase": "clear", "device": "add", "community": "up",
		"backup": "/backups/x", "restore": "/backups/x", "succeed": "", "verify": "testdata/receipt.json"}
	pass := passFile(t, "secret")
	for _, c := range (&app{}).root().Commands() {
		args := []string{c.Name()}
		if extra, ok := free[c.Name()]; ok {
			args = append(args, strings.Fields(extra)...)
			args = append(args, "--passphrase-file", pass)
			f := resting(t)
			f.stdin = "some words\n"
			if _, stderr, code := f.do(args...); code != 0 {
				t.Errorf("%v: exit %d, %s", args, code, stderr)
			}
			continue
		}
		for range strings.Count(c.Use, " WHO") - strings.Count(c.Use, "[WHO") + strings.Count(c.Use, " ID") {
			args = append(args, "bob")
		}
		if c.Name() == "send" || c.Name() == "reply" {
			args = append(args, "hi")
		}
		args = append(args, strings.Fields(map[string]string{"set": "open", "join": "humjoin:abc", "leave": "Example", "handle": "list", "policy": "show", "launch": "voice", "report": "failed", "export": "pidf", "import": "pidf --remove"}[c.Name()])...)
		stdout, stderr, code := resting(t).do(args...)
		if code != exitNotRunning || stdout != "" || !strings.Contains(stderr, "hum up") {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
}

func passFile(t *testing.T, words string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte(words+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWrongValuesOfFlags(t *testing.T) {
	for _, args := range [][]string{{"inbox", "--limit", "x"}, {"send", "bob", "hi", "--expires", "1"}} {
		_, stderr, code := resting(t).do(args...)
		if want := args[len(args)-2] + ": \"" + args[len(args)-1] + "\" is no "; code != exitUsage || !strings.HasPrefix(stderr, "hum: "+want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
	if got := size(int64(20 << 30)); got != "21.5 GB" {
		t.Error(got)
	}
}

func TestErrorsEndWithTheirCode(t *testing.T) {
	tests := []struct {
		name string
		give error
		code int
	}{
		{"it did not work", &node.Error{Kind: node.KindFailed, Code: "disk-full", Message: "x"}, 1},
		{"asked wrongly", &node.Error{Kind: node.KindUsage, Code: "unknown-name", Message: "x"}, 2},
		{"policy of the other side", &node.Error{Kind: node.KindRefused, Code: "refused", Message: "x"}, 3},
		{"nobody answers", &node.Error{Kind: node.KindUnreachable, Code: "unreachable", Message: "x"}, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := running(t)
			f.fake.Fail["Resolve"] = tt.give
			if _, stderr, code := f.do("resolve", "bob"); code != tt.code || stderr != "hum: x\n" {
				t.Errorf("got %d, %q", code, stderr)
			}
			_, stderr, _ := f.do("resolve", "bob", "--json")
			var e struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal([]byte(stderr), &e); err != nil || e.Error.Code != tt.give.(*node.Error).Code {
				t.Errorf("got %q, %v", stderr, err)
			}
		})
	}
}

func TestWaitEndsWithWhatCame(t *testing.T) {
	sent := []struct {
		state  string
		reason wire.Reason
		code   int
	}{
		{"delivered", 0, 0}, {"displayed", 0, 0}, {"failed", wire.ReasonRefused, 3}, {"failed", wire.ReasonPolicy, 3},
		{"failed", wire.ReasonExpired, 4}, {"failed", wire.ReasonUnconfirmed, 4}, {"queued", 0, 4},
	}
	for _, tt := range sent {
		f := running(t)
		f.fake.Msg.State, f.fake.Msg.Reason = tt.state, tt.reason
		if stdout, _, code := f.do("send", "bob", "hi", "--wait", "20ms"); code != tt.code || !strings.Contains(stdout, tt.state) {
			t.Errorf("send: %s %v: got %d, %q", tt.state, tt.reason, code, stdout)
		}
		if _, _, code := f.do("send", "bob", "hi"); code != 0 {
			t.Errorf("send without --wait: got %d", code)
		}
	}
	watched := []struct {
		state  string
		reason wire.Reason
		code   int
	}{
		{"active", 0, 0}, {"denied", wire.ReasonRefused, 3}, {"terminated", wire.ReasonRefused, 3},
		{"terminated", wire.ReasonNoResource, 4}, {"expired", 0, 4}, {"pending", 0, 4}, {"requested", 0, 4},
	}
	for _, tt := range watched {
		f := running(t)
		f.fake.Sub.State, f.fake.Sub.Reason = tt.state, tt.reason
		stdout, _, code := f.do("watch", "bob", "--wait", "20ms")
		if code != tt.code || !strings.Contains(stdout, tt.state) {
			t.Errorf("watch: %s %v: got %d, %q", tt.state, tt.reason, code, stdout)
		}
		if tt.reason == wire.ReasonRefused && !strings.Contains(stdout, "he does not let you see") {
			t.Errorf("a refusal to be seen is told as %q", stdout)
		}
		if stdout, _, _ := f.do("drop", "bob"); strings.Contains(stdout, "\n  ") {
			t.Errorf("what I decided is explained to me as his doing: %q", stdout)
		}
	}
}

// S32: for each reason of a failure, also those that are found on this side alone, a command says its name and in
// words what it means, and ends with the code of a refusal or of what did not come about.
func TestReq_S32_WordsOfTheCommand(t *testing.T) {
	said := map[string]bool{}
	for r := wire.ReasonRefused; r <= wire.ReasonNoCopy; r++ {
		if r > wire.ReasonMalformed && r < wire.ReasonUnreachable || r == wire.ReasonGateway {
			continue
		}
		words := reasonWords[r.String()]
		if words == "" {
			t.Errorf("nothing is said of %v", r)
		}
		said[r.String()] = true
		code := exitUnreachable
		if r.Disposition() == wire.Forbidden {
			code = exitRefused
		}
		f := running(t)
		f.fake.Msg.State, f.fake.Msg.Reason = "failed", r
		for _, args := range [][]string{{"send", "bob", "hi", "--wait", "5s"}, {"--json", "send", "bob", "hi", "--wait", "5s"}} {
			stdout, _, got := f.do(args...)
			if got != code || !strings.Contains(stdout, r.String()) || args[0] == "send" && !strings.Contains(stdout, "failed ("+r.String()+")") || args[0] == "send" && !strings.Contains(stdout, words) {
				t.Errorf("%q, %v: code %d, %q", args, r, got, stdout)
			}
		}
		f.stop()
	}
	for word := range reasonWords {
		if !said[word] && word != wire.ReasonGateway.String() {
			t.Errorf("words of %q, which is no reason", word)
		}
	}
}

func TestFlagsReachTheNode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.png")
	if err := os.WriteFile(file, []byte("\x89PNG"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "text/plain; charset=utf-8"
	tests := []struct {
		line string
		want controltest.Call
	}{
		{"watch bob --text hi --for 1w2d", controltest.Call{Method: "Watch", Args: []any{"bob", "hi", 9 * 24 * time.Hour, false}}},
		{"deny bob --reason policy", controltest.Call{Method: "Deny", Args: []any{"bob", "policy"}}},
		{"block eve --polite", controltest.Call{Method: "PoliteBlock", Args: []any{"eve"}}},
		{"approve bob --view work", controltest.Call{Method: "Approve", Args: []any{"bob", "work"}}},
		{"offline --view work", controltest.Call{Method: "Offline", Args: []any{"work"}}},
		{"watch bob --pseudonym", controltest.Call{Method: "Watch", Args: []any{"bob", "", time.Duration(0), true}}},
		{"view --as bob", controltest.Call{Method: "ViewAs", Args: []any{"bob"}}},
		{"view work", controltest.Call{Method: "View", Args: []any{"work"}}},
		{"view work --show note,mood --hide class --add bob --remove eve --common", controltest.Call{Method: "EditView", Args: []any{
			node.ViewEdit{Name: "work", Show: []string{"note", "mood"}, Hide: []string{"class"}, Add: []string{"bob"}, Remove: []string{"eve"}, Common: true}}}},
		{"view shop --public=false", controltest.Call{Method: "EditView", Args: []any{node.ViewEdit{Name: "shop", Public: new(bool)}}}},
		{"fetch bob --public", controltest.Call{Method: "FetchPublic", Args: []any{"bob"}}},
		{"view work --delete", controltest.Call{Method: "EditView", Args: []any{node.ViewEdit{Name: "work", Delete: true}}}},
		{"policy show bob", controltest.Call{Method: "Policy", Args: []any{"bob"}}},
		{"policy set unknown --watch block --fetch allow", controltest.Call{Method: "SetPolicy", Args: []any{"unknown", "", "block", "allow", "as it is", "as it is", "as it is", "as it is"}}},
		{"policy set --who bob --view=", controltest.Call{Method: "SetPolicy", Args: []any{"", "bob", "as it is", "as it is", "", "as it is", "as it is", "as it is"}}},
		{"policy set --closed hold", controltest.Call{Method: "SetPolicy", Args: []any{"", "", "as it is", "as it is", "as it is", "as it is", "hold", "as it is"}}},
		{"policy set --who bob --messages discard", controltest.Call{Method: "SetPolicy", Args: []any{"", "bob", "as it is", "as it is", "as it is", "discard", "as it is", "as it is"}}},
		{"block bob --only presence", controltest.Call{Method: "Block", Args: []any{"bob", "presence"}}},
		{"inbox --from bob --limit 3", controltest.Call{Method: "Inbox", Args: []any{node.InboxQuery{From: "bob", Limit: 3}}}},
		{"send bob hi --ack none --expires 36h --reply-to x --lang en", controltest.Call{Method: "Send", Args: []any{node.Draft{To: "bob", Type: text,
			Content: []byte("hi"), Quiet: true, Expires: 36 * time.Hour, InReplyTo: "x", Lang: "en"}}}},
		{"send bob - --ack displayed", controltest.Call{Method: "Send", Args: []any{node.Draft{To: "bob", Type: text, Content: []byte("from stdin"), Displayed: true}}}},
		{"send bob --file " + file, controltest.Call{Method: "Send", Args: []any{node.Draft{To: "bob", Type: "image/png", Content: []byte("\x89PNG")}}}},
		{"send bob --type text/html <b>", controltest.Call{Method: "Send", Args: []any{node.Draft{To: "bob", Type: "text/html", Content: []byte("<b>")}}}},
		{"reply x yes", controltest.Call{Method: "Reply", Args: []any{"x", node.Draft{Type: text, Content: []byte("yes")}}}},
		{"export pidf", controltest.Call{Method: "Export", Args: []any{node.ExportQuery{Kind: "pidf"}}}},
		{"export pidf bob --composed", controltest.Call{Method: "Export", Args: []any{node.ExportQuery{Kind: "pidf", Who: "bob", Composed: true}}}},
		{"export pidf --view friends", controltest.Call{Method: "Export", Args: []any{node.ExportQuery{Kind: "pidf", View: "friends"}}}},
		{"import pidf " + file, controltest.Call{Method: "Import", Args: []any{"pidf", "\x89PNG"}}},
		{"import pidf -", controltest.Call{Method: "Import", Args: []any{"pidf", "from stdin\n"}}},
		{"import pidf - --view work", controltest.Call{Method: "ImportPIDF", Args: []any{"work", "from stdin\n"}}},
		{"import pidf --remove", controltest.Call{Method: "Import", Args: []any{"pidf", ""}}},
		{"launch bob voice", controltest.Call{Method: "Launch", Args: []any{"bob", "voice"}}},
		{"who bob carol", controltest.Call{Method: "Who", Args: []any{[]string{"bob", "carol"}}}},
	}
	for _, tt := range tests {
		f := running(t)
		f.stdin = "from stdin\n"
		if _, stderr, code := f.do(strings.Fields(tt.line)...); code != 0 {
			t.Errorf("%s: %s", tt.line, stderr)
		}
		if got := f.fake.Calls()[0]; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", tt.line, got, tt.want)
		}
	}
}

func TestSetChangesWhatIsNamed(t *testing.T) {
	f := running(t)
	if _, stderr, code := f.do("set", "dnd", "--note", "", "--contact", ""); code != 0 {
		t.Fatal(stderr)
	}
	c := f.fake.Calls()[0].Args[0].(node.Change)
	if c.Basic != nil || c.IM == nil || *c.IM != wire.DND || c.Note == nil || *c.Note != "" || c.Lang != nil || c.Activity != nil ||
		c.Contacts == nil || len(*c.Contacts) != 0 {
		t.Errorf("got %+v", c)
	}
}

// buffer is a bytes.Buffer that may be read while a command writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSuffix(b.b.String(), "\n"), "\n")
}

// follow runs a command until it has written n lines, interrupts it, and returns the lines and the code.
func follow(t *testing.T, f *fixture, n int, args ...string) ([]string, int) {
	t.Helper()
	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	out, done := &buffer{}, make(chan int)
	a := &app{in: strings.NewReader(""), out: out, err: os.Stderr, flush: func() error { return nil },
		env: func(string) string { return "" }, now: clock, local: f.local}
	go func() { done <- a.run(ctx, append([]string{"--home", f.home}, args...)) }()
	for ctx.Err() == nil && len(out.lines()) < n {
		time.Sleep(time.Millisecond)
	}
	interrupt()
	return out.lines(), <-done
}

func numbers(lines []string) (out []string) {
	for _, l := range lines {
		var e struct {
			N       uint64
			ID      string
			Petname string
		}
		_ = json.Unmarshal([]byte(l), &e)
		out = append(out, fmt.Sprint(e.N, e.ID, e.Petname))
	}
	return out
}

func TestEventsFollowThroughACut(t *testing.T) {
	f := running(t)
	for range 3 {
		f.fake.Raise(node.Event{Kind: "node"})
	}
	f.fake.Fail["Events"] = &node.Error{Code: control.CodeTooSlow, Message: "too slow"}
	time.AfterFunc(100*time.Millisecond, func() { f.fake.Raise(node.Event{Kind: "node"}) })
	lines, code := follow(t, f, 3, "events", "--follow", "--since", "1", "--json")
	if got := fmt.Sprint(numbers(lines)); got != "[2 3 4]" || code != 0 {
		t.Errorf("got %s, exit %d", got, code)
	}
}

func TestInboxFollowShowsEachOnce(t *testing.T) {
	f := running(t)
	first, second := f.fake.Letters[0].ID.String(), f.fake.Letters[1].ID.String()
	f.fake.Letters = f.fake.Letters[:2:2]
	later := f.fake.Letters[1]
	later.ID = wire.MID{4}
	time.AfterFunc(100*time.Millisecond, func() {
		f.fake.Raise(node.Event{Kind: "message", ID: first, State: "received"}) // shown already
		f.fake.Raise(node.Event{Kind: "ack", ID: "mine"})
		f.fake.Deliver(later)
		f.fake.Raise(node.Event{Kind: "message", ID: later.ID.String(), State: "received"})
	})
	lines, code := follow(t, f, 3, "inbox", "--follow", "--json")
	if got, want := fmt.Sprint(numbers(lines)), fmt.Sprint([]string{"0" + first, "0" + second, "0" + later.ID.String()}); got != want || code != 0 {
		t.Errorf("got %s, exit %d", got, code)
	}
}

func TestWhoFollow(t *testing.T) {
	f := running(t)
	go func() { // again and again, as nobody tells when it listens
		for ; t.Context().Err() == nil; time.Sleep(100 * time.Millisecond) {
			f.fake.Raise(node.Event{Kind: "presence", Address: controltest.Bob})
		}
	}()
	lines, code := follow(t, f, 4, "who", "--follow", "--json")
	if got := fmt.Sprint(numbers(lines[:min(4, len(lines))])); got != "[0bob 0 0bob 0]" || code != 0 {
		t.Errorf("got %s, exit %d", got, code)
	}
}

func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"__complete send ":     "bob\n:4\n",
		"__complete send bob ": ":4\n",
		"__complete who bob ":  "bob\n:4\n",
		"__complete set aw":    "away\n:4\n",
		"__complete status ":   ":4\n",
		"__complete backup ":   ":0\n",
		"__complete unw":       "unwatch\tend my subscription\n:4\n",
	} {
		f := running(t)
		args := strings.Split(line, " ")
		if stdout, _, code := f.do(args...); code != 0 || stdout != want {
			t.Errorf("%s: got %q, exit %d", line, stdout, code)
		}
	}
}

func TestHelpOfAWrongWord(t *testing.T) {
	for line, want := range map[string]string{
		"help sned":            `hum: there is no command "sned"; did you mean send?`,
		"help passphrase sett": `hum: there is no command "sett"; did you mean set?`,
	} {
		if _, stderr, code := resting(t).do(strings.Fields(line)...); code != exitUsage || strings.TrimSpace(stderr) != want {
			t.Errorf("%s: got %q, exit %d", line, stderr, code)
		}
	}
	if stdout, _, code := resting(t).do("help", "passphrase", "set"); code != 0 || !strings.Contains(stdout, "hum passphrase set") {
		t.Errorf("got %q, exit %d", stdout, code)
	}
}

// The content of a message goes to a file whole, and to none that exists.
func TestInboxOut(t *testing.T) {
	f := running(t)
	file := filepath.Join(t.TempDir(), "photo.png")
	picture := (wire.MID{3}).String()
	if _, stderr, code := f.do("inbox", picture, "--out", file); code != exitDone {
		t.Fatalf("got %d, %s", code, stderr)
	}
	if b, err := os.ReadFile(file); err != nil || len(b) != 2 {
		t.Errorf("got %x, %v", b, err)
	}
	if _, _, code := f.do("inbox", picture, "--out", file); code != exitUsage {
		t.Errorf("written over: %d", code)
	}
	if stdout, _, code := f.do("inbox", picture, "--out", "-"); code != exitDone || len(stdout) != 2 {
		t.Errorf("got %q, %d", stdout, code)
	}
	if _, _, code := f.do("inbox", "--out", file); code != exitUsage {
		t.Errorf("of which message? %d", code)
	}
}

// What nobody can have meant is refused before it is sent.
func TestNothingToSend(t *testing.T) {
	f := running(t)
	for _, args := range [][]string{{"send", "bob", ""}, {"send", "bob", "hi", "--expires", "0s"}} {
		if _, _, code := f.do(args...); code != exitUsage {
			t.Errorf("%q: got %d", args, code)
		}
	}
}

func TestTypeOf(t *testing.T) {
	for _, tt := range []struct{ file, content, want string }{
		{"", "hello", plain}, {"", "\xff\xfe\x00abc", "application/octet-stream"}, {"", "\x89PNG\r\n\x1a\n", "image/png"},
		{"a.html", "<b>", "text/html; charset=utf-8"}, {"a.html", "\xff", "application/octet-stream"}, {"a", "hello", plain},
	} {
		if got := typeOf(tt.file, []byte(tt.content)); got != tt.want {
			t.Errorf("%s %q: got %s", tt.file, tt.content, got)
		}
	}
}
