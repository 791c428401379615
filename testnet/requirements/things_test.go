package requirements

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
)

// A thing is a node on loopback with its local API, and a file that a program publishes.
type thing struct {
	*node.Node
	home, file string
}

// serveThing opens the local API of a running node as hum up --api does.
func serveThing(t *testing.T, name string, settings ...string) *thing {
	t.Helper()
	x := &thing{file: filepath.Join(t.TempDir(), "reading")}
	x.Node, x.home = onLoopbackAt(t, name, settings...)
	door, err := control.Open(control.Config{Home: x.home, Backend: x.Node, TCP: "127.0.0.1:0", Clock: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	run, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- door.Run(run) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Errorf("%s: the local API: %v", name, err)
		}
		_ = door.Close()
	})
	x.reads(t, "21.5")
	return x
}

func (x *thing) reads(t *testing.T, value string) {
	t.Helper()
	if err := os.WriteFile(x.file, []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run starts the program of the thing; it ends with the test.
func (x *thing) run(t *testing.T, program ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program[0], append(program[1:], x.file)...)
	cmd.Env = append(os.Environ(), "HUM_HOME="+x.home)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); err != nil && said.Len() > 0 {
			t.Logf("%s: %s", program[0], &said)
		}
	})
}

// isThing is the check of S36: who watches sees what it measures, and nothing of a person.
func isThing(p node.PresenceOf, value string) error {
	if p.Basic != "open" || p.Evidence != "said" || len(p.Tuples) != 1 {
		return fail("%s %s, %d tuples", p.Basic, p.Evidence, len(p.Tuples))
	}
	if p.IM != "" || p.Note != "" || len(p.Contacts) > 0 || p.Tuples[0].IM != "" || p.Tuples[0].Note != "" {
		return fail("it speaks as a person: %+v", p)
	}
	for _, s := range p.Tuples[0].Status {
		if s.Name == "x.example.org/reading" && s.Value == value {
			return nil
		}
	}
	return fail("it says %+v, not %s", p.Tuples[0].Status, value)
}

// Entities that are not people: each example program of docs/examples publishes, against a running node, what it
// measures and no person; whoever asks may watch, by rule alone; and the bot answers.
func TestReq_S36_NotOnlyHumans(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("curl is needed for the example in shell: %v", err)
	}
	examples, err := filepath.Abs("../../docs/examples")
	if err != nil {
		t.Fatal(err)
	}
	bot := filepath.Join(t.TempDir(), "sensor-go")
	if out, err := exec.Command("go", "build", "-o", bot, filepath.Join(examples, "sensor-go")).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	alice := onLoopback(t, "alice")
	for name, program := range map[string][]string{"bot": {bot}, "sensor": {"sh", filepath.Join(examples, "sensor.sh")}} {
		t.Run(name, func(t *testing.T) {
			x := serveThing(t, name)
			allow := "allow"
			if _, err := x.SetPolicy(t.Context(), node.PolicyEdit{Class: "unknown", Watch: &allow}); err != nil {
				t.Fatal(err)
			}
			card, err := x.Card()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := alice.Add(t.Context(), card, name); err != nil {
				t.Fatal(err)
			}
			if _, err := alice.Watch(t.Context(), name, "", 0); err != nil {
				t.Fatal(err)
			}
			sees := func(d time.Duration, value string) error {
				return await(d, "alice sees "+value, func() bool {
					who, err := alice.Who(t.Context(), []string{name})
					return err == nil && isThing(who[0], value) == nil
				})
			}
			if err := await(patience, "allowed by rule", func() bool {
				w, err := x.Watchers(t.Context())
				return err == nil && len(w) == 1 && w[0].State == "active"
			}); err != nil {
				t.Fatal(err)
			}
			if err := sees(2*time.Second, "21.5"); err == nil {
				t.Fatal("the check does not find a planted fault: a person")
			}
			x.run(t, program...)
			for _, value := range []string{"21.5", "22"} {
				x.reads(t, value)
				if err := sees(patience, value); err != nil {
					who, _ := alice.Who(t.Context(), []string{name})
					t.Fatalf("%v: %+v", err, who)
				}
			}
			if requests, err := x.Requests(t.Context()); err != nil || len(requests) != 0 {
				t.Errorf("somebody waits for an answer: %+v, %v", requests, err)
			}
			if name != "bot" {
				return
			}
			if _, err := alice.Send(t.Context(), node.Draft{To: name, Content: []byte("how warm is it?")}); err != nil {
				t.Fatal(err)
			}
			if err := await(patience, "the bot answers", func() bool {
				in, err := alice.Inbox(t.Context(), node.InboxQuery{})
				return err == nil && len(in) == 1 && string(in[0].Content) == "22" && !strings.Contains(fmt.Sprint(in[0].FromName), "?")
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A group is a principal as a person is: an address whose presence has no person, which whoever is in it may watch
// by rule alone, and whose program passes on what one member writes to the others, in the group's own name.
func TestReq_S36_AGroup(t *testing.T) {
	inWorld(t, func(w *world) {
		choir, alice, dave, c := w.person("choir"), w.person("alice"), w.person("dave"), w.person("carol")
		members := []*person{alice, dave}
		allow, refuse := "allow", "refuse"
		for _, m := range members {
			choir.add(m)
			m.add(choir)
		}
		_, err := choir.SetPolicy(ctx(), node.PolicyEdit{Class: "known", Watch: &allow})
		w.must(err)
		block := "block"
		_, err = choir.SetPolicy(ctx(), node.PolicyEdit{Class: "unknown", Watch: &block, Messages: &refuse})
		w.must(err)
		bare := true
		_, err = choir.Set(ctx(), node.Change{Bare: &bare, Measures: &[]node.Measure{{Name: "x.example.org/members", Value: "2"}}})
		w.must(err)
		for _, m := range members {
			m.ask(choir)
			w.within(5*time.Second, m.name+" sees the group", func() bool {
				p := m.sees(choir)
				return p.Basic == "open" && p.IM == "" && p.Note == "" && len(p.Tuples) == 1 && len(p.Tuples[0].Status) == 1 && p.Tuples[0].Status[0].Value == "2"
			})
		}
		if r, err := choir.Requests(ctx()); err != nil || len(r) != 0 {
			t.Errorf("somebody waits for an answer: %+v, %v", r, err)
		}
		passOn := func() { // the program of the group, once
			in, err := choir.Inbox(ctx(), node.InboxQuery{})
			w.must(err)
			for _, x := range in {
				for _, m := range members {
					if m.Self().Address != x.From {
						_, err := choir.Send(ctx(), node.Draft{To: m.name, Content: x.Content})
						w.must(err)
					}
				}
			}
		}
		_, err = alice.Send(ctx(), node.Draft{To: "choir", Content: []byte("from bar nine")})
		w.must(err)
		w.within(5*time.Second, "the group has it", func() bool {
			in, err := choir.Inbox(ctx(), node.InboxQuery{})
			return err == nil && len(in) == 1
		})
		passOn()
		w.within(5*time.Second, "dave has it from the group", func() bool {
			in, err := dave.Inbox(ctx(), node.InboxQuery{})
			return err == nil && len(in) == 1 && in[0].From == choir.Self().Address && string(in[0].Content) == "from bar nine"
		})
		if in, err := alice.Inbox(ctx(), node.InboxQuery{}); err != nil || len(in) != 0 {
			t.Errorf("alice's inbox: %+v, %v", in, err)
		}
		c.add(choir)
		c.ask(choir)
		w.within(5*time.Second, "who is not in it is refused by rule", func() bool { return c.watching(choir).State == "denied" })
	})
}
