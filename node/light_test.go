package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestLightSetting: config.toml says it, and the flag goes before it.
func TestLightSetting(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name, config string
		flag         *bool
		topics       bool // whether the one who watches is on a topic of the other
	}{
		{"by default", "", nil, true},
		{"in the file", "light = true\n", nil, false},
		{"by the flag", "", &yes, false},
		{"the flag against the file", "light = true\n", &no, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			alice, bob := settle(t, "alice"), start(t, "bob")
			if err := os.WriteFile(filepath.Join(alice.home, "config.toml"), []byte(tt.config), 0o600); err != nil {
				t.Fatal(err)
			}
			alice.light = tt.flag
			alice.up()
			alice.subscribe(bob)
			e := bob.grantTo(alice)
			want := p2p.Stream
			if tt.topics {
				want = p2p.Both
			}
			eventually(t, "alice hears him", func() bool { p := alice.net.Path(e); return p.Up && p.Mode >= want })
			bob.says("on whichever way")
			alice.sees(bob, "open on whichever way said")
			eventually(t, "bob knows whether she is on the topic", func() bool {
				topics, _ := bob.net.Audience(e)
				return (topics > 0) == tt.topics
			})
		})
	}
	if s, err := LoadSettings(t.TempDir()); err != nil || s.Light {
		t.Errorf("without a file: %+v, %v", s, err)
	}
}

// grantTo is the topic that a watcher of a reads.
func (a *actor) grantTo(w *actor) wire.PublicKey {
	a.t.Helper()
	x, ok := w.Node.presence.watchingOf(a.who.Address)
	if !ok || x.Grant == nil {
		a.t.Fatalf("%s has no grant of %s", w.who.Name, a.who.Name)
	}
	return x.Grant.E
}

// TestLingerSurvivesARestart: who was told a new epoch is on the old topic again after a start, until its
// linger ends: else who stays away would show that he is still a watcher.
func TestLingerSurvivesARestart(t *testing.T) {
	t.Parallel()
	alice, bob, carol := start(t, "alice"), start(t, "bob"), start(t, "carol")
	alice.subscribe(bob)
	carol.subscribe(bob)
	old := bob.grantTo(alice)
	onOld := func() int { n, _ := bob.net.Audience(old); return n }
	eventually(t, "both are on the topic", func() bool { return onOld() == 2 })
	must(bob.Drop(t.Context(), "carol"))(t)
	eventually(t, "alice is told of a new epoch", func() bool { return bob.grantTo(alice) != old })
	if n := onOld(); n != 2 {
		t.Errorf("%d are on the old topic after the change", n)
	}
	alice.stop()
	eventually(t, "alice is off", func() bool { return onOld() == 1 })
	alice.up()
	eventually(t, "alice is back", func() bool { return onOld() == 2 })
	bob.says("in the new epoch")
	alice.sees(bob, "open in the new epoch said")
	alice.pass(8*24*time.Hour + time.Hour + time.Minute)
	eventually(t, "she leaves it in the end", func() bool { return onOld() == 1 })
}
