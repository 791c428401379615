package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hum-presence/hum/"

// rooms says for each room which other rooms it may import. A room's subfolders are the room itself,
// unless they are rooms of their own.
var rooms = map[string][]string{
	"identity":       {},
	"p2p/wire":       {"identity"},
	"store":          {"identity"},
	"p2p":            {"identity", "p2p/wire"},
	"node/policy":    {"identity"},
	"node/presence":  {"identity", "p2p/wire"},
	"node/message":   {"identity", "p2p/wire"},
	"node/community": {"identity", "p2p/wire"},
	"node/replica":   {"identity"},
	"node/formats":   {"identity", "p2p/wire"},
	"node/settings":  {},
	"node": {"identity", "p2p/wire", "store", "p2p", "node/policy", "node/presence", "node/message", "node/replica",
		"node/formats", "node/community", "node/settings"},
	"node/host":        {"identity", "p2p/wire", "store", "p2p", "node/community", "node/settings"},
	"node/control":     {"identity", "p2p/wire", "node"},
	"node/conformance": {"identity", "p2p/wire", "node"},
	"cmd/hum":          {"identity", "p2p/wire", "node", "node/control", "node/conformance", "node/host", "node/settings", "p2p"},
	"cmd/hum-testnet":  {"testnet"},
	"docs/examples":    {"node/control", "testnet"}, // programs of others: they know the local API alone, or the simulator
	"testnet": {"identity", "p2p/wire", "store", "p2p", "node/policy", "node/presence", "node/message", "node/replica",
		"node/formats", "node", "node/host", "node/settings"},
	"tools": {"identity", "p2p/wire", "store", "p2p", "node/policy", "node/presence", "node/message", "node/replica",
		"node/formats", "node", "node/control", "node/host", "node/settings", "testnet"},
}

// homes says in which rooms alone a dependency may be imported. The simulated network stands below the
// real swarm, so it speaks libp2p's interfaces; tools are run by developers only.
var homes = map[string][]string{
	"github.com/libp2p/":                   {"p2p", "testnet"},
	"github.com/multiformats/":             {"p2p", "testnet"},
	"github.com/ipfs/":                     {"p2p"},
	"github.com/miekg/":                    {"testnet"},
	"go.uber.org/":                         {"p2p", "testnet"},
	"github.com/quic-go/":                  {"testnet"},
	"github.com/dgraph-io/":                {"store"},
	"filippo.io/":                          {"identity"},
	"golang.org/x/crypto/":                 {"identity"},
	"encoding/xml":                         {"node/formats"},
	"google.golang.org/protobuf/encoding/": {"p2p/wire", "node/control"},
	"connectrpc.com/":                      {"node/control"},
	"github.com/godbus/":                   {"cmd/hum"},
	"gonum.org/":                           {"testnet"},
	"github.com/spf13/":                    {"cmd/hum", "cmd/hum-testnet"},
	"github.com/pelletier/":                {"node/settings"},
	"github.com/prometheus/":               {"node/host"},
}

type pkg struct {
	ImportPath, Doc string
	Imports         []string
	GoFiles         []string
}

// packages lists the module's packages; imports of tests do not count.
func packages(t *testing.T) (out []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	cmd.Dir = "../.."
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(bytes.NewReader(b)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
}

// roomOf is the room that a path within the module belongs to: the longest that contains it.
func roomOf(path string) (room string) {
	for r := range rooms {
		if (path == r || strings.HasPrefix(path, r+"/")) && len(r) > len(room) {
			room = r
		}
	}
	return room
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		room := roomOf(path)
		if room == "" {
			t.Errorf("%s stands in no room of the house", path)
			continue
		}
		for _, i := range p.Imports {
			if why := forbidden(room, i); why != "" {
				t.Errorf("%s imports %s: %s", path, i, why)
			}
		}
	}
}

// forbidden says why a room may not import a package, or nothing.
func forbidden(room, imported string) string {
	if inner, ok := strings.CutPrefix(imported, module); ok {
		if to := roomOf(inner); to != room && !slices.Contains(rooms[room], to) {
			return "the plan has no such door"
		}
		return ""
	}
	for dependency, where := range homes {
		if strings.HasPrefix(imported, dependency) && !slices.Contains(where, room) {
			return "that has its room in " + strings.Join(where, " and ")
		}
	}
	return ""
}

// The plan must be able to forbid: each of these would be a door that is not in it.
func TestPlanForbids(t *testing.T) {
	for _, c := range []struct{ room, imported string }{
		{"store", module + "p2p"},
		{"p2p", module + "store"},
		{"identity", module + "p2p/wire"},
		{"node/presence", module + "store"},
		{"node/policy", module + "p2p/wire"},
		{"node", module + "node/control"},
		{"node", "github.com/libp2p/go-libp2p/core/peer"},
		{"p2p", "github.com/dgraph-io/badger/v4"},
		{"cmd/hum", "connectrpc.com/connect/v2"},
		{"node", "encoding/xml"},
		{"node/formats", module + "node/presence"},
	} {
		if forbidden(c.room, c.imported) == "" {
			t.Errorf("%s may import %s", c.room, c.imported)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && slices.ContainsFunc(p.GoFiles, written) {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// written reports whether a file was written by hand.
func written(file string) bool {
	return !strings.HasSuffix(file, ".pb.go") && !strings.HasSuffix(file, ".connect.go")
}
