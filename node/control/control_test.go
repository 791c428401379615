package control_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/controltest"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/p2p/wire"
)

// open serves f in a fresh home until the test ends or the returned function is called.
func open(t *testing.T, f *controltest.Fake, tcp string) (home string, s *control.Server, stop func()) {
	t.Helper()
	home = t.TempDir()
	s, err := control.Open(control.Config{Home: home, Backend: f, TCP: tcp, Rand: rand.Reader,
		Clock: func() time.Time { return controltest.Start.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx); close(done) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(stop)
	return home, s, stop
}

func dial(t *testing.T, home string) *control.Client {
	t.Helper()
	c, err := control.Dial(home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestStatus(t *testing.T) {
	home, _, _ := open(t, controltest.New(), "")
	s, err := dial(t, home).Status(t.Context(), &humv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Address != controltest.Me.String() || s.Uptime.AsDuration() != time.Hour ||
		!reflect.DeepEqual(s.Services, []string{"im", "presence"}) || s.Refused["malformed"] != 2 {
		t.Errorf("got %v", s)
	}
}

func TestSetTellsAbsentFromEmpty(t *testing.T) {
	f := controltest.New()
	home, _, _ := open(t, f, "")
	basic, note := "closed", ""
	if _, err := dial(t, home).Set(t.Context(), &humv1.SetRequest{Basic: &basic, Note: &note, Contacts: &humv1.SetRequest_Contacts{}}); err != nil {
		t.Fatal(err)
	}
	got := f.Calls()[0].Args[0].(node.Change)
	if got.Basic == nil || *got.Basic != wire.Closed || got.IM != nil || got.Note == nil || *got.Note != "" ||
		got.Contacts == nil || len(*got.Contacts) != 0 || got.Activity != nil {
		t.Errorf("got %+v", got)
	}
	wrong := "opne"
	_, err := dial(t, home).Set(t.Context(), &humv1.SetRequest{Basic: &wrong})
	if e := control.Explain(err); e.Kind != node.KindUsage {
		t.Errorf("a wrong word: got %+v", e)
	}
}

func TestErrorsCrossWhole(t *testing.T) {
	tests := []struct {
		name string
		give error
		want node.Error
	}{
		{"what a person can mend", &node.Error{Kind: node.KindUsage, Code: "unknown-name", Message: "nobody is called bbo", Advice: "did you mean bob?"},
			node.Error{Kind: node.KindUsage, Code: "unknown-name", Message: "nobody is called bbo", Advice: "did you mean bob?"}},
		{"wrapped", errors.Join(errors.New("outer"), &node.Error{Kind: node.KindRefused, Code: "refused", Message: "no"}),
			node.Error{Kind: node.KindRefused, Code: "refused", Message: "no"}},
		{"nobody answers", &node.Error{Kind: node.KindUnreachable, Code: "unreachable", Message: "x"}, node.Error{Kind: node.KindUnreachable, Code: "unreachable", Message: "x"}},
		{"a reason that forbids", wire.ReasonPolicy, node.Error{Kind: node.KindRefused, Code: "policy", Message: "policy"}},
		{"a reason that fails", wire.ReasonTooLarge, node.Error{Kind: node.KindFailed, Code: "too-large", Message: "too-large"}},
		{"out of time", context.DeadlineExceeded, node.Error{Kind: node.KindUnreachable, Code: control.CodeTimeout, Message: "no answer in time"}},
		{"anything", errors.New("disk on fire"), node.Error{Kind: node.KindFailed, Code: "internal", Message: "disk on fire"}},
	}
	f := controltest.New()
	home, _, _ := open(t, f, "")
	c := dial(t, home)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.Fail["Contacts"] = tt.give
			_, err := c.Contacts(t.Context(), &humv1.ContactsRequest{})
			if err == nil {
				t.Fatal("no error came")
			}
			if got := control.Explain(err); *got != tt.want {
				t.Errorf("got %+v, want %+v", *got, tt.want)
			}
		})
	}
}

func TestWaitEndsWithTheLatestState(t *testing.T) {
	home, _, _ := open(t, controltest.New(), "")
	c := dial(t, home)
	m, err := c.WaitSent(t.Context(), &humv1.WaitSentRequest{Id: "x", Timeout: durationpb.New(10 * time.Millisecond)})
	if err != nil || m.State != "queued" || m.Text != "back at four?" {
		t.Errorf("got %v, %v", m, err)
	}
	s, err := c.WaitWatching(t.Context(), &humv1.WaitWatchingRequest{Who: "bob", Timeout: durationpb.New(10 * time.Millisecond)})
	if err != nil || s.State != "pending" {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestMessagesAreTextOrBytes(t *testing.T) {
	f := controltest.New()
	f.Letters = append(f.Letters, node.Received{Type: "text/plain", Content: []byte{0xff}})
	home, _, _ := open(t, f, "")
	r, err := dial(t, home).Inbox(t.Context(), &humv1.InboxRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Messages[0]; m.Text != "yes\nsee you" || m.Content != nil || m.ReplyTo != (wire.MID{1}).String() || m.Displayed != nil {
		t.Errorf("text: got %v", m)
	}
	if m := r.Messages[1]; m.Text != "" || string(m.Content) != "\x89P" || m.ReplyTo != "" {
		t.Errorf("picture: got %v", m)
	}
	if m := r.Messages[2]; m.Text != "" || string(m.Content) != "\xff" {
		t.Errorf("text that is none: got %v", m)
	}
}

func TestNobodyHome(t *testing.T) {
	home := t.TempDir()
	if _, err := control.Dial(home); control.Explain(err) != control.ErrNotRunning {
		t.Errorf("fresh home: got %v", err)
	}
	home, _, stop := open(t, controltest.New(), "")
	c := dial(t, home)
	stop()
	if _, err := os.Lstat(filepath.Join(home, control.SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket outlives the server: %v", err)
	}
	_, err := c.Status(t.Context(), &humv1.StatusRequest{})
	if e := control.Explain(err); e.Code != control.CodeNotRunning {
		t.Errorf("after the node went: got %+v from %v", e, err)
	}
}

func TestSocketIsMine(t *testing.T) {
	home, _, _ := open(t, controltest.New(), "")
	info, err := os.Lstat(filepath.Join(home, control.SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got mode %v, %v", info.Mode(), err)
	}
	if _, err := control.Open(control.Config{Home: home, Backend: controltest.New()}); !errors.Is(err, control.ErrRunning) {
		t.Errorf("a second node: got %v", err)
	}
	if _, err := dial(t, home).Status(t.Context(), &humv1.StatusRequest{}); err != nil {
		t.Errorf("the first one, after that: %v", err)
	}
}

func TestDeadSocketIsReplaced(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, control.SocketName)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := control.Dial(home); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("dial: got %v", err)
	}
	s, err := control.Open(control.Config{Home: home, Backend: controltest.New()})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()

	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Open(control.Config{Home: home, Backend: controltest.New()}); err == nil {
		t.Error("a file that is no socket was taken")
	}
}

func TestLongHome(t *testing.T) {
	home := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := control.Open(control.Config{Home: home, Backend: controltest.New()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := control.Dial(home)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestLoopbackGuards(t *testing.T) {
	home, s, stop := open(t, controltest.New(), "127.0.0.1:0")
	file := filepath.Join(home, control.FileName)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var door struct{ URL, Token string }
	if err := json.Unmarshal(b, &door); err != nil || door.URL != s.URL() || len(door.Token) != 64 {
		t.Fatalf("got %s, %v", b, err)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("token file: got mode %v", info.Mode())
	}
	port := door.URL[strings.LastIndex(door.URL, ":"):]
	tests := []struct {
		name, token, host, origin string
		want                      int
	}{
		{"with the token", door.Token, "", "", 200},
		{"by name", door.Token, "localhost" + port, "", 200},
		{"own page", door.Token, "", door.URL, 200},
		{"no token", "", "", "", 401},
		{"wrong token", strings.Repeat("0", 64), "", "", 401},
		{"a name that was bent to here", door.Token, "evil.example" + port, "", 421},
		{"another port", door.Token, "127.0.0.1:1", "", 421},
		{"foreign page", door.Token, "", "https://evil.example", 403},
		{"page in a sandbox", door.Token, "", "null", 403},
		{"page of another port", door.Token, "", "http://127.0.0.1:1", 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := http.NewRequestWithContext(t.Context(), "POST", door.URL+"/hum.v1.ControlService/Card", strings.NewReader("{}"))
			r.Header.Set("Content-Type", "application/json")
			if tt.token != "" {
				r.Header.Set("Authorization", "Bearer "+tt.token)
			}
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			r.Host = tt.host
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tt.want || (tt.want == 200) != strings.Contains(string(body), `"hum:hum1`) {
				t.Errorf("got %d %s, want %d", res.StatusCode, body, tt.want)
			}
		})
	}
	stop()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the token outlives the server: %v", err)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.org:80", "4867"} {
		s, err := control.Open(control.Config{Home: t.TempDir(), Backend: controltest.New(), TCP: addr, Rand: rand.Reader})
		if err == nil {
			s.Close()
		}
		if e := control.Explain(err); err == nil || e.Kind != node.KindUsage {
			t.Errorf("%s: got %v", addr, err)
		}
	}
}
