package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
)

// Bob is away, and Alice has nothing of him but a card that names his home: she finds his records there, leaves a
// message in the mailbox that they name, and he has it when he is back. The home cannot tell whose records it keeps,
// and one that gives others, or older ones, is not believed.
func TestReq_5_1_1_FoundAtHisHome(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		bob.enters(d.invite(1))
		text, err := bob.Card()
		w.must(err)
		card, err := identity.ParseCard(text)
		w.must(err)
		if card.Home == "" {
			t.Fatalf("the card %s names no home", text)
		}
		time.Sleep(time.Minute)
		key := bob.Self().Address
		bob.down()
		card.Dial = nil
		found, err := alice.Resolve(ctx(), card.String())
		if err != nil || !found.Known || found.Devices != 1 {
			t.Fatalf("found at his home: %+v, %v", found, err)
		}
		m := alice.draft(node.Draft{To: card.String(), Content: []byte("marker-text"), Expires: 24 * time.Hour})
		alice.comesTo(m, "stored", 3*time.Minute)
		w.must(clean("the tape of the home", d.got.all(""), string(key[:])))
		bob.up()
		w.within(20*time.Minute, "bob has it", func() bool { return bob.has("marker-text") == 1 })
		alice.comesTo(m, "delivered", 20*time.Minute)
	})
}
