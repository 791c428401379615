package message

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

const (
	start wire.Time = 1_750_000_000_000
	life            = wire.IMLife
)

var (
	alice, bob, carol = wire.Address{1}, wire.Address{2}, wire.Address{3}
	bobs              = wire.DeviceID{2}
	mid               = wire.MID{7}
)

// at returns the clocks d after start, with heard as far.
func at(d time.Duration) identity.Now {
	t := start.Add(d)
	return identity.Now{Wall: t, Heard: t, Mono: d}
}

func im() wire.IM {
	return wire.IM{
		From: alice, To: bob, Device: wire.DeviceID{1}, Sent: start, Expires: start.Add(life),
		ContentType: "text/plain", Content: []byte("back at four?"), Report: ReportDisplayed,
	}
}

func entry(t testing.TB) Entry {
	t.Helper()
	e, err := New(at(0), mid, im(), []byte("signed"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func ack(d wire.Disposition, r wire.Reason) wire.Ack {
	return wire.Ack{From: bob, To: alice, Device: bobs, MIDs: []wire.MID{{5}, mid}, Disposition: d, Reason: r, At: start + 5}
}

func TestNew(t *testing.T) {
	tests := []struct {
		name   string
		change func(*wire.IM)
		err    error
	}{
		{"a week", func(*wire.IM) {}, nil},
		{"fail fast", func(m *wire.IM) { m.Expires = m.Sent + 1 }, nil},
		{"14 days", func(m *wire.IM) { m.Expires = m.Sent.Add(14 * 24 * time.Hour) }, nil},
		{"longer", func(m *wire.IM) { m.Expires = m.Sent.Add(14*24*time.Hour) + 1 }, ErrExpiry},
		{"dead", func(m *wire.IM) { m.Expires = m.Sent }, ErrExpiry},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := im()
			test.change(&m)
			e, err := New(at(0), mid, m, nil)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil && (e.State != Queued || !e.Due(at(0))) {
				t.Errorf("%v, due %v: a new message is queued and due", e.State, e.Due(at(0)))
			}
		})
	}
}

// Each event on each state: what SPEC 5.5 says, and nothing else.
func TestTable(t *testing.T) {
	type event struct {
		name string
		do   func(*Entry)
	}
	hear := func(d wire.Disposition, r wire.Reason) func(*Entry) {
		return func(e *Entry) { _, _ = e.Ack(at(time.Hour), ack(d, r), nil, true) }
	}
	reply := func(s wire.FrameStatus) func(*Entry) {
		return func(e *Entry) { e.Reply(at(time.Hour), s, time.Second) }
	}
	tick := func(d time.Duration) func(*Entry) { return func(e *Entry) { e.Tick(at(d)) } }
	states := []struct {
		name string
		make func(*Entry)
	}{
		{"queued", func(*Entry) {}},
		{"sending", func(e *Entry) { e.Connected(at(0)) }},
		{"handed", reply(wire.OK)},
		{"delivered", hear(wire.Delivered, 0)},
		{"displayed", hear(wire.Displayed, 0)},
		{"failed(unreachable)", tick(life + time.Millisecond)},
		{"failed(refused)", hear(wire.Forbidden, wire.ReasonRefused)},
	}
	same := [7]string{"queued", "sending", "handed", "delivered", "displayed", "failed(unreachable)", "failed(refused)"}
	with := func(q, s, h string) [7]string { return [7]string{q, s, h, same[3], same[4], same[5], same[6]} }
	tests := []struct {
		event
		want [7]string
	}{
		{event{"connected", func(e *Entry) { e.Connected(at(time.Hour)) }}, with("sending", "sending", "handed")},
		{event{"presence open", func(e *Entry) { e.PeerOpen(at(time.Hour)) }}, same},
		{event{"a try", func(e *Entry) { e.Attempted(at(time.Hour), 0.5) }}, same},
		{event{"TAKEN", reply(wire.OK)}, with("handed", "handed", "handed")},
		{event{"BUSY", reply(wire.BUSY)}, with("sending", "sending", "handed")},
		{event{"MALFORMED", reply(wire.MALFORMED)}, with("sending", "sending", "handed")},
		{event{"NO_KEY", reply(wire.NO_KEY)}, with("sending", "sending", "handed")},
		{event{"QUOTA", reply(wire.QUOTA)}, with("sending", "sending", "handed")},
		{event{"ack delivered", hear(wire.Delivered, 0)}, [7]string{"delivered", "delivered", "delivered", "delivered", "displayed", "delivered", "delivered"}},
		{event{"ack displayed", hear(wire.Displayed, 0)}, [7]string{"displayed", "displayed", "displayed", "displayed", "displayed", "displayed", "displayed"}},
		{event{"ack forbidden", hear(wire.Forbidden, wire.ReasonClosed)}, with("failed(closed)", "failed(closed)", "failed(closed)")},
		{event{"ack failed", hear(wire.Failed, wire.ReasonTooLarge)}, with("failed(too-large)", "failed(too-large)", "failed(too-large)")},
		{event{"ack of an unknown reason", hear(wire.Failed, 99)}, with("failed(internal)", "failed(internal)", "failed(internal)")},
		{event{"ack rate-limited", hear(wire.Failed, wire.ReasonRateLimited)}, same},
		{event{"ack stale-record", hear(wire.Failed, wire.ReasonStaleRecord)}, same},
		{event{"ack undecryptable", hear(wire.Failed, wire.ReasonUndecryptable)}, same},
		{event{"ack time", hear(wire.Failed, wire.ReasonTime)}, same},
		{event{"ack expired, not by my clock", hear(wire.Failed, wire.ReasonExpired)}, same},
		{event{"ack expired, by mine too", func(e *Entry) {
			_, _ = e.Ack(at(life+time.Second), ack(wire.Failed, wire.ReasonExpired), nil, true)
		}}, with("failed(expired)", "failed(expired)", "failed(expired)")},
		{event{"ack with no disposition known", hear(9, 0)}, same},
		{event{"expires", tick(life)}, same},
		{event{"past expires", tick(life + time.Millisecond)}, with("failed(unreachable)", "failed(unreachable)", "handed")},
		{event{"past expires without a key of this suite", func(e *Entry) { e.NoUsableKey(true); tick(life + time.Millisecond)(e) }}, with("failed(no-common-suite)", "failed(no-common-suite)", "handed")},
		{event{"past expires without a key", func(e *Entry) { e.NoUsableKey(false); tick(life + time.Millisecond)(e) }}, with("failed(no-keys)", "failed(no-keys)", "handed")},
		{event{"expires + 2S", tick(life + 4*time.Minute)}, with("failed(unreachable)", "failed(unreachable)", "handed")},
		{event{"past expires + 2S", tick(life + 4*time.Minute + time.Millisecond)}, with("failed(unreachable)", "failed(unreachable)", "failed(unconfirmed)")},
		{event{"cancel", func(e *Entry) { _ = e.Cancel(at(time.Hour)) }}, with("failed(cancelled)", "failed(cancelled)", "handed")},
	}
	for _, test := range tests {
		for i, s := range states {
			t.Run(s.name+", "+test.name, func(t *testing.T) {
				e := entry(t)
				s.make(&e)
				if got := shown(e); got != s.name {
					t.Fatalf("starts %v", got)
				}
				test.do(&e)
				if got := shown(e); got != test.want[i] {
					t.Errorf("got %v, want %v", got, test.want[i])
				}
				if (e.Settled != 0) != e.State.Final() {
					t.Errorf("%v, settled at %d", e.State, e.Settled)
				}
			})
		}
	}
}

func shown(e Entry) string {
	if e.State == Failed {
		return fmt.Sprintf("failed(%v)", e.Reason)
	}
	return e.State.String()
}

// A queued message that nobody answers is tried at 0, 5, 15 and 60 s, then every 15 min ±20 %, until
// just before it expires.
func TestSchedule(t *testing.T) {
	e := entry(t)
	var tries []time.Duration
	for w := e.Wake(at(0)); !e.State.Final(); w = e.Wake(at(w.Sub(start))) {
		now := at(w.Sub(start))
		if e.Tick(now) {
			break
		}
		if !e.Due(now) {
			t.Fatalf("woken at %v for nothing", now.Mono)
		}
		tries = append(tries, now.Mono)
		e.Attempted(now, float64(len(tries)%10)/10)
	}
	want := []time.Duration{0, 5 * time.Second, 15 * time.Second, time.Minute}
	if !reflect.DeepEqual(tries[:4], want) {
		t.Errorf("first tries at %v, want %v", tries[:4], want)
	}
	for i := 4; i < len(tries); i++ {
		if d := tries[i] - tries[i-1]; d < 12*time.Minute || d >= 18*time.Minute {
			t.Errorf("try %d comes %v after the one before", i, d)
		}
	}
	if last := tries[len(tries)-1]; last >= life || life-last > 18*time.Minute {
		t.Errorf("the last try is at %v of %v", last, life)
	}
	if len(tries) != e.Attempts || shown(e) != "failed(unreachable)" {
		t.Errorf("ends %v after %d attempts, want %d", shown(e), e.Attempts, len(tries))
	}
}

func TestRetry(t *testing.T) {
	h := time.Hour
	tests := []struct {
		name string
		do   func(*Entry)  // from one hour after the start, the seventh try just made
		due  time.Duration // after that hour
	}{
		{"nobody answers", func(*Entry) {}, 15 * time.Minute},
		{"connected", func(e *Entry) { e.Connected(at(h)) }, 0},
		{"connected, a minute later", func(e *Entry) { e.Connected(at(h + time.Minute)) }, time.Minute},
		{"presence open", func(e *Entry) { e.PeerOpen(at(h + time.Second)) }, time.Second},
		{"TAKEN, no ack", func(e *Entry) { e.Reply(at(h), wire.OK, 0) }, 15 * time.Minute},
		{"BUSY for less than the schedule", func(e *Entry) { e.Reply(at(h), wire.BUSY, time.Second) }, 15 * time.Minute},
		{"BUSY for more", func(e *Entry) { e.Reply(at(h), wire.BUSY, h) }, h},
		{"BUSY, then connected", func(e *Entry) { e.Reply(at(h), wire.BUSY, time.Minute); e.Connected(at(h)) }, time.Minute},
		{"BUSY for ever", func(e *Entry) { e.Reply(at(h), wire.BUSY, 1<<62) }, -1},
		{"NO_KEY: once more at once", func(e *Entry) { e.Reply(at(h), wire.NO_KEY, 0) }, 0},
		{"NO_KEY twice: by the schedule", func(e *Entry) {
			e.Reply(at(h), wire.NO_KEY, 0)
			e.Attempted(at(h), 0.5)
			e.Reply(at(h), wire.NO_KEY, 0)
		}, 15 * time.Minute},
		{"MALFORMED", func(e *Entry) { e.Reply(at(h), wire.MALFORMED, 0) }, 15 * time.Minute},
		{"rate-limited", func(e *Entry) { refuse(e, wire.ReasonRateLimited, 7200) }, 2 * h},
		{"rate-limited for ever", func(e *Entry) { refuse(e, wire.ReasonRateLimited, 1<<63) }, -1},
		{"rate-limited, then connected", func(e *Entry) { refuse(e, wire.ReasonRateLimited, 7200); e.Connected(at(h)) }, 2 * h},
		{"stale-record: once more at once", func(e *Entry) { refuse(e, wire.ReasonStaleRecord, 0) }, 0},
		{"stale-record twice", func(e *Entry) {
			refuse(e, wire.ReasonStaleRecord, 0)
			e.Attempted(at(h), 0.5)
			refuse(e, wire.ReasonStaleRecord, 0)
		}, 15 * time.Minute},
		{"a clock that is behind mine", func(e *Entry) { refuse(e, wire.ReasonTime, 0) }, time.Minute},
		{"a clock that is behind mine, tried again", func(e *Entry) {
			refuse(e, wire.ReasonTime, 0)
			e.Attempted(at(h), 0.5)
			refuse(e, wire.ReasonTime, 0)
		}, time.Minute},
		{"stale by a clock that is ahead of mine, tried again", func(e *Entry) {
			refuse(e, wire.ReasonStaleRecord, 0)
			e.Attempted(at(h), 0.5)
			a := ack(wire.Failed, wire.ReasonStaleRecord)
			a.At = start.Add(24 * h)
			_, _ = e.Ack(at(h), a, nil, true)
		}, time.Minute},
		{"a clock that is ahead of mine", func(e *Entry) { refuse(e, wire.ReasonExpired, 0) }, time.Minute},
		{"written by a clock that ran ahead", func(e *Entry) {
			e.Sent = start.Add(3 * h)
			refuse(e, wire.ReasonTime, 0)
		}, 2*h - identity.Skew},
		{"delivered", func(e *Entry) { _, _ = e.Ack(at(h), ack(wire.Delivered, 0), nil, true) }, -1},
		{"refused", func(e *Entry) { _, _ = e.Ack(at(h), ack(wire.Forbidden, wire.ReasonRefused), nil, true) }, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := entry(t)
			for range 7 {
				e.Attempted(at(h), 0.5)
			}
			test.do(&e)
			if test.due < 0 {
				if e.Due(at(life - time.Millisecond)) {
					t.Error("is tried")
				}
				return
			}
			if w := e.Wake(at(h)); w != start.Add(h+test.due) {
				t.Errorf("wakes after %v, want %v", w.Sub(start.Add(h)), test.due)
			}
			if !e.Due(at(h+test.due)) || test.due > 0 && e.Due(at(h+test.due-time.Millisecond)) {
				t.Errorf("is not due at exactly %v", test.due)
			}
		})
	}
}

