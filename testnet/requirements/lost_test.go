package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet"
)

// Bob says yes, himself or by a rule, and his machine dies before the word is out. Once it is back, and the two are
// connected, she has it.
func TestAnswerOutlivesACrash(t *testing.T) {
	for _, byRule := range []bool{false, true} {
		inWorld(t, func(w *world) {
			alice, bob := w.person("alice"), w.person("bob")
			alice.add(bob)
			if byRule {
				bob.policy("unknown", "allow")
			}
			alice.ask(bob)
			if !byRule {
				w.soonly("bob hears of the request", func() bool { return bob.watcher(alice).State == "pending" })
				time.Sleep(time.Minute)
				bob.approve(alice)
			}
			w.soonly("bob has said yes", func() bool { return bob.watcher(alice).State == "active" })
			bob.kill(testnet.Crash)
			if s := alice.watching(bob).State; s == "active" {
				t.Fatal("the word was out: nothing was tried")
			}
			bob.up()
			w.within(2*time.Minute, "alice is active", func() bool { return alice.watching(bob).State == "active" })
		})
	}
}
