package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/controltest"
)

func TestUpInAFreshHome(t *testing.T) {
	f := resting(t)
	stdout, stderr, code := f.do("up", "--json", "--name", "Alice", "--mdns", "--listen", "/ip4/127.0.0.1/tcp/1", "--listen", "/ip4/127.0.0.1/tcp/2")
	if code != 0 || !strings.Contains(stderr, "one two three") {
		t.Fatalf("exit %d, stderr %q", code, stderr)
	}
	var ready struct {
		Event, Address string
		Listen         []string
		PID            int
	}
	if err := json.Unmarshal([]byte(stdout), &ready); err != nil || ready.Event != "ready" || ready.Address != controltest.Me.String() ||
		len(ready.Listen) != 1 || ready.PID == 0 {
		t.Errorf("got %q, %v", stdout, err)
	}
	if want := "up listen=[/ip4/127.0.0.1/tcp/1 /ip4/127.0.0.1/tcp/2] bootstrap=[] mdns=true light=false api="; f.local.calls[1] != want {
		t.Errorf("got %q", f.local.calls)
	}
}

// Whoever starts for the first time at a terminal is shown his words once, apart from the results, and what to do
// next; a script is shown the words once too, and nothing else that it did not ask for.
func TestUpSaysWhatIsNext(t *testing.T) {
	for _, tty := range []bool{true, false} {
		f := resting(t)
		f.tty = tty
		stdout, stderr, code := f.do("up")
		if code != 0 || strings.Count(stderr, "one two three") != 1 || strings.Contains(stdout, "one two three") {
			t.Errorf("at a terminal %v: exit %d, %q, %q", tty, code, stdout, stderr)
		}
		for _, next := range []string{"hum card", "hum add"} {
			if strings.Contains(stdout, next) != tty {
				t.Errorf("at a terminal %v, %s: %q", tty, next, stdout)
			}
		}
	}
}

func TestUpInAnOldHome(t *testing.T) {
	f := resting(t)
	f.local.has = true
	stdout, stderr, code := f.do("up", "--no-mdns")
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "ready: Alice") || strings.Contains(stdout, "12D3") ||
		len(f.local.calls) != 1 || !strings.Contains(f.local.calls[0], "mdns=false") {
		t.Errorf("exit %d, %q, %q, %q", code, stdout, stderr, f.local.calls)
	}
	for _, flag := range []string{"mdns", "light"} {
		if _, _, code := f.do("up", "--"+flag, "--no-"+flag); code != exitUsage {
			t.Errorf("both of %s: exit %d", flag, code)
		}
	}
	if f.do("up", "--light"); !strings.Contains(f.local.calls[1], "light=true") {
		t.Errorf("%q", f.local.calls)
	}
}

func TestInit(t *testing.T) {
	tests := []struct {
		name, line, stdin string
		call              string // "" if it must not come to one
		code              int
	}{
		{"both services", "init --name Alice", "", "{Name:Alice IM:true Presence:true Words: Index:0 Passphrase:[]}", 0},
		{"one service", "init --services presence", "", "{Name: IM:false Presence:true Words: Index:0 Passphrase:[]}", 0},
		{"no such service", "init --services mail", "", "", 2},
		{"recovered", "init --recover --index 2", " one two\n", "{Name: IM:true Presence:true Words:one two Index:2 Passphrase:[]}", 0},
		{"no words", "init --recover", "\n", "", 2},
		{"a further address of nothing", "init --index 1", "", "", 2},
		{"left for another", "succeed", " one two\n", "succeed compromised for one two", 0},
		{"left, why", "succeed --reason moved", "one", "succeed moved for one", 0},
		{"left without words", "succeed", "", "", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := resting(t)
			f.stdin = tt.stdin
			stdout, stderr, code := f.do(append(strings.Fields(tt.line), "--json")...)
			if code != tt.code {
				t.Fatalf("exit %d, %s", code, stderr)
			}
			if got := strings.Join(f.local.calls, " "); got != tt.call && got != strings.TrimSpace("init "+tt.call) && (tt.call != "" || got != "") {
				t.Errorf("got %s", got)
			}
			var made map[string]any
			if code == 0 && (json.Unmarshal([]byte(stdout), &made) != nil || made["im"] == "" || strings.HasPrefix(tt.line, "init") && made["recovery_words"] == "" ||
				strings.HasPrefix(tt.line, "succeed") && made["previous"] != controltest.Me.String()) {
				t.Errorf("got %s", stdout)
			}
		})
	}
}

