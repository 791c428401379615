package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/controltest"
	"github.com/hum-presence/hum/p2p/wire"
)

// pictured is a message of a picture with words beside it.
func pictured() node.Received {
	return node.Received{ID: wire.MID{6}, From: controltest.Bob, FromName: "bob", Verified: true, Sent: controltest.Start, Received: controltest.Start,
		Type: "multipart/alternative; boundary=x", Content: []byte("--x…"), Contact: []string{"tel:+41446681800", "gopher:x"},
		Parts: []node.Part{{Type: "text/plain", Lang: "en", Size: 5}, {Type: "image/png", Name: "cat.png", Size: 20480}}, Words: "a cat"}
}

// A message that is no text is told in words: what it is, what it is made of, and what its author says it shows.
func TestLetterTellsWhatItIs(t *testing.T) {
	f := running(t)
	f.fake.Letters = []node.Received{pictured()}
	id := (wire.MID{6}).String()
	stdout, _, code := f.do("inbox", id)
	for _, want := range []string{"reach him too by tel:+41446681800\n", "gopher:x (no handler)", "multipart/alternative", "part 1: text/plain, en, 5 B", "part 2: image/png, cat.png, 20", "a cat"} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("lacks %q:\n%s", want, stdout)
		}
	}
	if stdout, _, _ = f.do("inbox"); !strings.Contains(stdout, "a cat") {
		t.Errorf("the list says %s", stdout)
	}
	if stdout, _, _ = f.do("inbox", id, "--json"); !strings.Contains(stdout, `"text":"a cat"`) || !strings.Contains(stdout, `"parts":[{"type":"text/plain"`) {
		t.Errorf("got %s", stdout)
	}
}

// What is saved is the octets, into a file of the owner alone, which did not exist; nothing opens it.
func TestContentToFile(t *testing.T) {
	f := running(t)
	f.fake.Letters = []node.Received{pictured()}
	id, file := (wire.MID{6}).String(), filepath.Join(t.TempDir(), "cat")
	if _, stderr, code := f.do("inbox", id, "--out", file); code != 0 {
		t.Fatal(stderr)
	}
	b, err := os.ReadFile(file)
	info, err2 := os.Stat(file)
	if err != nil || err2 != nil || string(b) != "--x…" || info.Mode().Perm() != 0o600 {
		t.Errorf("got %q, %v, %v", b, info, err)
	}
	if _, stderr, code := f.do("inbox", id, "--out", file); code != exitUsage || !strings.Contains(stderr, "another name") {
		t.Errorf("written over: %d %s", code, stderr)
	}
	if len(f.local.calls) != 0 {
		t.Errorf("something was opened: %v", f.local.calls)
	}
}

// What was not sealed, or not signed, says so in words wherever it is shown.
func TestUnprotectedIsMarked(t *testing.T) {
	f := running(t)
	f.fake.Letters = []node.Received{{ID: wire.MID{6}, From: controltest.Bob, FirstContact: true, Clear: true, Sent: controltest.Start, Received: controltest.Start,
		Type: "text/plain", Content: []byte("trust me")}}
	for _, line := range []string{"inbox", "inbox " + (wire.MID{6}).String()} {
		if stdout, _, _ := f.do(strings.Fields(line)...); !strings.Contains(stdout, "stranger, unverified, not sealed") {
			t.Errorf("%s says %s", line, stdout)
		}
		if stdout, _, _ := f.do(append(strings.Fields(line), "--json")...); !strings.Contains(stdout, `"verified":false`) || !strings.Contains(stdout, `"clear":true`) {
			t.Errorf("%s says %s", line, stdout)
		}
	}
	if stdout, _, _ := f.do("inbox", (wire.MID{6}).String()); !strings.Contains(stdout, "NOT SIGNED") {
		t.Errorf("got %s", stdout)
	}
}

func TestTooLargeSaysTheWayOut(t *testing.T) {
	f := running(t)
	file := filepath.Join(t.TempDir(), "film")
	if err := os.WriteFile(file, make([]byte, maxContent+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := f.do("send", "bob", "--file", file); code != exitUsage || !strings.Contains(stderr, "send the link") {
		t.Errorf("%d: %s", code, stderr)
	}
}
