package settings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Name  string   `toml:"name" doc:"What it is called."`
	Roles []string `toml:"roles" doc:"What it does."`
	Relay struct {
		Lasts Duration `toml:"lasts" doc:"How long\na circuit lasts."`
		Bytes Bytes    `toml:"bytes" doc:"What it may carry."`
		Open  bool     `toml:"open" doc:"For all."`
	} `toml:"relay" doc:"Circuits."`
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		says       []string // the error and its advice; none: it is read
	}{
		{"everything", "name = \"a\"\nroles = [\"x\"]\n[relay]\nlasts = \"1d12h\"\nbytes = \"64 MiB\"\nopen = true\n", 0, nil},
		{"nothing", "", 0, nil},
		{"a letter too few", "# mine\nnam = \"a\"\n", 2, []string{`"nam"`, "did you mean name?"}},
		{"in a table", "[relay]\nopen = true\nlast = \"1h\"\n", 3, []string{`"relay.last"`, "did you mean relay.lasts?"}},
		{"in the wrong table", "bytes = \"1 MB\"\n", 1, []string{"did you mean relay.bytes?"}},
		{"an unknown table", "name = \"a\"\n[metrics]\nport = 1\n", 2, []string{`"metrics`, "it is one of name, roles, relay.lasts"}},
		{"another type", "name = \"a\"\nroles = \"x\"\n", 2, []string{"string"}},
		{"no duration", "[relay]\nlasts = \"soon\"\n", 2, []string{"write it like 90s"}},
		{"no size", "[relay]\nbytes = \"many\"\n", 2, []string{"write it like 64 MiB"}},
		{"no TOML", "name = \"a\"\nthis is no TOML\n", 2, []string{"="}},
		{"twice", "name = \"a\"\nname = \"b\"\n", 2, []string{"name"}},
	}
	for _, tt := range tests {
		var s sample
		err := parse("x.toml", []byte(tt.text), &s)
		var e *Error
		if len(tt.says) == 0 {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if !errors.As(err, &e) || e.Line != tt.line {
			t.Errorf("%s: %v, line %d wanted", tt.name, err, tt.line)
			continue
		}
		for _, word := range tt.says {
			if !strings.Contains(e.Error()+" "+e.Advice, word) {
				t.Errorf("%s: %q is missing in %v (%s)", tt.name, word, e, e.Advice)
			}
		}
	}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	var s sample
	if err := Load(filepath.Join(dir, "none"), &s); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := Load(dir, &s); err == nil {
		t.Error("a folder is read")
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Load(large, &s); err == nil {
		t.Error("a file of any size is read")
	}
}

// What the reference shows, uncommented, is read back as the same values.
func TestReference(t *testing.T) {
	s := sample{Name: "it's \"D\" \x00\u2028", Roles: []string{"a", "b"}}
	s.Relay.Lasts, s.Relay.Bytes = Duration(36*time.Hour), 1536<<10
	text := Reference(s)
	var read sample
	if err := parse("reference", []byte(text), &read); err != nil || !reflect.DeepEqual(read, sample{}) {
		t.Errorf("as it stands: %+v, %v", read, err)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "# ") {
			lines = append(lines, strings.TrimPrefix(line, "#"))
		}
	}
	if err := parse("reference", []byte(strings.Join(lines, "")), &read); err != nil || !reflect.DeepEqual(read, s) {
		t.Errorf("uncommented: %+v, %v\n%s", read, err, text)
	}
	if keys := Keys(&s); !slices.Equal(keys, []string{"name", "roles", "relay.lasts", "relay.bytes", "relay.open"}) {
		t.Errorf("keys %v", keys)
	}
	for _, doc := range []string{"# How long\n# a circuit lasts.\n", "# Circuits.\n[relay]\n"} {
		if !strings.Contains(text, doc) {
			t.Errorf("%q is missing in\n%s", doc, text)
		}
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]string{"90s": "1m30s", "1h": "1h", "24h": "1d", "2w": "14d", "1d12h": "36h", "15m": "15m", "0s": "0s"} {
		d, err := ParseDuration(text)
		if got, _ := d.MarshalText(); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"64MiB": "64 MiB", "20 MB": "20 MB", "4096": "4 KiB", "0": "0 B", "5000000000": "5 GB", "7 B": "7 B"} {
		var n Bytes
		err := n.UnmarshalText([]byte(text))
		if got, _ := n.MarshalText(); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1 MB", "1.5 GB", "9223372036854775807 GiB", ""} {
		if err := new(Bytes).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a number of bytes", text)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("name = \"a\"\n[relay]\nlasts = \"1d\"\n"))
	f.Add([]byte("[[relay]]\n"))
	f.Add([]byte("relay = 3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s sample
		var e *Error
		if err := parse("f", b, &s); err != nil && (!errors.As(err, &e) || e.Message == "") {
			t.Errorf("%v", err)
		}
	})
}
