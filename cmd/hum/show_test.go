package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node/control/humv1"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "7d": 168 * time.Hour, "2w": 336 * time.Hour, "1d12h": 36 * time.Hour, "1w1d1h": 193 * time.Hour, "0s": 0,
	} {
		var d duration
		if err := d.Set(text); err != nil || d.d != want || !d.set {
			t.Errorf("%s: got %v, %v", text, d.d, err)
		}
	}
	for _, text := range []string{"", "soon", "7", "-1h", "1h1d", "1d-1h", "99999999d"} {
		if err := new(duration).Set(text); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
}

// What others wrote cannot steer the terminal.
func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünï 🙂": "plain ünï 🙂", "two\nlines\there": "two lines here", "\x1b[31mred": "\uFFFD[31mred",
		"c1\u009b2J": "c1\uFFFD2J", "bi\u202edi": "bi\uFFFDdi", "bell\a": "bell\uFFFD", "cr\rover": "cr\uFFFDover",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
	if got := body("a\x1b[2J\nb\n"); got != "  a\uFFFD[2J\n  b" {
		t.Errorf("got %q", got)
	}
}

func TestColourOnlyWhereWanted(t *testing.T) {
	for _, tt := range []struct {
		name     string
		terminal bool
		noColor  string
		want     bool
	}{{"terminal", true, "", true}, {"NO_COLOR", true, "1", false}, {"pipe", false, "", false}} {
		var out bytes.Buffer
		a := &app{out: &out, terminal: tt.terminal, env: func(string) string { return tt.noColor }}
		a.print(table{head: []string{"NAME", "STATE", "X"}, rows: [][]string{{"bob", "open", "1"}, {"caroline", "closed", "2"}}})
		if got := strings.Contains(out.String(), "\x1b["); got != tt.want {
			t.Errorf("%s: got %q", tt.name, out.String())
		}
		bare := strings.NewReplacer("\x1b[1m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(out.String())
		if want := "NAME      STATE   X\nbob       open    1\ncaroline  closed  2\n"; bare != want {
			t.Errorf("%s: got\n%s", tt.name, bare)
		}
	}
}

// On a narrow terminal no column is cut: what does not fit goes on in the next line.
func TestNarrowTerminal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		width int
		want  string
	}{
		{"not a terminal", 0, "NAME  STATE    ADDRESS         TEXT\nbob   pending  hum1aaaaaaaaaa  may I see you\n"},
		{"wide", 60, "NAME  STATE    ADDRESS         TEXT\nbob   pending  hum1aaaaaaaaaa  may I see you\n"},
		{"narrow", 34, "NAME  STATE    ADDRESS\n  TEXT\nbob   pending  hum1aaaaaaaaaa\n  may I see you\n"},
		{"very narrow", 12, "NAME\n  STATE\n  ADDRESS\n  TEXT\nbob\n  pending\n  hum1aaaaaaaaaa\n  may I see\n  you\n"},
	} {
		var out bytes.Buffer
		a := &app{out: &out, width: tt.width, env: func(string) string { return "" }}
		a.print(table{head: []string{"NAME", "STATE", "ADDRESS", "TEXT"}, rows: [][]string{{"bob", "pending", "hum1aaaaaaaaaa", "may I see you"}}})
		if out.String() != tt.want {
			t.Errorf("%s: got\n%s", tt.name, out.String())
		}
	}
}

// People read where a node listens; multiaddrs are for machines.
func TestPlace(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/192.0.2.1/tcp/4866/p2p/12D3KooW":     "192.0.2.1 port 4866 (tcp)",
		"/ip6/2001:db8::1/udp/4866/quic-v1":        "2001:db8::1 port 4866 (quic-v1)",
		"/ip4/192.0.2.1/tcp/443/ws":                "192.0.2.1 port 443 (ws)",
		"/dns4/hum.example/tcp/4866/p2p/12D3KooWx": "/dns4/hum.example/tcp/4866",
	} {
		if got := place(addr); got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
}

// What a delegate says is shown as a delegate's word.
func TestSpoken(t *testing.T) {
	p := &humv1.Presence{Evidence: "said", Tuples: []*humv1.Tuple{{Contact: "tel:+15550100", Basic: "open", Delegate: true}},
		Spoken: []*humv1.Spoken{{Note: "back at \x1bfour", Status: []*humv1.Measure{{Name: "activities", Value: "meeting"}}}}}
	if got := strings.Join(append(services(p), spoken(p)...), " "); got != "tel:+15550100 (open, says a delegate) (a delegate says: activities meeting, back at "+clean("\x1b")+"four)" {
		t.Errorf("shown as %q", got)
	}
}
