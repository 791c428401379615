package process

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// secondClient is the folder of the client in JavaScript, and the Node that runs it. Where either is missing the test
// is skipped: npm ci in that folder brings the one, and a Node named by HUM_NODE or found in PATH is the other.
func secondClient(t *testing.T) (dir, node string) {
	t.Helper()
	dir, err := filepath.Abs("../../docs/examples/client-js")
	if err != nil {
		t.Fatal(err)
	}
	if node = os.Getenv("HUM_NODE"); node == "" {
		node = "node"
	}
	version, err := exec.Command(node, "-p", "process.versions.node").Output()
	if err != nil {
		t.Skipf("NOT SHOWN: there is no Node to run a client in JavaScript (%v); HUM_NODE names one", err)
	}
	major, _, _ := strings.Cut(string(version), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 22 {
		t.Skipf("NOT SHOWN: js-libp2p wants Node 22, and %s is %s", node, version)
	}
	// npm writes this file last.
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err != nil {
		t.Skipf("NOT SHOWN: the libraries of the client are not there: run npm ci in docs/examples/client-js")
	}
	return dir, node
}

// A foreigner is a process of the client in JavaScript, and what it has said.
type foreigner struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines <-chan string
	all   []string
	asked map[int]bool // of all, those that the test has waited for
}

func newForeigner(t *testing.T, dir, node, home string) *foreigner {
	t.Helper()
	x := &foreigner{t: t, cmd: exec.Command(node, filepath.Join(dir, "client.mjs"), home), asked: map[int]bool{}}
	x.in, x.lines = piped(t, x.cmd)
	return x
}

func (x *foreigner) does(form string, args ...any) {
	x.t.Helper()
	if _, err := fmt.Fprintf(x.in, form+"\n", args...); err != nil {
		x.t.Fatal(err)
	}
}

// says waits for a line that begins so and was not asked for before, and returns the rest of it.
func (x *foreigner) says(begin string) string {
	x.t.Helper()
	timeout := time.After(Patience)
	for i := 0; ; i++ {
		for i == len(x.all) {
			select {
			case l, ok := <-x.lines:
				if !ok {
					x.t.Fatalf("ended before %q:\n%s", begin, strings.Join(x.all, "\n"))
				}
				x.all = append(x.all, l)
			case <-timeout:
				x.t.Fatalf("it does not say %q:\n%s", begin, strings.Join(x.all, "\n"))
			}
		}
		if rest, ok := strings.CutPrefix(x.all[i], begin); ok && !x.asked[i] {
			x.asked[i] = true
			return rest
		}
	}
}

// quits waits for the end of the process, and returns how often it said so.
func (x *foreigner) quits(line string) (times int) {
	x.t.Helper()
	x.does("quit")
	for l := range x.lines {
		x.all = append(x.all, l)
	}
	if err := x.cmd.Wait(); err != nil {
		x.t.Fatalf("it ended with %v:\n%s", err, strings.Join(x.all, "\n"))
	}
	for _, l := range x.all {
		if l == line {
			times++
		}
	}
	return times
}

// A client that was written in another language, by the documents alone, agrees with the vectors, and with a real node:
// each asks to see the other and is let in, reads his presence, sends him messages and hears of the other's signed ack;
// and both go on after the client was away.
func TestReq_S40_ASecondClient(t *testing.T) {
	dir, node := secondClient(t)
	t.Parallel()
	vectors := exec.Command(node, "--test", "--test-reporter=tap")
	vectors.Dir = dir
	out, err := vectors.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "# pass 49\n") {
		t.Fatalf("the vectors: %v\n%s", err, out)
	}
	bob := New(t, Build(t), "bob")
	if err := bob.Up(); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "home.json")
	js := newForeigner(t, dir, node, home)
	js.says("seed humsec1")
	card := "hum:" + js.says("card hum:")
	address, _, _ := strings.Cut(strings.TrimPrefix(card, "hum:"), "?")

	// The client watches: bob decides, and then it reads what he says.
	js.does("add bob %s", bob.Must(t, "card")[0]["card"])
	js.says("bob has to decide")
	if asks := bob.Must(t, "requests"); len(asks) != 1 || asks[0]["address"] != address || asks[0]["state"] != "pending" {
		t.Fatalf("bob is asked by %v, not by %s", asks, address)
	}
	bob.Must(t, "add", card, "--as", "js")
	bob.Must(t, "approve", "js")
	js.says("bob lets me see")
	js.says("bob is open")
	bob.Must(t, "set", "--note", "at my desk")
	js.says(`bob is open: "at my desk"`)
	watches := func() bool {
		w := bob.Must(t, "watchers")
		return len(w) == 1 && w[0]["address"] == address && w[0]["state"] == "active"
	}
	Eventually(t, Patience, "bob has a watcher", watches)

	// Bob watches: the client has added him, so he may.
	if w := bob.Must(t, "watch", "js", "--wait", Patience.String())[0]; w["state"] != "active" {
		t.Fatalf("bob's subscription: %v", w)
	}
	seen := func(basic, note string) {
		t.Helper()
		Eventually(t, Patience, "bob sees the client "+basic+" "+note, func() bool {
			p := bob.Must(t, "who", "js")[0]
			return p["basic"] == basic && p["evidence"] == "said" && (note == "" || p["note"] == note)
		})
	}
	seen("open", "")
	js.does("note from another language")
	seen("open", "from another language")
	for i := 0; ; i++ { // two Recs that came by the topic, and bob hears the client there alone
		basis := bob.Must(t, "who", "js", "--why")[0]["basis"].(map[string]any)
		if basis["path"] == "mesh" {
			break
		}
		if i == 60 {
			t.Fatalf("bob does not hear the client by its topic: %v", basis)
		}
		js.does("note %d times from another language", i)
		time.Sleep(2 * time.Second)
	}
	js.does("note by the topic")
	seen("open", "by the topic")

	// Messages, both ways: the ack of one is verified by the other, and both name it alike.
	js.does("say bob back at four?")
	id := js.says("queued ")
	if got := js.says("delivered "); got != id {
		t.Errorf("%s is delivered, not %s", got, id)
	}
	if in := bob.Must(t, "inbox"); len(in) != 1 || in[0]["id"] != id || in[0]["text"] != "back at four?" || in[0]["from_name"] != "js" {
		t.Errorf("bob's inbox: %v, not %s", in, id)
	}
	if m := bob.Must(t, "send", "js", "at five", "--wait", Patience.String())[0]; m["state"] != "delivered" {
		t.Errorf("bob's message: %v", m)
	}
	js.says(`bob: "at five"`)

	// Away and back: what waited arrives once, and both see each other again.
	if n := js.quits(`bob: "at five"`); n != 1 {
		t.Errorf("bob's message was shown %d times", n)
	}
	seen("closed", "")
	waits := bob.Must(t, "send", "js", "are you there?")[0]["id"].(string)
	bob.Must(t, "set", "closed")
	js = newForeigner(t, dir, node, home)
	js.says(`bob: "are you there?"`)
	js.says("bob is closed")
	seen("open", "by the topic")
	Eventually(t, Patience, "delivered after all", func() bool { return bob.Must(t, "outbox", waits)[0]["state"] == "delivered" })
	if js.quits(`bob: "are you there?"`) != 1 || strings.Contains(strings.Join(js.all, "\n"), "seed") {
		t.Errorf("it came back as\n%s", strings.Join(js.all, "\n"))
	}
}
