package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
)

// The file of settings counts, and before it what is on the command line; a letter too few is named with its line.
func TestCommunitySettings(t *testing.T) {
	home := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(home, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if s, err := communitySettings(home, communityConfig{}); err != nil || s.Invite.Uses != 100 || s.Metrics.Listen != "" {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	write("community.toml", "name = \"Example\"\nroles = [\"relay\"]\n[invite]\nuses = 7\nlasts = \"30d\"\n[metrics]\nlisten = \"127.0.0.1:9466\"\n[relay]\nlasts = \"2h\"\n")
	s, err := communitySettings(home, communityConfig{})
	if err != nil || s.Name != "Example" || s.Invite.Uses != 7 || s.InviteLasts() != 30*24*time.Hour || s.Metrics.Listen == "" || s.Log.Level != "info" ||
		s.Circuits() != (p2p.Circuits{Last: 2 * time.Hour, Data: 64 << 20, Each: 128}) {
		t.Errorf("as the file says: %+v, %v", s, err)
	}
	hour := time.Hour
	s, err = communitySettings(home, communityConfig{Name: "Other", Roles: []string{"mailbox"}, Uses: 1, Lasts: &hour, Metrics: "127.0.0.1:0", Verbose: true})
	if err != nil || s.Name != "Other" || s.Roles[0] != "mailbox" || s.Invite.Uses != 1 || s.InviteLasts() != time.Hour || s.Metrics.Listen != "127.0.0.1:0" || s.Log.Level != "debug" {
		t.Errorf("as the command line says: %+v, %v", s, err)
	}
	for _, bad := range []struct{ name, file, says, advice string }{
		{"a letter too few", write("a", "name = \"x\"\n\nrole = [\"relay\"]\n"), "a line 3: there is no setting \"role\"", "did you mean roles?"},
		{"no node", write("j", "nodes = [\"d.example.org\"]\n"), "nodes: \"d.example.org\" is not where", "hum community config"},
		{"no such role", write("b", "roles = [\"postman\"]\n"), "postman", "hum community config"},
		{"no such level", write("c", "[log]\nlevel = \"loud\"\n"), "loud", "hum community config"},
		{"no host:port", write("d", "[metrics]\nlisten = \"9466\"\n"), "9466", "hum community config"},
		{"no network", write("e", "banned = [\"somebody\"]\n"), "somebody", "hum community config"},
		{"a circuit too short", write("g", "[relay]\nlasts = \"59m\"\n"), "relay.lasts: 59m0s is too short", "hum community config"},
		{"a circuit too small", write("h", "[relay]\nbytes = 131072\n"), "relay.bytes: 131072 are too few", "hum community config"},
		{"no circuits", write("i", "[relay]\ncircuits = 0\n"), "leave relay out of roles", "hum community config"},
		{"no TOML", write("f", "name: x\n"), "f line 1", "hum community config"},
		{"no file", filepath.Join(home, "none"), "there is no file", "hum community config"},
	} {
		_, err := communitySettings(home, communityConfig{File: bad.file})
		var e *node.Error
		if !errors.As(err, &e) || e.Kind != node.KindUsage || !strings.Contains(e.Message, bad.says) || !strings.Contains(e.Advice, bad.advice) {
			t.Errorf("%s: %+v", bad.name, err)
		}
	}
}