func refuse(e *Entry, r wire.Reason, after uint64) {
	a := ack(wire.Failed, r)
	a.RetryAfterS, a.At = after, start.Add(time.Hour)
	_, _ = e.Ack(at(time.Hour), a, nil, true)
}

// What was TAKEN twice and never answered may not open there: fresh RECORDS heal it (SPEC 5.3).
func TestUnanswered(t *testing.T) {
	e := entry(t)
	for i, want := range []bool{false, true} {
		e.Attempted(at(time.Duration(i)*time.Minute), 0)
		e.Reply(at(time.Duration(i)*time.Minute), wire.OK, 0)
		e.Reply(at(time.Duration(i)*time.Minute), wire.OK, 0) // his other device
		if e.FetchRecords != want {
			t.Errorf("after %d unanswered tries: fetch %v, want %v", i+1, e.FetchRecords, want)
		}
	}
	if !e.GotRecords() || e.FetchRecords || e.GotRecords() {
		t.Error("fresh records are asked for again")
	}
}

func TestAckOfAnother(t *testing.T) {
	good := ack(wire.Delivered, 0)
	tests := []struct {
		name       string
		change     func(*wire.Ack)
		authorised bool
		err        error
	}{
		{"his own", func(*wire.Ack) {}, true, nil},
		{"he could not read who had sent", func(a *wire.Ack) { a.To = wire.Address{} }, true, nil},
		{"device not listed", func(*wire.Ack) {}, false, ErrNotAwaited},
		{"of a third party", func(a *wire.Ack) { a.From = carol }, true, ErrNotAwaited},
		{"to a third party", func(a *wire.Ack) { a.To = carol }, true, ErrNotAwaited},
		{"of another message", func(a *wire.Ack) { a.MIDs = []wire.MID{{5}} }, true, ErrNotAwaited},
		{"of no message", func(a *wire.Ack) { a.MIDs = nil }, true, ErrNotAwaited},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, a := entry(t), good
			test.change(&a)
			before := e
			changed, err := e.Ack(at(time.Second), a, []byte("ack"), test.authorised)
			if !errors.Is(err, test.err) || changed != (err == nil) {
				t.Errorf("changed %v, error %v, want %v", changed, err, test.err)
			}
			if err != nil && !reflect.DeepEqual(e, before) {
				t.Errorf("and yet the entry is changed to %+v", e)
			}
			if err == nil && (e.State != Delivered || e.AckedBy != bobs || string(e.AckRaw) != "ack") {
				t.Errorf("delivered without proof: %+v", e)
			}
		})
	}
}

