package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet"
)

// Of Bob's two anchors the one where Alice's WATCH stands has gone back to what it held before, and so withholds what he
// said last (requirement 3.3.2): the warm one, where she has no WATCH, is read by GET every 15 min ±20 %, and what is
// withheld is found there. As long as she reaches the other alone she cannot know.
func TestReq_3_3_2_WarmAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		active, warm, bob, alice := w.operator("active"), w.operator("warm"), w.person("bob"), w.person("alice", light)
		for _, o := range []*operator{active, warm} {
			bob.enters(o.invite(1))
		}
		alice.watch(bob)
		bob.note("what was said before")
		w.within(10*time.Second, "alice reads it", func() bool { return alice.sees(bob).Note == "what was said before" })
		time.Sleep(time.Minute)
		alice.down()
		active.down()
		old := active.home + ".old"
		w.must(testnet.CopyHome(active.home, old))
		active.up()
		time.Sleep(time.Minute)
		bob.note("what he said last")
		time.Sleep(time.Minute)
		bob.kill(testnet.Blackout)
		active.down()
		active.home = old
		active.up()
		w.net.Cut(alice.ip, warm.ip)
		w.net.Cut(active.ip, warm.ip)
		alice.up()
		time.Sleep(40 * time.Minute)
		if got := alice.sees(bob).Note; got != "what was said before" {
			t.Fatalf("with the active anchor alone alice reads %q: nothing is withheld", got)
		}
		w.net.Join(alice.ip, warm.ip)
		// It is dialled again after a pause of 15 min ±20 % at most, and read within a minute, since that was due.
		w.within(20*time.Minute, "what is withheld is found at the warm one", func() bool { return alice.sees(bob).Note == "what he said last" })
		if got := alice.sees(bob); got.Basic == "open" {
			t.Errorf("alice sees %+v", got)
		}
	})
}
