package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/controltest"
)

// The contact is handed over as one argument, to the program that the user named; --print starts none.
func TestLaunchHandsOver(t *testing.T) {
	f := running(t)
	f.env["HUM_LAUNCH"] = "/usr/bin/dial er" // a space is part of the name: no shell reads it
	if stdout, stderr, code := f.do("launch", "bob", "voice"); code != 0 || stdout != "tel:+41446681800\n" {
		t.Errorf("got %q, %q, %d", stdout, stderr, code)
	}
	if want := `/usr/bin/dial er "tel:+41446681800"`; len(f.local.calls) != 1 || f.local.calls[0] != want {
		t.Errorf("got %v", f.local.calls)
	}
	if stdout, _, code := f.do("launch", "bob", "voice", "--print", "--json"); code != 0 || !strings.Contains(stdout, `"uri":"tel:+41446681800"`) || len(f.local.calls) != 1 {
		t.Errorf("got %q, %v", stdout, f.local.calls)
	}
	delete(f.env, "HUM_LAUNCH")
	if err := os.WriteFile(filepath.Join(f.home, "config.toml"), []byte("launch = \"linphone\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, code := f.do("launch", "bob", "voice"); code != 0 || !strings.HasPrefix(f.local.calls[1], "linphone ") {
		t.Errorf("got %v", f.local.calls)
	}
	f.local.fail = errors.New("exit status 3")
	if _, stderr, code := f.do("launch", "bob", "voice"); code != exitFailed || !strings.Contains(stderr, "--print") {
		t.Errorf("got %q, %d", stderr, code)
	}
}

// A real program gets the URI as its one argument.
func TestHandleStartsOneProgram(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	program := filepath.Join(dir, "handler")
	script := "#!/bin/sh\nprintf '%s|' \"$#\" \"$@\" > " + out + "\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	const uri = "sip:bob@example.com;a=$(id)?b=c&d='e f'"
	if err := handle(t.Context(), program, uri); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "1|"+uri+"|" {
		t.Errorf("got %q, %v", b, err)
	}
}

// A document goes out octet for octet, and to no file that exists.
func TestExportWritesTheOctets(t *testing.T) {
	f := running(t)
	if stdout, _, code := f.do("export", "pidf", "bob"); code != 0 || stdout != controltest.Document {
		t.Errorf("got %q, %d", stdout, code)
	}
	file := filepath.Join(t.TempDir(), "bob.xml")
	if _, stderr, code := f.do("export", "pidf", "bob", "--out", file); code != 0 {
		t.Fatal(stderr)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != controltest.Document {
		t.Errorf("got %q, %v", b, err)
	}
	if _, _, code := f.do("export", "pidf", "bob", "--out", file); code != exitUsage {
		t.Errorf("written over: %d", code)
	}
}

// Whoever has a telephone too is shown with it; that it is open counts only while his word holds.
func TestWhoShowsEveryService(t *testing.T) {
	f := running(t)
	f.fake.People[0].Tuples = append(f.fake.People[0].Tuples, node.TupleOf{ID: "tel", Basic: "closed", Contact: "tel:+41446681800"},
		node.TupleOf{ID: "im", Basic: "open", Contact: controltest.Bob.IM()})
	if stdout, _, _ := f.do("who"); !strings.Contains(stdout, "at my desk tel:+41446681800 (closed)\n") {
		t.Errorf("got\n%s", stdout)
	}
	f.fake.People[0].Evidence = "lapsed"
	if stdout, _, _ := f.do("who"); !strings.Contains(stdout, "at my desk tel:+41446681800\n") {
		t.Errorf("got\n%s", stdout)
	}
}
