package main

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	const text = "# a\n```sh\n$ not this\n```\n# tour\n```console\n$ echo hi   # within 2s\nhi\n\n$ true\n```\n"
	got := parse(text, "tour")
	if len(got) != 2 || got[0].command != "echo hi" || got[0].within != 2*time.Second || len(got[0].expect) != 1 || got[1].command != "true" {
		t.Fatalf("got %+v", got)
	}
}

func TestMissing(t *testing.T) {
	tests := []struct {
		name, out string
		expect    []string
		ok        bool
	}{
		{"blanks are alike", "bob   open\n", []string{"bob open"}, true},
		{"anything", "bob open 3s\n", []string{"bob open …"}, true},
		{"in order", "a\nb\n", []string{"b", "a"}, false},
		{"not there", "a\n", []string{"b"}, false},
		{"a part is not the line", "bob open away\n", []string{"bob open"}, false},
	}
	for _, tt := range tests {
		if _, ok := missing(tt.out, tt.expect); ok != tt.ok {
			t.Errorf("%s: got %v", tt.name, ok)
		}
	}
}

// The tour must fail when a command does not do what is promised.
func TestWalkFails(t *testing.T) {
	sh, err := start()
	if err != nil {
		t.Fatal(err)
	}
	defer sh.stop()
	if err := sh.walk(step{command: "echo yes", expect: []string{"yes"}}); err != nil {
		t.Error(err)
	}
	if sh.walk(step{command: "echo no", expect: []string{"yes"}}) == nil {
		t.Error("a wrong output passed")
	}
	if sh.walk(step{command: "echo no", within: time.Millisecond, expect: []string{"yes"}}) == nil {
		t.Error("what never came passed")
	}
	if sh.walk(step{command: "echo listening on /ip4/192.0.2.1/tcp/4866"}) == nil {
		t.Error("a locator passed")
	}
	if got := notice.ReplaceAllString("a\nmain: line 5:  6112 Killed                  ./hum up --listen /ip4/127.0.0.1/tcp/4871\nb\n", ""); got != "a\nb\n" {
		t.Errorf("beside the shell's own word stands %q", got)
	}
	if sh.walk(step{command: "false"}) == nil {
		t.Error("a failing command passed")
	}
	if err := sh.walk(step{command: "(exit 4)", expect: []string{"(exit 4)"}}); err != nil {
		t.Error(err)
	}
	if sh.walk(step{command: "false", expect: []string{"fine"}}) == nil {
		t.Error("a missing line passed")
	}
}

// What comes later than promised passes with patience, and is counted.
func TestWalkLate(t *testing.T) {
	sh, err := start()
	if err != nil {
		t.Fatal(err)
	}
	defer sh.stop()
	sh.patience = time.Minute
	late := step{command: "sleep 0.02; n=$((n+1)); echo $n", within: time.Millisecond, expect: []string{"3"}}
	if err := sh.walk(late); err != nil || sh.late != 1 {
		t.Errorf("got %v, %d late", err, sh.late)
	}
}