func TestDisplayedOnlyIfAsked(t *testing.T) {
	e := entry(t)
	e.WantDisplayed = false
	_, _ = e.Ack(at(0), ack(wire.Displayed, 0), nil, true)
	if e.State != Delivered {
		t.Errorf("got %v, want %v", e.State, Delivered)
	}
}

func TestHearingTwiceChangesNothing(t *testing.T) {
	e := entry(t)
	_, _ = e.Ack(at(time.Second), ack(wire.Delivered, 0), []byte("first"), true)
	before := e
	changed, err := e.Ack(at(time.Minute), ack(wire.Delivered, 0), []byte("second"), true)
	if changed || err != nil || !reflect.DeepEqual(e, before) {
		t.Errorf("changed %v, %v: %+v", changed, err, e)
	}
}

func TestCancel(t *testing.T) {
	e := entry(t)
	if err := e.Cancel(at(0)); err != nil {
		t.Fatal(err)
	}
	if err := e.Cancel(at(0)); !errors.Is(err, ErrFinal) {
		t.Errorf("cancelled twice: %v", err)
	}
	if !e.Reply(at(1), wire.OK, 0) || e.State != Failed || !e.Handed {
		t.Errorf("TAKEN after the end: %v, handed %v", shown(e), e.Handed)
	}
	e = entry(t)
	e.Reply(at(0), wire.OK, 0)
	if err := e.Cancel(at(0)); !errors.Is(err, ErrHanded) || e.State != Handed {
		t.Errorf("cancel of what is handed: %v, %v", err, e.State)
	}
}

