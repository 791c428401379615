package requirements

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// patience is how long one waits in real time for what must come: longer, on a machine that has other work, than a dial
// that comes too late, the pause after it and the next.
const patience = 4 * time.Minute

// onLoopback runs a whole node over real connections and in real time.
func onLoopback(t *testing.T, name string) *node.Node {
	t.Helper()
	n, _ := onLoopbackAt(t, name)
	return n
}

// onLoopbackAt returns the home too.
func onLoopbackAt(t *testing.T, name string, settings ...string) (*node.Node, string) {
	t.Helper()
	home := filepath.Join(t.TempDir(), name)
	if _, err := node.Init(home, node.InitConfig{Name: name, Clock: node.SystemClock(), Rand: rand.Reader}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte("name = \""+name+"\"\n"+strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(node.Config{Home: home, Rand: rand.Reader, Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		t.Fatal(err)
	}
	run, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(run) }()
	<-n.Ready()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Errorf("%s: run: %v", name, err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	})
	return n, home
}

// The lonely pair of SPEC 6, over real transports: a message, its answer, presence, and no name service.
func TestReq_S6_ByCardAloneOnLoopback(t *testing.T) {
	alice, bob := onLoopback(t, "alice"), onLoopback(t, "bob")
	card, err := bob.Card()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Add(t.Context(), card, "bob"); err != nil {
		t.Fatal(err)
	}
	must := func(what string, ok func() bool) {
		t.Helper()
		if err := await(patience, what, ok); err != nil {
			t.Fatal(err)
		}
	}
	s, err := alice.Send(t.Context(), node.Draft{To: "bob", Content: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	must("delivered", func() bool {
		out, err := alice.Outbox(t.Context(), s.ID.String())
		return err == nil && out[0].State == "delivered"
	})
	if _, err := bob.Approve(t.Context(), alice.Self().Address.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Watch(t.Context(), "bob", "", 0); err != nil {
		t.Fatal(err)
	}
	away := wire.Away
	must("active", func() bool {
		w, err := alice.Watching(t.Context())
		return err == nil && len(w) == 1 && w[0].State == "active"
	})
	if _, err := bob.Set(t.Context(), node.Change{IM: &away}); err != nil {
		t.Fatal(err)
	}
	must("alice sees him away", func() bool {
		who, err := alice.Who(t.Context(), nil)
		return err == nil && who[0].IM == "away" && who[0].Basic == "open"
	})
	r, err := bob.Reply(t.Context(), s.ID.String(), node.Draft{Content: []byte("an answer")})
	if err != nil {
		t.Fatal(err)
	}
	must("answered", func() bool {
		out, err := bob.Outbox(t.Context(), r.ID.String())
		return err == nil && out[0].State == "delivered"
	})
}
