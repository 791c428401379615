package requirements

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// way is what p's node knows of a message's way, a line a step.
func (p *person) way(id wire.MID) (out []string) {
	p.w.Helper()
	steps, err := p.Trace(ctx(), id.String())
	p.w.must(err)
	p.w.must(evidenced(id, steps))
	for _, s := range steps {
		out = append(out, s.Step+": "+s.Detail+" ["+s.Evidence+"]")
	}
	return out
}

// evidenced is the check that no step is claimed without what shows it and when, nor out of order.
func evidenced(id wire.MID, steps []node.TraceStep) error {
	if len(steps) == 0 {
		return fail("nothing is known of %v", id)
	}
	for i, s := range steps {
		if s.Evidence == "" || s.At.IsZero() || s.ID != id || s.Times < 1 || i > 0 && s.At.Before(steps[i-1].At) {
			return fail("step %d is %+v", i, s)
		}
	}
	return nil
}

// leads wants steps that begin so, in this order, perhaps with others between them.
func (w *world) leads(way []string, want ...string) {
	w.Helper()
	next := 0
	for _, s := range way {
		if next < len(want) && strings.HasPrefix(s, want[next]) {
			next++
		}
	}
	if next < len(want) {
		w.Errorf("%q is missing or out of order in %q", want[next], way)
	}
}

// Each end tells the way of a message on its own node, each step with its evidence: the ack that settled it is the
// same at both. So it does for what was not delivered, not kept, or came again (seed ask S24; without relays,
// between the two nobody is).
func TestReq_S24_EachStepWithItsEvidence(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		bob.add(alice)
		bob.tells("known", "", "tell")
		s := alice.draft(node.Draft{To: "bob", Content: []byte("hello"), Displayed: true})
		alice.comesTo(s, "delivered", soon)
		bob.opens("hello")
		alice.comesTo(s, "displayed", soon)
		mine, his := alice.way(s.ID), bob.way(s.ID)
		device := "signed by device " + bob.Self().Device.String()
		w.leads(mine, "queued: on this disk [signed by this device, committed", "acked: delivered [ack ", "acked: displayed [ack ")
		w.leads(his, "received: on this disk, with the answer: delivered [signed by device "+alice.Self().Device.String()+"; committed with ack ", "opened: by you")
		i := slices.IndexFunc(mine, func(s string) bool { return strings.HasPrefix(s, "acked: delivered") })
		_, ack, _ := strings.Cut(mine[i], "[ack ")
		if ack, _, _ = strings.Cut(ack, ","); len(ack) != 40 || !strings.Contains(his[0], ack) || !strings.Contains(mine[i], device) {
			t.Errorf("alice was told by %q, bob says %q", mine[i], his[0])
		}

		// What came again, too late, or from somebody who may not write.
		again := c.im(bob, "twice")
		for range 3 {
			c.post(bob, again, c.records...)
			c.verdict(bob, again)
		}
		w.within(soon, "the copies are noted", func() bool {
			steps, err := bob.Trace(ctx(), again.ID().String())
			return err == nil && steps[len(steps)-1].Step == "repeated" && steps[len(steps)-1].Times == 2
		})
		late := c.im(bob, "late", func(im *wire.IM) { im.Sent, im.Expires = now().Add(-2*time.Hour), now().Add(-time.Hour) })
		c.post(bob, late, c.records...)
		c.verdict(bob, late)
		w.leads(bob.way(late.ID()), "refused: failed (expired) [ack ")
		forged := c.im(bob, "forged", func(im *wire.IM) { im.From = alice.Self().Address })
		c.post(bob, forged, c.records...)
		c.verdict(bob, forged)
		if steps, err := bob.Trace(ctx(), forged.ID().String()); err != nil || steps[0].Step != "refused" || steps[0].Peer != "" {
			t.Errorf("of a forged one it says %+v, %v", steps, err)
		}
		w.finds("a step without evidence", evidenced(s.ID, []node.TraceStep{{ID: s.ID, At: time.Now(), Times: 1, Step: "delivered"}}))

		// What a rule turned away, told also after a crash.
		bob.sets(node.PolicyEdit{Who: "alice", Messages: word("discard")})
		gone := alice.delivers(bob, "discarded")
		bob.sets(node.PolicyEdit{Who: "alice", Messages: word("refuse")})
		no := alice.send(bob, "refused")
		alice.comesTo(no, "failed(refused)", soon)
		bob.kill(testnet.Crash)
		w.leads(alice.way(no.ID), "queued", "acked: forbidden (refused) [ack ")
		lost := alice.send(bob, "nobody there")
		alice.comesTo(lost, "failed(unreachable)", time.Minute)
		w.leads(alice.way(lost.ID), "queued", "not reached: ", "failed: unreachable [this machine's clock")
		bob.up()
		w.leads(bob.way(no.ID), "refused: forbidden (refused) [ack ")
		w.leads(bob.way(gone.ID), "discarded: by a rule of mine")
		if _, err := bob.Trace(ctx(), lost.ID.String()); code(err) != "unknown-id" {
			t.Errorf("of what never came bob says: %v", err)
		}

		// Handed over and never answered; what is tried in vain for days is one step, and hides no other.
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		open := alice.draft(node.Draft{To: "carol", Content: []byte("taken"), Expires: 24 * time.Hour})
		alice.comesTo(open, "handed", soon)
		w.leads(alice.way(open.ID), "queued", "taken: in the memory of the other node [answer TAKEN, over a direct connection]")
		time.Sleep(24*time.Hour + 2*identity.Skew + time.Minute)
		way := alice.way(open.ID)
		if w.leads(way, "queued", "taken", "failed: unconfirmed ["); len(way) > 6 {
			t.Errorf("%d steps: %q", len(way), way)
		}
	})
}