func TestSeal(t *testing.T) {
	e := entry(t)
	var gone []CEK
	for i := range 6 {
		gone = append(gone, e.Seal(CEK{Key: [32]byte{byte(i)}}, []byte{byte(i)}, [32]byte{byte(i)})...)
	}
	if len(e.CEKs) != 4 || e.CEKs[0].Key[0] != 5 || e.CEKs[3].Key[0] != 2 || e.CT[0] != 5 {
		t.Errorf("kept %v", e.CEKs)
	}
	if len(gone) != 2 || gone[0].Key[0] != 0 || gone[1].Key[0] != 1 {
		t.Errorf("dropped %v", gone)
	}
	if !e.SealedAs([32]byte{5}) || e.SealedAs([32]byte{4}) {
		t.Error("does not know what it is sealed for")
	}
	e.Tick(at(life + time.Second))
	behind := identity.Now{Wall: start.Add(life + 8*24*time.Hour), Heard: start}
	if e.Forget(behind) != nil {
		t.Error("keys are erased by one clock alone")
	}
	if w := e.Wake(behind); w <= behind.Wall {
		t.Errorf("wakes at once to erase what cannot be erased yet")
	}
	if e.Forget(at(life+7*24*time.Hour)) != nil {
		t.Error("keys are erased while a late ack may come")
	}
	if n := len(e.Forget(at(life + 7*24*time.Hour + 1e6))); n != 4 || e.CEKs != nil || e.Wake(at(0)) != 0 {
		t.Errorf("%d keys erased", n)
	}
}

