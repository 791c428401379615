package requirements

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// RFC 2779, the words before 2.1: few round trips and small frames. On an open connection a short message is
// acked in one round trip; the first of a stream costs 2.5 KiB both ways together, the following ones 1 KiB; and
// with 600 ms of round trip and one segment of twenty lost, twenty of twenty are acked in 5 s.
func TestReq_2_SlowAndLossyLinks(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		bob.add(alice)
		const trip = 100 * time.Millisecond
		w.net.Set(alice.ip, bob.ip, testnet.Link{Latency: trip / 2})
		bytes := func() uint64 {
			return w.net.Traffic(alice.ip, bob.ip).Bytes + w.net.Traffic(bob.ip, alice.ip).Bytes
		}
		costs := func() (uint64, time.Duration) {
			bob.note(time.Now().String()) // the next beacon is far off
			time.Sleep(5 * time.Second)
			before, began := bytes(), time.Now()
			alice.comesTo(alice.send(bob, "ok"), "delivered", soon)
			return bytes() - before, time.Since(began)
		}
		within := func(what string, most uint64) error {
			if n, d := costs(); n > most || d > trip*3/2 {
				return fail("%s costs %d bytes and %v", what, n, d)
			}
			return nil
		}
		w.must(within("the first message", 2560))
		_, _ = costs() // which offers a session
		for range 3 {
			w.must(within("a following message", 1024))
		}
		w.finds("a session", within("half of one", 512))
		before := bytes()
		bob.basic(wire.Closed)
		w.soonly("alice is shown it", func() bool { return alice.sees(bob).Basic == "closed" })
		if n := bytes() - before; n > 1536 {
			t.Errorf("a flip of the status costs %d bytes", n)
		}
		bob.basic(wire.Open)
		time.Sleep(5 * time.Second)
		w.net.Set(alice.ip, bob.ip, testnet.Link{Latency: 300 * time.Millisecond, Loss: 0.05})
		for i := range 20 {
			alice.comesTo(alice.send(bob, fmt.Sprint("slow ", i)), "delivered", 5*time.Second)
		}
		w.net.Set(alice.ip, bob.ip, testnet.Link{Latency: 3 * time.Second})
		s := alice.send(bob, "slower")
		w.finds("a slower link", await(5*time.Second, "acked", func() bool { return alice.fate(s) == "delivered" }))
	})
}

// Fifty turns at 100 ms each way: 95 of 100 are shown within 500 ms, and after ten idle minutes the first line
// is there as soon as any.
func TestReq_4_3_1_Conversation(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.watch(bob)
		bob.add(alice)
		turn := func(p, q *person, text string) time.Duration {
			began := time.Now()
			p.send(q, text)
			w.within(5*time.Second, text, func() bool { return q.has(text) == 1 })
			return time.Since(began)
		}
		talk := func(latency time.Duration, turns int) error {
			w.net.Set(alice.ip, bob.ip, testnet.Link{Latency: latency})
			var took []time.Duration
			for i := range turns {
				p, q := alice, bob
				if i%2 == 1 {
					p, q = bob, alice
				}
				took = append(took, turn(p, q, fmt.Sprint("line ", i, " at ", latency)))
				time.Sleep(time.Second)
			}
			slices.Sort(took)
			if d := took[len(took)*95/100]; d > 500*time.Millisecond {
				return fail("95 of 100 lines are shown in %v", d)
			}
			return nil
		}
		w.must(talk(100*time.Millisecond, 50))
		time.Sleep(10 * time.Minute)
		if d := turn(alice, bob, "still there?"); d > 2*time.Second {
			t.Errorf("after ten idle minutes a line is shown in %v", d)
		}
		w.finds("a link of a second", talk(time.Second, 4))
	})
}

// Bob can read what Alice sends: of the suites that his record names she takes the one that both know, and
// says so if there is none; both of his devices read it.
func TestReq_5_4_8_SuitesAndDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		c.answer[parcelProto] = c.withoutSessions
		offers := func(at identity.Stamp, suites ...identity.PreKey) {
			r := identity.DeviceRecord{Address: c.address(), Device: c.device(), Seq: at, Expires: at.Add(identity.DeviceRecordLife), PreKeys: suites}
			c.bundle.Devices = []wire.Signed{wire.Sign(c.d, wire.TypeDeviceRecord, wire.AppendDeviceRecord(nil, r))}
		}
		newer, ours := identity.PreKey{Suite: 2, Public: []byte("of a later version")}, identity.PreKey{Suite: identity.Suite1, Public: c.pre.Public()}
		reads := func() error {
			s := alice.draft(node.Draft{To: "carol", Content: []byte("can you read this?"), Expires: 10 * time.Second})
			if err := await(soon, "carol reads it", func() bool {
				return slices.ContainsFunc(c.opened(alice), func(o wire.Opened) bool { return o.Inner.Signed.ID() == s.ID })
			}); err != nil {
				time.Sleep(20 * time.Second)
				return fail("%s", alice.fate(s))
			}
			return nil
		}
		offers(now(), newer)
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		if got := fmt.Sprint(reads()); got != "failed(no-common-suite)" {
			t.Errorf("to one who has keys of another suite alone it is %s", got)
		}
		offers(now(), newer, ours)
		w.must(reads())

		alice.add(bob)
		two := bob.also("bob two", node.NewDevice{})
		alice.delivers(bob, "to both")
		w.within(time.Minute, "both have it", func() bool { return bob.has("to both") == 1 && two.has("to both") == 1 })
	})
}

