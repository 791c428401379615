package requirements

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// Restore, several devices and clocks that step, all at once: Bob's laptop burns while its acks are lost, a
// backup of an hour before takes its place on a machine whose clock is days behind, and the clock of his phone
// is thrown to the next decade and comes back. Each message is in each inbox once and is delivered for Alice, also
// after all that was ever handed to any of his machines is handed to each of them again.
func TestReq_5_4_2_RestoredWhileClocksStep(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob", lease5)
		phone := bob.also("phone", node.NewDevice{})
		x := w.between(alice, bob)
		var texts []string
		var sent []node.Sent
		says := func(text string) {
			texts = append(texts, text)
			sent = append(sent, alice.draft(node.Draft{To: addressOf(bob), Content: []byte(text), Expires: 10 * 24 * time.Hour}))
			time.Sleep(10 * time.Second)
		}
		says("while all is well")
		alice.comesTo(sent[0], "delivered", time.Minute)
		w.within(time.Minute, "both have it", func() bool { return bob.has("while all is well") == 1 && phone.has("while all is well") == 1 })

		phone.down()
		x.let(func(toBob bool, op uint32, b []byte) [][]byte { // no ack reaches her
			if !toBob && op == wire.OpAckBox {
				return nil
			}
			return [][]byte{b}
		})
		says("in the backup, and never acknowledged")
		file := filepath.Join(w.dir, "bob.backup")
		_, err := bob.Backup(ctx(), file, []byte("secret"))
		w.must(err)
		says("since the backup, and never acknowledged")
		for _, text := range texts {
			if bob.has(text) != 1 {
				w.Fatalf("bob has %q %d times", text, bob.has(text))
			}
		}
		bob.kill(testnet.Blackout)
		heard := append(bob.got.parcels(x.ip), phone.got.parcels(x.ip)...)
		x.let(faithfully)

		back := &person{w: w, name: "back", ip: w.ip(), home: filepath.Join(w.dir, "back"), ttl: lease, clock: testnet.NewClock(), got: &tape{}}
		w.net.Capture(back.ip, back.got.add)
		back.clock.Step(-3 * 24 * time.Hour)
		_, err = node.RestoreHome(file, back.home, []byte("secret"), back.clock.Now, back.rand())
		w.must(err)
		back.up()
		w.ends = append(w.ends, back.down)
		phone.clock.Step(14 * 365 * 24 * time.Hour)
		phone.up()
		time.Sleep(10 * time.Minute)
		back.clock.Step(-back.clock.Offset())
		time.Sleep(10 * time.Minute)
		phone.clock.Step(-phone.clock.Offset())
		_, err = alice.Add(ctx(), back.card(), "bob's new laptop") // the one step that two lonely nodes need a person for
		w.must(err)
		says("when all is well again")

		once := func() error {
			for _, p := range []*person{back, phone} {
				for _, text := range texts {
					if n := p.has(text); n != 1 {
						return fail("%s has %q %d times", p.name, text, n)
					}
				}
				if n := len(p.inbox()); n != len(texts) {
					return fail("%s has %q", p.name, p.inbox())
				}
			}
			return nil
		}
		var last error
		if err := await(3*time.Hour, "everything is there once", func() bool { last = once(); return last == nil }); err != nil {
			w.Fatal(last)
		}
		for _, s := range sent {
			alice.comesTo(s, "delivered", time.Hour)
		}
		again := func() {
			for _, p := range []*person{back, phone} {
				heard = append(heard, append(p.got.parcels(x.ip), p.got.parcels(alice.ip)...)...)
			}
			for _, p := range []*person{back, phone} {
				for _, b := range heard {
					x.forward(p, wire.OpParcel, b)
				}
			}
		}
		for _, by := range []time.Duration{0, -8 * 24 * time.Hour, 16 * 24 * time.Hour} {
			back.clock.Step(by)
			phone.clock.Step(by)
			for _, p := range []*person{back, phone} {
				p.kill(testnet.Crash)
				p.up()
			}
			again()
			time.Sleep(time.Minute)
			if err := once(); err != nil {
				w.Fatalf("after everything came again, clocks moved by %v: %v", by, err)
			}
		}
		if len(heard) < 8 {
			w.Fatalf("only %d parcels came", len(heard))
		}
		alice.draft(node.Draft{To: addressOf(bob), Content: []byte(texts[0]), Expires: 13 * 24 * time.Hour})
		time.Sleep(30 * time.Minute)
		w.finds("the same words once more, as another message", once())
	})
}