func TestResend(t *testing.T) {
	unconfirmed := func(e *Entry) { e.Reply(at(0), wire.OK, 0); e.Tick(at(life + 5*time.Minute)) }
	tests := []struct {
		name string
		make func(*Entry)
		now  time.Duration
		err  error
	}{
		{"unconfirmed", unconfirmed, life + time.Hour, nil},
		{"a week after expires", unconfirmed, life + 7*24*time.Hour, nil},
		{"later", unconfirmed, life + 7*24*time.Hour + time.Millisecond, ErrNoResend},
		{"never answered", func(e *Entry) { e.Tick(at(life + 1e6)) }, life + time.Hour, nil},
		{"from an address that was left", func(e *Entry) { unconfirmed(e); e.From = carol }, life + time.Hour, ErrNoResend},
		{"still under way", func(e *Entry) {}, time.Hour, ErrNoResend},
		{"delivered", func(e *Entry) { _, _ = e.Ack(at(0), ack(wire.Delivered, 0), nil, true) }, time.Hour, ErrNoResend},
		{"refused", func(e *Entry) { refuse(e, wire.ReasonTooLarge, 0) }, time.Hour, ErrNoResend},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := entry(t)
			test.make(&e)
			m := im()
			m.Sent, m.Expires = start.Add(test.now), start.Add(test.now+life)
			m, err := e.Resend(at(test.now), m)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil && (m.ResendOf != mid || m.Expires > start.Add(life+7*24*time.Hour)) {
				t.Errorf("resend of %v expires at %v", m.ResendOf, m.Expires.Sub(start))
			}
		})
	}
}

