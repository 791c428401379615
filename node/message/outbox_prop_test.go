package message

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"pgregory.net/rapid"
)

var (
	statuses = []wire.FrameStatus{wire.OK, wire.OK, wire.BUSY, wire.MALFORMED, wire.DENIED, wire.QUOTA, wire.NO_KEY, wire.UNKNOWN_OP}
	says     = []wire.Disposition{0, wire.Delivered, wire.Displayed, wire.Forbidden, wire.Failed, 9}
)

// A walk drives one entry through random events and holds it against the invariants of SPEC 11.2.
type walk struct {
	e         Entry
	now       identity.Now
	proof     bool // a verifying ack said delivered or displayed
	scheduled int  // tries that the schedule, a connection or OPEN asked for
	again     int  // tries at once after a refusal
}

func (w *walk) step(t *rapid.T) {
	event := rapid.IntRange(0, 9).Draw(t, "event")
	if w.e.Attempts == 0 && (event == 4 || event == 5) {
		event = 0 // nobody answers what was not sent
	}
	switch event {
	case 0, 1:
		w.try(t)
	case 2:
		w.e.Connected(w.now)
	case 3:
		w.e.PeerOpen(w.now)
	case 4:
		w.e.Reply(w.now, rapid.SampledFrom(statuses).Draw(t, "status"), time.Duration(rapid.Int64().Draw(t, "after")))
	case 5:
		w.ack(t)
	case 6:
		_ = w.e.Cancel(w.now)
	case 7:
		w.e.Seal(CEK{}, nil, [32]byte{})
	case 8:
		w.e.NoUsableKey(false)
	case 9:
		w.pass(t)
	}
	w.e.Tick(w.now)
}

func (w *walk) try(t *rapid.T) {
	if !w.e.Due(w.now) {
		return
	}
	if w.now.Wall >= w.e.Expires || w.e.State.Final() {
		t.Fatalf("tried %v at %v", w.e.State, w.now.Wall.Sub(start))
	}
	w.e.Attempted(w.now, rapid.Float64Range(0, 0.999).Draw(t, "jitter"))
	if w.e.Extra {
		w.again++
	} else {
		w.scheduled++
	}
}

func (w *walk) ack(t *rapid.T) {
	a := wire.Ack{
		From: rapid.SampledFrom([]wire.Address{bob, carol}).Draw(t, "from"), To: alice, Device: bobs,
		MIDs:        []wire.MID{rapid.SampledFrom([]wire.MID{mid, {5}}).Draw(t, "mid")},
		Disposition: rapid.SampledFrom(says).Draw(t, "disposition"),
		Reason:      wire.Reason(rapid.IntRange(0, 30).Draw(t, "reason")),
		At:          wire.Time(rapid.Uint64().Draw(t, "at")), RetryAfterS: rapid.Uint64().Draw(t, "retry"),
	}
	authorised := rapid.Bool().Draw(t, "authorised")
	_, _ = w.e.Ack(w.now, a, nil, authorised)
	good := a.Disposition == wire.Delivered || a.Disposition == wire.Displayed
	w.proof = w.proof || authorised && good && a.From == bob && a.MIDs[0] == mid
}

// pass lets time go by, mostly forward, sometimes in a step of the clock.
func (w *walk) pass(t *rapid.T) {
	d := time.Duration(rapid.Int64Range(-int64(time.Hour), int64(48*time.Hour)).Draw(t, "d"))
	w.now.Wall = w.now.Wall.Add(d)
	w.now.Heard = max(w.now.Heard, w.now.Wall)
}

func TestOutboxInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := New(at(0), mid, im(), nil)
		if err != nil {
			t.Fatal(err)
		}
		w := walk{e: e, now: at(0)}
		for range rapid.IntRange(1, 400).Draw(t, "events") {
			before := w.e
			w.step(t)
			w.check(t, before)
		}
		w.runOut(t)
	})
}