func TestPassphrases(t *testing.T) {
	one, two := passFile(t, "one"), passFile(t, "two")
	tests := []struct {
		name, line string
		env        string
		asked      []string
		call       string
		code       int
	}{
		{"set, from a file", "passphrase set --passphrase-file " + one, "", nil, `passphrase "one" false`, 0},
		{"set, from the environment", "passphrase set", one, nil, `passphrase "one" false`, 0},
		{"set, asked", "passphrase set", "", []string{"new", "new", "old"}, `passphrase "new" false`, 0},
		{"set, mistyped", "passphrase set", "", []string{"new", "nwe"}, "", 2},
		{"set to nothing", "passphrase set", "", []string{""}, "", 2},
		{"set, nobody there", "passphrase set", "", nil, "", 1},
		{"changed, from files", "passphrase change --passphrase-file " + one + " --new-passphrase-file " + two, "", nil, `passphrase "two" false`, 0},
		{"cleared", "passphrase clear --passphrase-file " + one, "", nil, `passphrase "" true`, 0},
		{"backup under its own", "backup /backups/x --backup-passphrase-file " + two + " --passphrase-file " + one, "", nil, "backup /backups/x two", 0},
		{"backup, asked", "backup /backups/x", "", []string{"b", "b"}, "backup /backups/x b", 0},
		{"restore", "restore /backups/x --passphrase-file " + two, "", nil, "restore /backups/x two", 0},
		{"no such file", "passphrase set --passphrase-file /none", "", nil, "", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := resting(t)
			f.env["HUM_PASSPHRASE_FILE"], f.asked = tt.env, tt.asked
			_, stderr, code := f.do(strings.Fields(tt.line)...)
			if got := strings.Join(f.local.calls, " "); got != tt.call || code != tt.code {
				t.Errorf("got %s, exit %d, %s", got, code, stderr)
			}
		})
	}
}

func TestHome(t *testing.T) {
	tests := []struct {
		name string
		flag string
		env  map[string]string
		want string
	}{
		{"by flag", "/f", map[string]string{"HUM_HOME": "/e", "HOME": "/h"}, "/f"},
		{"by HUM_HOME", "", map[string]string{"HUM_HOME": "/e", "XDG_DATA_HOME": "/x", "HOME": "/h"}, "/e"},
		{"by XDG", "", map[string]string{"XDG_DATA_HOME": "/x", "HOME": "/h"}, "/x/hum"},
		{"XDG must be absolute", "", map[string]string{"XDG_DATA_HOME": "x", "HOME": "/h"}, "/h/.local/share/hum"},
		{"by default", "", map[string]string{"HOME": "/h"}, "/h/.local/share/hum"},
	}
	for _, tt := range tests {
		a := &app{home: tt.flag, env: func(k string) string { return tt.env[k] }}
		if err := a.findHome(); err != nil || a.home != filepath.FromSlash(tt.want) {
			t.Errorf("%s: got %s, %v", tt.name, a.home, err)
		}
	}
	if err := (&app{env: func(string) string { return "" }}).findHome(); err == nil {
		t.Error("no home at all: no error")
	}
}

func TestVersion(t *testing.T) {
	stdout, _, _ := resting(t).do("version", "--json")
	var v map[string]any
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || v["version"] == "" || v["protocol"] != "hum/1" {
		t.Errorf("got %s, %v", stdout, err)
	}
}

func TestResetClock(t *testing.T) {
	f := resting(t)
	if stdout, _, code := f.do("doctor", "--reset-clock"); code != 0 || f.local.calls[0] != "reset clock" || !strings.Contains(stdout, "keys") {
		t.Errorf("exit %d, %q, %s", code, f.local.calls, stdout)
	}
	f.local.fail = &node.Error{Code: "damaged", Message: "x"}
	if _, _, code := f.do("doctor", "--reset-clock"); code != 1 {
		t.Errorf("exit %d", code)
	}
}