// A chain of resends names its first message, and ends when the recipient forgets that one.
func TestResendOfResend(t *testing.T) {
	first := entry(t)
	first.Reply(at(0), wire.OK, 0)
	first.Tick(at(life + time.Hour))
	m := im()
	m.Sent, m.Expires = start.Add(life+time.Hour), start.Add(life+2*time.Hour)
	m, err := first.Resend(at(life+time.Hour), m)
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(at(life+time.Hour), wire.MID{8}, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	second.Tick(at(life + 3*time.Hour))
	if _, err := second.Resend(at(life+3*time.Hour), m); !errors.Is(err, ErrNoResend) {
		t.Errorf("a resend that stands alone is sent again: %v", err)
	}
	second.Follows(first)
	m, err = second.Resend(at(life+3*time.Hour), im())
	if err != nil || m.ResendOf != mid {
		t.Errorf("got %v, %v; want the first mid", m.ResendOf, err)
	}
}

// Whatever resend arrives last: while it is not refused as late, its first mid is still remembered.
func TestResendIsRemembered(t *testing.T) {
	first := entry(t)
	first.Reply(at(0), wire.OK, 0)
	first.Tick(at(life + 5*time.Minute))
	last := at(life + 7*24*time.Hour - time.Second)
	m := im()
	m.Sent, m.Expires = last.Wall, last.Wall.Add(wire.IMMaxLife)
	m, err := first.Resend(last, m)
	if err != nil {
		t.Fatal(err)
	}
	gone := seenUntil(im()) + 1
	a := arrival()
	a.ID, a.IM = wire.MID{8}, m
	if v := Receive(identity.Now{Wall: gone, Heard: gone}, a); v.Reason != wire.ReasonExpired {
		t.Errorf("%v(%v) after the first mid is forgotten", v.Kind, v.Reason)
	}
}

// A clock that ran ahead and was set right again holds nothing back (I30).
func TestClockSetBack(t *testing.T) {
	e := entry(t)
	year := 365 * 24 * time.Hour
	e.Expires = start.Add(2 * year)
	e.Attempted(at(year), 0.5)
	e.Reply(at(year), wire.BUSY, 24*time.Hour)
	if !e.Due(at(time.Minute)) {
		t.Error("is not tried after the clock is right again")
	}
	e.Attempted(at(time.Minute), 0.5)
	e.Reply(at(time.Minute), wire.BUSY, time.Second)
	if w := e.Wake(at(time.Minute)); w > start.Add(2*time.Minute) {
		t.Errorf("the next try is %v away", w.Sub(start))
	}
	e = entry(t)
	if e.Tick(identity.Now{Wall: start, Heard: start.Add(year)}) {
		t.Error("a contact's clock ends my message")
	}
}

func TestEntryIsKept(t *testing.T) {
	e := entry(t)
	e.Seal(CEK{Key: [32]byte{1}, Tag: [16]byte{2}}, []byte("ct"), [32]byte{3})
	_, _ = e.Ack(at(time.Second), ack(wire.Displayed, 0), []byte("ack"), true)
	b, err := cbor.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var got Entry
	if err := cbor.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("read back %+v, %v; want %+v", got, err, e)
	}
}
