package requirements

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// tuplesOf is what p is shown of each of q's devices, without the times.
func tuplesOf(p, q *person) (out []string) {
	p.w.Helper()
	for _, t := range p.sees(q).Tuples {
		out = append(out, fmt.Sprint(t.Device, " ", t.Basic, " ", t.IM, " ", t.Contact))
	}
	slices.Sort(out)
	return out
}

// mutedByTwo leads Alice through a decision of Bob's, who has two devices; Dave shares her view or, with apart,
// nobody does. What she is shown and told from then on is the story.
func mutedByTwo(t *testing.T, apart bool, decide func(bob, phone, alice *person) error) (s story) {
	inWorld(t, func(w *world) {
		bob, alice, dave := w.person("bob"), w.person("alice", light), w.person("dave", light)
		phone := bob.also("bob's phone", node.NewDevice{})
		if apart {
			bob.view(node.ViewEdit{Name: "hers", Show: []string{"note", "services"}, Add: []string{addressOf(alice)}})
		}
		dave.watch(bob)
		alice.add(bob)
		alice.ask(bob)
		if !apart {
			w.soonly("he hears of it", func() bool { return bob.watcher(alice).State == "pending" })
			bob.approve(alice)
		}
		for _, p := range []*person{alice, dave} {
			w.within(time.Minute, p.name+" sees both devices", func() bool { return len(p.sees(bob).Tuples) == 2 && p.sees(bob).Basic == "open" })
		}
		w.within(time.Minute, "the phone knows who watches", func() bool { return phone.watcher(alice).State == "active" && phone.watcher(dave).State == "active" })
		time.Sleep(5 * time.Minute)
		events := len(alice.events())
		w.must(decide(bob, phone, alice))
		if !apart {
			w.must(await(40*time.Second, "alice sees both closed", func() bool {
				for _, tuple := range dave.sees(bob).Tuples {
					if tuple.Basic != "open" {
						t.Fatalf("dave is shown %v", tuplesOf(dave, bob))
					}
				}
				return alice.sees(bob).Basic == "closed"
			}))
		}
		look := func() { s.shown = append(s.shown, shownTo(alice, bob), fmt.Sprint(tuplesOf(alice, bob))) }
		time.Sleep(time.Minute)
		look()
		bob.note(marker + " from the desk")
		phone.note(marker + " from the road")
		time.Sleep(10 * time.Second)
		if n := dave.sees(bob).Note; clean("dave's screen", []byte(n), marker) == nil {
			t.Errorf("dave, who is not blocked, is shown %q", n)
		}
		alice.comesTo(alice.send(bob, "are you there?"), "failed(closed)", time.Minute)
		bob.kill(testnet.Crash)
		time.Sleep(3 * time.Minute)
		alice.comesTo(alice.send(bob, "is your phone?"), "failed(closed)", time.Minute)
		look()
		bob.up()
		phone.down()
		phone.up()
		time.Sleep(2 * time.Hour)
		look()
		alice.comesTo(alice.send(bob, "and now?"), "failed(closed)", time.Minute)
		for _, e := range alice.events()[events:] {
			if e.Address == bob.Self().Address && e.Reason != wire.ReasonStaleRecord { // which device of his she told her record first is chance
				s.told = append(s.told, fmt.Sprintln(e.Kind, e.State, e.Reason, e.Text))
			}
		}
		w.must(clean("what alice's machine was sent", alice.got.all(""), marker))
	})
	return s
}

// Bob, who has two devices, blocks Alice politely on one of them. She sees both of them closed, reads neither any
// more, and is told what she would be told had he set both to offline in her view; who shares her view never
// sees one of them closed.
func TestReq_5_1_15_SecondDevice(t *testing.T) {
	polite := func(bob, _, alice *person) error { _, err := bob.PoliteBlock(ctx(), alice.address()); return err }
	mutedByTwo(t, false, polite)
	mutedByTwo(t, false, func(_, phone, alice *person) error { return polite(phone, nil, alice) })
	muted := mutedByTwo(t, true, polite)
	offline := mutedByTwo(t, true, func(bob, phone, _ *person) error {
		_, err := bob.OfflineIn(ctx(), "hers")
		_, err2 := phone.OfflineIn(ctx(), "hers")
		return errors.Join(err, err2)
	})
	if err := alike(muted, offline); err != nil {
		t.Error(err)
	}
}