func (w *walk) check(t *rapid.T, before Entry) {
	e := w.e
	switch {
	case (e.State == Delivered || e.State == Displayed) != w.proof: // I17, and late acks count
		t.Fatalf("%v, proof %v", e.State, w.proof)
	case before.State.Final() && e.State < before.State && before.State != Failed: // I16
		t.Fatalf("%v became %v", before.State, e.State)
	case before.State == Failed && e.State != Failed && !w.proof:
		t.Fatalf("failed became %v", e.State)
	case before.State == Failed && e.State == Failed && e.Reason != before.Reason:
		t.Fatalf("failed(%v) became failed(%v)", before.Reason, e.Reason)
	case !e.State.Final() && e.State < before.State:
		t.Fatalf("%v went back to %v", before.State, e.State)
	case !e.State.Final() && e.Wake(w.now) == 0: // I12
		t.Fatalf("%v without a timer", e.State)
	case len(e.CEKs) > maxCEKs:
		t.Fatalf("%d keys", len(e.CEKs))
	case w.again > w.scheduled:
		t.Fatalf("%d tries at once after %d of the schedule", w.again, w.scheduled)
	}
}

// runOut follows the timers alone: they end every message by expires + 2S (I12, I16).
func (w *walk) runOut(t *rapid.T) {
	for range 2000 {
		if w.e.Tick(w.now); w.e.State.Final() {
			return
		}
		if w.now.Wall > w.e.Expires.Add(2*identity.Skew) {
			break
		}
		if w.e.Due(w.now) {
			w.e.Attempted(w.now, 0.5)
		}
		w.now.Wall = max(w.now.Wall, w.e.Wake(w.now))
	}
	t.Fatalf("%v at %v, wakes at %v", w.e.State, w.now.Wall.Sub(start), w.e.Wake(w.now).Sub(start))
}

// No facts whatever let a message be committed late, unsigned, or twice (I13, I15).
func TestReceiveInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flip := func(name string) bool { return rapid.Bool().Draw(t, name) }
		mostly := func(name string) bool { return rapid.IntRange(0, 9).Draw(t, name) < 9 }
		times := rapid.Uint64Range(uint64(start)-1e9, uint64(start)+2e9)
		a := Arrival{
			ID: mid, IM: im(), Signed: mostly("signed"), Known: mostly("known"), Listed: mostly("listed"), Mine: mostly("mine"),
			Contact: flip("contact"), Service: mostly("service"), Closed: flip("closed"), TypeOK: mostly("type"),
			Admission: Admission(rapid.IntRange(0, 3).Draw(t, "admission")),
		}
		a.IM.Sent, a.IM.Expires = wire.Time(times.Draw(t, "sent")), wire.Time(rapid.Uint64().Draw(t, "expires"))
		if mostly("sane") {
			a.IM.Expires = wire.Time(times.Draw(t, "expires"))
		}
		if flip("seen") {
			a.Seen = &Seen{}
		}
		now := identity.Now{Wall: wire.Time(times.Draw(t, "now")), Heard: wire.Time(times.Draw(t, "heard"))}

		v := Receive(now, a)
		commits := v.Kind == Keep || v.Kind == Discard || v.Kind == Suppress
		switch {
		case commits && (a.Seen != nil || !a.Signed || !a.Known || !a.Listed || !a.Mine):
			t.Fatalf("%v of %+v", v.Kind, a)
		case commits && (now.Late(a.IM.Expires) || now.Ahead(a.IM.Sent)):
			t.Fatalf("%v of a message from %d to %d", v.Kind, a.IM.Sent, a.IM.Expires)
		case commits != (v.Disposition == wire.Delivered): // I14
			t.Fatalf("%v says %v", v.Kind, v.Disposition)
		case commits && v.Until < a.IM.Expires.Add(wire.ResendWindow):
			t.Fatalf("forgotten at %d, expires at %d", v.Until, a.IM.Expires)
		case v.Kind == Repeat && a.Seen == nil:
			t.Fatal("repeats nothing")
		}
	})
}
