package requirements

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// Whoever has a long queue holds up nobody else: he is away, or his line is slow, or he takes and never answers, or does
// not even say that he takes; and whoever floods an inbox does not hold up another who writes to it (RFC 2779, 4.3.1).
// Of the long queue no more is under way at once than the protocol lets be outstanding (SPEC 3.9).
func TestReq_4_3_1_FairBetweenPeers(t *testing.T) {
	const trip = 100 * time.Millisecond
	prompt := func(w *world, from, to *person) error {
		for i := range 5 {
			s := from.draft(node.Draft{To: addressOf(to), Content: fmt.Append(nil, "in between ", i), Expires: time.Hour})
			if err := await(5*trip, "delivered", func() bool { return from.fate(s) == "delivered" }); err != nil {
				return err
			}
			time.Sleep(time.Second)
		}
		return nil
	}
	queue := func(w *world, alice *person, to string, n int) {
		w.Helper()
		for i := range n {
			alice.draft(node.Draft{To: to, Content: fmt.Append(nil, "queued ", i), Expires: 24 * time.Hour})
		}
	}
	meet := func(w *world) (alice, bob, dora *person) {
		alice, bob, dora = w.person("alice"), w.person("bob"), w.person("dora")
		alice.add(bob)
		for _, p := range []*person{alice, bob} {
			dora.add(p)
			p.add(dora)
			w.net.Set(p.ip, dora.ip, testnet.Link{Latency: trip / 2})
			p.delivers(dora, "met")
			p.delivers(dora, "met once more")
		}
		return alice, bob, dora
	}
	t.Run("away", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, bob, dora := meet(w)
			bob.kill(testnet.Blackout)
			queue(w, alice, "bob", 500)
			w.must(prompt(w, alice, dora))
		})
	})
	t.Run("a slow line", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, bob, dora := meet(w)
			w.net.Limit(bob.ip, 2_000, 2_000) // bytes/s
			queue(w, alice, "bob", 500)
			w.must(prompt(w, alice, dora))
			if s, err := alice.Status(ctx()); err != nil || s.Outbox < 100 {
				t.Errorf("the queue was not long: %d, %v", s.Outbox, err)
			}
		})
	})
	for name, answers := range map[string]func(c *hostile) func(peer.ID, wire.Frame) []wire.Frame{
		"takes and never acks": func(c *hostile) func(peer.ID, wire.Frame) []wire.Frame { return c.withoutSessions },
		"never answers": func(c *hostile) func(peer.ID, wire.Frame) []wire.Frame {
			return func(p peer.ID, f wire.Frame) []wire.Frame {
				if f.Op == wire.OpRecords {
					return c.politely(p, f)
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				alice, _, dora := meet(w)
				c := w.hostile("carol")
				c.answer[parcelProto] = answers(c)
				_, err := alice.Add(ctx(), c.card(), "carol")
				w.must(err)
				queue(w, alice, "carol", 500)
				time.Sleep(time.Second)
				if n := len(c.cameFrom(alice, wire.OpParcel)); name == "never answers" && (n == 0 || n > 64) {
					t.Errorf("%d parcels are under way to her at once, and 64 may be", n)
				}
				w.must(prompt(w, alice, dora))
			})
		})
	}
	t.Run("a flood into one inbox", func(t *testing.T) {
		inWorld(t, func(w *world) {
			alice, bob, dora := meet(w)
			queue(w, alice, addressOf(dora), 1000)
			w.must(prompt(w, bob, dora))
			w.finds("a line of a second", func() error {
				w.net.Set(bob.ip, dora.ip, testnet.Link{Latency: time.Second})
				return prompt(w, bob, dora)
			}())
		})
	})
}
