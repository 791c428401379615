package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/controltest"
	"github.com/hum-presence/hum/p2p/wire"
)

// A screen is what a chat writes to, and a keyboard what it reads from.
type screen struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// chatting is a chat with bob that runs, on a terminal or between pipes.
type chatting struct {
	t      *testing.T
	f      *fixture
	typed  *io.PipeWriter
	out    *screen
	errs   *screen
	cancel func()
	code   chan int
}

func chatWith(t *testing.T, tty bool, args ...string) *chatting {
	t.Helper()
	c := &chatting{t: t, f: running(t), out: &screen{}, errs: &screen{}, code: make(chan int, 1)}
	in, typed := io.Pipe()
	c.typed = typed
	a := &app{in: in, out: c.out, err: c.errs, flush: func() error { return nil }, env: func(k string) string { return map[string]string{"HUM_HOME": c.f.home, "NO_COLOR": "1"}[k] },
		now: clock, terminal: tty, local: c.f.local}
	if tty {
		a.secret = func(string) ([]byte, error) { return nil, errors.New("nobody asks here") }
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = cancel
	go func() { c.code <- a.run(ctx, append([]string{"chat"}, args...)) }()
	t.Cleanup(func() { cancel(); _ = typed.Close() })
	return c
}

func (c *chatting) types(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.typed, s); err != nil {
		c.t.Fatal(err)
	}
}

// shows waits until the screen holds s.
func (c *chatting) shows(s string) {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(c.out.String(), s); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%q is not shown:\n%s%s", s, c.out.String(), c.errs.String())
		}
	}
}

func (c *chatting) ends(code int) {
	c.t.Helper()
	select {
	case got := <-c.code:
		if got != code {
			c.t.Errorf("ended with %d, want %d: %s", got, code, c.errs.String())
		}
	case <-time.After(30 * time.Second):
		c.t.Fatal("it does not end")
	}
}

func (c *chatting) called(method string) (n int) {
	for _, call := range c.f.fake.Calls() {
		if call.Method == method {
			n++
		}
	}
	return n
}

// TestChat talks both ways between pipes: history, what is typed, what comes, and what becomes of it.
func TestChat(t *testing.T) {
	c := chatWith(t, false, "bob")
	c.shows("bob: yes\n      see you  [aiaaaaaa]\n")
	c.shows("me: back at four?  [delivered aeaaaaaa]\n")
	c.types("grüße\n\n  \n")
	c.shows("me: grüße  [aeaaaaaa]\n      · queued aeaaaaaa: grüße\n")
	id := (wire.MID{1}).String()
	c.f.fake.Raise(node.Event{Kind: "ack", Address: controltest.Carol, ID: (wire.MID{9}).String(), State: "delivered"})
	c.f.fake.Raise(node.Event{Kind: "ack", Address: controltest.Bob, ID: id, State: "handed"})
	c.shows("· handed aeaaaaaa: grüße\n")
	c.f.fake.Deliver(node.Received{ID: wire.MID{7}, From: controltest.Bob, FromName: "bob", Sent: controltest.Start, Type: "text/plain",
		Content: []byte("look\x1b[2J\rout\u202e\nbelow")})
	c.f.fake.Deliver(node.Received{ID: wire.MID{8}, From: controltest.Bob, FromName: "bob", Sent: controltest.Start, Type: "image/png", Content: []byte{1, 2, 0xff}})
	for _, i := range []byte{7, 7, 8} {
		c.f.fake.Raise(node.Event{Kind: "message", Address: controltest.Bob, ID: (wire.MID{i}).String(), State: "received"})
	}
	c.shows("bob: look\ufffd[2J\ufffdout\ufffd\n      below  [a4aaaaaa]\n")
	c.shows("bob: [image/png, 3 B; keep it with: hum inbox baaaaaaa --out FILE]  [baaaaaaa]\n")
	c.types("no \xff text\n")
	_ = c.typed.Close()
	c.f.fake.Raise(node.Event{Kind: "ack", Address: controltest.Bob, ID: id, State: "failed", Reason: wire.ReasonRefused})
	c.ends(exitDone)
	c.shows("· failed (refused) aeaaaaaa: grüße\n")
	if got := c.out.String(); strings.Count(got, "below") != 1 || strings.Contains(got, "\x1b") || c.called("Send") != 1 || c.called("OpenMessage") != 0 {
		t.Errorf("%d sent, %d opened:\n%s", c.called("Send"), c.called("OpenMessage"), got)
	}
	if !strings.Contains(c.errs.String(), "UTF-8") {
		t.Errorf("of what was no text is said %q", c.errs.String())
	}
}

// TestChatOnATerminal opens what it shows, repeats nothing that was typed, and ends at once.
func TestChatOnATerminal(t *testing.T) {
	c := chatWith(t, true, "bob")
	c.shows("Ctrl-D or /quit ends it")
	c.types("hello\n")
	c.shows("· queued aeaaaaaa: hello\n")
	c.f.fake.Raise(node.Event{Kind: "ack", Address: controltest.Bob, ID: (wire.MID{9}).String(), State: "delivered"}) // sent by another device
	c.shows("me: back at four?  [aeaaaaaa]\n")
	_ = c.typed.Close()
	c.ends(exitDone)
	if got := c.out.String(); strings.Contains(got, "me: hello") || !strings.Contains(got, "still under way") || c.called("OpenMessage") != 1 {
		t.Errorf("%d opened:\n%s", c.called("OpenMessage"), got)
	}
}

func TestChatIsInterrupted(t *testing.T) {
	c := chatWith(t, true, "bob")
	c.shows("Ctrl-D or /quit ends it")
	c.cancel()
	c.ends(exitDone)
	if c.errs.String() != "" {
		t.Errorf("said %q", c.errs.String())
	}
}

// What ends a talk in other programs is not sent to him; from a pipe it is what somebody wrote.
func TestChatQuit(t *testing.T) {
	c := chatWith(t, true, "bob")
	c.shows("Ctrl-D or /quit ends it")
	c.types("/quit \n")
	c.ends(exitDone)
	if c.called("Send") != 0 {
		t.Error("it was sent")
	}
	c = chatWith(t, false, "bob")
	c.shows("back at four?")
	c.types("/quit\n")
	c.shows("me: /quit")
}

func TestChatWithNobody(t *testing.T) {
	f := running(t)
	f.fake.Fail["History"] = &node.Error{Kind: node.KindUsage, Code: "unknown-name", Message: "nobody here is called \"bbo\""}
	if _, stderr, code := f.do("chat", "bbo"); code != exitUsage || !strings.Contains(stderr, "bbo") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