// S32: whatever reason a recipient names, its sender reads it by its name: of those that are final as the end
// of the message, of those that are not in its trace, while the message goes on. What this version does not
// know is internal.
func TestReq_S32_EveryReasonIsTold(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, c := w.person("alice"), w.hostile("carol")
		c.answer[parcelProto] = c.withoutSessions
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		told := func(r wire.Reason) (string, node.Sent) {
			s := alice.draft(node.Draft{To: "carol", Content: []byte(r.String()), Expires: time.Hour})
			var of wire.Opened
			w.within(time.Minute, "carol has it", func() bool {
				all := c.opened(alice)
				i := slices.IndexFunc(all, func(o wire.Opened) bool { return o.Inner.Signed.ID() == s.ID })
				if i >= 0 {
					of = all[i]
				}
				return i >= 0
			})
			ack := wire.Ack{From: c.address(), To: alice.Self().Address, Device: c.device(), MIDs: []wire.MID{s.ID}, Disposition: r.Disposition(), Reason: r, At: now(), ArSeq: 1}
			w.must(c.push(alice, parcelProto, wire.OpAckBox, wire.SealAck(c.rand, of.CEK, wire.Sign(c.d, wire.TypeAck, ack.Append(nil))).Append(nil)))
			time.Sleep(2 * time.Second)
			return alice.fate(s), s
		}
		for r := wire.ReasonRefused; r <= wire.ReasonMalformed+1; r++ { // the last is one of a later version
			fate, s := told(r)
			again := r.Retryable() || r == wire.ReasonExpired // while her own clock says otherwise
			if want := "failed(" + r.String() + ")"; !again && fate != want {
				t.Errorf("reason %d is told as %s, not %s", r, fate, want)
			}
			if !again {
				continue
			}
			steps, err := alice.Trace(ctx(), s.ID.String())
			w.must(err)
			if !slices.ContainsFunc(steps, func(x node.TraceStep) bool { return x.Detail == "failed ("+r.String()+")" }) {
				t.Errorf("reason %d, after which she goes on, is not in the trace: %s %+v", r, fate, steps)
			}
			if fate != "handed" && fate != "sending" {
				t.Errorf("after reason %d the message is %s", r, fate)
			}
		}
	})
}

// S32: the reasons that nobody sends, since this side finds them alone: each comes of what it names, and of
// nothing else.
func TestReq_S32_ReasonsFoundHere(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		c.answer[parcelProto] = c.withoutSessions
		send := func(to string, life time.Duration) node.Sent {
			return alice.draft(node.Draft{To: to, Content: []byte("hello"), Expires: life})
		}
		alice.add(bob)
		alice.delivers(bob, "while he is there")
		taken := send(c.card(), 10*time.Second) // she takes it, and says nothing
		alice.comesTo(taken, "failed(unconfirmed)", 10*time.Second+2*identity.Skew+10*time.Second)
		bob.kill(testnet.Blackout)
		alice.comesTo(send("bob", 10*time.Second), "failed(unreachable)", time.Minute)
		nobody := identity.Address(identity.NewSigningKey([32]byte{1}).Public())
		back := send(identity.Card{Address: nobody, Dial: []string{testnet.Addr("10.9.9.9").String() + "/p2p/" + c.host.ID().String()}}.String(), time.Hour)
		_, err := alice.Cancel(ctx(), back.ID.String())
		w.must(err)
		alice.comesTo(back, "failed(cancelled)", soon)
		none := w.hostile("dora") // whose devices have no keys
		none.answer[parcelProto] = none.withoutSessions
		none.bundle.Devices = nil
		alice.comesTo(send(none.card(), 10*time.Second), "failed(no-keys)", time.Minute)
		if _, err := alice.Fetch(ctx(), c.cardFor(nobody), false); code(err) != "binding-invalid" || alice.refused("binding-invalid") == 0 {
			t.Errorf("a place where another answers is %v, and counted %d times", err, alice.refused("binding-invalid"))
		}
		if _, err := alice.Fetch(ctx(), "bob", false); code(err) != "no-copy" {
			t.Errorf("a fetch from nobody is %v", err)
		}
		s := alice.outcome(taken)
		w.finds("a message that failed otherwise", await(soon, "it was not unconfirmed", func() bool { return s.Reason != wire.ReasonUnconfirmed }))
	})
}
